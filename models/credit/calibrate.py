"""The level of a card: points to add so that as many default as it says, and the step from a year to ninety days."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.credit.scale import FACTOR, OFFSET

# Defaults that the level as it stands is worth: few new ones move it little.
_PRIOR_DEFAULTS = 5.0
_STEPS = 25


def level(points: Sequence[float], bad: Sequence[bool]) -> float:
    """Points to add to every score; 0 without lessons.

    Solves sum of PDs = sum of defaults by Newton's method; `_PRIOR_DEFAULTS` defaults, as expected, are mixed in.
    """
    if not points:
        return 0.0
    log_odds = (OFFSET - np.asarray(points, dtype=np.float64)) / FACTOR
    expected = 1.0 / (1.0 + np.exp(-log_odds))
    # As many pretended lessons as hold the prior's defaults, right on average.
    weight = _PRIOR_DEFAULTS / max(1e-9, float(expected.sum()))
    target = float(np.count_nonzero(bad)) + _PRIOR_DEFAULTS
    shift = 0.0
    for _ in range(_STEPS):
        pd = 1.0 / (1.0 + np.exp(-(log_odds + shift)))
        slope = (1.0 + weight) * float((pd * (1.0 - pd)).sum())
        step = (target - (1.0 + weight) * float(pd.sum())) / max(slope, 1e-9)
        shift += max(-1.0, min(1.0, step))
    return -FACTOR * shift


def short_of(points: Sequence[float], soon: Sequence[bool], prior: tuple[float, float]) -> tuple[float, float]:
    """Intercept and slope from log-odds of the 12-month PD to those of 90 days, drawn to `prior` where data are few.

    Newton's method on the penalised logistic likelihood; the slope stays between a half and two.
    """
    if not points:
        return prior
    log_odds = (OFFSET - np.asarray(points, dtype=np.float64)) / FACTOR
    truth = np.asarray(soon, dtype=np.float64)
    columns = np.stack([np.ones_like(log_odds), log_odds])
    held, weights = np.array(prior), np.array(prior)
    firmness = np.diag([1.0, 10.0])
    for _ in range(_STEPS):
        pd = 1.0 / (1.0 + np.exp(-(weights @ columns)))
        gradient = columns @ (truth - pd) - firmness @ (weights - held)
        curvature = (columns * (pd * (1.0 - pd))) @ columns.T + firmness
        weights = weights + np.clip(np.linalg.solve(curvature, gradient), -1.0, 1.0)
    return float(weights[0]), float(min(2.0, max(0.5, weights[1])))
