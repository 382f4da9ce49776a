"""What a local store must hold, kept the simple way: a changelog, and the whole state after each of its commits."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from rocksdict import Options

from streams import rocks
from streams.memory_rows import MemoryRows
from streams.rows import META_KEY, CustomerRow, PartitionMeta, pack, unpack
from streams.store import LocalRows

BINDING = "cluster/riskshift.events/4"
Change = tuple[bytes, bytes | None]


@dataclass(slots=True)
class History:
    """A changelog and, by position, all rows (the partition's own under `META_KEY`) as they were there."""

    log: list[Change] = field(default_factory=list)
    states: dict[int, dict[bytes, bytes]] = field(default_factory=lambda: {0: {}})

    def add(self, changes: Iterable[Change]) -> int:
        """Append one commit; the position after it."""
        state = dict(self.states[len(self.log)])
        for key, packed in changes:
            self.log.append((key, packed))
            if packed is None:
                state.pop(key, None)
            else:
                state[key] = packed
        self.states[len(self.log)] = state
        return len(self.log)

    @property
    def end(self) -> int:
        return len(self.log)


def held(rows: LocalRows) -> dict[bytes, bytes]:
    """Everything in a store, in the shape of a history's state."""
    found = dict(rows.packed())
    if rows.meta is not None:
        found[META_KEY] = rows.meta
    return found


def due_of(state: dict[bytes, bytes], until_ms: int) -> list[tuple[int, str]]:
    """Who is due, by the rows in memory."""
    memory = MemoryRows()
    for key, packed in state.items():
        if key != META_KEY:
            memory.put(key.decode(), unpack(packed))
    return memory.due(until_ms)


def replay(rows: LocalRows, history: History, size: int = 50) -> None:
    """Bring a store from its position to the end of the changelog, as an owner that takes over does."""
    for first in range(rows.position, history.end, size):
        changes = history.log[first : first + size]
        rows.commit(changes, first + len(changes))


def some_row(rng: random.Random, offset: int) -> CustomerRow:
    """A row with a due time now and then, of no more sense than its bytes being its own."""
    row = CustomerRow(applied_offset=offset)
    change(rng, row, offset)
    return row


def change(rng: random.Random, row: CustomerRow, offset: int) -> None:
    """Change a row in place, as an event would."""
    row.applied_offset = offset
    row.due_ms = rng.choice((-1, row.due_ms, rng.randrange(1_000), rng.randrange(1_000)))
    row.hot.latest_ms = rng.randrange(1 << 40)
    row.hot.event_ids = rng.randbytes(rng.choice((8, 64, 256)))


def keep_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores opened from here on do not merge files in the background: they can be copied, or spoiled, as they lie."""
    made = rocks._options

    def options() -> Options:
        without = made()
        without.set_disable_auto_compactions(True)
        return without

    monkeypatch.setattr(rocks, "_options", options)


def meta_row(offset: int) -> bytes:
    return pack(PartitionMeta(0, 4, applied_offset=offset, binding=BINDING))


def written(path: Path, seed: int, commits: int = 24, customers: int = 60) -> tuple[LocalRows, History]:
    """A store after some commits, on several levels of files, open; and its history."""
    rng, history = random.Random(seed), History()
    rows = LocalRows(path, BINDING, cached_max=7)
    for number in range(commits):
        changes: dict[bytes, bytes | None] = {}
        for _ in range(rng.randrange(1, 25)):
            key = f"c-{rng.randrange(customers)}".encode()
            known = key in history.states[history.end]
            changes[key] = None if known and rng.random() < 0.1 else pack(some_row(rng, number))
        changes[META_KEY] = meta_row(number)
        rows.commit(changes.items(), history.add(changes.items()))
        if rng.random() < 0.25:
            rows._db.flush()
    return rows, history
