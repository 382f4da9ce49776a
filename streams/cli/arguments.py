"""Argument types that several commands share; a wrong value becomes argparse's one-line error."""

from __future__ import annotations

import argparse

from streams.sources.times import parse_duration_ms, parse_time_ms


def duration_ms(text: str) -> int:
    """Milliseconds of `30s`, `15m`, `6h`, `7d`, `2w`."""
    try:
        return parse_duration_ms(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def time_ms(text: str) -> int:
    """Milliseconds of an ISO date or time (UTC unless it says otherwise), or milliseconds as they are."""
    try:
        return parse_time_ms(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def rate(text: str) -> float | None:
    """Events per second; None for `max`."""
    if text == "max":
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected events per second above zero, or max, found {text!r}")
    return value


def count(text: str) -> int:
    """A whole number of at least one."""
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, found {text!r}")
    return int(text)
