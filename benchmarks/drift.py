"""A fraud nobody has seen, from day 90 on: how soon is it caught, with and without drift handling?

::

    python -m benchmarks.drift              # two towns, about ten minutes
    python -m benchmarks.drift --quick      # one small town: is it wired up

The new typology: online purchases of 300 to 900 EUR from the customer's own device at shops the customer knows
(a session taken over by malware). Nothing about it is new or fast, so the expert's weights pass it by. Caught means
among the 1 % of the day's transactions with the highest probability. Both arms see the same events; with handling,
a drift alarm makes the models learn faster for two weeks. Labels come 1 to 7 days late and teach at 7 days.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.detection_run import HOUR_MS, Run, Scored, drive
from features.events import Event, Outcome, Transaction
from models.governance.rules import DriftRules, ModelRules
from streams.town import Town, TownConfig

RESULTS = Path(__file__).parent / "results" / "drift.json"
DAY_MS = 24 * HOUR_MS
FROM_DAY = 90
BUDGET = 0.01
# Recall of a day is that of it and the two before: a day alone has a handful of cases.
SMOOTH_DAYS, STEADY_DAYS = 3, 14
# Labels teach at seven days: whatever handling can do shows in the seven days after.
SECOND_WEEK = range(7, 14)
MARK = "new-"


def planted(events: list[Event], start_ms: int, per_day: int, seed: int) -> list[Event]:
    """The events with the new typology and its late labels among them, in order of time."""
    rng = np.random.default_rng([seed, 90])
    end_ms = events[-1].event_time_ms
    known: dict[str, list[Transaction]] = defaultdict(list)
    made: list[Event] = []
    by_day: dict[int, list[Transaction]] = defaultdict(list)
    for event in events:
        if isinstance(event, Transaction) and event.channel == "ecom" and event.status == "approved":
            by_day[(event.event_time_ms - start_ms) // DAY_MS].append(event)
    for day in range(max(by_day) + 1):
        if day >= FROM_DAY:
            victims = sorted(known)
            for place, chosen in enumerate(rng.choice(len(victims), size=min(per_day, len(victims)), replace=False)):
                template = known[victims[int(chosen)]][-1]
                at_ms = start_ms + day * DAY_MS + int(rng.uniform(8, 22) * HOUR_MS)
                fraud = Transaction(
                    event_id=f"{MARK}{day:03d}-{place:03d}", customer_id=template.customer_id, event_time_ms=at_ms,
                    schema_version=1, amount_minor=int(rng.uniform(30_000, 90_000)), currency="EUR", direction="debit",
                    channel="ecom", type="purchase", status="approved", merchant_id=template.merchant_id,
                    mcc=template.mcc, country=template.country, card_id=template.card_id,
                    account_id=template.account_id, device_id=template.device_id,
                )  # fmt: skip
                made.append(fraud)
                made.append(
                    Outcome(
                        event_id=f"{fraud.event_id}-truth", customer_id=fraud.customer_id, schema_version=1,
                        event_time_ms=at_ms + int(rng.uniform(1, 7) * DAY_MS), outcome="fraud_confirmed",
                        about_event_id=fraud.event_id, card_id=fraud.card_id, typology="session_hijack", by="customer",
                    )
                )  # fmt: skip
        for event in by_day[day]:
            known[event.customer_id].append(event)
    late = [event for event in made if event.event_time_ms <= end_ms]
    return sorted([*events, *late], key=lambda event: event.event_time_ms)


def recall_by_day(scored: list[Scored], start_ms: int) -> dict[int, tuple[int, int]]:
    """Day → (caught, there) of the new typology, within the day's budget."""
    days: dict[int, list[Scored]] = defaultdict(list)
    for one in scored:
        days[(one.event_time_ms - start_ms) // DAY_MS].append(one)
    caught: dict[int, tuple[int, int]] = {}
    for day, of_day in sorted(days.items()):
        if day < FROM_DAY:
            continue
        best = sorted(of_day, key=lambda one: -one.probability)[: max(1, round(BUDGET * len(of_day)))]
        hits = sum(one.event_id.startswith(MARK) for one in best)
        caught[day] = hits, sum(one.event_id.startswith(MARK) for one in of_day)
    return caught


def figures(run: Run, start_ms: int) -> dict[str, Any]:
    """Recall day by day, its steady state, and the day on which it passes half of that."""
    caught = recall_by_day(run.scored, start_ms)
    days = sorted(caught)
    smooth: dict[int, float] = {}
    for day in days:
        some = [caught[d] for d in range(day - SMOOTH_DAYS + 1, day + 1) if d in caught]
        smooth[day] = sum(hit for hit, _ in some) / max(1, sum(there for _, there in some))
    steady = float(np.mean([smooth[day] for day in days[-STEADY_DAYS:]]))
    passed = next((day - FROM_DAY for day in days if smooth[day] >= steady / 2), None)
    # The first day may be lucky: from here on it stays above half.
    stays = next(
        (day - FROM_DAY for day in days if all(smooth[later] >= steady / 2 for later in days if later >= day)), None
    )
    second = [caught[FROM_DAY + day] for day in SECOND_WEEK if FROM_DAY + day in caught]
    alarms = [(news.at_ms - start_ms) // DAY_MS - FROM_DAY for news in run.news if news.kind == "drift_loss"]
    return {
        "steady_recall": round(steady, 3),
        "second_week_recall": round(sum(hit for hit, _ in second) / max(1, sum(there for _, there in second)), 3),
        "days_until_half": passed, "days_until_half_for_good": stays,
        "drift_loss_alarms_days_after": alarms,
        "other_news": sorted({news.kind for news in run.news if news.kind != "drift_loss"}),
        "recall_by_day": {str(day - FROM_DAY): round(value, 3) for day, value in smooth.items()},
    }  # fmt: skip


def main() -> None:
    """Run both arms and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one small town")
    args = parser.parse_args()
    people, days, seeds = (200, 130, [21]) if args.quick else (400, 150, [21, 22])
    result: dict[str, Any] = {**machine.facts(seeds[0]), "people": people, "days": days, "budget": BUDGET, "towns": {}}
    for seed in seeds:
        config = TownConfig(people=people, days=days, seed=seed)
        events = planted(list(Town(config).events()), config.start_ms, max(2, people // 25), seed)
        arms: dict[str, Any] = {}
        for name, react in (("with_drift_handling", True), ("without", False)):
            run = drive(events, Run(rules=ModelRules(drift=DriftRules(react=react))))
            arms[name] = figures(run, config.start_ms)
            shown = {key: value for key, value in arms[name].items() if key != "recall_by_day"}
            print(json.dumps({"seed": seed, "arm": name, **shown}), flush=True)
        result["towns"][str(seed)] = arms
    if not args.quick:
        RESULTS.write_text(json.dumps(result, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
