"""The expert credit scorecard: points by characteristic, PD within twelve months, reasons that add up.

Points scale as is usual: 600 points are odds of 50 good to 1 bad, every 20 points double the odds, no upper or
lower end. Each line below is a curve from a characteristic to points, read straight between its corners and
flat beyond them; all are monotone, so that no worse input can raise the points. These are an expert's opinion,
not fitted figures. `has_credit` and `defaulted` get no points: the first says only whether performance could
be seen, the second is a state (grade D), see `models/grades.py`. No district or macro figure sets one person's
points; the environment keeps its share of the base until there is a lawful input for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

from features.view import CreditView

Dimension = Literal["capacity", "performance", "growth", "environment"]

POINTS_AT_ODDS, ODDS, POINTS_TO_DOUBLE = 600.0, 50.0, 20.0
_FACTOR = POINTS_TO_DOUBLE / math.log(2.0)
_OFFSET = POINTS_AT_ODDS - _FACTOR * math.log(ODDS)

# A customer of whom nothing speaks for or against starts at 50:1; the base is shared out among the dimensions.
BASE = 600.0
BASE_SHARES: dict[str, float] = {"capacity": 210.0, "performance": 240.0, "growth": 90.0, "environment": 60.0}


class Characteristic(NamedTuple):
    """One line of the card: a field of `CreditView` and its curve of (value, points), values rising."""

    code: str
    dimension: Dimension
    curve: tuple[tuple[float, float], ...]


CARD: tuple[Characteristic, ...] = (
    Characteristic("income_overdue_days", "capacity", ((3, 0), (15, -25), (45, -60), (90, -80))),
    Characteristic("income_drop_ratio", "capacity", ((0.1, 0), (0.5, -35), (1, -70))),
    Characteristic("employment_ended", "capacity", ((0, 0), (1, -45))),
    Characteristic("debt_service_ratio", "capacity", ((0.2, 0), (0.4, -15), (0.6, -40), (1, -70))),
    Characteristic("utilisation_ratio", "capacity", ((0.3, 0), (0.8, -20), (1, -40), (1.5, -60))),
    Characteristic("applications_30d", "capacity", ((0, 0), (1, -3), (2, -8), (4, -30), (8, -50))),
    Characteristic("days_past_due", "performance", ((0, 0), (1, -25), (15, -45), (30, -80), (60, -120), (90, -170))),
    Characteristic("minimum_only_count", "performance", ((0, 0), (1, -6), (3, -20), (6, -35))),
    Characteristic("returned_count", "performance", ((0, 0), (1, -20), (3, -50))),
    Characteristic("legal_count", "performance", ((0, 0), (1, -60), (3, -100))),
    Characteristic("overdraft", "performance", ((0, 0), (1, -12))),
    Characteristic("penalty_recent", "performance", ((0, 0), (1, -25))),
    Characteristic("bureau_score", "performance", ((0, -80), (300, -60), (500, -30), (650, 0), (750, 25), (850, 40))),
    Characteristic("tenure_days", "growth", ((0, -15), (90, -8), (365, 0), (1825, 12), (3650, 20))),
)
BUREAU_UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class CreditScore:
    """Result of the card.

    Parameters
    ----------
    pd_12m
        Probability of default within twelve months, 0..1.
    points
        600 is 50:1; more is better; unclamped.
    dimensions
        Points of capacity, performance, growth and environment; they add up to `points`.
    contributions
        (code, points) of the base and of every characteristic that moved the score; they add up to `points`.
    """

    pd_12m: float
    points: float
    dimensions: dict[str, float]
    contributions: tuple[tuple[str, float], ...]


def pd_of(points: float) -> float:
    """PD of a number of points.

    Examples
    --------
    >>> round(1 / pd_of(600), 6), round(1 / pd_of(620), 6)
    (51.0, 101.0)
    """
    x = (points - _OFFSET) / _FACTOR
    # Written on the side where exp cannot overflow.
    return 1.0 / (1.0 + math.exp(x)) if x < 0 else math.exp(-x) / (1.0 + math.exp(-x))


def points_of(pd: float) -> float:
    """Points of a PD strictly between 0 and 1; the inverse of `pd_of`."""
    return _OFFSET + _FACTOR * math.log((1.0 - pd) / pd)


def score(view: CreditView) -> CreditScore:
    """Points, PD and reasons of one customer; pure, about ten microseconds.

    Parameters
    ----------
    view
        From `features.view.view`; the neutral view of a new customer scores the base less the price of no tenure.
    """
    dimensions: dict[str, float] = dict(BASE_SHARES)
    contributions = [("base", BASE)]
    total = BASE
    for code, dimension, curve in CARD:
        value = float(getattr(view, code))
        if code == "bureau_score" and value <= BUREAU_UNKNOWN:
            continue
        points = _read(curve, value)
        if points:
            dimensions[dimension] += points
            contributions.append((code, points))
            total += points
    return CreditScore(pd_of(total), total, dimensions, tuple(contributions))


def _read(curve: tuple[tuple[float, float], ...], value: float) -> float:
    if value <= curve[0][0]:
        return curve[0][1]
    for (x0, y0), (x1, y1) in pairwise(curve):
        if value <= x1:
            return y0 + (y1 - y0) * ((value - x0) / (x1 - x0))
    return curve[-1][1]
