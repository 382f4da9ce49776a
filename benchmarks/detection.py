"""What is caught, and what it costs: engine and learner in one process over the handbook file or simulated towns.

    python -m benchmarks.detection handbook --weeks 2018-08-08   # RISKSHIFT_DATA names the folder with handbook/
    python -m benchmarks.detection town --seeds 1 2 3
    python -m benchmarks.detection ablation --weeks 2018-08-08

Every event goes through the engine, every decision through the learner, snapshots come into force at the next batch:
what a worker and a learner do, on one partition and without a broker. Figures go to `results/detection-*.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.detection_figures import by_week, of_towns
from benchmarks.detection_run import GROUPS, Run, drive
from features.catalogue import NAMES
from features.events import Outcome
from streams.sources import open_source
from streams.town import Town, TownConfig

RESULTS = Path(__file__).parent / "results"
HANDBOOK_START_MS = int(datetime(2018, 4, 1, tzinfo=UTC).timestamp() * 1000)
DAY_MS = 86_400_000


def handbook(args: argparse.Namespace, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Test weeks by the published protocol; labels come seven days late."""
    folder = os.environ.get("RISKSHIFT_DATA")
    path = Path(folder or "") / "handbook" / "transactions.parquet"
    if not folder or not path.exists():
        sys.exit(
            f"expected RISKSHIFT_DATA to name a folder with handbook/transactions.parquet, found {folder!r}: set it"
        )
    starts = [_day(week) for week in args.weeks]
    until_ms = HANDBOOK_START_MS + (max(starts) + 7) * DAY_MS
    events = open_source("handbook", path, until_ms=until_ms)
    run = drive(events, Run(without=without, publish_every_h=args.publish_hours), progress=_say)
    # The engine hears of a fraud a week later; the truth of the last week is read beside it, for the figures only.
    truth = open_source("handbook", path, until_ms=until_ms, label_delay_ms=0)
    frauds = {o.about_event_id for o in truth if isinstance(o, Outcome)}
    for scored in run.scored:
        scored.fraud = scored.event_id in frauds
    return by_week(run, starts, HANDBOOK_START_MS)


def towns(args: argparse.Namespace) -> dict[str, Any]:
    """Planted cases, alerts on customers with nothing planted, over several seeds."""
    runs = []
    for seed in args.seeds:
        town = Town(TownConfig(people=args.people, days=args.days, seed=seed))
        settings = Run(learn=not args.prior_only, publish_every_h=args.publish_hours)
        runs.append((town, drive(town.events(), settings, progress=_say)))
    return of_towns(runs, args.warm_days)


def ablation(args: argparse.Namespace) -> dict[str, Any]:
    """The same weeks, each time without one group of features."""
    table = {"all features": handbook(args)["mean"]}
    for name, features in GROUPS.items():
        table[f"without {name}"] = handbook(args, features)["mean"]
    print("| features | AUC | AP | CP@100 |\n|---|---|---|---|")
    for name, row in table.items():
        print(f"| {name} | {row['auc']:.3f} | {row['ap']:.3f} | {row['cp100']:.3f} |")
    return {"mean of test weeks": table, "groups": {name: list(f) for name, f in GROUPS.items()}}


def main() -> None:
    """Parse, run, print JSON and keep it."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.detection", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("what", choices=("handbook", "town", "ablation"))
    parser.add_argument("--weeks", nargs="+", default=["2018-08-08"], help="first days of test weeks, with spaces")
    parser.add_argument("--publish-hours", type=int, default=6, help="event time between snapshots")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--people", type=int, default=400)
    parser.add_argument("--days", type=int, default=120)
    parser.add_argument("--warm-days", type=int, default=30, help="days before false alerts are counted")
    parser.add_argument("--prior-only", action="store_true", help="never switch to what was learned")
    parser.add_argument("--name", help="of the result file, if not the first argument")
    args = parser.parse_args()
    started = time.monotonic()
    figures = {"handbook": handbook, "town": towns, "ablation": ablation}[args.what](args)
    asked = {key: value for key, value in vars(args).items() if key not in ("what", "name")}
    result = machine.facts(args.seeds[0]) | {
        "features": len(NAMES), "asked": asked, "seconds": round(time.monotonic() - started, 1), "figures": figures,
    }  # fmt: skip
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(result, indent=1)
    (RESULTS / f"detection-{args.name or args.what}.json").write_text(text + "\n")
    print(json.dumps(figures, indent=1))


def _day(text: str) -> int:
    at_ms = int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)
    return (at_ms - HANDBOOK_START_MS) // DAY_MS


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
