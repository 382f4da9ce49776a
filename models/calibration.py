"""The last step to a probability: a monotone curve from the ensemble's margin to one that counts right.

River's logistic regression over hats of the margin learns what share of the events with such a margin is fraud; it
starts as the identity. Its running mean is published, made monotone: more suspicion never means less probability.
While frauds are few an ensemble is too sure of what it learned from them, and there are too few to learn that from:
until then the curve is made flatter by a `doubt` that depends on their number alone.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from models.linear import RunningMean, regression
from models.shaping import Floats

LOW, HIGH = -9, 7
KNOTS = HIGH - LOW + 1
RATE, STRENGTH = 0.1, 10.0
# Margins are brought nearer to the pivot by at most so much. Chosen on towns 7 to 9: docs/models.md.
DOUBT, PIVOT = 0.15, -3.5
# Doubt comes with the first frauds that were learned, for before there is nobody's opinion but the expert's; and goes.
DOUBT_COMES, DOUBT_GOES = 10.0, 200.0
# Least rise from knot to knot and beyond the last: keeps the order of events whatever was learned.
_RISE_MIN = 1e-6
_BEYOND = KNOTS


class Calibrator:
    """Learns the curve; `heights` publishes it."""

    def __init__(self) -> None:
        start: dict[Hashable, float] = {place: float(LOW + place) for place in range(KNOTS)}
        start[_BEYOND] = 1.0
        self.river = regression(start, RATE, STRENGTH, 0.0, 0.0)
        self.mean = RunningMean(self.river, range(KNOTS + 1))
        self.frauds = 0

    def follow(self, river: Any, mean: list[float], frauds: int) -> None:
        """Go on with this River model, mean and number of frauds learned, from a checkpoint."""
        self.river, self.frauds = river, frauds
        self.mean = RunningMean(river, range(KNOTS + 1))
        self.mean.load(mean)

    def learn_one(self, margin: float, fraud: bool, weight: float) -> None:
        """Learn one label with the margin the ensemble gave before it learned that label."""
        self.river.learn_one(inputs(margin), fraud, w=weight)
        self.frauds += fraud

    def heights(self) -> Floats:
        """Calibrated margin at each knot, rising, then the slope beyond both ends; shape (KNOTS + 1,)."""
        heights = self.mean.weights.copy()
        sure = 1.0 - doubt(self.frauds)
        heights[:KNOTS] = PIVOT + sure * (heights[:KNOTS] - PIVOT)
        rise = _RISE_MIN * np.arange(KNOTS)
        heights[:KNOTS] = np.maximum.accumulate(heights[:KNOTS] - rise) + rise
        heights[_BEYOND] = max(heights[_BEYOND], _RISE_MIN)
        return heights

    def calibrate_one(self, margin: float) -> float:
        """River's own answer with the published heights."""
        frozen = self.mean.river()
        frozen._weights.update(dict(enumerate(self.heights().tolist())))
        return float(frozen._raw_dot_one(inputs(margin)))


def doubt(frauds: int) -> float:
    """By what share margins are brought nearer to the pivot after so many frauds learned; 0 to `DOUBT`.

    Examples
    --------
    >>> [round(doubt(frauds), 3) for frauds in (0, 10, 50, 10_000)]
    [0.0, 0.071, 0.1, 0.003]
    """
    return DOUBT * frauds / (frauds + DOUBT_COMES) * DOUBT_GOES / (frauds + DOUBT_GOES)


def inputs(margin: float) -> dict[int, float]:
    """Hats of a margin: the shares of the two knots around it, and how far it lies beyond the outer ones."""
    inside = min(max(margin, LOW), HIGH)
    place = min(int(inside - LOW), KNOTS - 2)
    share = inside - LOW - place
    return {place: 1.0 - share, place + 1: share, _BEYOND: margin - inside}


def calibrate(heights: Floats, margins: Floats) -> Floats:
    """Calibrated margins, element by element; never falls where the margin rises.

    Examples
    --------
    >>> identity = np.append(np.arange(LOW, HIGH + 1.0), 1.0)
    >>> calibrate(identity, np.array([-20.0, 0.25, 7.0, 9.5])).tolist()
    [-20.0, 0.25, 7.0, 9.5]
    """
    inside = np.minimum(np.maximum(margins, LOW), HIGH)
    places = np.minimum((inside - LOW).astype(np.intp), KNOTS - 2)
    low, high = heights.take(places, mode="clip"), heights.take(places + 1, mode="clip")
    # Rounding may lift the end of a piece above the next knot: the minimum keeps the order exact.
    between = np.minimum(low + (inside - LOW - places) * (high - low), high)
    result: Floats = between + (margins - inside) * heights[_BEYOND]
    return result
