"""Customers' rows on local disk: RocksDB under a bounded cache, believed only after it was verified.

The store may lag behind the changelog but never leads it: each commit writes its rows, the due index, the
changelog position and running digests in one atomic batch, *after* the changelog has them. Opening reads
every row once and holds it against the digests; whatever does not fit is thrown away and read back from the
changelog, which is the truth. What is on disk: `streams.store_record`; how it is opened: `streams.rocks`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
from rocksdict import WriteBatch

from features.errors import RowError
from streams.errors import StateError
from streams.rocks import open_store, shut, write
from streams.rows import META_KEY, CustomerRow, head, unpack, unpack_meta
from streams.store_record import DUE, OWN, ROW, StoreRecord, due_key, row_mark, seal

# Rows of one partition kept as objects: some sixty megabytes.
OBJECTS_MAX = 8_192
# Rows that are read together at least; below it the call costs more than it saves.
_TOGETHER_MIN = 4


class _Entry(NamedTuple):
    """A row as the disk holds it: packed, its mark, and its due time."""

    packed: bytes
    mark: int
    due_ms: int


class LocalRows:
    """Rows of one partition on disk; the most recently used in memory, packed, and the newest of them as objects.

    Packed, a row takes an eighth of the memory that its objects take. A row that was given out and changed stays an
    object until it is committed: the next `commit` must have every one of them.

    Parameters
    ----------
    path
        Folder of this partition's store; made if missing.
    binding
        Cluster, topics and partition count the rows belong to; another one's store is refused.
    cached_max
        Rows held in memory between batches, packed; at most `OBJECTS_MAX` of them as objects too.

    Attributes
    ----------
    rebuilt
        Why the store was thrown away at opening, or None.

    Raises
    ------
    StateError
        When the store is another cluster's, another process holds it, or the disk refuses.
    """

    def __init__(self, path: Path, binding: str, cached_max: int) -> None:
        self.path = path
        self._cached_max = cached_max
        self._cache: OrderedDict[str, _Entry] = OrderedDict()
        self._objects: OrderedDict[str, CustomerRow] = OrderedDict()
        self._objects_max = min(cached_max, OBJECTS_MAX)
        self._created: set[str] = set()
        # Packed rows read ahead for the batch at work; None for a customer the disk does not know.
        self._ahead: dict[bytes, bytes | None] = {}
        self._moved: dict[str, int] = {}
        self._db, self._own, self.rebuilt = open_store(path, binding)

    # --- what the engine calls ----------------------------------------------------------------------------

    def get(self, customer_id: str) -> CustomerRow | None:
        """The row, from memory or disk; None for a customer never seen; StateError when it cannot be read."""
        row = self._objects.get(customer_id)
        if row is not None:
            self._objects.move_to_end(customer_id)
            return row
        entry = self._cache.get(customer_id)
        if entry is None:
            key = customer_id.encode()
            packed = self._ahead.pop(key) if key in self._ahead else self._read(key)
            if packed is None:
                return None
        else:
            packed = entry.packed
        try:
            row = unpack(packed, f"row of {customer_id}")
        except RowError as error:
            raise self._unreadable(error) from None
        if entry is None:
            self._cache[customer_id] = _Entry(packed, row_mark(key, packed), row.due_ms)
        self._objects[customer_id] = row
        return row

    def expect(self, keys: Iterable[bytes | None]) -> None:
        """Read the rows of these customers that are not in memory, all at once: half the price of one by one."""
        cache, objects = self._cache, self._objects
        names = {key: key.decode("utf-8", "replace") for key in keys if key}
        wanted = {key for key, name in names.items() if name not in objects and name not in cache}
        if len(wanted) < _TOGETHER_MIN:
            return
        # In key order, because neighbours share blocks; the order of a set must not matter either.
        ahead = sorted(wanted)
        try:
            found = self._db.get([ROW + key for key in ahead])
        except Exception as error:
            raise self._unreadable(error) from error
        self._ahead = dict(zip(ahead, found, strict=True))

    def create(self, customer_id: str) -> CustomerRow:
        """An empty row for a customer never seen."""
        row = self._objects[customer_id] = CustomerRow()
        self._created.add(customer_id)
        return row

    def due_changed(self, customer_id: str, row: CustomerRow) -> None:
        """The row's due time is now another than the index says."""
        self._moved[customer_id] = row.due_ms

    def due(self, until_ms: int) -> list[tuple[int, str]]:
        """(due time, customer) of everyone due by `until_ms`, earliest first, ties by customer."""
        found = [(at, customer) for customer, at in self._moved.items() if 0 <= at <= until_ms]
        for key in self._db.keys(from_key=DUE):
            if key[:1] != DUE or (at := int.from_bytes(key[1:9], "big")) > until_ms:
                return sorted(found)
            customer = key[9:].decode()
            if customer not in self._moved:
                found.append((at, customer))
        # The store's own record lies behind the index, so an iteration that ends before it was cut short.
        raise self._unreadable("the due index ends early")

    def __len__(self) -> int:
        return self._own.rows + len(self._created)

    def items(self) -> Iterator[tuple[str, CustomerRow]]:
        """Every stored row, by customer; what is not committed yet is not among them."""
        for customer, packed in self.packed():
            yield customer.decode(), unpack(packed, f"row of {customer!r} in {self.path}")

    # --- what the worker calls ----------------------------------------------------------------------------

    @property
    def position(self) -> int:
        """Changelog offset after the last record that is in here."""
        return self._own.position

    @property
    def meta(self) -> bytes | None:
        """The partition's own packed row, or None in an empty store."""
        return self._own.meta

    def commit(self, rows: Iterable[tuple[bytes, bytes | None]], position: int, *, newest_wins: bool = True) -> None:
        """Take packed rows that the changelog holds up to `position`; None removes one. All or nothing.

        Parameters
        ----------
        rows
            (customer or `META_KEY`, packed row) in changelog order: those worked on here, or, at a restore, those of
            customers nobody asked for yet.
        position
            Changelog offset after them.
        newest_wins
            Whether a later record replaces an earlier one whatever it says. Without a fence a former owner may
            have written late; then (False) the one with the highest applied offset stays.

        Raises
        ------
        StateError
            When the disk refuses (full, gone) or a row to be replaced cannot be read; the process must end, the
            changelog has everything.
        features.errors.RowError
            When a row given is not one.
        """
        own, batch = msgspec.structs.replace(self._own, position=position), WriteBatch(raw_mode=True)
        seen: dict[bytes, bytes | None] = {}
        for key, packed in rows:
            if key == META_KEY:
                if newest_wins or own.meta is None or packed is None or _applied(own.meta) <= _applied(packed):
                    own.meta = packed
            elif newest_wins:
                seen[key] = packed
            else:
                seen[key] = _newer(seen[key] if key in seen else self._read(key), packed)
        # One put a key: within a batch the digests are taken against what the disk holds.
        for key, packed in seen.items():
            self._put(own, batch, key, packed)
        batch.put(OWN, seal(own))
        write(self._db, batch, self.path)
        self._own = own
        self._moved.clear()
        self._ahead.clear()
        while len(self._objects) > self._objects_max:
            self._objects.popitem(last=False)
        while len(self._cache) > self._cached_max:
            self._cache.popitem(last=False)

    def _put(self, own: StoreRecord, batch: WriteBatch, key: bytes, packed: bytes | None) -> None:
        customer_id = key.decode()
        entry, row = self._cache.get(customer_id), self._objects.get(customer_id)
        if entry is not None:
            mark, due_ms = entry.mark, entry.due_ms
        elif customer_id in self._created or (before := self._read(key)) is None:
            mark, due_ms = 0, -1
        else:
            # Not worked on here (a restore), or longer ago than the cache goes back: what the disk holds is replaced.
            mark, due_ms = row_mark(key, before), head(before).due_ms
        after = -1
        if packed is None:
            new = 0
            batch.delete(ROW + key)
            self._cache.pop(customer_id, None)
            self._objects.pop(customer_id, None)
        else:
            new = row_mark(key, packed)
            after = head(packed, f"row of {customer_id}").due_ms if row is None else row.due_ms
            batch.put(ROW + key, packed)
            if row is not None:
                self._cache[customer_id] = _Entry(packed, new, after)
                self._cache.move_to_end(customer_id)
        own.count_row(mark, new)
        self._created.discard(customer_id)
        if due_ms != after:
            if due_ms >= 0:
                gone = due_key(due_ms, key)
                own.count_due(gone, -1)
                batch.delete(gone)
            if after >= 0:
                come = due_key(after, key)
                own.count_due(come, 1)
                batch.put(come, b"")

    def packed(self) -> Iterator[tuple[bytes, bytes]]:
        """(customer, packed row) of every stored row, by customer; StateError at the end when one is missing."""
        rows, expected = 0, self._own.rows
        for key, packed in self._db.items(from_key=ROW):
            rows += 1
            yield key[1:], packed
        if rows != expected:
            raise self._unreadable(f"expected {expected} rows, found {rows}")

    def close(self) -> None:
        """Close; what was committed is on disk already. A second time is nothing."""
        shut(self._db)

    # --- the disk -----------------------------------------------------------------------------------------

    def _read(self, key: bytes) -> bytes | None:
        try:
            packed: bytes | None = self._db.get(ROW + key)
        except Exception as error:
            raise self._unreadable(error) from error
        return packed

    def _unreadable(self, why: object) -> StateError:
        return StateError(
            f"cannot read rows in {self.path}: {why}: start the worker again, it verifies them "
            "and reads them back from the changelog"
        )


def _newer(known: bytes | None, packed: bytes | None) -> bytes | None:
    if known is None or packed is None or head(known).applied_offset <= head(packed).applied_offset:
        return packed
    return known


def _applied(packed_meta: bytes) -> int:
    return unpack_meta(packed_meta).applied_offset
