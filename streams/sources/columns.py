"""Arrow columns to Python lists of what events hold: ids, times in ms, amounts in minor units.

A value that cannot be converted becomes None, and its row a reject. Numbers go through vectorised paths;
text goes value by value and stays exact.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.events import EVENT_TIME_MAX_MS
from streams.sources.times import DAY_MS, parse_time_ms, to_ms

# Unit of a number that stands for a time → milliseconds.
TIME_UNITS: dict[str, int] = {"ms": 1, "s": 1_000, "minutes": 60_000, "hours": 3_600_000, "days": DAY_MS}
_MINOR_MAX = 10**13


def ids(column: Any) -> list[str | None]:
    """Ids as text: 596 and 596.0 are both `596`; text is stripped; empty is None."""
    kind = column.type
    if pa.types.is_floating(kind):
        return [_plain(value) for value in column.to_pylist()]
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return pc.cast(column, pa.string()).to_pylist()  # type: ignore[no-any-return]  # pyarrow is untyped
    return [value.strip() or None if value else None for value in column.to_pylist()]


def amounts_minor(column: Any, digits: int = 2) -> list[int | None]:
    """Amounts in major units to integers of minor units, half to even; NaN, infinite and unreadable are None."""
    kind = column.type
    if pa.types.is_integer(kind):
        scale = 10**digits
        return [None if value is None else value * scale for value in column.to_pylist()]
    if not pa.types.is_floating(kind):
        return [minor_of(value, digits) for value in column.to_pylist()]
    values = _numpy(column)
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = values * 10**digits
        whole = np.rint(scaled)
        usable = np.isfinite(scaled) & (np.abs(scaled) <= _MINOR_MAX)
        # Where the binary product lies near a half, what was printed decides: 2.675 is 268, not 267.
        unsure = usable & (np.abs(np.abs(scaled - np.floor(scaled)) - 0.5) < 1e-4)
    minor: list[int | None] = np.where(usable, whole, 0).astype(np.int64).tolist()
    for place in np.flatnonzero(~usable).tolist():
        minor[place] = None
    for place in np.flatnonzero(unsure).tolist():
        minor[place] = minor_of(repr(float(values[place])), digits)
    return minor


def minor_of(value: Any, digits: int = 2) -> int | None:
    """One amount in major units as an integer of minor units, half to even; None when it is none.

    Examples
    --------
    >>> minor_of("57.165"), minor_of("57.175"), minor_of("x")
    (5716, 5718, None)
    """
    if value is None:
        return None
    try:
        scaled = Decimal(str(value).strip()).scaleb(digits)
        if not scaled.is_finite() or abs(scaled) > _MINOR_MAX:
            return None
        return int(scaled.quantize(Decimal(1), ROUND_HALF_EVEN))
    except InvalidOperation:
        return None


def times_ms(column: Any, parse: Callable[[Any], int | None] | None = None) -> list[int | None]:
    """Times as milliseconds since 1970 UTC; times without a zone are taken as UTC; unreadable ones are None.

    `parse` turns one value that is not a timestamp into milliseconds; default: ISO text or milliseconds.
    """
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        stamps = pc.cast(column, pa.timestamp("ms", getattr(kind, "tz", None)), safe=False)
        return pc.cast(stamps, pa.int64()).to_pylist()  # type: ignore[no-any-return]  # pyarrow is untyped
    one = parse or time_of
    return [None if value is None else _within(one(value)) for value in column.to_pylist()]


def time_of(value: Any) -> int | None:
    """One time from ISO text or whole milliseconds; None when it is neither."""
    try:
        return parse_time_ms(str(value))
    except ValueError:
        return None


def time_parser(form: str, origin_ms: int = 0) -> Callable[[Any], int | None]:
    """A converter for `iso`, a unit of `TIME_UNITS` counted from `origin_ms`, or a `strptime` pattern (UTC)."""
    if form == "iso":
        return time_of
    if form in TIME_UNITS:
        unit = TIME_UNITS[form]

        def count(value: Any) -> int | None:
            number = minor_of(value, 9)  # nine digits keep nanoseconds of a second
            return None if number is None else origin_ms + number * unit // 10**9

        # Whole numbers, nearly all there are, need no decimals.
        def number(value: Any) -> int | None:
            try:
                return origin_ms + int(value) * unit if not isinstance(value, float) else count(value)
            except ValueError:
                return count(value)

        return number

    def pattern(value: Any) -> int | None:
        try:
            moment = datetime.strptime(str(value).strip(), form)  # noqa: DTZ007 - given UTC below
        except ValueError:
            return None
        return to_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))

    return pattern


def _within(at_ms: int | None) -> int | None:
    return at_ms if at_ms is not None and 0 <= at_ms <= EVENT_TIME_MAX_MS else None


def _plain(value: float | None) -> str | None:
    if value is None or not np.isfinite(value):
        return None
    return str(int(value)) if value == int(value) else repr(value)


def _numpy(column: Any) -> Any:
    # A null of a float column becomes NaN, which is refused like any other NaN.
    return column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy()
