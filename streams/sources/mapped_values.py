"""The values of a mapped field, a batch of rows at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from streams.sources.columns import amounts_minor, ids, minor_of, time_parser, times_ms
from streams.sources.mapped_field import Field
from streams.sources.tables import Batch

# A field of 64 characters holds a token of 16 and a prefix.
_TOKEN_BYTES = 8


def values_of(f: Field, batch: Batch) -> Callable[[int], Any] | None:
    """Row → the field's value, None where it is empty; None for the whole field where its column is missing."""
    if not f.columns:
        constant = f.constant
        return lambda _row: constant
    if f.optional and any(column not in batch.columns for column in f.columns):
        default = f.default
        return None if default is None else lambda _row: default
    column = batch.columns[f.columns[0]]
    values: list[Any]
    if f.is_time:
        values = _or_unreadable(times_of(f, batch), column)
    elif f.is_amount:
        values = _or_unreadable(_amounts(f, column), column)
        if f.absolute:
            values = [abs(v) if isinstance(v, int) else v for v in values]
    elif f.sign is not None:
        plus, minus = f.sign
        values = [None if v is None else minus if v < 0 else plus for v in _amounts(f, column)]
    else:
        values = _texts(f, batch)
    if f.default is not None:
        values = [f.default if v is None else v for v in values]
    return values.__getitem__


def times_of(f: Field, batch: Batch) -> list[int | None]:
    """Times of the rows, milliseconds; None where there is none that can be read."""
    if len(f.columns) == 1:
        return times_ms(batch.columns[f.columns[0]], time_parser(f.formats[0], f.origin_ms))
    if len(f.formats) == 1:
        parse = time_parser(f.formats[0])
        return [None if text is None else parse(text) for text in _joined(f, batch)]
    # Added up: the first says where counting starts.
    parts = [
        times_ms(batch.columns[column], time_parser(form, 0 if place else f.origin_ms))
        for place, (column, form) in enumerate(zip(f.columns, f.formats, strict=True))
    ]
    return [None if None in row else sum(row) for row in zip(*parts, strict=True)]


def raw_ids(f: Field, batch: Batch) -> list[str | None]:
    """What the file itself has in the columns of an id."""
    return ids(batch.columns[f.columns[0]]) if len(f.columns) == 1 else _joined(f, batch)


def _texts(f: Field, batch: Batch) -> list[Any]:
    values: list[Any] = raw_ids(f, batch)
    if f.values is not None:
        # A value that is not listed stays as it is, and is refused if the field does not know it.
        table = {str(key): value for key, value in f.values.items()}
        values = [None if v is None else table.get(v, f.default if f.default is not None else v) for v in values]
    if f.width:
        values = [None if v is None else str(v).zfill(f.width) for v in values]
    if f.token_key is not None:
        values = [None if v is None else token(str(v), f.token_key) for v in values]
    if f.prefix:
        values = [None if v is None else f"{f.prefix}{v}" for v in values]
    return values


def token(text: str, key: bytes) -> str:
    """A token that stands for the text: 16 hexadecimal digits, the same for the same text and key."""
    return hashlib.blake2b(text.encode(), digest_size=_TOKEN_BYTES, key=key).hexdigest()


def _joined(f: Field, batch: Batch) -> list[str | None]:
    # What is empty leaves its place empty; nothing at all is nothing.
    parts = [ids(batch.columns[column]) for column in f.columns]
    return [f.separator.join(v or "" for v in row) if any(row) else None for row in zip(*parts, strict=True)]


def _amounts(f: Field, column: Any) -> list[int | None]:
    is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    # A number has no signs to take away.
    if not is_text or (not f.strip and f.decimal == "."):
        return amounts_minor(column, f.digits)
    table = str.maketrans(dict.fromkeys(f.strip) | ({} if f.decimal == "." else {f.decimal: "."}))
    return [minor_of(v.translate(table), f.digits) if v else None for v in ids(column)]


def _or_unreadable(converted: list[Any], column: Any) -> list[Any]:
    # What is there but cannot be read must not pass for absent: text where a number belongs is refused later.
    if None not in converted:
        return converted
    raw = column.to_pylist()
    return [
        f"unreadable: {raw[row]}"[:80] if value is None and raw[row] is not None and str(raw[row]).strip() else value
        for row, value in enumerate(converted)
    ]
