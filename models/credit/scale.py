"""The points scale: 600 points are odds of 50 good to 1 bad, every 20 points double the odds; no upper or lower end."""

from __future__ import annotations

import math

POINTS_AT_ODDS, ODDS, POINTS_TO_DOUBLE = 600.0, 50.0, 20.0
FACTOR = POINTS_TO_DOUBLE / math.log(2.0)
OFFSET = POINTS_AT_ODDS - FACTOR * math.log(ODDS)


def pd_of(points: float) -> float:
    """PD of a number of points.

    Examples
    --------
    >>> round(1 / pd_of(600), 6), round(1 / pd_of(620), 6)
    (51.0, 101.0)
    """
    x = (points - OFFSET) / FACTOR
    # Written on the side where exp cannot overflow.
    return 1.0 / (1.0 + math.exp(x)) if x < 0 else math.exp(-x) / (1.0 + math.exp(-x))


def points_of(pd: float) -> float:
    """Points of a PD strictly between 0 and 1; the inverse of `pd_of`."""
    return OFFSET + FACTOR * math.log((1.0 - pd) / pd)
