"""One Apache Kafka broker as a model: what `tests/kafka/test_transactions.py` holds against the real one, in memory.

Every method is one request applied at once; travelling, losing and repeating requests is `tests.simulation.network`.
A broker without transactions is the same model with producers that have no transactional id.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka.errors import ProducerFenced

TXN_TIMEOUT_S = 10.0
OPEN, COMMITTED, ABORTED = "open", "committed", "aborted"
Headers = Sequence[tuple[str, bytes]]


class BusyError(Exception):
    """CONCURRENT_TRANSACTIONS: the markers of the transaction before are still being written; ask again."""


class Txn:
    """A transaction. `state` is decided once; `unmarked` logs still lack the marker that lets readers see it."""

    __slots__ = ("logs", "offsets", "state", "unmarked")

    def __init__(self) -> None:
        self.state = OPEN
        self.logs: dict[Log, int] = {}
        self.offsets: dict[int, int] = {}
        self.unmarked = 0


class Entry:
    """A record in a log; shaped as the engine and aiokafka's callers read one."""

    __slots__ = ("headers", "key", "offset", "timestamp", "txn", "value")

    def __init__(
        self, offset: int, key: bytes | None, value: bytes | None, headers: Headers, timestamp: int, txn: Txn | None
    ) -> None:
        self.offset, self.key, self.value, self.headers = offset, key, value, headers
        self.timestamp, self.txn = timestamp, txn

    @property
    def counts(self) -> bool:
        """Whether it was ever committed."""
        return self.txn is None or self.txn.state is COMMITTED


class Log:
    """One partition of one topic. `ever` keeps what compaction removes from `entries`."""

    def __init__(self, topic: str, partition: int) -> None:
        self.topic, self.partition = topic, partition
        self.entries: list[Entry] = []
        self.ever: list[Entry] = []
        self.end = 0
        # Transactions whose marker is not here yet, with their first offset.
        self.pending: dict[Txn, int] = {}

    def append(self, records: Iterable[tuple[bytes | None, bytes | None, Headers]], at_ms: int, txn: Txn | None) -> int:
        """Add records at the end; the offset of the first."""
        base = self.end
        if txn is not None and txn not in self.pending:
            self.pending[txn] = base
            txn.logs[self] = base
        for key, value, headers in records:
            entry = Entry(self.end, key, value, headers, at_ms, txn)
            self.entries.append(entry)
            self.ever.append(entry)
            self.end += 1
        return base

    @property
    def stable_end(self) -> int:
        """Last stable offset: committed readers see no further."""
        return min(self.pending.values(), default=self.end)

    def visible(self, start: int = 0) -> list[Entry]:
        """What a committed reader finds from `start` on."""
        stable = self.stable_end
        return [entry for entry in self.entries if start <= entry.offset < stable and entry.counts]

    def committed(self) -> list[Entry]:
        """Everything that ever counted, compaction aside."""
        return [entry for entry in self.ever if entry.counts]

    def compact(self, dirty_end: int) -> int:
        """Below `dirty_end` keep the last committed record of each key; how many were removed."""
        limit = min(dirty_end, self.stable_end)
        last = {entry.key: entry.offset for entry in self.entries if entry.offset < limit and entry.counts}
        before = len(self.entries)
        self.entries = [
            entry
            for entry in self.entries
            if entry.offset >= limit or (entry.counts and last[entry.key] == entry.offset)
        ]
        return before - len(self.entries)


@dataclass
class Coordinator:
    """State of one transactional id."""

    epoch: int = -1
    txn: Txn | None = None


