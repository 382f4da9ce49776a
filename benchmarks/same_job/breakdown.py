"""Where each microsecond goes: the parts of the job in memory, no broker, as every peer and as ours computes them."""

from __future__ import annotations

from collections.abc import Callable
from time import process_time
from typing import Any, TypeVar

import numpy as np

from benchmarks.same_job import columns, job, stored
from benchmarks.same_job.events import Keyed
from benchmarks.same_job.ours import BATCH_MAX, BatchJob
from benchmarks.same_job.process import rarely_collect

EVENTS = 24_000
Part = TypeVar("Part")


class Stopwatch:
    """CPU seconds by part."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    def time(self, part: str, work: Callable[..., Part], *arguments: Any) -> Part:
        """Result of `work`, its CPU time added to the part's."""
        began = process_time()
        result = work(*arguments)
        self.spent[part] = self.spent.get(part, 0.0) + process_time() - began
        return result

    def us_per_event(self, events: int) -> dict[str, float]:
        """CPU microseconds per event, by part."""
        return {part: round(seconds / events * 1e6, 2) for part, seconds in self.spent.items()}


def breakdown(stream: list[Keyed]) -> dict[str, dict[str, float]]:
    """CPU microseconds per event of each part, `peers` and `ours`; the rest of a run is delivery and durability."""
    values = [value for _key, value in stream[:EVENTS]]
    rarely_collect()
    return {"peers": _peers(values), "ours": _ours(values)}


def _peers(values: list[bytes]) -> dict[str, float]:
    watch, models, terminals = Stopwatch(), job.Models(), job.Terminals()
    events = watch.time("decode", lambda: [job.decode(value) for value in values])
    states: dict[str, dict[str, Any]] = {event["customer_id"]: job.new_state() for event in events}

    def features() -> list[dict[str, float]]:
        hit, update = terminals.hit, job.update
        return [
            update(states[event["customer_id"]], event, hit(event["terminal_id"], event["event_time_ms"]))
            for event in events
        ]

    def regression() -> None:
        for x, event in zip(vectors, events, strict=True):
            models.linear.predict_proba_one(x)
            models.linear.learn_one(x, event["is_fraud"])

    def trees() -> None:
        for x in vectors:
            models.trees.score_one(x)
            models.trees.learn_one(x)

    vectors = watch.time("features", features)
    watch.time("scaler and regression", regression)
    watch.time("half-space trees", trees)
    return watch.us_per_event(len(values))


def _ours(values: list[bytes]) -> dict[str, float]:
    watch, batch = Stopwatch(), BatchJob()
    for start in range(0, len(values), BATCH_MAX // 2):
        part = values[start : start + BATCH_MAX // 2]
        events = watch.time("decode", columns.decode, part)
        vectors, touched = watch.time("features", batch.features.update, events)
        labels = np.array([event.is_fraud for event in events], dtype=np.float64)
        watch.time("scaler and regression", batch.linear.score_learn_many, vectors, labels)
        watch.time("half-space trees", batch.trees.score_learn_many, vectors.T)
        watch.time("rows packed", stored.pack, batch.features, touched.tolist())
    return watch.us_per_event(len(values))
