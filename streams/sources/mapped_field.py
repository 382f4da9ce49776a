"""One field of a mapping file: which columns, and how they are read; checked before the first row is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from streams.sources.columns import TIME_UNITS
from streams.sources.source import SourceError
from streams.sources.times import parse_time_ms

_KEYS = (
    "column", "columns", "constant", "default", "values", "prefix", "width", "hash", "separator", "optional",
    "digits", "strip", "decimal", "absolute", "sign", "format", "origin",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """Where one event field comes from. `docs/sources.md` says what each key means.

    `formats` are for times, one for all columns or one a column, which are then added up; `digits`, `strip`,
    `decimal`, `absolute` and `sign` for money.
    """

    name: str
    columns: tuple[str, ...] = ()
    constant: Any = None
    default: Any = None
    values: dict[str, Any] | None = None
    prefix: str = ""
    width: int = 0
    token_key: bytes | None = None
    separator: str = "-"
    optional: bool = False
    digits: int = 2
    strip: str = ""
    decimal: str = "."
    absolute: bool = False
    sign: tuple[str, str] | None = None
    formats: tuple[str, ...] = ("iso",)
    origin_ms: int = 0

    @property
    def is_time(self) -> bool:
        """Whether its values become milliseconds."""
        return self.name.endswith("_ms")

    @property
    def is_amount(self) -> bool:
        """Whether its values become minor units."""
        return self.name.endswith("_minor") and self.values is None


def check_field(name: str, value: Any, where: str) -> Field:
    """A field from its TOML value: a column's name, or a table."""
    if isinstance(value, str):
        value = {"column": value}
    if not isinstance(value, dict):
        raise SourceError(f"{where}: expected a column's name or a table, found {value!r}")
    known_keys(value, _KEYS, where)
    given = [key for key in ("column", "columns", "constant") if key in value]
    if len(given) != 1:
        found = "neither" if not given else "both" if len(given) == 2 else "all of them"
        raise SourceError(f"{where}: expected either column or constant, found {found}")
    columns = value.get("columns", [value["column"]] if "column" in value else [])
    if not isinstance(columns, list) or not all(isinstance(c, str) for c in columns):
        raise SourceError(f"{where}.{given[0]}: expected the name of a column, found {value[given[0]]!r}")
    if "columns" in value and len(columns) < 2:
        raise SourceError(f"{where}.columns: expected two columns or more, found {columns!r}: use column for one")
    values = value.get("values")
    if values is not None and not isinstance(values, dict):
        raise SourceError(
            f"{where}.values: expected a table of the column's value = the field's value, found {values!r}"
        )
    formats = time_format(value.get("format", "iso"), len(columns), f"{where}.format")
    try:
        origin = parse_time_ms(str(value["origin"])) if "origin" in value else 0
    except ValueError as error:
        raise SourceError(f"{where}.origin: {error}") from None
    return Field(
        name, tuple(columns), value.get("constant"), value.get("default"), values, _text(value, "prefix", "", where),
        _number(value, "width", 0, 64, 0, where), _token_key(value, where),
        _text(value, "separator", " " if name.endswith("_ms") else "-", where), _flag(value, "optional", where),
        _number(value, "digits", 0, 4, 2, where, " (2: the column is in euros, not cents)"),
        _text(value, "strip", "", where), _decimal(value, where), _flag(value, "absolute", where), _sign(value, where),
        formats, origin,
    )  # fmt: skip


def time_format(value: Any, columns: int, where: str) -> tuple[str, ...]:
    """The formats of a time: one for all columns, or one a column."""
    formats = tuple(value) if isinstance(value, list) else (value,)
    for form in formats:
        if not isinstance(form, str) or (form != "iso" and form not in TIME_UNITS and "%" not in form):
            raise SourceError(
                f"{where}: expected iso, {', '.join(TIME_UNITS)} or a pattern such as %d.%m.%Y, found {form!r}"
            )
    if isinstance(value, list):
        if len(formats) != columns or columns < 2:
            raise SourceError(f"{where}: expected one format a column, {columns} of them, found {len(formats)}")
        if not all(form in TIME_UNITS for form in formats[1:]):
            raise SourceError(
                f"{where}: expected units ({', '.join(TIME_UNITS)}) after the first format, as they are added to it, "
                f"found {formats[1:]!r}: for a date and a time of day as text, give one pattern for both"
            )
    elif columns > 1 and formats[0] in TIME_UNITS:
        raise SourceError(f"{where}: expected a pattern or a list of one format a column, found {formats[0]!r}")
    return formats


def known_keys(table: dict[str, Any], keys: Sequence[str], where: str) -> None:
    """Refuse a key that is not among `keys`, naming those that are."""
    for key in table:
        if key not in keys:
            raise SourceError(f"{where}: no key {key!r}; possible are {', '.join(keys)}")


def _text(value: dict[str, Any], key: str, default: str, where: str) -> str:
    found = value.get(key, default)
    if not isinstance(found, str):
        raise SourceError(f"{where}.{key}: expected text, found {found!r}")
    return found


def _flag(value: dict[str, Any], key: str, where: str) -> bool:
    found = value.get(key, False)
    if not isinstance(found, bool):
        raise SourceError(f"{where}.{key}: expected true or false, found {found!r}")
    return found


def _number(value: dict[str, Any], key: str, low: int, high: int, default: int, where: str, hint: str = "") -> int:
    found = value.get(key, default)
    if not isinstance(found, int) or isinstance(found, bool) or not low <= found <= high:
        raise SourceError(f"{where}.{key}: expected {low} to {high}{hint}, found {found!r}")
    return found


def _token_key(value: dict[str, Any], where: str) -> bytes | None:
    found = value.get("hash", False)
    if isinstance(found, bool):
        return b"" if found else None
    if not isinstance(found, str) or len(found.encode()) > 64:
        raise SourceError(f"{where}.hash: expected true, or a secret of at most 64 bytes, found {found!r}")
    return found.encode()


def _decimal(value: dict[str, Any], where: str) -> str:
    found = value.get("decimal", ".")
    if found not in (".", ","):
        raise SourceError(f'{where}.decimal: expected "." or ",", found {found!r}')
    return str(found)


def _sign(value: dict[str, Any], where: str) -> tuple[str, str] | None:
    found = value.get("sign")
    if found is None:
        return None
    if not isinstance(found, list) or len(found) != 2 or not all(isinstance(v, str) for v in found):
        raise SourceError(
            f'{where}.sign: expected two values, for zero and more and for less, such as ["debit", "credit"], '
            f"found {found!r}"
        )
    return found[0], found[1]
