"""What a store says of itself: where it is from, how far it is, and sums by which a lost or foreign row is noticed.

Keys of a store: `m` this record, `r` + customer a packed row, `d` + due time (8 bytes, big endian) + customer an
entry of the due index. The record is written in one atomic batch with the rows it speaks of.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import msgspec

from streams.rows import checksum

OWN, ROW, DUE = b"m", b"r", b"d"
RECORD_VERSION = 1
_MASK = (1 << 64) - 1


class StoreRecord(msgspec.Struct, array_like=True):
    """A store's own record.

    `position` is the changelog offset after the last record taken in; `digest` and `due_digest` are sums over all
    rows and all entries of the due index, modulo 2**64; `meta` is the partition's own packed row.
    """

    binding: str
    position: int = 0
    rows: int = 0
    digest: int = 0
    due: int = 0
    due_digest: int = 0
    meta: bytes | None = None

    def count_row(self, mark_before: int, mark_after: int) -> None:
        """A row was replaced; 0 is no row."""
        self.rows += (mark_after != 0) - (mark_before != 0)
        self.digest = (self.digest - mark_before + mark_after) & _MASK

    def count_due(self, due_key: bytes, sign: int) -> None:
        """An entry of the due index came (1) or went (-1)."""
        self.due += sign
        self.due_digest = (self.due_digest + sign * _hash(due_key)) & _MASK


def seal(record: StoreRecord) -> bytes:
    """Bytes of a record: version, CRC-32, MessagePack, as of a row."""
    body = msgspec.msgpack.encode(record)
    return b"%c%b%b" % (RECORD_VERSION, zlib.crc32(body).to_bytes(4, "big"), body)


def unseal(data: bytes) -> StoreRecord:
    """The record of `seal`; raises ValueError for another version, a cut or altered one."""
    if data[:1] != bytes([RECORD_VERSION]):
        raise ValueError(f"expected a store of version {RECORD_VERSION}, found {data[0] if data else 'nothing'}")
    if zlib.crc32(data[5:]) != int.from_bytes(data[1:5], "big"):
        raise ValueError("the store's own record was altered")
    # msgspec's errors are ValueErrors too.
    return msgspec.msgpack.decode(data[5:], type=StoreRecord)


def row_mark(customer: bytes, packed: bytes) -> int:
    """A row's share of the digest; never 0, which means no row."""
    return _hash(packed[1:5] + customer) | 1


def due_key(at_ms: int, customer: bytes) -> bytes:
    """Key in the due index; sorts by time, then customer."""
    return DUE + at_ms.to_bytes(8, "big") + customer


def verified(db: Any, own: StoreRecord) -> Iterator[tuple[bytes, bytes]]:
    """(customer, packed row) of everything in a store, by customer; the end comes only if all of it fits the record.

    RocksDB ends an iteration at a damaged block without a word, so what was read is held against `own`.

    Raises
    ------
    ValueError
        When a row was altered, or rows or due times are missing or foreign.
    """
    rows = digest = 0
    found = msgspec.structs.replace(own, due=0, due_digest=0)
    for key, value in db.items():
        prefix = key[:1]
        if prefix == ROW:
            customer = key[1:]
            if checksum(value[0], value[5:]) != value[1:5]:
                raise ValueError(f"the row of {customer!r} was altered")
            rows += 1
            digest += row_mark(customer, value)
            yield customer, value
        elif prefix == DUE:
            found.count_due(key, 1)
        elif key != OWN:
            raise ValueError(f"{key!r} does not belong into a store")
    found.rows, found.digest = rows, digest & _MASK
    if found != own:
        raise ValueError(
            f"expected {own.rows} rows and {own.due} due times, found {found.rows} and {found.due}, or others"
        )


def _hash(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")
