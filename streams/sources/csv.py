"""Any CSV or Parquet file, by a mapping: column → event field, with constants, units, times and a label."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from features.errors import EventError
from features.events import Event, Outcome, decode, encode
from streams.sources.columns import ids
from streams.sources.labels import events_in_range
from streams.sources.mapped_values import raw_ids, times_of, values_of
from streams.sources.mapping import Label, Mapping, load_mapping
from streams.sources.ordering import in_time_order
from streams.sources.source import Labelled, Reject, Request, SourceError
from streams.sources.tables import Batch, column_names, read_batches, table_files


def read(request: Request) -> Iterator[Event]:
    """Events of the rows in time order; a labelled row's outcome follows it when it becomes known.

    Memory: one batch of rows and the labels not known yet; with `sort = true` in the mapping see `in_time_order`.
    """
    return events_in_range(rows(request), request)


def mapping_of(request: Request) -> Mapping:
    """The mapping of the request, checked."""
    if request.mapping is None:
        raise SourceError("format csv needs a mapping file: see docs/sources.md")
    return load_mapping(request.mapping)


def has_labels(request: Request) -> bool:
    """Whether there is a `[label]` and the files have its column."""
    label = mapping_of(request).label
    return label is not None and all(label.column in column_names(path) for path in table_files(request.path))


def rows(request: Request) -> Iterator[Labelled]:
    """Events before the end of the range, each with its outcome, if there is one; rows before the range too."""
    mapping = mapping_of(request)
    last = file_first = reached = 0
    file = ""
    for batch in _batches(request, mapping):
        if batch.file != file:
            file, file_first = batch.file, reached
        reached = file_first + batch.numbers[-1] if batch.rows else reached
        for number, labelled in _rows(batch, mapping, request, file_first):
            at = labelled.event.event_time_ms
            if at < last:
                raise SourceError(
                    f"expected rows in time order, found row {number} of {batch.file} earlier than one before it: "
                    "sort the file, or put `sort = true` into the mapping"
                )
            last = at
            if at >= request.before:
                return
            yield labelled


def _batches(request: Request, mapping: Mapping) -> Iterator[Batch]:
    files = table_files(request.path)
    columns, optional = list(mapping.columns), list(mapping.optional)
    if mapping.label is not None:
        (columns if request.labels else optional).extend(c for c in mapping.label.columns if c not in columns)
    by = mapping.time
    if (request.sort or mapping.sort) and by.columns:
        yield from in_time_order(files, columns, optional, request.tally, by.columns, lambda batch: times_of(by, batch))
        return
    for file in files:
        yield from read_batches(file, columns, optional, request.tally)


def _rows(batch: Batch, mapping: Mapping, request: Request, file_first: int) -> Iterator[tuple[int, Labelled]]:
    getters = [(f.name, get) for f in mapping.fields if (get := values_of(f, batch)) is not None]
    optional = [f.name for f in mapping.fields if f.optional]
    by_id = next((f for f in mapping.fields if f.name == "event_id" and f.columns), None)
    own_ids = raw_ids(by_id, batch) if by_id else None
    label = _labeller(mapping.label, batch, request.label_delay_ms)
    event_type, tally = mapping.event_type, request.tally
    stem = request.stem + batch.file.split(".")[0][:32]
    for row, number in enumerate(batch.numbers):
        values = {name: value for name, get in getters if (value := get(row)) is not None}
        values.setdefault("event_id", f"{stem}-{number}")
        values["schema_version"] = 1
        values["kind"] = mapping.kind
        try:
            event = _convert(values, event_type, optional)
            # The same door as every event's: bounds of text, card numbers.
            decode(encode(event))
            outcome = label(row, event)
        except (msgspec.ValidationError, EventError) as error:
            at = values.get("event_time_ms")
            if request.wants(at if isinstance(at, int) else None):
                tally.rows += 1
                code = error.code if isinstance(error, EventError) else _code(str(error))
                tally.reject(Reject(batch.file, number, code, str(error), _shown(values)))
            continue
        own_id = own_ids[row] if own_ids is not None else None
        yield number, Labelled(event, outcome if request.outcomes else None, own_id or str(file_first + number))


def _convert(values: dict[str, Any], event_type: type[Event], optional: list[str]) -> Event:
    try:
        return msgspec.convert(values, event_type, strict=False)
    except msgspec.ValidationError:
        if not any(name in values for name in optional):
            raise
    # What may be missing may also be something the field does not take: then it is left out.
    needed = {name: value for name, value in values.items() if name not in optional}
    for name in optional:
        if name in values:
            try:
                msgspec.convert({**needed, name: values[name]}, event_type, strict=False)
            except msgspec.ValidationError:
                del values[name]
    return msgspec.convert(values, event_type, strict=False)


def _labeller(label: Label | None, batch: Batch, delay_ms: int | None) -> Callable[[int, Event], Outcome | None]:
    if label is None or label.column not in batch.columns:
        return lambda _row, _event: None
    marks = ids(batch.columns[label.column])
    has_typology = label.typology is not None and label.typology in batch.columns
    typologies = ids(batch.columns[label.typology or ""]) if has_typology else None
    # A delay that was asked for goes before what the file says.
    delay = label.delay_ms if delay_ms is None else delay_ms
    known = times_of(label.known, batch) if label.known is not None and delay_ms is None else None

    def outcome(row: int, event: Event) -> Outcome | None:
        mark = (marks[row] or "").lower()
        if mark in label.positive:
            meaning = label.outcome
        elif mark in label.negative:
            if label.negative_outcome is None:
                return None
            meaning = label.negative_outcome
        else:
            known_marks = ", ".join(label.positive + label.negative)
            raise EventError("unknown_value", f"expected one of {known_marks} in {label.column}, found {mark!r}")
        optional = {name: v for name in ("facility_id", "card_id") if (v := getattr(event, name, None))}
        if typologies and typologies[row]:
            optional["typology"] = str(typologies[row])[:64]
        at = event.event_time_ms
        known_ms = known[row] if known is not None else None
        return Outcome(
            event_id=f"{event.event_id[:56]}-outcome", customer_id=event.customer_id, schema_version=1,
            # Nothing is known before it happened.
            event_time_ms=at + delay if known_ms is None else max(at, known_ms),
            outcome=meaning, about_event_id=event.event_id, **optional,
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
