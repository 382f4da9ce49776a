"""A fraud model as flat arrays: a whole batch scored in a few NumPy calls, to the byte as one by one.

Every operation is element-wise or a left-to-right accumulation over the features, so neither the batch
size nor the machine changes a bit. `models/fraud.py` compiles; River's own answer agrees within 1e-9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.catalogue import INDEX, SIZE
from models.prior import CONTRIBUTION_NAMES
from models.shaping import CLIP, Floats, shape_columns, sigmoid

__all__ = ["CONTRIBUTION_NAMES", "CompiledFraud", "FraudArrays", "FraudScores", "shape_anomaly", "squash"]

# What the half-space trees look at: how the event sits in the customer's own life. Flags and shared
# indicators are left out: a tree can only halve a range, and halving {0, 1} says nothing.
ANOMALY_NAMES: tuple[str, ...] = (
    "amount_last", "tx_count_1h", "tx_count_1d", "tx_count_7d", "amount_sum_1d", "amount_sum_7d",
    "amount_mean_ratio_30d", "tx_rate_ratio_1d", "amount_zscore_baseline", "amount_max_ratio_baseline",
    "channel_share_baseline", "novelty_count_7d", "gap_since_last",
)  # fmt: skip
ANOMALY_ROWS = np.array([INDEX[name] for name in ANOMALY_NAMES], dtype=np.intp)
# The linear model sees only what lies above the score of ordinary events: 0 up to the center, then rising.
ANOMALY_CENTER, ANOMALY_SCALE = 0.6, 0.1
# Below this many events a walk in Python is faster than NumPy's fixed price per call; the answer is the same.
_WALK_MAX = 4


@dataclass(frozen=True, slots=True, eq=False)
class FraudArrays:
    """Everything that scoring needs, as plain arrays and numbers.

    Parameters
    ----------
    weights, intercept
        Logit units per shaped feature, in the order of `CONTRIBUTION_NAMES`; shape (SIZE + 1,).
    node_feature, node_threshold
        Half-space trees as complete binary trees in heap order, shape (trees, 2**height - 1); the feature is a
        place in `ANOMALY_NAMES`.
    leaf_score
        What River's walk would have added up on the way to each leaf, shape (trees, 2**height); whole numbers,
        so that sums are exact in any order.
    score_max
        River's normaliser; 0 while the first window is not full, and then every anomaly score is 0.
    """

    weights: Floats
    intercept: float
    node_feature: NDArray[np.int64]
    node_threshold: Floats
    leaf_score: Floats
    score_max: float


class FraudScores(NamedTuple):
    """Scores of n events; `contributions` in logit units, ``intercept + sum(contributions) = margin``."""

    probability: Floats
    anomaly: Floats
    margin: Floats
    contributions: Floats


def squash(shaped: Floats) -> Floats:
    """Shaped features onto (0, 1) for the trees: 0.5 is ordinary; steep there, flat far out."""
    result: Floats = 0.5 + 0.5 * shaped / (1.0 + np.abs(shaped))
    return result


def shape_anomaly(anomaly: Floats) -> Floats:
    """The anomaly score as the linear model sees it: 0 up to `ANOMALY_CENTER`, at most 5."""
    return np.minimum(np.maximum((anomaly - ANOMALY_CENTER) / ANOMALY_SCALE, 0.0), CLIP)


class CompiledFraud:
    """Scores batches with one immutable set of arrays; no state between calls.

    Parameters
    ----------
    arrays
        From `FraudModel.compile` or a verified snapshot; not copied, must not change.
    """

    def __init__(self, arrays: FraudArrays) -> None:
        trees, inner = arrays.node_feature.shape
        if arrays.weights.shape != (SIZE + 1,) or arrays.leaf_score.shape != (trees, inner + 1):
            raise ValueError(
                f"expected {SIZE + 1} weights and {inner + 1} leaves a tree, found {arrays.weights.shape} and "
                f"{arrays.leaf_score.shape}: compile the arrays with this version"
            )
        self.arrays = arrays
        self.intercept = arrays.intercept
        self._height = (inner + 1).bit_length() - 1
        self._inner = inner
        self._weights = arrays.weights.reshape(-1, 1)
        self._feature = arrays.node_feature.ravel()
        self._threshold = arrays.node_threshold.ravel()
        self._leaf = arrays.leaf_score.ravel()
        self._node_base = (np.arange(trees, dtype=np.int64) * inner).reshape(-1, 1)
        self._leaf_base = (np.arange(trees, dtype=np.int64) * (inner + 1)).reshape(-1, 1)
        self._walks = [
            (features, thresholds, leaves)
            for features, thresholds, leaves in zip(
                arrays.node_feature.tolist(), arrays.node_threshold.tolist(), arrays.leaf_score.tolist(), strict=True
            )
        ]

    def score(self, vectors: Floats) -> FraudScores:
        """Probability, anomaly, margin and contributions of every row.

        Parameters
        ----------
        vectors
            Raw features in catalogue order, shape (n, SIZE); n may be 0.

        Returns
        -------
        Arrays of n rows. A row's answer never depends on its neighbours or on n.
        """
        columns = shape_columns(vectors)
        n = columns.shape[1]
        anomaly = self._anomaly(columns)
        # Row 0 is the intercept; accumulate adds from top to bottom, whatever n is.
        rows = np.empty((SIZE + 2, n))
        rows[0] = self.intercept
        np.multiply(columns, self._weights[:SIZE], out=rows[1 : SIZE + 1])
        np.multiply(shape_anomaly(anomaly), self._weights[SIZE], out=rows[SIZE + 1])
        margin = np.add.accumulate(rows, axis=0)[-1].copy()
        return FraudScores(sigmoid(margin), anomaly, margin, np.ascontiguousarray(rows[1:].T))

    def _anomaly(self, columns: Floats) -> Floats:
        n = columns.shape[1]
        if self.arrays.score_max == 0:
            return np.zeros(n)
        values = squash(columns[ANOMALY_ROWS])
        total = self._walk(values) if n <= _WALK_MAX else self._descend(values)
        result: Floats = 1.0 - total / self.arrays.score_max
        return result

    def _descend(self, values: Floats) -> Floats:
        # All events and all trees go down one level at a time; heap order needs no child pointers.
        n = values.shape[1]
        flat = values.ravel()
        event = np.arange(n, dtype=np.int64)
        node = np.zeros((len(self._node_base), n), dtype=np.int64)
        for _ in range(self._height):
            at = node + self._node_base
            value = flat.take(self._feature.take(at) * n + event)
            node = 2 * node + 1 + (value >= self._threshold.take(at))
        total: Floats = self._leaf.take(node - self._inner + self._leaf_base).sum(axis=0)
        return total

    def _walk(self, values: Floats) -> Floats:
        totals = []
        levels = range(self._height)
        for event in values.T.tolist():
            total = 0.0
            for features, thresholds, leaves in self._walks:
                node = 0
                for _ in levels:
                    node = 2 * node + (1 if event[features[node]] < thresholds[node] else 2)
                total += leaves[node - self._inner]
            totals.append(total)
        return np.array(totals, dtype=np.float64)
