"""Customers' rows on local disk: RocksDB under a bounded cache, believed only after it was verified.

The store may lag behind the changelog but never leads it: each commit writes its rows, the due index, the
changelog position and running digests in one atomic batch, *after* the changelog has them. Opening reads
every row once and holds it against the digests; whatever does not fit is thrown away and read back from the
changelog, which is the truth. Keys: `m` the store's own record, `r` + customer a packed row, `d` + due time
+ customer an entry of the due index.
"""

from __future__ import annotations

import shutil
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
from rocksdict import BlockBasedOptions, Cache, Options, Rdict, WriteBatch

from features.errors import RowError
from streams.errors import StateError
from streams.rows import META_KEY, CustomerRow, unpack, unpack_meta

_OWN, _ROW, _DUE = b"m", b"r", b"d"
_CACHE_BYTES, _WRITE_BUFFER_BYTES = 64 << 20, 8 << 20
_MASK = (1 << 64) - 1


class StoreRecord(msgspec.Struct, array_like=True):
    """What the store knows of itself: where it is from, how far it is, and what its rows add up to."""

    binding: str
    position: int = 0
    rows: int = 0
    digest: int = 0
    due: int = 0
    due_digest: int = 0


class _Entry:
    """A row in the cache, with what the disk holds of it."""

    __slots__ = ("due_ms", "mark", "row")

    def __init__(self, row: CustomerRow, mark: int, due_ms: int) -> None:
        self.row, self.mark, self.due_ms = row, mark, due_ms


