"""Fraud levels with hysteresis: up at once, down one step at a time after enough calm.

A level is entered at its `enter` probability and kept until the probability has been below its lower
`exit` for `calm_events` events in a row that span at least `calm_ms`. Between the two thresholds nothing
moves, so a probability that flutters around one line makes one shift, not many.
"""

from __future__ import annotations

from typing import NamedTuple


class Thresholds(NamedTuple):
    """Probabilities per level, by level number; entry 0 is `normal` and never compared."""

    enter: tuple[float, ...]
    exit: tuple[float, ...]
    calm_events: int
    calm_ms: int


class Standing(NamedTuple):
    """A level and how far its calm has come."""

    level: int
    calm_count: int = 0
    calm_since_ms: int = 0


def reached(probability: float, thresholds: Thresholds) -> int:
    """Highest level whose `enter` is at or below `probability`; 0 when none (or not a number)."""
    level = len(thresholds.enter) - 1
    while level > 0 and not probability >= thresholds.enter[level]:
        level -= 1
    return level


def step(before: Standing, probability: float, floor: int, at_ms: int, thresholds: Thresholds) -> Standing:
    """Standing after one scored event.

    Parameters
    ----------
    before
        Standing before the event.
    probability
        Fraud probability of the event, 0 to 1; what is no number is no evidence of calm.
    floor
        Level that rules ask for by themselves; 0 when none hit.
    at_ms
        Event time. A late event cannot shorten the calm: its span is measured from the first calm event.

    Examples
    --------
    >>> t = Thresholds((0, 0.2, 0.5, 0.8), (0, 0.1, 0.3, 0.4), calm_events=2, calm_ms=10)
    >>> step(Standing(0), 0.9, 0, 0, t)
    Standing(level=3, calm_count=0, calm_since_ms=0)
    >>> step(step(Standing(3), 0.1, 0, 5, t), 0.1, 0, 15, t)
    Standing(level=2, calm_count=0, calm_since_ms=0)
    """
    target = max(reached(probability, thresholds), floor)
    if target > before.level:
        return Standing(target)
    if before.level == 0:
        return before
    if floor >= before.level or not probability < thresholds.exit[before.level]:
        return Standing(before.level)
    since_ms = before.calm_since_ms if before.calm_count else at_ms
    count = before.calm_count + 1
    if count >= thresholds.calm_events and at_ms - since_ms >= thresholds.calm_ms:
        return Standing(before.level - 1)
    return Standing(before.level, count, since_ms)
