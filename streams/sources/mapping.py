"""The mapping file of the `csv` format: which column is which field, checked before the first row is read."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import msgspec

from features.events import CUSTOMER_KINDS, Event, Outcome, OutcomeType
from streams.sources.mapped_field import Field, check_field, known_keys
from streams.sources.source import SourceError
from streams.sources.times import parse_duration_ms

_KINDS: dict[str, type[Event]] = {str(kind.__struct_config__.tag): kind for kind in CUSTOMER_KINDS}
_TOP = ("kind", "sort", "fields", "label")
_LABEL = ("column", "positive", "negative", "outcome", "negative_outcome", "delay", "known", "typology")
# Filled in where the mapping does not: the version is ours, and a row number is an id.
_GIVEN = ("schema_version", "event_id")
_POSITIVE, _NEGATIVE = ["1", "true", "t", "yes", "y"], ["0", "false", "f", "no", "n", ""]


@dataclass(frozen=True, slots=True)
class Label:
    """The column that says how it ended, what its values mean, and when that became known.

    `known` reads the time from a column; where that is empty, and where there is none, it is `delay_ms` after the row.
    """

    column: str
    positive: tuple[str, ...]
    negative: tuple[str, ...]
    outcome: OutcomeType
    negative_outcome: OutcomeType | None
    delay_ms: int
    known: Field | None
    typology: str | None

    @property
    def columns(self) -> list[str]:
        """Columns the label is read from."""
        known = self.known.columns if self.known else ()
        return [self.column, *known, *([self.typology] if self.typology else [])]


@dataclass(frozen=True, slots=True)
class Mapping:
    """A checked mapping: every field exists in the kind, and every required field has a source."""

    kind: str
    fields: tuple[Field, ...]
    label: Label | None = None
    sort: bool = False
    columns: tuple[str, ...] = field(default=())
    optional: tuple[str, ...] = field(default=())

    @property
    def event_type(self) -> type[Event]:
        """The record type the rows become."""
        return _KINDS[self.kind]

    @property
    def time(self) -> Field:
        """The field of the event time; every kind has one."""
        return next(f for f in self.fields if f.name == "event_time_ms")

    @property
    def id_column(self) -> str:
        """Name of the rows' own id: its column, or `row` where rows are counted."""
        by = next((f for f in self.fields if f.name == "event_id"), None)
        return "+".join(by.columns) if by and by.columns else "row"


def load_mapping(path: Path) -> Mapping:
    """Read and check a mapping file.

    Raises
    ------
    SourceError
        Names the file, the key, what was found and what is possible.
    """
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise SourceError(f"expected a mapping file at {path}, found nothing there: see docs/sources.md") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SourceError(f"expected TOML in {path}, found: {error}") from None
    return check_mapping(data, str(path))


def check_mapping(data: dict[str, Any], where: str) -> Mapping:
    """A mapping from its parsed TOML; `where` names it in errors."""
    known_keys(data, _TOP, where)
    kind = data.get("kind", "transaction")
    if kind not in _KINDS:
        raise SourceError(f"{where}: kind: expected one of {', '.join(_KINDS)}, found {kind!r}")
    table = data.get("fields")
    if not isinstance(table, dict) or not table:
        raise SourceError(f'{where}: expected a table [fields] such as customer_id = "column", found none')
    event_type = _KINDS[kind]
    for name in table:
        if name not in event_type.__struct_fields__ or name == "schema_version":
            possible = ", ".join(f for f in event_type.__struct_fields__ if f != "schema_version")
            raise SourceError(f"{where}: fields.{name}: {kind} has no such field; possible are {possible}")
    needed = [f.name for f in msgspec.structs.fields(event_type) if f.required]
    missing = [name for name in needed if name not in table and name not in _GIVEN]
    if missing:
        raise SourceError(
            f"{where}: {kind} also needs {', '.join(missing)}: give each a column, or {{ constant = ... }}"
        )
    fields = tuple(check_field(name, value, f"{where}: fields.{name}") for name, value in table.items())
    for f in fields:
        if f.optional and f.name in needed:
            raise SourceError(f"{where}: fields.{f.name}: {kind} needs it, so it cannot be optional: give a default")
    label = _label(data["label"], f"{where}: label") if "label" in data else None
    if label and event_type is Outcome:
        raise SourceError(f"{where}: label: rows that are outcomes already need none: leave [label] out")
    sort = data.get("sort", False)
    if not isinstance(sort, bool):
        raise SourceError(f"{where}: sort: expected true or false, found {sort!r}")
    columns = dict.fromkeys(c for f in fields if not f.optional for c in f.columns)
    optional = dict.fromkeys(c for f in fields if f.optional for c in f.columns if c not in columns)
    return Mapping(kind, fields, label, sort, tuple(columns), tuple(optional))


def _label(value: Any, where: str) -> Label:
    if not isinstance(value, dict) or not isinstance(value.get("column"), str):
        raise SourceError(f'{where}: expected a table with column = "...", found {value!r}')
    known_keys(value, _LABEL, where)
    for key in ("outcome", "negative_outcome"):
        if key in value and value[key] not in get_args(OutcomeType):
            raise SourceError(
                f"{where}.{key}: expected one of {', '.join(get_args(OutcomeType))}, found {value[key]!r}"
            )
    typology = value.get("typology")
    if typology is not None and not isinstance(typology, str):
        raise SourceError(f"{where}.typology: expected a column's name, found {typology!r}")
    try:
        delay = parse_duration_ms(str(value.get("delay", "7d")))
    except ValueError as error:
        raise SourceError(f"{where}.delay: {error}") from None
    positive, negative = _texts(value.get("positive", _POSITIVE)), _texts(value.get("negative", _NEGATIVE))
    if "positive" in value and "negative" not in value:
        # What was said goes before what is assumed.
        negative = tuple(text for text in negative if text not in positive)
    if both := [text for text in positive if text in negative]:
        raise SourceError(f"{where}: expected {both[0]!r} in positive or in negative, found it in both")
    known = check_field("known_ms", value["known"], f"{where}.known") if "known" in value else None
    if known and (known.constant is not None or not known.columns):
        raise SourceError(f"{where}.known: expected a column with the time it became known, found a constant")
    return Label(
        value["column"], positive, negative, value.get("outcome", "fraud_confirmed"), value.get("negative_outcome"),
        delay, known, typology,
    )  # fmt: skip


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(str(v).lower() for v in (values if isinstance(values, list) else [values]))


__all__ = ["Field", "Label", "Mapping", "check_mapping", "load_mapping"]
