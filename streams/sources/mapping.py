"""The mapping file of the `csv` format: which column is which field, checked before the first row is read."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import msgspec

from features.events import CUSTOMER_KINDS, Event, Outcome, OutcomeType
from streams.sources.columns import TIME_UNITS
from streams.sources.source import SourceError
from streams.sources.times import parse_duration_ms, parse_time_ms

_KINDS: dict[str, type[Event]] = {str(kind.__struct_config__.tag): kind for kind in CUSTOMER_KINDS}
_TOP = ("kind", "sort", "fields", "label")
_FIELD = ("column", "constant", "default", "values", "prefix", "digits", "format", "origin")
_LABEL = ("column", "positive", "negative", "outcome", "negative_outcome", "delay", "typology")
# Filled in where the mapping does not: the version is ours, and a row number is an id.
_GIVEN = ("schema_version", "event_id")


@dataclass(frozen=True, slots=True)
class Field:
    """Where one event field comes from; `format` is for times, `digits` for money in major units."""

    name: str
    column: str | None = None
    constant: Any = None
    default: Any = None
    values: dict[str, Any] | None = None
    prefix: str = ""
    digits: int = 2
    format: str = "iso"
    origin_ms: int = 0


@dataclass(frozen=True, slots=True)
class Label:
    """The column that says how it ended, and what its values mean."""

    column: str
    positive: tuple[str, ...]
    negative: tuple[str, ...]
    outcome: OutcomeType
    negative_outcome: OutcomeType | None
    delay_ms: int
    typology: str | None


@dataclass(frozen=True, slots=True)
class Mapping:
    """A checked mapping: every field exists in the kind, and every required field has a source."""

    kind: str
    fields: tuple[Field, ...]
    label: Label | None = None
    sort: bool = False
    columns: tuple[str, ...] = field(default=())

    @property
    def event_type(self) -> type[Event]:
        """The record type the rows become."""
        return _KINDS[self.kind]


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
    _known(data, _TOP, where)
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
    fields = tuple(_field(name, value, f"{where}: fields.{name}") for name, value in table.items())
    label = _label(data["label"], f"{where}: label") if "label" in data else None
    if label and event_type is Outcome:
        raise SourceError(f"{where}: label: rows that are outcomes already need none: leave [label] out")
    sort = data.get("sort", False)
    if not isinstance(sort, bool):
        raise SourceError(f"{where}: sort: expected true or false, found {sort!r}")
    columns = [f.column for f in fields if f.column]
    columns += [c for c in (label.column, label.typology) if c] if label else []
    return Mapping(kind, fields, label, sort, tuple(dict.fromkeys(columns)))


def _field(name: str, value: Any, where: str) -> Field:
    if isinstance(value, str):
        value = {"column": value}
    if not isinstance(value, dict):
        raise SourceError(f"{where}: expected a column's name or a table, found {value!r}")
    _known(value, _FIELD, where)
    if ("column" in value) == ("constant" in value):
        raise SourceError(
            f"{where}: expected either column or constant, found {'both' if 'column' in value else 'neither'}"
        )
    form = str(value.get("format", "iso"))
    if form != "iso" and form not in TIME_UNITS and "%" not in form:
        raise SourceError(
            f"{where}.format: expected iso, {', '.join(TIME_UNITS)} or a pattern such as %d.%m.%Y, found {form!r}"
        )
    digits = value.get("digits", 2)
    if not isinstance(digits, int) or not 0 <= digits <= 4:
        raise SourceError(f"{where}.digits: expected 0 to 4 (2: the column is in euros, not cents), found {digits!r}")
    values = value.get("values")
    if values is not None and not isinstance(values, dict):
        raise SourceError(
            f"{where}.values: expected a table of the column's value = the field's value, found {values!r}"
        )
    try:
        origin = parse_time_ms(str(value["origin"])) if "origin" in value else 0
    except ValueError as error:
        raise SourceError(f"{where}.origin: {error}") from None
    return Field(
        name, value.get("column"), value.get("constant"), value.get("default"), values,
        str(value.get("prefix", "")), digits, form, origin,
    )  # fmt: skip


def _label(value: Any, where: str) -> Label:
    if not isinstance(value, dict) or not isinstance(value.get("column"), str):
        raise SourceError(f'{where}: expected a table with column = "...", found {value!r}')
    _known(value, _LABEL, where)
    for key in ("outcome", "negative_outcome"):
        if key in value and value[key] not in get_args(OutcomeType):
            raise SourceError(
                f"{where}.{key}: expected one of {', '.join(get_args(OutcomeType))}, found {value[key]!r}"
            )
    try:
        delay = parse_duration_ms(str(value.get("delay", "7d")))
    except ValueError as error:
        raise SourceError(f"{where}.delay: {error}") from None
    return Label(
        column=value["column"],
        positive=_texts(value.get("positive", ["1", "true"])),
        negative=_texts(value.get("negative", ["0", "false", ""])),
        outcome=value.get("outcome", "fraud_confirmed"),
        negative_outcome=value.get("negative_outcome"),
        delay_ms=delay,
        typology=value.get("typology"),
    )


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(str(v).lower() for v in (values if isinstance(values, list) else [values]))


def _known(table: dict[str, Any], keys: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in keys:
            raise SourceError(f"{where}: no key {key!r}; possible are {', '.join(keys)}")