@dataclass
class Broker:
    """All logs, transactions and the group's committed offsets.

    Parameters
    ----------
    rng
        For how long markers take.
    now_s, later
        Virtual time, and how to have something done after a while.
    note
        Takes a line of history.
    """

    rng: random.Random
    now_s: Callable[[], float]
    later: Callable[[float, Callable[..., Any]], Any]
    note: Callable[..., None]
    logs: dict[tuple[str, int], Log] = field(default_factory=dict)
    coordinators: dict[str, Coordinator] = field(default_factory=dict)
    group_offsets: dict[int, int] = field(default_factory=dict)
    appended: dict[tuple[str, int, int], int] = field(default_factory=dict)
    down: bool = False
    incarnation: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def log(self, topic: str, partition: int) -> Log:
        """The log, made on first use."""
        found = self.logs.get((topic, partition))
        if found is None:
            found = self.logs[topic, partition] = Log(topic, partition)
        return found

    def count(self, what: str) -> None:
        """One more of it, for the report."""
        self.counts[what] = self.counts.get(what, 0) + 1

    def at_ms(self) -> int:
        """The broker's own clock."""
        return EPOCH_MS + int(self.now_s() * 1000)

    # --- producers --------------------------------------------------------------------------------------

    def init_producer(self, name: str) -> int:
        """InitProducerId: fence whoever had the id, abort what it left open; the new epoch."""
        coordinator = self.coordinators.setdefault(name, Coordinator())
        txn = coordinator.txn
        if txn is not None and txn.state is OPEN:
            coordinator.epoch += 1
            self.note("broker", "aborts what the former owner of", name, "left open")
            self._decide(coordinator, ABORTED)
        if txn is not None and txn.unmarked:
            raise BusyError
        coordinator.epoch += 1
        return coordinator.epoch

    def produce(
        self,
        name: str | None,
        epoch: int,
        sequence: int,
        log: Log,
        records: Sequence[tuple[bytes | None, bytes | None, Headers]],
    ) -> int:
        """Append; with a transactional id inside the open transaction, and once however often it is asked."""
        if name is None:
            return log.append(records, self.at_ms(), None)
        known = self.appended.get((name, epoch, sequence))
        coordinator = self._checked(name, epoch)
        if known is not None:
            return known
        base = log.append(records, self.at_ms(), self._transaction(coordinator))
        self.appended[name, epoch, sequence] = base
        return base

    def add_offset(self, name: str, epoch: int, partition: int, offset: int) -> None:
        """TxnOffsetCommit: counts when the transaction does. Knows epochs, no generations."""
        self._transaction(self._checked(name, epoch)).offsets[partition] = offset

    def end_transaction(self, name: str, epoch: int) -> None:
        """EndTxn with commit; asked again, it is still committed."""
        coordinator = self._checked(name, epoch)
        txn = coordinator.txn
        if txn is not None and txn.state is OPEN:
            self._decide(coordinator, COMMITTED)

    def commit_offset(self, partition: int, offset: int, current: bool) -> None:
        """OffsetCommit of a group member; refused (without an error that matters) from a former generation."""
        if current:
            self.group_offsets[partition] = offset
        else:
            self.count("stale offset commits refused")

    def _checked(self, name: str, epoch: int) -> Coordinator:
        coordinator = self.coordinators[name]
        if epoch != coordinator.epoch:
            self.count("fenced")
            raise ProducerFenced
        return coordinator

    def _transaction(self, coordinator: Coordinator) -> Txn:
        txn = coordinator.txn
        if txn is not None and txn.state is OPEN:
            return txn
        if txn is not None and txn.unmarked:
            raise BusyError
        txn = coordinator.txn = Txn()

        def expire() -> None:
            if txn.state is OPEN:
                self.note("broker", "aborts a transaction that took too long")
                self.count("transactions timed out")
                coordinator.epoch += 1
                self._decide(coordinator, ABORTED)

        self.later(TXN_TIMEOUT_S, expire)
        return txn

    def _decide(self, coordinator: Coordinator, state: str) -> None:
        txn = coordinator.txn
        assert txn is not None
        txn.state = state
        self.count(f"transactions {state}")
        txn.unmarked = len(txn.logs) + bool(txn.offsets)
        places: list[Log | None] = [*txn.logs, *([None] if txn.offsets else [])]
        slow = self.rng.random() < 0.05
        for place in places:
            self._mark_later(txn, place, self.rng.uniform(0, 2.0) if slow else self.rng.uniform(0, 0.004))

    def _mark_later(self, txn: Txn, place: Log | None, delay_s: float) -> None:
        def mark() -> None:
            if self.down:
                self._mark_later(txn, place, 0.5)
                return
            if place is None:
                if txn.state is COMMITTED:
                    self.group_offsets |= txn.offsets
            else:
                # The marker takes an offset, which no reader ever sees.
                place.end += 1
                del place.pending[txn]
            txn.unmarked -= 1

        self.later(delay_s, mark)


EPOCH_MS = 1_767_225_600_000
