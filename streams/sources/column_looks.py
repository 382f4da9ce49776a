"""What a column looks like: its kind of values, how many different ones, how its times are written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from streams.sources.source import Tally
from streams.sources.tables import column_names, read_batches, table_files

SAMPLE_ROWS = 50_000
_SHOWN = 8
_NUMBER = re.compile(r"-?\d+([.,]\d+)?")
_MONEY = re.compile(r"[-+(]?\s*[$€£¥]?\s*-?\d{1,3}(,\d{3})*(\.\d+)?\)?|[$€£¥]?-?\d+(\.\d+)?")
_PATTERNS = (
    "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y",
    "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y",
    "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d", "%Y%m%d%H%M%S", "%Y%m%d", "%d-%b-%Y", "%d-%b-%Y %H:%M:%S",
)  # fmt: skip
_CLOCKS = ("%H:%M:%S", "%H:%M")
# Counts of milliseconds and seconds since 1970, for times between 1990 and 2100.
_MS, _S = (631_152_000_000, 4_102_444_800_000), (631_152_000, 4_102_444_800)


@dataclass(frozen=True, slots=True)
class Look:
    """One column of the sample.

    Parameters
    ----------
    kind
        `time`, `clock` (a time of day), `whole`, `number`, `money` (text with signs), `text` or `empty`.
    form
        For times the mapping's `format`; `iso`, `ms`, `s` or a pattern. For money the signs to strip.
    rows, filled, distinct
        In the sample.
    values
        The most frequent ones, as text, most frequent first.
    low, high
        Of numbers.
    ascending
        Whether the values never fall (times and numbers).
    """

    name: str
    kind: str
    form: str
    rows: int
    filled: int
    distinct: int
    values: tuple[str, ...]
    low: float = 0.0
    high: float = 0.0
    ascending: bool = False

    @property
    def unique(self) -> bool:
        """Every row has one of its own."""
        return self.filled == self.rows and self.distinct == self.rows

    @property
    def described(self) -> str:
        """For people: `whole numbers, 20 different: 1, 2, 3`."""
        names = {"whole": "whole numbers", "number": "numbers", "money": "amounts as text", "clock": "times of day"}
        examples = ", ".join(repr(value)[1:-1] for value in self.values[:4])
        missing = f", {self.rows - self.filled} empty" if self.filled < self.rows else ""
        return f"{names.get(self.kind, self.kind)}, {self.distinct:,} different{missing}: {examples}"


def looks_of(path: Path) -> list[Look]:
    """Every column of a table, by its first `SAMPLE_ROWS` rows.

    Raises
    ------
    SourceError
        When it is no table or cannot be read.
    """
    file = table_files(path)[0]
    names = list(dict.fromkeys(column_names(file)))
    parts: dict[str, list[Any]] = {name: [] for name in names}
    rows = 0
    for batch in read_batches(file, names, (), Tally()):
        for name in names:
            parts[name].append(batch.columns[name])
        rows += batch.rows
        if rows >= SAMPLE_ROWS:
            break
    return [_look(name, parts[name]) for name in names]


def _look(name: str, parts: list[Any]) -> Look:
    if not parts:
        return Look(name, "empty", "", 0, 0, 0, ())
    column = pa.chunked_array(parts)
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        times = pc.cast(pc.cast(column, pa.timestamp("ms", getattr(kind, "tz", None)), safe=False), pa.int64())
        return _made(name, "time", "iso", [str(v) for v in column.to_pylist() if v is not None], len(column),
                     _rising([v for v in times.to_pylist() if v is not None]))  # fmt: skip
    values = [_text(value) for value in column.to_pylist()]
    filled = [value for value in values if value]
    if not filled:
        return Look(name, "empty", "", len(values), 0, 0, ())
    for what, form, numbers in (_time(filled), _number(filled), _money(filled)):
        if what:
            return _made(name, what, form, filled, len(values), _rising(numbers), numbers)
    return _made(name, "text", "", filled, len(values), False)


def _made(
    name: str, kind: str, form: str, filled: list[str], rows: int, ascending: bool, numbers: Sequence[float] = ()
) -> Look:
    counts = Counter(filled)
    top = tuple(value for value, _count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN])
    low, high = (min(numbers), max(numbers)) if numbers else (0.0, 0.0)
    return Look(name, kind, form, rows, len(filled), len(counts), top, float(low), float(high), ascending)


def _time(filled: list[str]) -> tuple[str, str, list[float]]:
    iso = _parsed(filled, None)
    if iso:
        return "time", "iso", iso
    for form in _PATTERNS:
        if times := _parsed(filled, form):
            return "time", form, times
    for form in _CLOCKS:
        if times := _parsed(filled, form):
            return "clock", form, times
    if all(value.isdigit() for value in filled):
        numbers = [float(value) for value in filled]
        for unit, (low, high) in (("ms", _MS), ("s", _S)):
            # Ids look like this too, but they do not all lie within a few years of each other.
            if low <= min(numbers) and max(numbers) < high and max(numbers) - min(numbers) < (high - low) / 10:
                return "time", unit, numbers
    return "", "", []


def _parsed(filled: list[str], form: str | None) -> list[float]:
    times = []
    for value in filled:
        try:
            if form is None:
                if len(value) < 10 or value.isdigit():
                    return []
                moment = datetime.fromisoformat(value)
            elif value.isdigit() and len(value) != (14 if "%H" in form else 8):
                return []  # digits without signs between them: fewer would be read too
            else:
                moment = datetime.strptime(value, form)  # noqa: DTZ007  # only looked at
        except ValueError:
            return []
        times.append((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    return times


def _number(filled: list[str]) -> tuple[str, str, list[float]]:
    if not all(_NUMBER.fullmatch(value) for value in filled):
        return "", "", []
    commas = any("," in value for value in filled)
    if commas and any("." in value for value in filled):
        return "", "", []
    numbers = [float(value.replace(",", ".")) for value in filled]
    whole = not commas and all(number.is_integer() for number in numbers)
    return ("whole", "", numbers) if whole else ("number", "," if commas else ".", numbers)


def _money(filled: list[str]) -> tuple[str, str, list[float]]:
    if not all(_MONEY.fullmatch(value) for value in filled):
        return "", "", []
    strip = "".join(sign for sign in "$€£¥,+ " if any(sign in value for value in filled))
    if any("(" in value for value in filled):
        return "", "", []
    cleaned = [value.translate({ord(sign): None for sign in strip}) for value in filled]
    return "money", strip, [float(value) for value in cleaned]


def _rising(numbers: Sequence[float]) -> bool:
    return all(later >= earlier for earlier, later in pairwise(numbers))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value).strip()
