"""Immutable, versioned, signed: what the learner publishes and every worker scores with.

`pack` turns a `Snapshot` into chunks small enough for one Kafka record each; `unpack` gives it back or
refuses with a `SnapshotError`. Bytes are msgpack and zlib, never pickle; the same snapshot gives the same bytes.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from zlib import crc32

import msgspec
from msgspec import Struct

from features.catalogue import FEATURE_VERSION
from models.compiled import CompiledFraud, FraudArrays
from models.credit.published import CreditPart
from models.early_warning import EXPERT, WarningWeights
from models.errors import BaseMissingError, SnapshotError
from models.governance.records import Lineage
from models.packing import PackedFraud, pack_arrays, unpack_arrays
from models.shared import Counts, SharedTable

CHUNK_BYTES_MAX = 900_000
KEY_BYTES_MIN = 16
# Room for the header of a chunk beside its payload.
_PAYLOAD_BYTES = CHUNK_BYTES_MAX - 1_000
_CHUNKS_MAX = 1_000
_INFLATED_BYTES_MAX = 1 << 30
_DOMAIN = b"riskshift snapshot 1"
_RESTART = "keep the snapshot in force and read the models topic again from an older version"


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """One version of everything that crosses customers.

    Parameters
    ----------
    version
        1 is the expert prior; every publication adds one.
    as_of_ms
        Event time up to which the learner had read when it was made.
    feature_version
        The catalogue it was made for; another one is refused.
    counters
        Names and whole numbers for people: labels learned, frauds seen and so on.
    lineage
        Which candidate's weights these are, in what role, from which version and why.
    warnings
        Weights of the early-warning score.
    struck
        Groups (``district:id``, ``employer:id``) under a common shock now, with the id of their community alert.
    credit
        The credit card in force and what the learner proposes in its place.
    """

    version: int
    as_of_ms: int
    fraud: FraudArrays
    shared: SharedTable
    counters: dict[str, int] = field(default_factory=dict)
    feature_version: int = FEATURE_VERSION
    lineage: Lineage = field(default_factory=Lineage)
    warnings: WarningWeights = EXPERT
    struck: dict[str, str] = field(default_factory=dict)
    credit: CreditPart = field(default_factory=CreditPart)


class LoadedSnapshot:
    """A snapshot ready for scoring, made once: `fraud.score(...)`, `shared.terminal(...)`, `cards`."""

    __slots__ = (
        "as_of_ms", "cards", "counters", "feature_version", "fraud", "shared", "struck", "version", "warnings"
    )  # fmt: skip

    def __init__(self, snapshot: Snapshot) -> None:
        self.version = snapshot.version
        self.as_of_ms = snapshot.as_of_ms
        self.feature_version = snapshot.feature_version
        self.counters = snapshot.counters
        self.fraud = CompiledFraud(snapshot.fraud)
        self.shared = snapshot.shared
        self.warnings = snapshot.warnings
        # As the customers' rows name their groups.
        self.struck = {crc32(name.encode()): alert_id for name, alert_id in snapshot.struck.items()}
        self.cards = snapshot.credit.cards()


class _Places(Struct, array_like=True):
    ids: list[str]
    tx_7d: list[int]
    tx_30d: list[int]
    fraud_30d: list[int]
    last_known_ms: list[int]
    fraud_7d: list[int]
    first_known_ms: list[int]
    good_since: list[int]
    first_fraud_ms: list[int]
    last_fraud_ms: list[int]


class _Body(Struct, array_like=True):
    feature_version: int
    version: int
    as_of_ms: int
    fraud: PackedFraud
    terminals: _Places
    merchants: _Places
    devices: _Places
    counters: dict[str, int]
    lineage: Lineage
    # Version whose places these add to, 0 for none; what is there no more, by sort.
    base: int
    gone: list[list[str]]
    warnings: WarningWeights = EXPERT
    struck: dict[str, str] = {}
    credit: CreditPart = CreditPart()


class _Chunk(Struct, array_like=True):
    version: int
    number: int
    count: int
    whole: bytes
    payload: bytes
    signature: bytes


_encoder = msgspec.msgpack.Encoder()
_body_decoder = msgspec.msgpack.Decoder(_Body)
_chunk_decoder = msgspec.msgpack.Decoder(_Chunk)


def check_key(key: bytes) -> None:
    """Refuse a key that anybody could guess."""
    if len(key) < KEY_BYTES_MIN:
        raise SnapshotError(
            f"expected a signing key of at least {KEY_BYTES_MIN} bytes, found {len(key)}: "
            "set the same long random key for the learner and every worker"
        )


def initial_snapshot() -> Snapshot:
    """Version 1: the expert prior, no trees grown yet, no shared figures; what a worker scores with at first."""
    from models.fraud import FraudModel  # workers need River only for this, so they do not pay for it at import

    return Snapshot(version=1, as_of_ms=0, fraud=FraudModel().compile(), shared=SharedTable({}, {}))


def pack(snapshot: Snapshot, key: bytes, base: Snapshot | None = None) -> list[bytes]:
    """Signed chunks of a snapshot, each below `CHUNK_BYTES_MAX`; the same arguments give the same bytes.

    With a `base` (packed whole, earlier) only the places that differ from it are written: whoever unpacks needs both.
    """
    check_key(key)
    before = _tables(base) if base is not None else ({}, {}, {})
    pairs = list(zip(_tables(snapshot), before, strict=True))
    terminals, merchants, devices = (_pack_places(_changed(table, earlier)) for table, earlier in pairs)
    gone = [sorted(earlier.keys() - table.keys()) for table, earlier in pairs]
    body = _Body(
        snapshot.feature_version, snapshot.version, snapshot.as_of_ms,
        pack_arrays(snapshot.fraud),
        terminals, merchants, devices,
        dict(sorted(snapshot.counters.items())), snapshot.lineage,
        0 if base is None else base.version, gone, snapshot.warnings, dict(sorted(snapshot.struck.items())),
        snapshot.credit,
    )  # fmt: skip
    data = zlib.compress(_encoder.encode(body), 6)
    whole = hashlib.sha256(data).digest()
    count = -(-len(data) // _PAYLOAD_BYTES)
    chunks = []
    for number in range(count):
        payload = data[number * _PAYLOAD_BYTES : (number + 1) * _PAYLOAD_BYTES]
        chunk = _Chunk(snapshot.version, number, count, whole, payload, b"")
        chunk.signature = _sign(chunk, key)
        chunks.append(_encoder.encode(chunk))
    return chunks


def unpack(chunks: list[bytes], key: bytes, base_of: Callable[[int], Snapshot] | None = None) -> Snapshot:
    """The snapshot that `pack` was given.

    Parameters
    ----------
    chunks
        All chunks of one snapshot, in order.
    key
        The key it was signed with.
    base_of
        Gives the whole snapshot of a version, for one that was packed with a base; raises `KeyError` without it.

    Raises
    ------
    SnapshotError
        Unsigned, altered, mixed, missing or reordered chunks, or another feature version; says what to do.
        `BaseMissingError` when everything is right but the base is not here.
    """
    check_key(key)
    if not chunks or len(chunks) > _CHUNKS_MAX:
        raise SnapshotError(f"expected 1 to {_CHUNKS_MAX} chunks of a snapshot, found {len(chunks)}: {_RESTART}")
    decoded = [_verified(chunk, key) for chunk in chunks]
    first = decoded[0]
    for place, chunk in enumerate(decoded):
        if (chunk.version, chunk.count, chunk.whole) != (first.version, first.count, first.whole):
            raise SnapshotError(
                f"expected chunks of one snapshot, version {first.version}, found one of another, version "
                f"{chunk.version}: two learners may be writing; run one, then {_RESTART}"
            )
        if chunk.number != place or len(decoded) != chunk.count:
            raise SnapshotError(
                f"expected chunk {place} of {chunk.count} in snapshot {chunk.version}, found chunk {chunk.number} "
                f"among {len(decoded)}: wait for the missing chunks, keep their order, or {_RESTART}"
            )
    data = b"".join(chunk.payload for chunk in decoded)
    if not hmac.compare_digest(hashlib.sha256(data).digest(), first.whole):
        raise SnapshotError(f"expected the digest of snapshot {first.version} to match its bytes: {_RESTART}")
    snapshot = _decode_body(data, first.version, base_of)
    if snapshot.version != first.version:
        raise SnapshotError(f"expected version {first.version} inside, found {snapshot.version}: {_RESTART}")
    return snapshot


def _sign(chunk: _Chunk, key: bytes) -> bytes:
    head = _encoder.encode((chunk.version, chunk.number, chunk.count, chunk.whole))
    return hmac.new(key, _DOMAIN + len(head).to_bytes(4, "big") + head + chunk.payload, hashlib.sha256).digest()


def _verified(data: bytes, key: bytes) -> _Chunk:
    try:
        chunk = _chunk_decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise SnapshotError(f"expected a signed snapshot chunk, found other bytes ({error}): {_RESTART}") from error
    if not hmac.compare_digest(_sign(chunk, key), chunk.signature):
        raise SnapshotError(
            f"expected chunk {chunk.number} of snapshot {chunk.version} to carry our signature, found "
            f"{'none' if not chunk.signature else 'another'}: check that learner and workers have the same key; "
            f"if they have, somebody altered it: {_RESTART}"
        )
    return chunk


def _decode_body(data: bytes, version: int, base_of: Callable[[int], Snapshot] | None) -> Snapshot:
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(data, _INFLATED_BYTES_MAX)
        # The version is looked at before the rest, because another catalogue may mean another layout.
        found = msgspec.msgpack.decode(raw, type=list)[0]
        if found != FEATURE_VERSION:
            raise SnapshotError(
                f"expected a snapshot for feature version {FEATURE_VERSION}, found {found} in snapshot {version}: "
                "run learner and workers of the same release"
            )
        body = _body_decoder.decode(raw)
        arrays = unpack_arrays(body.fraud)
        body.credit.cards()  # refuses a card that is not sound
    except (zlib.error, msgspec.MsgspecError, ValueError, IndexError) as error:
        raise SnapshotError(f"expected the body of snapshot {version}, found other ({error}): {_RESTART}") from error
    tables = [_unpack_places(places) for places in (body.terminals, body.merchants, body.devices)]
    if body.base:
        try:
            base = base_of(body.base) if base_of is not None else None
        except KeyError:
            base = None
        if base is None:
            raise BaseMissingError(
                f"expected snapshot {body.base}, which snapshot {version} adds to, found none: it lies before it "
                "in the models topic; read that again from there",
                body.base,
            )
        tables = [
            {name: counts for name, counts in before.items() if name not in gone} | new
            for before, gone, new in zip(_tables(base), map(frozenset, body.gone), tables, strict=True)
        ]
    shared = SharedTable(*tables)
    if len(body.warnings.weights) != len(EXPERT.weights) or not all(map(math.isfinite, body.warnings.weights)):
        raise SnapshotError(
            f"expected {len(EXPERT.weights)} finite early-warning weights in snapshot {version}, found "
            f"{len(body.warnings.weights)}: run learner and workers of the same release"
        )
    return Snapshot(
        body.version, body.as_of_ms, arrays, shared, body.counters, body.feature_version, body.lineage, body.warnings,
        body.struck, body.credit,
    )  # fmt: skip


def _tables(snapshot: Snapshot) -> tuple[dict[str, Counts], dict[str, Counts], dict[str, Counts]]:
    return snapshot.shared.terminals, snapshot.shared.merchants, snapshot.shared.devices


def _changed(table: dict[str, Counts], before: dict[str, Counts]) -> dict[str, Counts]:
    return {name: counts for name, counts in table.items() if before.get(name) != counts} if before else table


def _pack_places(places: dict[str, Counts]) -> _Places:
    # Sorted, so that the bytes do not tell in which order the learner met them; by column, so that they shrink.
    rows = sorted(places.items())
    columns = [list(column) for column in zip(*(counts for _, counts in rows), strict=True)] or [
        [] for _ in Counts._fields
    ]
    return _Places([place_id for place_id, _ in rows], *columns)


def _unpack_places(places: _Places) -> dict[str, Counts]:
    columns = [getattr(places, name) for name in Counts._fields]
    return dict(zip(places.ids, map(Counts, *columns), strict=True))
