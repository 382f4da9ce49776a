"""A fraud model as flat arrays: a whole batch scored in a few NumPy calls, to the byte as one by one.

The lines and curves of the members become one curve per feature; each leaf of the tree carries its path. Every
operation is element-wise or a left-to-right accumulation over the features, so neither the batch size nor the
machine changes a bit. `models/fraud.py` compiles; River's own answer agrees within 1e-9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.catalogue import INDEX, SIZE
from models import calibration
from models.hats import KNOTS, Curves
from models.prior import CONTRIBUTION_NAMES
from models.shaping import CLIP, Floats, shape_columns, sigmoid

__all__ = ["CONTRIBUTION_NAMES", "CompiledFraud", "FraudArrays", "FraudScores", "shape_anomaly", "squash"]

# What the half-space trees look at: how the event sits in the customer's own life. Flags and shared
# indicators are left out: a tree can only halve a range, and halving {0, 1} says nothing.
ANOMALY_NAMES: tuple[str, ...] = (
    "amount_last", "tx_count_1h", "tx_count_1d", "tx_count_7d", "amount_sum_1d", "amount_sum_7d",
    "tx_rate_ratio_1d", "amount_zscore_baseline", "amount_max_ratio_baseline",
    "channel_share_baseline", "novelty_count_7d", "gap_since_last",
)  # fmt: skip
AMOUNT = INDEX["amount_last"]
ANOMALY_ROWS = np.array([INDEX[name] for name in ANOMALY_NAMES], dtype=np.intp)
# The linear model sees only what lies above the score of ordinary events: 0 up to the center, then rising.
ANOMALY_CENTER, ANOMALY_SCALE = 0.6, 0.1
# Below this many events a walk in Python is faster than NumPy's fixed price per call; the answer is the same.
_WALK_MAX = 4
# Above it a loop over the rows is faster than NumPy's accumulation down the columns.
_ACCUMULATE_MAX = 24


@dataclass(frozen=True, slots=True, eq=False)
class FraudArrays:
    """Everything that scoring needs, as plain arrays and numbers.

    Parameters
    ----------
    curves, intercept
        Logit units at each knot of each shaped feature, in the order of `CONTRIBUTION_NAMES`; shape (SIZE + 1, KNOTS).
    tree_feature, tree_threshold, tree_children, tree_paths, tree_depth
        The decision tree as in `models.trees.TreeArrays`, its paths as contributions; shapes (nodes,), (nodes,),
        (nodes, 2) and (nodes, SIZE + 1).
    calibration
        Calibrated margin at the knots of the margin, and the slope beyond: `models.calibration.calibrate`.
    node_feature, node_threshold
        Half-space trees as complete binary trees in heap order, shape (trees, 2**height - 1); the feature is a
        place in `ANOMALY_NAMES`.
    leaf_score
        What River's walk would have added up on the way to each leaf, shape (trees, 2**height); whole numbers,
        so that sums are exact in any order.
    score_max
        River's normaliser; 0 while the first window is not full, and then every anomaly score is 0.
    unit
        What amounts are divided by before they are shaped, but for the half-space trees.
    known_amounts, known_heights
        Exact amounts that frauds repeat, minor units, rising, and what each adds to the share of `amount_last`, logit
        units; both of shape (known,).
    """

    curves: Floats
    intercept: float
    tree_feature: NDArray[np.int64]
    tree_threshold: Floats
    tree_children: NDArray[np.int64]
    tree_paths: Floats
    tree_depth: int
    calibration: Floats
    node_feature: NDArray[np.int64]
    node_threshold: Floats
    leaf_score: Floats
    score_max: float
    unit: float
    known_amounts: Floats
    known_heights: Floats


class FraudScores(NamedTuple):
    """Scores of n events, in logit units but for the first two.

    ``intercept + sum(contributions) = raw``; ``raw + calibration = margin``, the logit of the probability.
    `calibration` belongs to no feature: it says how much the ensemble was found to exaggerate at such a margin.
    """

    probability: Floats
    anomaly: Floats
    margin: Floats
    contributions: Floats
    raw: Floats
    calibration: Floats


def squash(shaped: Floats) -> Floats:
    """Shaped features onto (0, 1) for the trees: 0.5 is ordinary; steep there, flat far out."""
    result: Floats = 0.5 + 0.5 * shaped / (1.0 + np.abs(shaped))
    return result


def shape_anomaly(anomaly: Floats) -> Floats:
    """The anomaly score as the linear model sees it: 0 up to `ANOMALY_CENTER`, at most 5."""
    return np.minimum(np.maximum((anomaly - ANOMALY_CENTER) / ANOMALY_SCALE, 0.0), CLIP)


def _added_up(rows: Floats) -> Floats:
    """Sum of the rows, strictly from top to bottom; either way the same additions, each cheaper where it is used."""
    if rows.shape[1] <= _ACCUMULATE_MAX:
        last: Floats = np.add.accumulate(rows, axis=0)[-1].copy()
        return last
    total: Floats = rows[0].copy()
    for row in rows[1:]:
        total += row
    return total


class CompiledFraud:
    """Scores batches with one immutable set of arrays; no state between calls.

    Parameters
    ----------
    arrays
        From `FraudModel.compile` or a verified snapshot; not copied, must not change.
    """

    def __init__(self, arrays: FraudArrays) -> None:
        trees, inner = arrays.node_feature.shape
        for name, found, expected in (
            ("curves", arrays.curves.shape, (SIZE + 1, KNOTS)),
            ("tree_paths", arrays.tree_paths.shape, (len(arrays.tree_feature), SIZE + 1)),
            ("calibration", arrays.calibration.shape, (calibration.KNOTS + 1,)),
            ("leaf_score", arrays.leaf_score.shape, (trees, inner + 1)),
            ("known_heights", arrays.known_heights.shape, arrays.known_amounts.shape),
        ):
            if found != expected:
                raise ValueError(f"expected {name} {expected}, found {found}: compile the arrays with this version")
        self.arrays = arrays
        self.intercept = arrays.intercept
        self._height = (inner + 1).bit_length() - 1
        self._inner = inner
        self._curves = Curves(arrays.curves)
        self._children = arrays.tree_children.ravel()
        nodes = (arrays.tree_feature.tolist(), arrays.tree_threshold.tolist(), arrays.tree_children.tolist())
        self._questions = list(zip(*nodes, strict=True))
        self._known = dict(zip(arrays.known_amounts.tolist(), arrays.known_heights.tolist(), strict=True))
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
        columns = shape_columns(vectors, room=1, unit=self.arrays.unit)
        n = columns.shape[1]
        anomaly = self._anomaly(columns if self.arrays.unit == 1.0 else shape_columns(vectors))
        columns[SIZE] = shape_anomaly(anomaly)
        # Row 0 is the intercept; rows are added from top to bottom, whatever n is.
        rows = np.empty((SIZE + 2, n))
        rows[0] = self.intercept
        contributions = self._curves.values(columns, out=rows[1:])
        if self.arrays.tree_depth:
            contributions += self.arrays.tree_paths.take(self._tree_leaves(columns), axis=0).T
        if self._known:
            contributions[AMOUNT] += self._repeated(vectors[:, AMOUNT])
        raw = _added_up(rows)
        margin = calibration.calibrate(self.arrays.calibration, raw)
        return FraudScores(sigmoid(margin), anomaly, margin, np.ascontiguousarray(contributions.T), raw, margin - raw)

    def _repeated(self, amounts: Floats) -> Floats:
        arrays = self.arrays
        if len(amounts) <= _WALK_MAX:
            return np.array([self._known.get(amount, 0.0) for amount in amounts.tolist()])
        places = arrays.known_amounts.searchsorted(amounts)
        there = arrays.known_amounts.take(places, mode="clip") == amounts
        result: Floats = arrays.known_heights.take(places, mode="clip") * there
        return result

    def _tree_leaves(self, columns: Floats) -> NDArray[np.int64]:
        arrays, n = self.arrays, columns.shape[1]
        if n <= _WALK_MAX:
            return np.array([self._tree_leaf(event) for event in columns.T.tolist()], dtype=np.int64)
        flat, event = columns.ravel(), np.arange(n, dtype=np.int64)
        at = arrays.tree_feature * n
        node = np.zeros(n, dtype=np.int64)
        for _ in range(arrays.tree_depth):
            place = at.take(node)
            place += event
            right = flat.take(place) > arrays.tree_threshold.take(node)
            node += node
            node += right
            node = self._children.take(node)
        return node

    def _tree_leaf(self, event: list[float]) -> int:
        node = 0
        while True:
            feature, threshold, children = self._questions[node]
            below: int = children[event[feature] > threshold]
            if below == node:
                return node
            node = below

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
