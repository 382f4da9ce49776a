"""Our variant on a real broker: durable after each batch, taken over where it was, verified end to end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from benchmarks.same_job.columns import Features
from benchmarks.same_job.events import Keyed, generate
from benchmarks.same_job.measure import run
from benchmarks.same_job.ours import PARTITIONS, BatchJob, Ours, Partition
from benchmarks.same_job.process import Task
from streams import topics
from streams.faust_batches import Chunk
from streams.settings import load


def chunk(events: list[Keyed], first: int) -> Chunk:
    return Chunk([SimpleNamespace(offset=first + i, value=value) for i, (_key, value) in enumerate(events)], None)


def test_a_successor_has_every_customer_and_takes_no_event_twice(tansu: str, prefix: str, tmp_path: Path) -> None:
    settings, _ = load(environ={}, broker=tansu, topic_prefix=prefix, home=str(tmp_path))
    topics.declare(tansu, PARTITIONS, prefix=prefix)
    events = generate(900, 3)

    async def scene() -> tuple[BatchJob, Features, list[int]]:
        batch, first = BatchJob(), Partition(settings, 2)
        await first.take_over(batch.features)
        for start in range(0, 600, 200):
            await first.work(batch, chunk(events[start : start + 200], start))
        successor, restored = Partition(settings, 2), Features()
        await successor.take_over(restored)
        went_on = BatchJob()
        taken = [await successor.work(went_on, chunk(events[400:700], 400)),
                 await successor.work(went_on, chunk(events[400:700], 400))]  # fmt: skip
        for partition in (first, successor):
            await partition.release()
        return batch, restored, [*taken, successor.applied]

    batch, restored, taken = asyncio.run(scene())
    assert taken == [100, 0, 699]
    names = batch.features.customers.names
    assert sorted(restored.customers.names) == sorted(names)
    for name in names:
        there, here = batch.features.place(name), restored.place(name)
        np.testing.assert_array_equal(batch.features.table[there], restored.table[here])
        assert list(batch.features.merchants[there].items()) == list(restored.merchants[here].items())


def test_partitions_that_take_turns_lose_no_event_of_the_count(tmp_path: Path) -> None:
    class Slow:
        async def work(self, _batch: BatchJob, records: Chunk) -> int:
            await asyncio.sleep(0.01)
            return len(records)

    async def scene() -> int:
        ours = Ours(Task("127.0.0.1:1", 1_000, tmp_path, "riskshift.events", "riskshift.alerts"))
        ours.partitions = {0: Slow(), 1: Slow()}
        await asyncio.gather(*(ours.handle(partition, chunk(generate(5, 3), 0)) for partition in (0, 1, 0)))
        return ours.done

    assert asyncio.run(scene()) == 15


def test_a_run_works_every_event_once_and_is_verified(tansu: str) -> None:
    # `tansu` only marks it: every run has a broker of its own.
    figures = run("ours", generate(1_000, 3))
    assert figures["events"] == 1_000
    assert figures["cpu_us_per_event"] > 0
    assert figures["rss_mib_max"] > 20
    assert set(figures["machine_use"]) >= {"steal_percent", "others_percent"}
