"""Any CSV or Parquet file, by a mapping: column → event field, with constants, units, times and a label."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from features.errors import EventError
from features.events import Event, Outcome, decode, encode
from streams.sources.columns import amounts_minor, ids, time_parser, times_ms
from streams.sources.mapping import Field, Mapping, load_mapping
from streams.sources.source import Reject, Request, SourceError, Tally
from streams.sources.tables import Batch, read_batches, read_table, table_files

_Get = Callable[[int], Any]


def read(request: Request) -> Iterator[Event]:
    """Events of the rows in time order; a labelled row's outcome follows it by the label delay.

    Memory: one batch of rows and the labels of one delay; with `sort = true` in the mapping, the whole file.
    """
    if request.mapping is None:
        raise SourceError("format csv needs a mapping file: see docs/sources.md")
    mapping = load_mapping(request.mapping)
    delay = mapping.label.delay_ms if mapping.label else 0
    delay = delay if request.label_delay_ms is None else request.label_delay_ms
    since, before, tally = request.since, request.before, request.tally
    waiting: deque[Outcome] = deque()
    last = 0
    for batch in _batches(request.path, mapping, tally):
        for number, event, outcome in _rows(batch, mapping, tally, request):
            at = event.event_time_ms
            if at < last:
                raise SourceError(
                    f"expected rows in time order, found row {number} of {batch.file} earlier than one before it: "
                    "sort the file, or put `sort = true` into the mapping (holds the file in memory)"
                )
            last = at
            while waiting and waiting[0].event_time_ms <= at:
                known = waiting.popleft()
                if since <= known.event_time_ms < before:
                    yield known
            if at >= before:
                return
            if at >= since:
                tally.rows += 1
                yield event
            if outcome is not None and request.outcomes:
                waiting.append(msgspec.structs.replace(outcome, event_time_ms=at + delay))
    for known in waiting:
        if since <= known.event_time_ms < before:
            yield known


def _batches(path: Path, mapping: Mapping, tally: Tally) -> Iterator[Batch]:
    files = table_files(path)
    if not mapping.sort:
        for file in files:
            yield from read_batches(file, mapping.columns, (), tally)
        return
    if len(files) > 1:
        raise SourceError(f"expected one file with `sort = true`, found {len(files)} in {path}: join them first")
    table = read_table(files[0], mapping.columns, (), tally)
    rows = len(next(iter(table.values()), ()))
    by = next(f for f in mapping.fields if f.name == "event_time_ms")
    times = _times(by, table[by.column]) if by.column else [0] * rows
    # Rows without a time go first, where they are rejected without disturbing the others.
    sortable = [-1 if at is None else at for at in times]
    order = pa.array(sorted(range(rows), key=sortable.__getitem__), pa.int64())
    columns = {name: column.take(order) for name, column in table.items()}
    columns[_PLACE] = order
    yield Batch(files[0].name, 1, rows, columns)


# Not a possible column name of a file read here: it holds a row's place before sorting.
_PLACE = "\0place"


def _rows(
    batch: Batch, mapping: Mapping, tally: Tally, request: Request
) -> Iterator[tuple[int, Event, Outcome | None]]:
    getters = [(f.name, _getter(f, batch)) for f in mapping.fields]
    label = _labeller(mapping, batch)
    event_type = mapping.event_type
    stem = batch.file.split(".")[0][:32]
    places = batch.columns[_PLACE].to_pylist() if _PLACE in batch.columns else None
    for row in range(batch.rows):
        number = places[row] + 1 if places else batch.first_row + row
        values = {name: value for name, get in getters if (value := get(row)) is not None}
        values.setdefault("event_id", f"{stem}-{number}")
        values["schema_version"] = 1
        values["kind"] = mapping.kind
        try:
            event = msgspec.convert(values, event_type, strict=False)
            # The same door as every event's: bounds of text, card numbers.
            decode(encode(event))
            outcome = label(row, event)
        except (msgspec.ValidationError, EventError) as error:
            at = values.get("event_time_ms")
            if not isinstance(at, int) or request.since <= at < request.before:
                tally.rows += 1
                code = error.code if isinstance(error, EventError) else _code(str(error))
                tally.reject(Reject(batch.file, number, code, str(error), _shown(values)))
            continue
        yield number, event, outcome


def _getter(f: Field, batch: Batch) -> _Get:
    if f.column is None:
        constant = f.constant
        return lambda _row: constant
    column = batch.columns[f.column]
    values: list[Any]
    if f.name.endswith("_ms"):
        values = _or_unreadable(_times(f, column), column)
    elif f.name.endswith("_minor") and f.values is None:
        values = _or_unreadable(amounts_minor(column, f.digits), column)
    else:
        values = ids(column)
        if f.values is not None:
            # A value that is not listed stays as it is, and is refused if the field does not know it.
            table = {str(key): value for key, value in f.values.items()}
            values = [None if v is None else table.get(v, f.default if f.default is not None else v) for v in values]
        if f.prefix:
            values = [None if v is None else f"{f.prefix}{v}" for v in values]
    if f.default is not None:
        values = [f.default if v is None else v for v in values]
    return values.__getitem__


def _or_unreadable(converted: list[Any], column: Any) -> list[Any]:
    # What is there but cannot be read must not pass for absent: text where a number belongs is refused below.
    if None not in converted:
        return converted
    raw = column.to_pylist()
    return [
        f"unreadable: {raw[row]}"[:80] if value is None and raw[row] is not None and str(raw[row]).strip() else value
        for row, value in enumerate(converted)
    ]


def _times(f: Field, column: Any) -> list[int | None]:
    return times_ms(column, time_parser(f.format, f.origin_ms))


def _labeller(mapping: Mapping, batch: Batch) -> Callable[[int, Event], Outcome | None]:
    label = mapping.label
    if label is None:
        return lambda _row, _event: None
    marks = ids(batch.columns[label.column])
    typologies = ids(batch.columns[label.typology]) if label.typology else None

    def outcome(row: int, event: Event) -> Outcome | None:
        mark = (marks[row] or "").lower()
        if mark in label.positive:
            meaning = label.outcome
        elif mark in label.negative:
            if label.negative_outcome is None:
                return None
            meaning = label.negative_outcome
        else:
            known = ", ".join(label.positive + label.negative)
            raise EventError("unknown_value", f"expected one of {known} in {label.column}, found {mark!r}")
        optional = {name: v for name in ("facility_id", "card_id") if (v := getattr(event, name, None))}
        if typologies and typologies[row]:
            optional["typology"] = str(typologies[row])[:64]
        return Outcome(
            event_id=f"{event.event_id[:56]}-outcome", customer_id=event.customer_id, event_time_ms=event.event_time_ms,
            schema_version=1, outcome=meaning, about_event_id=event.event_id, **optional,
        )  # fmt: skip

    return outcome


def _code(message: str) -> str:
    if "missing required" in message:
        return "missing_field"
    if "Invalid enum" in message:
        return "unknown_currency" if "currency" in message else "unknown_value"
    return "out_of_range" if any(sign in message for sign in (">=", "<=", "length")) else "wrong_type"


def _shown(values: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}"[:80] for name, value in values.items())[:1_000]
