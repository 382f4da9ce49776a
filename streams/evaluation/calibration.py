"""Whether a probability of 5 % means five in a hundred."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.shaping import Floats
from streams.evaluation.metrics import Truth

# Fixed, so that two runs can be compared bin by bin; finer where most rows are.
EDGES = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
# A score of 0 or 1 has no logit.
_SMALLEST = 1e-9
_STEP_MAX, _STEPS_MAX = 0.5, 100
_Z95 = 1.959963984540054


def calibration(fraud: Truth, score: Floats) -> dict[str, Any]:
    """Slope, intercept, observed over expected, Brier score and skill, and the bins; None where undefined."""
    n = len(score)
    fitted = recalibrated(fraud, score)
    brier = float(np.mean((score - fraud) ** 2)) if n else None
    base = float(fraud.mean()) if n else 0.0
    spread = base * (1 - base)
    expected = float(score.sum())
    return {
        "slope": fitted and fitted[0],
        "intercept": fitted and fitted[1],
        "observed_over_expected": float(fraud.sum() / expected) if expected > 0 else None,
        "brier": brier,
        "brier_skill": 1 - brier / spread if brier is not None and spread > 0 else None,
        "bins": bins(fraud, score),
    }


def recalibrated(fraud: Truth, score: Floats) -> tuple[float, float] | None:
    """Slope and intercept of a logistic regression of the truth on the score's own logit; (1, 0) is calibrated.

    None without both frauds and good rows. Newton's method; sums, not BLAS, so that the bytes are the same.
    """
    if not fraud.any() or fraud.all():
        return None
    p = np.clip(score, _SMALLEST, 1 - _SMALLEST)
    x = np.log(p / (1 - p))
    a, b = 0.0, 1.0
    for _ in range(_STEPS_MAX):
        q = 1 / (1 + np.exp(-np.clip(a + b * x, -30, 30)))
        rest, weight = fraud - q, q * (1 - q)
        wx = weight * x
        aa, ab, bb = float(weight.sum()) + 1e-9, float(wx.sum()), float((wx * x).sum()) + 1e-9
        ga, gb = float(rest.sum()), float((rest * x).sum())
        determinant = aa * bb - ab * ab
        if determinant <= 0:
            break
        da, db = (bb * ga - ab * gb) / determinant, (aa * gb - ab * ga) / determinant
        # Far from the answer Newton's full step overshoots.
        short = max(1.0, max(abs(da), abs(db)) / _STEP_MAX)
        a, b = a + da / short, b + db / short
        if max(abs(da), abs(db)) < 1e-9:
            break
    return b, a


def bins(fraud: Truth, score: Floats) -> list[dict[str, Any]]:
    """Rows by predicted probability: counts, mean prediction, observed share with its 95 % (Wilson) interval."""
    place = np.clip(np.searchsorted(EDGES, score, side="right") - 1, 0, len(EDGES) - 2)
    size = len(EDGES) - 1
    counts = np.bincount(place, minlength=size)
    frauds = np.bincount(place, weights=fraud, minlength=size)
    sums = np.bincount(place, weights=score, minlength=size)
    rows = []
    for number in np.flatnonzero(counts).tolist():
        n, hits, predicted = int(counts[number]), int(frauds[number]), float(sums[number])
        low, high = wilson(hits, n)
        rows.append({
            "from": EDGES[number], "until": EDGES[number + 1], "n": n, "frauds": hits, "predicted": predicted / n,
            "observed": hits / n, "observed_low": low, "observed_high": high,
            "observed_over_expected": hits / predicted if predicted > 0 else None,
        })  # fmt: skip
    return rows


def wilson(hits: int, n: int) -> tuple[float, float]:
    """95 % interval of a share.

    Examples
    --------
    >>> [round(v, 4) for v in wilson(5, 10)]
    [0.2366, 0.7634]
    """
    share, z2 = hits / n, _Z95 * _Z95
    middle, wide = share + z2 / (2 * n), _Z95 * ((share * (1 - share) + z2 / (4 * n)) / n) ** 0.5
    return max(0.0, (middle - wide) / (1 + z2 / n)), min(1.0, (middle + wide) / (1 + z2 / n))
