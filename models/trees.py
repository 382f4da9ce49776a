"""The tree beside the curves: what two features say only together. River grows it, workers look it up.

A Hoeffding tree splits a leaf once enough labels say that one split is better than the next. A leaf's margin is
the log-odds of the frauds that reached it, a branch's that of all leaves below it. So the margin moves step by step on
the way down, and each step is the share of the feature that was asked there (path contributions, Saabas 2014): a tree
is as additive as a line.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from river import tree as river_tree

from models.prior import ANOMALY, CONTRIBUTION_NAMES
from models.shaping import Floats

# The tree decides on counts: one lesson is one event, whatever it stands for. More bins or candidates cost time and
# find no better splits.
MAX_DEPTH, GRACE_PERIOD, DELTA, TIE = 10, 300, 0.01, 0.1
BINS, SPLITS = 16, 12
# What it may ask; more costs in proportion, and what is left out says little in company that it does not say alone.
TREE_NAMES: tuple[str, ...] = (
    "amount_last", "is_cash", "is_transfer", "is_remote", "is_night", "tx_count_1d", "tx_count_7d", "amount_sum_1d",
    "decline_count_1d", "amount_zscore_baseline", "unusual_count_7d", "device_new", "country_foreign",
    "gap_since_last", "tenure", "fraud_confirmed_recent", "terminal_fraud_count_7d", "terminal_good_since",
    "terminal_fraud_age", "merchant_fraud_rate", "device_fraud_rate", ANOMALY,
)  # fmt: skip
TREE_PLACES: tuple[int, ...] = tuple(CONTRIBUTION_NAMES.index(name) for name in TREE_NAMES)
# Of a leaf nobody reached yet: a twentieth of a fraud among half a good event.
_FRAUD_PRIOR, _GOOD_PRIOR = 0.05, 0.5
# No estimate of its memory: the depth bounds it.
_NEVER = 10**12


class TreeArrays(NamedTuple):
    """A decision tree as flat arrays, root first; a leaf is its own child.

    Parameters
    ----------
    feature, threshold
        Asked at each node, shape (nodes,): up to the threshold goes left.
    children
        Left and right child of each node, shape (nodes, 2).
    paths
        What each leaf owes to each feature, margin units, shape (nodes, features); zeros at inner nodes.
    start
        Margin of the root; start + a leaf's path = the leaf's margin.
    depth
        Steps from the root to the deepest leaf.
    """

    feature: NDArray[np.int64]
    threshold: Floats
    children: NDArray[np.int64]
    paths: Floats
    start: float
    depth: int


def questions(columns: Floats) -> Iterator[dict[int, float]]:
    """What the tree may ask of each event; shaped features and anomaly, shape (features, n)."""
    for row in columns.take(TREE_PLACES, axis=0).T.tolist():
        yield dict(zip(TREE_PLACES, row, strict=True))


class GrowingTree:
    """River's Hoeffding tree with margins; learns one label at a time.

    Inputs are ``{place: shaped value}`` of `TREE_PLACES`, places in `CONTRIBUTION_NAMES`.
    """

    def __init__(self) -> None:
        self.river: Any = river_tree.HoeffdingTreeClassifier(
            grace_period=GRACE_PERIOD, max_depth=MAX_DEPTH, delta=DELTA, tau=TIE, leaf_prediction="mc",
            splitter=river_tree.splitter.HistogramSplitter(n_bins=BINS, n_splits=SPLITS),
            memory_estimate_period=_NEVER,
        )  # fmt: skip
        # Good events come as a subsample; this is how many each of them stands for, on average.
        self.goods, self.goods_weight = 0, 0.0

    def learn_one(self, x: dict[int, float], fraud: bool, weight: float) -> None:
        """Learn one label; `weight` is what the event stands for, and only moves all margins alike."""
        self.river.learn_one(x, fraud)
        if not fraud:
            self.goods += 1
            self.goods_weight += weight

    def margin_one(self, x: dict[int, float]) -> float:
        """Margin of the leaf this event falls into; 0 before the first label."""
        root = self.river._root
        if root is None:
            return 0.0
        leaf = root.traverse(x, until_leaf=True) if hasattr(root, "children") else root
        return _log_odds(*_counts(leaf)) - self._shift()

    def compile(self) -> TreeArrays:
        """The present tree as arrays."""
        features = len(CONTRIBUTION_NAMES)
        nodes: list[tuple[int, float, int, int]] = []
        paths: list[Floats] = []
        root, shift = self.river._root, self._shift()
        start = _log_odds(*_counts(root)) - shift if root is not None else 0.0

        def walk(node: Any, margin: float, path: Floats) -> int:
            """Lay down a node and what is below it; returns how deep that goes."""
            place = len(nodes)
            nodes.append((0, math.inf, place, place))
            paths.append(path)
            if not hasattr(node, "children"):
                return 0
            paths[place] = np.zeros(features)
            first, depths = [], []
            for child in node.children:
                below = _log_odds(*_counts(child)) - shift
                way = path.copy()
                way[node.feature] += below - margin
                first.append(len(nodes))
                depths.append(walk(child, below, way))
            nodes[place] = (node.feature, node.threshold, *first)
            return 1 + max(depths)

        depth = walk(root, start, np.zeros(features))
        feature, threshold, left, right = zip(*nodes, strict=True)
        return TreeArrays(
            feature=np.array(feature, dtype=np.int64),
            threshold=np.array(threshold, dtype=np.float64),
            children=np.array([left, right], dtype=np.int64).T.copy(),
            paths=np.array(paths),
            start=start,
            depth=depth,
        )

    def _shift(self) -> float:
        return math.log(self.goods_weight / self.goods) if self.goods else 0.0


def _counts(node: Any) -> tuple[float, float]:
    """Frauds and good ones that reached a node; River keeps them up to date at leaves only."""
    if not hasattr(node, "children"):
        return node.stats.get(True, 0.0), node.stats.get(False, 0.0)
    left, right = (_counts(child) for child in node.children)
    return left[0] + right[0], left[1] + right[1]


def _log_odds(frauds: float, goods: float) -> float:
    return math.log((frauds + _FRAUD_PRIOR) / (goods + _GOOD_PRIOR))