class LocalRows:
    """Rows of one partition on disk, the most recently used in memory.

    Parameters
    ----------
    path
        Folder of this partition's store; made if missing.
    binding
        Cluster, topics and partition count the rows belong to; another one's store is refused.
    cached_max
        Rows held in memory.

    Attributes
    ----------
    rebuilt
        Why the store was thrown away at opening, or None.

    Raises
    ------
    StateError
        When the store is another cluster's, or another process holds it.
    """

    def __init__(self, path: Path, binding: str, cached_max: int) -> None:
        self.path = path
        self.rebuilt: str | None = None
        self._binding = binding
        self._cached_max = cached_max
        self._cache: OrderedDict[str, _Entry] = OrderedDict()
        self._moved: dict[str, int] = {}
        self._db, self._own, self._meta = self._open()

    # --- what the engine calls ----------------------------------------------------------------------------

    def get(self, customer_id: str) -> CustomerRow | None:
        """The row, from memory or disk; None for a customer never seen."""
        entry = self._cache.get(customer_id)
        if entry is not None:
            self._cache.move_to_end(customer_id)
            return entry.row
        packed = self._db.get(_ROW + customer_id.encode())
        if packed is None:
            return None
        row = unpack(packed, f"row of {customer_id} in {self.path}")
        self._cache[customer_id] = _Entry(row, _mark(customer_id.encode(), packed), row.due_ms)
        return row

    def create(self, customer_id: str) -> CustomerRow:
        """An empty row for a customer never seen."""
        entry = self._cache[customer_id] = _Entry(CustomerRow(), 0, -1)
        return entry.row

    def due_changed(self, customer_id: str, row: CustomerRow) -> None:
        """The row's due time is now another than the index says."""
        self._moved[customer_id] = row.due_ms

    def due(self, until_ms: int) -> list[tuple[int, str]]:
        """(due time, customer) of everyone due by `until_ms`, earliest first."""
        found = [(at, customer) for customer, at in self._moved.items() if 0 <= at <= until_ms]
        for key in self._db.keys(from_key=_DUE):
            if key[:1] != _DUE or (at := int.from_bytes(key[1:9], "big")) > until_ms:
                break
            customer = key[9:].decode()
            if customer not in self._moved:
                found.append((at, customer))
        return sorted(found)

    def __len__(self) -> int:
        return self._own.rows + sum(1 for entry in self._cache.values() if entry.mark == 0)

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
        return self._meta

    def commit(self, rows: Iterable[tuple[bytes, bytes | None]], position: int, *, newest_wins: bool = True) -> None:
        """Take packed rows that the changelog holds up to `position`; None removes one. All or nothing.

        Parameters
        ----------
        rows
            (customer or `META_KEY`, packed row) in changelog order.
        position
            Changelog offset after them.
        newest_wins
            Whether a later record replaces an earlier one whatever it says. Without a fence a former owner may
            have written late; then (False) the one with the highest applied offset stays.

        Raises
        ------
        StateError
            When the disk refuses (full, gone); the process must end, the changelog has everything.
        """
        own, batch = msgspec.structs.replace(self._own, position=position), WriteBatch(raw_mode=True)
        meta = self._meta
        seen: dict[bytes, bytes | None] = {}
        for key, packed in rows:
            if key == META_KEY:
                if newest_wins or meta is None or packed is None or _applied(meta) <= _applied(packed):
                    meta = packed
            else:
                seen[key] = packed if newest_wins else self._newer(key, seen.get(key), packed)
        # One put a key: within a batch the digests are taken against what the disk holds.
        for key, packed in seen.items():
            self._put(own, batch, key, packed)
        if meta is not None:
            batch.put(_OWN + META_KEY, meta)
        batch.put(_OWN, msgspec.msgpack.encode(own))
        try:
            self._db.write(batch)
        except Exception as error:
            raise StateError(
                f"cannot write rows to {self.path}: {error}: free or mount the disk; nothing is lost, "
                "the changelog has every row"
            ) from error
        self._own, self._meta = own, meta
        self._moved.clear()
        while len(self._cache) > self._cached_max:
            self._cache.popitem(last=False)

    def _newer(self, key: bytes, known: bytes | None, packed: bytes | None) -> bytes | None:
        known = known or self._db.get(_ROW + key)
        if known is None or packed is None or unpack(known).applied_offset <= unpack(packed).applied_offset:
            return packed
        return known

    def _put(self, own: StoreRecord, batch: WriteBatch, key: bytes, packed: bytes | None) -> None:
        customer_id = key.decode()
        entry = self._cache.get(customer_id)
        if entry is None:
            # Not worked on here (a restore): what the disk holds must be read to be replaced.
            before = self._db.get(_ROW + key)
            mark, due_ms = (0, -1) if before is None else (_mark(key, before), unpack(before).due_ms)
            after = -1 if packed is None else unpack(packed, f"row of {customer_id}").due_ms
        else:
            mark, due_ms, after = entry.mark, entry.due_ms, -1 if packed is None else entry.row.due_ms
        new = 0 if packed is None else _mark(key, packed)
        own.rows += (new != 0) - (mark != 0)
        own.digest = (own.digest - mark + new) & _MASK
        if packed is None:
            batch.delete(_ROW + key)
            self._cache.pop(customer_id, None)
        else:
            batch.put(_ROW + key, packed)
        if due_ms != after:
            for at, sign in ((due_ms, -1), (after, 1)):
                if at >= 0:
                    due_key = _DUE + at.to_bytes(8, "big") + key
                    own.due += sign
                    own.due_digest = (own.due_digest + sign * _hash(due_key)) & _MASK
                    batch.put(due_key, b"") if sign > 0 else batch.delete(due_key)
        if entry is not None and packed is not None:
            entry.mark, entry.due_ms = new, after

    def packed(self) -> Iterator[tuple[bytes, bytes]]:
        """(customer, packed row) of every stored row, by customer."""
        for key, packed in self._db.items(from_key=_ROW):
            if key[:1] != _ROW:
                return
            yield key[1:], packed

    def close(self) -> None:
        """Close; what was committed is on disk."""
        self._db.close()

    # --- opening ------------------------------------------------------------------------------------------

    def _open(self) -> tuple[Any, StoreRecord, bytes | None]:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            db = _rocks(self.path)
        except Exception as error:
            if "lock" in str(error).lower():
                raise StateError(
                    f"{self.path} is held by another process: give every worker its own --state, or stop the other"
                ) from None
            self.rebuilt = f"it cannot be opened ({error})"
            return self._anew()
        try:
            own = self._verify(db)
            meta = db.get(_OWN + META_KEY) if own.position else None
        except (RowError, msgspec.MsgspecError, ValueError) as error:
            self.rebuilt = str(error)
        except StateError:
            db.close()
            raise
        except Exception as error:  # RocksDB's own complaint about a block
            self.rebuilt = str(error)
        else:
            return db, own, meta
        db.close()
        return self._anew()

    def _anew(self) -> tuple[Any, StoreRecord, bytes | None]:
        shutil.rmtree(self.path)
        self.path.mkdir(mode=0o700)
        return _rocks(self.path), StoreRecord(self._binding), None

    def _verify(self, db: Any) -> StoreRecord:
        """Hold every row and index entry against the store's own record: a lost one is noticed too."""
        stored = db.get(_OWN)
        if stored is None:
            if next(iter(db.keys()), None) is not None:
                raise ValueError("rows without the store's own record")
            return StoreRecord(self._binding)
        own = msgspec.msgpack.decode(stored, type=StoreRecord)
        if own.binding != self._binding:
            raise StateError(
                f"the rows in {self.path} belong to {own.binding}, this is {self._binding} "
                "(cluster/topics/partitions): another cluster, or the topics were made anew; "
                f"use the right broker, or remove {self.path}"
            )
        found = StoreRecord(own.binding, own.position)
        for key, value in db.items():
            if key[:1] == _ROW:
                if zlib.crc32(value[5:]) != int.from_bytes(value[1:5], "big"):
                    raise ValueError(f"the row of {key[1:]!r} was altered")
                found.rows += 1
                found.digest = (found.digest + _mark(key[1:], value)) & _MASK
            elif key[:1] == _DUE:
                found.due += 1
                found.due_digest = (found.due_digest + _hash(key)) & _MASK
        if found != own:
            raise ValueError(
                f"expected {own.rows} rows and {own.due} due times, found {found.rows} and {found.due}, or others"
            )
        return own


def _rocks(path: Path) -> Any:
    # Raw mode: keys and values are bytes, which the library's own types do not say.
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
    options.set_max_write_buffer_number(2)
    options.set_keep_log_file_num(2)
    blocks = BlockBasedOptions()
    # Faust's way of opening it takes two gigabytes of cache a partition; ours is bounded.
    blocks.set_block_cache(Cache(_CACHE_BYTES))
    options.set_block_based_table_factory(blocks)
    return Rdict(str(path), options)


def _hash(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")


def _mark(key: bytes, packed: bytes) -> int:
    """A row's share of the digest; never 0, which means no row."""
    return _hash(packed[1:5] + key) | 1


def _applied(packed_meta: bytes) -> int:
    return unpack_meta(packed_meta).applied_offset
