"""What credit costs on top of the fraud path, per event of a town's mix.

::

    python -m benchmarks.credit_cost              # 500 people, 120 days, about five minutes
    python -m benchmarks.credit_cost --quick

The engine processes the same events with credit and without. Without, credit events are decoded, checked, remembered
and noted as decisions, and change nothing, no timer fires, nothing is scored. Runs alternate; the figure is the
difference of the smallest CPU times. It holds all that credit does: rows, timers, scores, alerts, longer decisions.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from alerts.policy import load_policy
from alerts.shift import Assessor
from benchmarks import machine
from features.events import Event, Tick, encode
from models.snapshot import LoadedSnapshot, initial_snapshot
from streams import engine as engine_module
from streams.engine import Engine
from streams.town import Town, TownConfig

RESULTS = Path(__file__).parent / "results" / "credit-cost.json"
BATCH = 2_000


class Record(NamedTuple):
    """What the engine reads of a record."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = -1
    headers: tuple[tuple[str, bytes], ...] = ()


class Library:
    """One model, one policy."""

    def __init__(self) -> None:
        self._model, self._policy = LoadedSnapshot(initial_snapshot()), load_policy()
        self._assessor = Assessor(self._policy)
        self.policy_version = self._policy.version

    def model(self, version: int) -> LoadedSnapshot:  # noqa: ARG002
        """The expert's."""
        return self._model

    def assessor(self, policy_version: str) -> Assessor:  # noqa: ARG002
        """The house's."""
        return self._assessor


def run(batches: Sequence[tuple[int, list[Record]]], library: Library) -> tuple[float, int]:
    """CPU seconds of processing all batches, each after a tick; and how many decisions hold a credit score."""
    engine = Engine(0, 1, "events", library, model_version=1, policy_version=library.policy_version)
    scored = 0
    gc.collect()
    gc.disable()
    began = time.process_time()
    outputs = []
    for at_ms, records in batches:
        tick = Tick(event_id=f"tick/0/{at_ms}", event_time_ms=at_ms, schema_version=1, partition=0)
        outputs.append(engine.process(records, [tick]).decisions)
    spent = time.process_time() - began
    gc.enable()
    for decisions in outputs:
        scored += sum(b'"pd_12m":' in value for _, value in decisions)
    return spent, scored


def without_credit() -> Any:
    """A context in which the engine does nothing for credit."""
    return mock.patch.multiple(engine_module.credit, apply=lambda _row, _event: False, next_due=lambda _row: None)


def measure(people: int, days: int, seed: int, repeats: int) -> dict[str, Any]:
    """Both kinds of run, in turn."""
    events: list[Event] = list(Town(TownConfig(people=people, days=days, seed=seed)).events())
    batches = []
    for start in range(0, len(events), BATCH):
        part = events[start : start + BATCH]
        records = [Record(start + n, event.customer_id.encode(), encode(event)) for n, event in enumerate(part)]
        batches.append((part[0].event_time_ms, records))
    library, scored = Library(), 0
    times: dict[str, list[float]] = {"with": [], "without": []}
    for _ in range(repeats):
        with without_credit():
            times["without"].append(run(batches, library)[0])
        spent, scored = run(batches, library)
        times["with"].append(spent)
    best = {name: min(found) / len(events) * 1e6 for name, found in times.items()}
    kinds = Counter(type(event).__name__ for event in events)
    return {
        **machine.facts(seed), "people": people, "days": days, "events": len(events), "repeats": repeats,
        "credit_scores": scored, "share_scored": round(scored / len(events), 4),
        "engine_us_per_event": round(best["with"], 2), "without_credit_us_per_event": round(best["without"], 2),
        "credit_us_per_event": round(best["with"] - best["without"], 2),
        "runs_s": {name: [round(value, 3) for value in found] for name, found in times.items()},
        "kinds": dict(kinds.most_common()),
    }  # fmt: skip


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small town; the result is not kept")
    parser.add_argument("--seed", type=int, default=6)
    args = parser.parse_args()
    result = measure(60, 40, args.seed, 2) if args.quick else measure(500, 120, args.seed, 3)
    print(json.dumps(result, indent=1))
    if not args.quick:
        RESULTS.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
