"""What a replay says, as Parquet: one file per partition, table and stretch between two saved states.

`decisions` has a line for every disposition (without the vector), `alerts` and `changes` the whole record beside
what one filters by, `dead_letters` the untouched bytes. Order and content depend on the input and versions alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet
from msgspec import Struct

from streams.dispositions import Output
from streams.replay.work import TOPICS

# Lines of a table that wait in memory, per partition.
_BUFFER_LINES = 20_000

_TEXT, _INT, _FLOAT, _NAME = pa.string(), pa.int64(), pa.float64(), pa.dictionary(pa.int32(), pa.string())


class DecisionLine(Struct, gc=False):
    """The columns of `decisions`."""

    disposition: str
    kind: str
    event_id: str
    event_time_ms: int
    partition: int
    model_version: int
    policy_version: str
    customer_id: str | None = None
    offset: int | None = None
    after_offset: int | None = None
    parent: str | None = None
    fraud_probability: float | None = None
    anomaly_score: float | None = None
    fraud_level: str | None = None
    card_id: str | None = None
    terminal_id: str | None = None
    merchant_id: str | None = None
    device_id: str | None = None
    amount_minor: int | None = None
    currency: str | None = None
    pd_12m: float | None = None
    grade: str | None = None
    sequence: int | None = None
    alert_ids: list[str] | None = None
    outcome: str | None = None
    about_event_id: str | None = None
    typology: str | None = None


_NAMES = ("disposition", "kind", "policy_version", "fraud_level", "currency", "grade", "outcome", "typology")
_TYPES: dict[str, Any] = {
    **dict.fromkeys(DecisionLine.__struct_fields__, _TEXT),
    **dict.fromkeys(_NAMES, _NAME),
    **dict.fromkeys(("event_time_ms", "offset", "after_offset", "amount_minor", "sequence"), _INT),
    **dict.fromkeys(("partition", "model_version"), pa.int32()),
    **dict.fromkeys(("fraud_probability", "anomaly_score", "pd_12m"), _FLOAT),
    "alert_ids": pa.list_(_TEXT),
}
_decision = msgspec.json.Decoder(DecisionLine)
_any = msgspec.json.Decoder()

SCHEMAS: dict[str, Any] = {
    "decisions": pa.schema([(name, _TYPES[name]) for name in DecisionLine.__struct_fields__]),
    "alerts": pa.schema([
        ("alert_id", _TEXT), ("customer_id", _TEXT), ("rule", _NAME), ("severity", _NAME), ("event_time_ms", _INT),
        ("source_event_id", _TEXT), ("scope_type", _NAME), ("scope_id", _TEXT), ("model_version", pa.int32()),
        ("policy_version", _NAME), ("partition", pa.int32()), ("record", _TEXT),
    ]),
    "changes": pa.schema([
        ("customer_id", _TEXT), ("sequence", _INT), ("event_time_ms", _INT), ("cause", _TEXT), ("fraud_level", _NAME),
        ("grade", _NAME), ("pd_12m", _FLOAT), ("policy_version", _NAME), ("partition", pa.int32()), ("record", _TEXT),
    ]),
    "dead_letters": pa.schema([
        ("partition", pa.int32()), ("offset", _INT), ("code", _NAME), ("reason", _TEXT), ("key", pa.binary()),
        ("value", pa.binary()),
    ]),
}  # fmt: skip


class PartitionOutput:
    """Writes one partition's records; `segment` numbers the files.

    Parameters
    ----------
    folder
        The replay's folder.
    partition
        Its number.
    segment
        First file's number; a later one goes on after a restart.
    """

    def __init__(self, folder: Path, partition: int, segment: int = 0) -> None:
        self._folder, self._partition, self._segment = folder, partition, segment
        self._waiting: dict[str, list[Any]] = {topic: [] for topic in TOPICS}
        self._writers: dict[str, Any] = {}

    def add(self, out: Output) -> None:
        """Keep what one call of the engine said."""
        waiting = self._waiting
        waiting["decisions"] += [value for _key, value in out.decisions]
        waiting["alerts"] += [value for _key, value, _headers in out.alerts]
        waiting["changes"] += [value for _key, value, _headers in out.risk_changes]
        waiting["dead_letters"] += out.dead_letters
        for topic, lines in waiting.items():
            if len(lines) >= _BUFFER_LINES:
                self._write(topic)

    def close(self) -> None:
        """Finish the files of this segment; what comes next goes into new ones."""
        for topic, lines in self._waiting.items():
            if lines:
                self._write(topic, rest=True)
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()
        self._segment += 1

    def _write(self, topic: str, *, rest: bool = False) -> None:
        # Whole buffers, so that row groups do not depend on how the input was cut into batches.
        lines, schema = self._waiting[topic], SCHEMAS[topic]
        place = 0
        while len(lines) - place >= _BUFFER_LINES or (rest and place < len(lines)):
            some = lines[place : place + _BUFFER_LINES]
            place += len(some)
            columns = zip(*_ROWS[topic](some, self._partition), strict=True)
            arrays = [_array(column, kind.type) for column, kind in zip(columns, schema, strict=True)]
            self._writer(topic).write_table(pa.Table.from_arrays(arrays, schema=schema))
        self._waiting[topic] = lines[place:]

    def _writer(self, topic: str) -> Any:
        writer = self._writers.get(topic)
        if writer is None:
            path = part_path(self._folder, topic, self._partition, self._segment)
            path.parent.mkdir(parents=True, exist_ok=True)
            # Ids hardly repeat: a dictionary of them would only be thrown away again.
            repeating = [f.name for f in SCHEMAS[topic] if f.type == _NAME or f.name in ("customer_id", "terminal_id")]
            writer = self._writers[topic] = pyarrow.parquet.ParquetWriter(
                str(path), SCHEMAS[topic], compression="zstd", compression_level=1, use_dictionary=repeating,
                store_schema=False,
            )  # fmt: skip
        return writer


def part_path(folder: Path, topic: str, partition: int, segment: int) -> Path:
    """Where a part of a table is."""
    return folder / topic / f"p{partition:03}-s{segment:04}.parquet"


def drop_parts(folder: Path, from_segment: int) -> None:
    """Remove the files of segments that are going to be written again."""
    for topic in TOPICS:
        for path in sorted((folder / topic).glob("p*-s*.parquet")):
            if int(path.stem.rpartition("-s")[2]) >= from_segment:
                path.unlink()


class Digest:
    """Digest of records of one topic: keys, values and headers with their lengths."""

    def __init__(self) -> None:
        self._hasher = hashlib.sha256()

    def update(self, items: Iterable[Sequence[Any]]) -> Digest:
        """Add records."""
        update = self._hasher.update
        for item in items:
            key, value = item[0] or b"", item[1] or b""
            update(b"%d %d\n" % (len(key), len(value)))
            update(key)
            update(value)
            for name, header in item[2] if len(item) > 2 else ():
                update(b"%d %d\n" % (len(name), len(header)))
                update(name.encode())
                update(header)
        return self

    def digest(self) -> bytes:
        """Of all so far."""
        return self._hasher.digest()


def by_topic(out: Output) -> dict[str, list[Any]]:
    """What an engine said, in the order of `TOPICS`."""
    said = (out.decisions, out.alerts, out.risk_changes, out.dead_letters)
    return dict(zip(TOPICS, said, strict=True))


def _array(column: Sequence[Any], kind: Any) -> Any:
    if kind == _NAME:
        return pa.array(column, _TEXT).dictionary_encode()
    return pa.array(column, kind)


def _decisions(values: list[bytes], _partition: int) -> list[tuple[Any, ...]]:
    decode, astuple = _decision.decode, msgspec.structs.astuple
    return [astuple(decode(value)) for value in values]


def _alerts(values: list[bytes], partition: int) -> list[tuple[Any, ...]]:
    lines = []
    for value in values:
        a = _any.decode(value)
        lines.append((
            a["alert_id"], a["customer_id"], a["rule"], a["severity"], a["event_time_ms"], a["source_event_id"],
            a["scope"]["type"], a["scope"]["id"], a["model_version"], a["policy_version"], partition, value.decode(),
        ))  # fmt: skip
    return lines


def _changes(values: list[bytes], partition: int) -> list[tuple[Any, ...]]:
    lines = []
    for value in values:
        c = _any.decode(value)
        state = c["state"]
        lines.append((
            c["customer_id"], c["sequence"], c["event_time_ms"], c["cause"]["event_id"], state["fraud_level"],
            state["grade"], state["pd_12m"], c["policy_version"], partition, value.decode(),
        ))  # fmt: skip
    return lines


def _dead_letters(items: list[tuple[bytes | None, bytes | None, Any]], partition: int) -> list[tuple[Any, ...]]:
    lines = []
    for key, value, headers in items:
        said = {name: header.decode("utf-8", "backslashreplace") for name, header in headers}
        lines.append((
            partition, int(said["__connect.errors.offset"]), said["riskshift.reason.code"],
            said["__connect.errors.exception.message"], key, value,
        ))  # fmt: skip
    return lines


_ROWS: dict[str, Callable[[Any, int], list[tuple[Any, ...]]]] = {
    "decisions": _decisions,
    "alerts": _alerts,
    "changes": _changes,
    "dead_letters": _dead_letters,
}
