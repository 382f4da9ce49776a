"""A customer's durable row: packed for the changelog, with a version and a checksum.

Layout: one byte version, four bytes CRC-32 (big endian) of version and what follows, then MessagePack of
`[applied_offset, due_ms, credit_due_ms, hot, credit, risk]`.
"""

from __future__ import annotations

import zlib

import msgspec

from alerts.state import RiskState
from features.environment import Environment
from features.errors import RowError
from features.row import CreditRow, HotRow

ROW_VERSION = 3
# Rows of the release before are read as they are: what is new has its default.
_READ = (ROW_VERSION - 1, ROW_VERSION)
_UNSEALED_VERSION = 2
# Not UTF-8, so that no customer_id can be the same key.
META_KEY = b"\xffmeta"


class CustomerRow(msgspec.Struct, array_like=True, gc=False):
    """Everything kept about one customer.

    `applied_offset` is the last input offset that changed it; `due_ms` the earliest of its timers, `credit_due_ms`
    that of its credit timers, -1 for none: derived from the rest, kept because asking costs more than keeping.
    """

    applied_offset: int = -1
    due_ms: int = -1
    credit_due_ms: int = -1
    hot: HotRow = msgspec.field(default_factory=HotRow)
    credit: CreditRow = msgspec.field(default_factory=CreditRow)
    risk: RiskState = msgspec.field(default_factory=RiskState)


class PartitionMeta(msgspec.Struct, array_like=True, gc=False):
    """What one partition itself remembers: how far it is, which time it is, which versions are in force, how
    the world's figures stand against their past.

    `binding` names the cluster, input topic and partition count that the offsets belong to.
    """

    partition: int
    partitions: int
    applied_offset: int = -1
    watermark_ms: int = -1
    tick_ms: int = -1
    world_offset: int = -1
    model_version: int = 0
    policy_version: str = ""
    binding: str = ""
    environment: Environment = msgspec.field(default_factory=Environment)


class RowHead(msgspec.Struct, array_like=True, gc=False):
    """How a customer's row begins: as much of it as a restore needs, at a seventh of the cost."""

    applied_offset: int
    due_ms: int


_encoder = msgspec.msgpack.Encoder()
_head_decoder = msgspec.msgpack.Decoder(RowHead)
_row_decoder = msgspec.msgpack.Decoder(CustomerRow)
_meta_decoder = msgspec.msgpack.Decoder(PartitionMeta)


def pack(row: CustomerRow | PartitionMeta) -> bytes:
    """Bytes of a row; equal rows give equal bytes."""
    body = _encoder.encode(row)
    return b"%c%b%b" % (ROW_VERSION, checksum(ROW_VERSION, body), body)


def checksum(version: int, body: bytes) -> bytes:
    """The four bytes between them; up to version 2 of the body alone, so that a flipped version was not seen."""
    seed = zlib.crc32(bytes([version])) if version > _UNSEALED_VERSION else 0
    return zlib.crc32(body, seed).to_bytes(4, "big")


def _body(data: bytes, what: str) -> bytes:
    if len(data) < 6 or data[0] not in _READ:
        found = f"version {data[0]}" if data else "nothing"
        raise RowError(
            f"{what}: expected a row of version {ROW_VERSION}, found {found}: it was written by another release; "
            "use that release, or rebuild the rows from the events"
        )
    body = data[5:]
    if checksum(data[0], body) != data[1:5]:
        raise RowError(f"{what}: checksum does not match, the row was altered or cut: rebuild the rows from the events")
    return body


def unpack(data: bytes, what: str = "row") -> CustomerRow:
    """The row of `pack`; raises `RowError` for another version, a cut or altered row."""
    try:
        return _row_decoder.decode(_body(data, what))
    except msgspec.MsgspecError as error:
        raise RowError(f"{what}: {error}: rebuild the rows from the events") from None


def head(data: bytes, what: str = "row") -> RowHead:
    """Offset and due time of a packed row, the rest unread but under the checksum; raises `RowError` like `unpack`."""
    try:
        return _head_decoder.decode(_body(data, what))
    except msgspec.MsgspecError as error:
        raise RowError(f"{what}: {error}: rebuild the rows from the events") from None


def unpack_meta(data: bytes, what: str = "partition") -> PartitionMeta:
    """The partition's own row; raises `RowError` like `unpack`."""
    try:
        return _meta_decoder.decode(_body(data, what))
    except msgspec.MsgspecError as error:
        raise RowError(f"{what}: {error}: rebuild the rows from the events") from None


def state_bytes(row: CustomerRow) -> bytes:
    """What `riskshift state hash` hashes: the row without its offset, so that partitioning does not matter."""
    return _encoder.encode((row.hot, row.credit, row.risk))
