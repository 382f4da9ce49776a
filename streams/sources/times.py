"""Durations and times as people write them: `7d`, `90s`, `2018-08-01`, `1533081600000`."""

from __future__ import annotations

import re
from datetime import UTC, datetime

DAY_MS = 86_400_000
_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": DAY_MS, "w": 7 * DAY_MS}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")


def parse_duration_ms(text: str) -> int:
    """Milliseconds of `500ms`, `30s`, `15m`, `6h`, `7d`, `2w`, or `0`; ValueError says what was expected.

    Examples
    --------
    >>> parse_duration_ms("7d")
    604800000
    """
    if text.strip() == "0":
        return 0
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"expected a duration such as 30s, 15m, 6h, 7d or 2w, found {text!r}")
    return round(float(match[1]) * _UNITS_MS[match[2]])


def parse_time_ms(text: str) -> int:
    """Milliseconds since 1970 UTC of an ISO date or time (UTC unless it says otherwise), or of plain milliseconds.

    Examples
    --------
    >>> parse_time_ms("2018-08-01")
    1533081600000
    >>> parse_time_ms("2018-08-01T02:00+02:00")
    1533081600000
    """
    text = text.strip()
    # Fewer digits would be a compact ISO date (20180801) or a year.
    if text.isascii() and text.isdigit() and (len(text) >= 9 or text == "0"):
        return int(text)
    try:
        return to_ms(datetime.fromisoformat(text))
    except ValueError:
        raise ValueError(
            f"expected an ISO date or time (2018-08-01, 2018-08-01T12:30:00Z) or milliseconds, found {text!r}"
        ) from None


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970 of a datetime; one without a zone is taken as UTC. Exact, no floats."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    delta = moment - _EPOCH
    return delta.days * DAY_MS + delta.seconds * 1_000 + delta.microseconds // 1_000


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
