"""From partition logs to epochs: an order of records that does not depend on how partitions arrived.

Event time is cut by a fixed grid of `epoch_ms`. A record belongs to the first grid time at or after the next
advancing tick *in its own partition*; that is a property of the partition's log alone. Epoch G is complete once
every partition has delivered a tick at or after G, and by then every record of G is there. So the sequence of
epochs and the records in each are the same for every interleaving.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from models.errors import LearnerError
from models.observation import Observation


class Cell(NamedTuple):
    """Where an epoch begins in one partition, and what reading again from there must know."""

    start: int
    reached_ms: int
    source_offset: int


class Queued(NamedTuple):
    """A record in its place; sorts by event time, partition, offset (an offset is never compared twice)."""

    event_time_ms: int
    partition: int
    offset: int
    observation: Observation
    cell: Cell


class End(NamedTuple):
    """How far an epoch reaches in one partition: the offset after its last tick, and that tick's time."""

    next_offset: int
    reached_ms: int
    source_offset: int


@dataclass(slots=True)
class Epoch:
    """All records up to one grid time, in learning order, with the end in each partition that ticked."""

    end_ms: int
    records: list[Queued] = field(default_factory=list)
    ends: dict[int, End] = field(default_factory=dict)


@dataclass(slots=True)
class _Log:
    # One partition as far as it was delivered.
    next_offset: int
    reached_ms: int
    source_offset: int
    cell: Cell
    # Start of what has no tick behind it yet.
    open_start: Cell
    # Grid time of `cell`; None until its first tick tells.
    cell_end_ms: int | None = None
    open: list[tuple[int, Observation]] = field(default_factory=list)
    queued: int = 0


class Epochs:
    """Collects records of all partitions and hands out complete epochs.

    Parameters
    ----------
    starts
        Per partition where reading begins.
    epoch_ms
        Grid of event time; an epoch's records wait in memory, so busy streams want a small one.
    queue_max
        Records a partition may have waiting; see `full`.
    """

    def __init__(self, starts: list[Cell], epoch_ms: int, queue_max: int) -> None:
        self.epoch_ms = epoch_ms
        self.queue_max = queue_max
        self.repeated = 0
        self._logs = [_Log(c.start, c.reached_ms, c.source_offset, c, c) for c in starts]
        self._pending: dict[int, Epoch] = {}

    def observe(self, partition: int, offset: int, observation: Observation) -> None:
        """Queue one record; one at or below what this partition has delivered is a repeat and passed over."""
        if not 0 <= partition < len(self._logs):
            raise LearnerError(
                f"expected a partition below {len(self._logs)}, found {partition}: the topic has grown; "
                "start the learner anew with the new number of partitions"
            )
        log = self._logs[partition]
        if offset < log.next_offset:
            self.repeated += 1
            return
        if observation.is_tick:
            log.next_offset = offset + 1
            if observation.event_time_ms > log.reached_ms:
                self._close(partition, log, observation.event_time_ms)
            return
        if observation.disposition == "decision" and observation.offset <= log.source_offset:
            log.next_offset = offset + 1
            self.repeated += 1
            return
        if log.queued >= self.queue_max:
            raise LearnerError(
                f"expected at most {self.queue_max} records of partition {partition} waiting for a tick, found one "
                "more: read the other partitions while `full` says so, or lower epoch_ms, or raise queue_max"
            )
        log.next_offset = offset + 1
        if observation.disposition == "decision":
            log.source_offset = observation.offset
            log.open.append((offset, observation))
            log.queued += 1
        elif observation.disposition == "derived" and observation.warnings is not None:
            # What silence showed of a customer; no input offset of its own, and harmless if it is told twice.
            log.open.append((offset, observation))
            log.queued += 1

    def complete(self) -> Iterator[Epoch]:
        """Complete epochs, earliest first; each is handed out once."""
        reached = min(log.reached_ms for log in self._logs)
        for end_ms in sorted(self._pending):
            if end_ms > reached:
                return
            epoch = self._pending.pop(end_ms)
            epoch.records.sort()
            for record in epoch.records:
                self._logs[record.partition].queued -= 1
            yield epoch

    def full(self, partition: int) -> bool:
        """Whether the driver should read other partitions first."""
        return self._logs[partition].queued >= self.queue_max

    @property
    def queued(self) -> int:
        """Records that wait for their epoch."""
        return sum(log.queued for log in self._logs)

    def _close(self, partition: int, log: _Log, tick_ms: int) -> None:
        end_ms = -(-tick_ms // self.epoch_ms) * self.epoch_ms
        if log.cell_end_ms != end_ms:
            log.cell, log.cell_end_ms = log.open_start, end_ms
        log.reached_ms = tick_ms
        epoch = self._pending.setdefault(end_ms, Epoch(end_ms))
        epoch.records.extend(Queued(o.event_time_ms, partition, at, o, log.cell) for at, o in log.open)
        epoch.ends[partition] = End(log.next_offset, tick_ms, log.source_offset)
        log.open = []
        log.open_start = Cell(log.next_offset, tick_ms, log.source_offset)
