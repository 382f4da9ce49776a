"""The River models behind the fraud score: what learns. Workers never import this; see `models/compiled.py`.

A logistic regression over the shaped features plus the anomaly score of half-space trees. It starts from
the expert's weights (`models/prior.py`). AdaGrad gives each weight its own step size, so a rare flag still
learns when it shows up while a feature seen every time settles; the intercept has a constant small step.
"""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
from river import anomaly as river_anomaly
from river import linear_model, optim, utils

from features.catalogue import SIZE
from models import prior
from models.compiled import ANOMALY_NAMES, ANOMALY_ROWS, CONTRIBUTION_NAMES, FraudArrays, shape_anomaly, squash
from models.half_space import HalfSpaceBatch
from models.learning.unpickler import load_river
from models.shaping import Floats, shape_columns

# At 0.3 the few frauds of a small bank undo the prior; at 0.05 a new one learns slowly (docs/models.md).
LEARNING_RATE = 0.1
INTERCEPT_LEARNING_RATE = 0.01
# Weak: it only keeps weights nothing ever speaks for from drifting.
L2 = 1e-6
TREES, HEIGHT, WINDOW = 10, 6, 1000
SEED = 20180401


class FraudModel:
    """River's logistic regression and half-space trees under one roof; `learn_one`, `score_one`, `compile`."""

    def __init__(self) -> None:
        self._linear = linear_model.LogisticRegression(
            optimizer=optim.AdaGrad(LEARNING_RATE),
            l2=L2,
            intercept_init=prior.INTERCEPT,
            intercept_lr=INTERCEPT_LEARNING_RATE,
        )
        # River has no public way to start from given weights; the contract test would notice a change.
        self._linear._weights = utils.VectorDict({name: prior.WEIGHTS[name] for name in CONTRIBUTION_NAMES})
        for name in CONTRIBUTION_NAMES:
            self._linear.optimizer.g2[name] = prior.STRENGTH
        self._river_trees = river_anomaly.HalfSpaceTrees(n_trees=TREES, height=HEIGHT, window_size=WINDOW, seed=SEED)
        self._batch: HalfSpaceBatch | None = None

    def learn_one(self, vector: Floats, anomaly: float, fraud: bool, weight: float = 1.0) -> None:
        """Learn one label with the vector and anomaly score as they were when the event was scored.

        Parameters
        ----------
        vector
            Raw features, shape (SIZE,).
        anomaly
            The recorded anomaly score, 0..1.
        fraud
            The truth.
        weight
            Inverse of the chance that this label was kept, so that the intercept stays a base rate.
        """
        self.learn_many(vector.reshape(1, SIZE), [(anomaly, fraud, weight)])

    def learn_many(self, vectors: Floats, labels: list[tuple[float, bool, float]]) -> None:
        """`learn_one` over rows in order; only the shaping is shared, the result is the same."""
        anomalies = shape_anomaly(np.array([label[0] for label in labels], dtype=np.float64)).tolist()
        for row, shaped, (_, fraud, weight) in zip(shape_columns(vectors).T.tolist(), anomalies, labels, strict=True):
            row.append(shaped)
            self._linear.learn_one(dict(zip(CONTRIBUTION_NAMES, row, strict=True)), fraud, w=weight)

    def observe_one(self, vector: Floats) -> None:
        """Let the half-space trees see an event; no label is needed."""
        self.observe_many(vector.reshape(1, SIZE))

    def observe_many(self, vectors: Floats) -> None:
        """`observe_one` over rows in order, as River would; a fraction of a microsecond each."""
        if self._batch is None:
            self._batch = HalfSpaceBatch(self._river_trees, ANOMALY_NAMES)
        self._batch.learn_many(np.ascontiguousarray(squash(shape_columns(vectors)[ANOMALY_ROWS]).T))

    @property
    def _trees(self) -> Any:
        """River's own trees, brought up to what the batches have learned."""
        if self._batch is not None:
            self._batch.write_back(self._river_trees)
        return self._river_trees

    def score_one(self, vector: Floats) -> tuple[float, float]:
        """River's own (probability of fraud, anomaly score); what compiled scores are held against."""
        columns = shape_columns(vector.reshape(1, SIZE))
        anomaly = float(self._trees.score_one(_tree_inputs(columns)[0]))
        values = [*columns[:, 0].tolist(), float(shape_anomaly(np.array([anomaly]))[0])]
        proba = self._linear.predict_proba_one(dict(zip(CONTRIBUTION_NAMES, values, strict=True)))
        return float(proba[True]), anomaly

    def compile(self) -> FraudArrays:
        """The present state as flat arrays; later learning does not change them."""
        weights = self._linear.weights
        inner = 2**HEIGHT - 1
        features = np.zeros((TREES, inner), dtype=np.int64)
        thresholds = np.zeros((TREES, inner))
        leaves = np.zeros((TREES, inner + 1))
        trees = self._trees
        ready = not trees._first_window
        if ready:
            places = {name: place for place, name in enumerate(ANOMALY_NAMES)}
            for tree, root in enumerate(trees.trees):
                _flatten(root, 0, 0.0, True, features[tree], thresholds[tree], leaves[tree], places)
        return FraudArrays(
            weights=np.array([float(weights[name]) for name in CONTRIBUTION_NAMES]),
            intercept=float(self._linear.intercept),
            node_feature=features,
            node_threshold=thresholds,
            leaf_score=leaves,
            score_max=float(trees._max_score) if ready else 0.0,
        )

    def dump(self) -> bytes:
        """The River objects for the learner's own signed checkpoint; never sent to workers."""
        return pickle.dumps((self._linear, self._trees), protocol=5)

    @classmethod
    def load(cls, data: bytes) -> FraudModel:
        """Restore what `dump` wrote, through the restricted unpickler; the caller has checked the signature."""
        model = cls.__new__(cls)
        model._linear, model._river_trees = load_river(data)
        model._batch = None
        return model


def _tree_inputs(columns: Floats) -> list[dict[str, float]]:
    rows: list[list[float]] = squash(columns[ANOMALY_ROWS]).T.tolist()
    return [dict(zip(ANOMALY_NAMES, row, strict=True)) for row in rows]


def _flatten(
    node: Any, place: int, score: float, walking: bool, features: Any, thresholds: Any, leaves: Any,
    places: dict[str, int],
) -> None:  # fmt: skip
    # River's walk adds mass * 2**depth on its way down and stops after a node with little mass; where it
    # stops depends on the node alone, so each leaf can carry the sum of its whole path.
    depth = (place + 1).bit_length() - 1
    if walking:
        score += node.r_mass * 2**depth
        walking = node.r_mass >= 0.1 * WINDOW
    if depth == HEIGHT:
        leaves[place - len(features)] = score
        return
    features[place] = places[node.feature]
    thresholds[place] = node.threshold
    for side, child in enumerate(node.children):
        _flatten(child, 2 * place + 1 + side, score, walking, features, thresholds, leaves, places)
