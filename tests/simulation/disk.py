"""Rows on a local disk that outlives its process: `streams.owner.DurableRows` over a dictionary.

The real store (`streams.store`, RocksDB) has tests of its own, on real files. This one keeps its contract, a small
cache included, and adds what a crash may do: the last commits lost (written, never synced), or everything (another
machine).
"""

from __future__ import annotations

import random
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence

from streams.rows import META_KEY, CustomerRow, unpack, unpack_meta

LOST_COMMITS_MAX = 5
CACHED_MAX = 3


class Disk:
    """Packed rows of one partition in one worker's folder, and how far in the changelog they are."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows: dict[bytes, bytes] = {}
        self.position = 0
        self._undo: deque[tuple[dict[bytes, bytes | None], int]] = deque(maxlen=LOST_COMMITS_MAX)

    def __str__(self) -> str:
        return self.name

    def write(self, changes: dict[bytes, bytes | None], position: int) -> None:
        """All or nothing."""
        self._undo.append(({key: self.rows.get(key) for key in changes}, self.position))
        self._apply(changes, position)

    def crash(self, rng: random.Random) -> str:
        """Lose something, or nothing; says what."""
        dice = rng.random()
        if dice < 0.15:
            self.rows.clear()
            self._undo.clear()
            self.position = 0
            return "is wiped"
        if dice < 0.5 and self._undo:
            lost = rng.randint(1, len(self._undo))
            for _ in range(lost):
                self._apply(*self._undo.pop())
            return f"loses {lost} commits"
        return "keeps all"

    def _apply(self, changes: dict[bytes, bytes | None], position: int) -> None:
        self.position = position
        for key, value in changes.items():
            if value is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = value


class DiskRows:
    """See the module."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._closed = False
        self._cache: OrderedDict[str, CustomerRow] = OrderedDict()
        self._moved: dict[str, int] = {}

    # --- what the engine calls ----------------------------------------------------------------------------

    def get(self, customer_id: str) -> CustomerRow | None:
        """The row, or None for a customer never seen."""
        self._check()
        row = self._cache.get(customer_id)
        if row is None and (packed := self._disk.rows.get(customer_id.encode())) is not None:
            row = self._cache[customer_id] = unpack(packed)
        return row

    def create(self, customer_id: str) -> CustomerRow:
        """An empty row."""
        row = self._cache[customer_id] = CustomerRow()
        return row

    def expect(self, keys: Iterable[bytes | None]) -> None:
        """Nothing to do: all are here."""

    def due_changed(self, customer_id: str, row: CustomerRow) -> None:
        """Another due time than what is on disk."""
        self._moved[customer_id] = row.due_ms

    def due(self, until_ms: int) -> list[tuple[int, str]]:
        """(due time, customer) of everyone due by `until_ms`, earliest first."""
        known = {key.decode(): unpack(packed).due_ms for key, packed in self._customers()} | self._moved
        return sorted((at, customer) for customer, at in known.items() if 0 <= at <= until_ms)

    def items(self) -> Iterator[tuple[str, CustomerRow]]:
        """Every stored row, by customer."""
        return ((key.decode(), unpack(packed)) for key, packed in sorted(self._customers()))

    def __len__(self) -> int:
        return len(self._customers())

    # --- what the owner calls -----------------------------------------------------------------------------

    @property
    def position(self) -> int:
        """Changelog offset after the last record that is in here."""
        return self._disk.position

    @property
    def meta(self) -> bytes | None:
        """The partition's own packed row."""
        return self._disk.rows.get(META_KEY)

    def commit(self, rows: Sequence[tuple[bytes, bytes | None]], position: int, *, newest_wins: bool = True) -> None:
        """Take packed rows up to a changelog position; without a fence the highest applied offset stays."""
        self._check()
        changes: dict[bytes, bytes | None] = {}
        for key, packed in rows:
            known = changes.get(key) or self._disk.rows.get(key)
            if newest_wins or known is None or packed is None or applied(key, known) <= applied(key, packed):
                changes[key] = packed
        self._disk.write(changes, position)
        self._moved.clear()
        while len(self._cache) > CACHED_MAX:
            self._cache.popitem(last=False)

    def close(self) -> None:
        """Every use after it fails, as RocksDB's does."""
        self._closed = True

    def _customers(self) -> list[tuple[bytes, bytes]]:
        self._check()
        return [item for item in self._disk.rows.items() if item[0] != META_KEY]

    def _check(self) -> None:
        if self._closed:
            raise RuntimeError("the store is closed")


def applied(key: bytes, packed: bytes) -> int:
    """Applied input offset of a customer's row or the partition's own."""
    return unpack_meta(packed).applied_offset if key == META_KEY else unpack(packed).applied_offset
