"""Chunks that wait for the agent are worked together: each record once, in order, whatever Faust drops on the way."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from faust.types import TP

from streams.faust_batches import BatchScheduler, Chunk


@dataclass(frozen=True)
class Fetched:
    offset: int
    topic: str = "events"
    partition: int = 0
    timestamp: int = 0
    timestamp_type: int = 0


@pytest.fixture
def scheduler(monkeypatch: pytest.MonkeyPatch) -> BatchScheduler:
    monkeypatch.setattr(BatchScheduler, "topic", "events")
    monkeypatch.setattr(BatchScheduler, "batch_max", 10)
    return BatchScheduler()


def fetch(scheduler: BatchScheduler, *offsets: int, partition: int = 0) -> list[Chunk]:
    records = [Fetched(offset, partition=partition) for offset in offsets]
    return [batch.value for _tp, batch in scheduler.iterate({TP("events", partition): records})]


def offsets(chunk: Chunk) -> list[int]:
    return [record.offset for record in chunk]


def test_what_waits_is_taken_along_and_its_own_turn_is_empty(scheduler: BatchScheduler) -> None:
    (first,), (second,), (third,) = fetch(scheduler, 0, 1), fetch(scheduler, 2), fetch(scheduler, 3, 4)
    assert offsets(scheduler.gather(0, first)) == [0, 1, 2, 3, 4]
    assert scheduler.gather(0, second) == scheduler.gather(0, third) == []
    # An empty one on its way takes nothing from those behind it.
    (fourth,), (fifth,) = fetch(scheduler, 5), fetch(scheduler, 6)
    assert scheduler.gather(0, third) == []
    assert offsets(scheduler.gather(0, fourth)) == [5, 6]
    assert scheduler.gather(0, fifth) == []


def test_no_more_than_a_batch_together_and_no_partition_takes_anothers(scheduler: BatchScheduler) -> None:
    (first,), (second,), (third,) = (fetch(scheduler, *range(at, at + 4)) for at in (0, 4, 8))
    (other,) = fetch(scheduler, 0, partition=1)
    assert len(scheduler.gather(0, first)) == 8
    assert offsets(scheduler.gather(1, other)) == [0]
    assert scheduler.gather(0, second) == []
    assert offsets(scheduler.gather(0, third)) == [8, 9, 10, 11]


def test_after_a_seek_nothing_of_before_is_taken(scheduler: BatchScheduler) -> None:
    (first,), _second = fetch(scheduler, 0), fetch(scheduler, 1)
    scheduler.forget()
    (again,), (behind,) = fetch(scheduler, 0), fetch(scheduler, 1)
    assert offsets(scheduler.gather(0, first)) == [0]
    assert offsets(scheduler.gather(0, again)) == [0, 1]
    assert scheduler.gather(0, behind) == []


def test_whatever_is_dropped_on_the_way_no_record_comes_twice_or_out_of_order(scheduler: BatchScheduler) -> None:
    rng = random.Random(5)
    for _ in range(300):
        scheduler.forget()
        chunks, at = [], 0
        for _ in range(rng.randrange(1, 8)):
            size = rng.randrange(1, 5)
            chunks += fetch(scheduler, *range(at, at + size))
            at += size
        delivered = [chunk for chunk in chunks if rng.random() < 0.8]
        worked: list[int] = []
        for chunk in delivered:
            gathered = offsets(scheduler.gather(0, chunk))
            # Contiguous in itself, so that no hole is hidden inside a batch.
            assert gathered == list(range(gathered[0], gathered[0] + len(gathered))) if gathered else True
            worked += gathered
        assert worked == sorted(set(worked))
