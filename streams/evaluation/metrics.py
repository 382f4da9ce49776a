"""How well scores rank frauds: areas under curves, with ties, and how sure one can be of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.shaping import Floats

Truth = NDArray[np.bool_]
REPLICATES_MAX = 200
# About this many rows are looked at in all replicates together: some seconds.
_BOOTSTRAP_ROWS = 300_000_000
_REPLICATES_MIN = 20


class Ranking:
    """Rows from the highest score to the lowest, equal scores together.

    Parameters
    ----------
    fraud, score
        One entry a row.
    """

    def __init__(self, fraud: Truth, score: Floats) -> None:
        self.order = np.argsort(-score, kind="stable")
        self.fraud = fraud[self.order]
        ranked = score[self.order]
        # Last place of each run of equal scores.
        self.ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True)) if len(ranked) else np.zeros(0, np.intp)

    def curve(self, weight: Floats | None = None) -> tuple[Floats, Floats]:
        """(weighted) frauds and rows at or above each different score."""
        ones = np.ones(len(self.fraud)) if weight is None else weight[self.order]
        return np.cumsum(ones * self.fraud)[self.ends], np.cumsum(ones)[self.ends]

    def auc(self, weight: Floats | None = None) -> float | None:
        """Area under the ROC curve: a fraud scores above a good row, ties count half; None without both."""
        hits, rows = self.curve(weight)
        if not len(hits) or hits[-1] <= 0 or rows[-1] <= hits[-1]:
            return None
        misses = rows - hits
        before = np.concatenate(([0.0], hits[:-1]))
        return float(((before + hits) / 2 * np.diff(misses, prepend=0.0)).sum() / (hits[-1] * misses[-1]))

    def average_precision(self, weight: Floats | None = None) -> float | None:
        """Sum of precision times the step of recall at each different score (no interpolation); None without frauds."""
        hits, rows = self.curve(weight)
        if not len(hits) or hits[-1] <= 0:
            return None
        steps = np.diff(hits, prepend=0.0)
        found = steps > 0
        return float((hits[found] / rows[found] * steps[found]).sum() / hits[-1])


def auc(fraud: Truth, score: Floats) -> float | None:
    """Area under the ROC curve; ties count half.

    Examples
    --------
    >>> auc(np.array([False, False, True, True]), np.array([0.1, 0.4, 0.35, 0.8]))
    0.75
    """
    return Ranking(fraud, score).auc()


def average_precision(fraud: Truth, score: Floats) -> float | None:
    """Average precision, step-wise, as scikit-learn defines it.

    Examples
    --------
    >>> round(average_precision(np.array([False, False, True, True]), np.array([0.1, 0.4, 0.35, 0.8])), 4)
    0.8333
    """
    return Ranking(fraud, score).average_precision()


def intervals(
    fraud: Truth, score: Floats, customer: NDArray[np.int32], seed: int
) -> tuple[list[float] | None, list[float] | None, int]:
    """95 % intervals of AUC and average precision by drawing customers with replacement, and how many draws.

    Customers, not rows: what happens to one customer is not independent. None where a figure is undefined in
    half of the draws or more. O(draws x rows); draws are fewer where rows are many.
    """
    if not len(score):
        return None, None, 0
    ranking = Ranking(fraud, score)
    codes = np.unique(customer, return_inverse=True)[1]
    customers = int(codes.max()) + 1
    draws = int(min(REPLICATES_MAX, max(_REPLICATES_MIN, _BOOTSTRAP_ROWS // len(score))))
    rng = np.random.default_rng(seed)
    areas: tuple[list[float], list[float]] = ([], [])
    for _ in range(draws):
        times = np.bincount(rng.integers(0, customers, customers), minlength=customers)
        weight = times[codes].astype(np.float64)
        for found, value in zip(areas, (ranking.auc(weight), ranking.average_precision(weight)), strict=True):
            if value is not None:
                found.append(value)
    low_high = [
        None if len(found) <= draws // 2 else [float(v) for v in np.percentile(found, [2.5, 97.5])] for found in areas
    ]
    return low_high[0], low_high[1], draws
