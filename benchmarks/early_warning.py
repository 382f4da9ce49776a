"""Early warning on towns not used while it was made: what is found, before what, at what price.

    python -m benchmarks.early_warning --json
    python -m benchmarks.early_warning --scenario steady --scenario downturn --people 300

The real engine with the default policy and the real learner, one partition, no broker; snapshots come into force at
the next hour. Without `--scenario`: the files that begin with `check-`. Figures go to `results/early-warning.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from alerts.policy import load_policy
from benchmarks import machine
from benchmarks.early_warning_figures import community, flapping, found, groups_of, lifts, recoveries
from benchmarks.early_warning_run import live
from features.warning_catalogue import CODES
from streams.town import Town, TownConfig
from streams.town.scenario import load, names

RESULTS = Path(__file__).parent / "results"


def main() -> int:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(prog="benchmarks.early_warning", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scenario", action="append", help="name or file; default: the house's check files")
    parser.add_argument("--people", type=int, help="instead of what the scenario says")
    parser.add_argument("--seed", type=int, help="instead of what the scenario says")
    parser.add_argument("--expert", action="store_true", help="keep the expert's weights, learn nothing")
    parser.add_argument("--name", default="early-warning", help="of the result file")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    args = parser.parse_args()
    chosen = {key: value for key, value in (("people", args.people), ("seed", args.seed)) if value is not None}
    scenarios = args.scenario or [name for name in names() if name.startswith("check-")]
    warnings = load_policy().warnings
    assert warnings is not None
    started, each, runs = time.monotonic(), {}, []
    for name in scenarios:
        town = Town(TownConfig.of(load(name), **chosen))
        lived = live(town, learn=not args.expert)
        groups = groups_of(town, lived)
        runs.append((lived, groups))
        each[name] = found(town, lived, groups) | {
            "seed": town.config.seed, "recoveries": recoveries(lived, groups), "community": community(town, lived),
            "flapping": flapping(lived, warnings.enter), "lessons": lived.weights.lessons if lived.weights else 0,
            "warnings_bytes_max": lived.row_bytes_max,
        }  # fmt: skip
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    figures = {"all": _together(list(each.values())), "scenarios": each, "lift": lifts(runs)}
    if runs[-1][0].weights is not None:
        weights = runs[-1][0].weights.weights
        figures["weights_last"] = {code: round(w, 2) for code, w in zip(CODES, weights, strict=True)}
    result = machine.facts(0) | {"seconds": round(time.monotonic() - started, 1), "figures": figures}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{args.name}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(figures) if args.json else json.dumps(figures, indent=1))
    return 0


def _together(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Sums over the towns, and the ratios of the sums."""

    def total(*path: str) -> float:
        values: list[Any] = parts
        for key in path:
            values = [value[key] for value in values]
        return sum(values)

    ours, rule = total("at_equal_volume", "ours"), total("at_equal_volume", "rule")
    quarters = sum(part["healthy"] * part["quarters"] for part in parts)
    reviewed = total("recoveries", "alerted_and_recovered_in_time")
    return {
        "defaulters": total("defaulters"),
        "found_before_first_missed": total("found_before_first_missed"),
        "found_ratio": round(total("found_before_first_missed") / max(1, total("defaulters")), 3),
        "healthy_alerted_per_quarter": round(total("healthy_alerted_cells") / max(1, quarters), 4),
        "rule_found": total("rule", "found"),
        "at_equal_volume_ours": ours,
        "at_equal_volume_rule": round(rule, 1),
        "times_the_rule": round(ours / rule, 1) if rule else None,
        "recoveries_found": total("recoveries", "cleared"),
        "recoveries_of": reviewed,
    }


if __name__ == "__main__":
    sys.exit(main())
