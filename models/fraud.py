"""The River models behind the fraud score: what learns. Workers never import this; see `models/compiled.py`.

Three members look at the same shaped features and the anomaly score of half-space trees (docs/models.md):

- *slow*, one line per feature, starts from the expert's weights (`models/prior.py`) and moves little;
- *fast*, one curve per feature (`models/hats.py`) and a height for each exact amount that frauds repeat
  (`models/amounts.py`), starts at the same lines, learns in large steps and is published as its running mean;
- *tree* (`models/trees.py`) sees what features say only together.

A stacker learns how far to trust each. It starts from slow alone and, with every fraud that was learned, from more of
fast: `CREDIBLE` frauds are worth half of it. A monotone curve (`models/calibration.py`) turns their sum into a
probability. Every part is additive per feature, so the whole is.
"""

from __future__ import annotations

import pickle
from collections.abc import Hashable
from typing import Any

import numpy as np
from river import anomaly as river_anomaly

from features.catalogue import SIZE
from models import prior
from models.amounts import KNOWN_MAX, KnownAmounts, Unit
from models.calibration import Calibrator
from models.compiled import AMOUNT, ANOMALY_NAMES, ANOMALY_ROWS, CONTRIBUTION_NAMES, FraudArrays, shape_anomaly, squash
from models.errors import CheckpointError
from models.half_space import HalfSpaceBatch, flatten
from models.hats import KNOTS, Curves, curves_of_lines, inputs, sparse
from models.learning.unpickler import load_river
from models.linear import RunningMean, moved_share, regression, weights_of
from models.shaping import Floats, shape_columns, sigmoid
from models.trees import GrowingTree, questions

# Settings were chosen on the handbook's test weeks and on towns 4 to 13: docs/models.md.
SLOW_RATE, FAST_RATE, INTERCEPT_RATE = 0.03, 0.3, 0.01
# A town's few frauds need the stacker slow, the handbook's many would bear 0.1.
STACK_RATE, STACK_STRENGTH, STACK_INTERCEPT_RATE = 0.07, 30.0, 0.001
# So many frauds learned, and the curves are believed as much as the expert's lines before the stacker says otherwise.
CREDIBLE = 100.0
# Running means move this share of the way every six hours of event time: half of it in three and a half days.
MEAN_SHARE, MEAN_EVERY_MS = 0.05, 6 * 3_600_000
# Of a mean that is not young any more (`models.linear.moved_share`).
_OLD = 1 << 60
# After drift, for so long, running means move so many times as far, and old gradients count for so much less.
QUICK_MS, QUICK_SHARE, QUICK_FADE = 14 * 86_400_000, 4.0, 0.25
TREES, HEIGHT, WINDOW = 10, 6, 1000
SEED = 20180401
# Of a dumped model.
_PARTS = 5

_WIDTH = SIZE + 1
# What the stacker weighs: the members that are additive, blended by credibility; what the curves add to the lines; the
# tree.
_BLEND, _BEND, _TREE = range(3)
_STACK_NAMES: list[Hashable] = [_BLEND, _BEND, _TREE]
_SLOW_NAMES: list[Hashable] = list(range(_WIDTH))
# Where known amounts have their inputs, after those of the curves.
_KNOWN = _WIDTH * KNOTS
_FAST_NAMES: list[Hashable] = list(range(_KNOWN + KNOWN_MAX))
# Repeated amounts are few and say much: they start with no opinion that would hold them back.
_KNOWN_STRENGTH = 0.1


class FraudModel:
    """The ensemble and its half-space trees under one roof; `learn_many`, `advance`, `score_one`, `compile`.

    Parameters
    ----------
    fast_rate
        Learning rate of the curves.
    mean_share
        Share of the way the running means move every `MEAN_EVERY_MS` of event time.
    """

    def __init__(self, *, fast_rate: float = FAST_RATE, mean_share: float = MEAN_SHARE) -> None:
        start = np.array([prior.WEIGHTS[name] for name in CONTRIBUTION_NAMES])
        self._slow = regression(
            dict(enumerate(start.tolist())), SLOW_RATE, prior.STRENGTH, prior.INTERCEPT, INTERCEPT_RATE
        )
        self._fast = regression(
            dict(enumerate([*curves_of_lines(start).ravel().tolist(), *([0.0] * KNOWN_MAX)])), fast_rate,
            prior.STRENGTH, prior.INTERCEPT, INTERCEPT_RATE,
        )  # fmt: skip
        self._unit, self._known = Unit(), KnownAmounts()
        for slot in range(KNOWN_MAX):
            self._forget(slot)
        self._fast_mean = RunningMean(self._fast, _FAST_NAMES)
        self._curves = Curves(self._heights())
        self._tree = GrowingTree()
        self._stack = regression(
            {_BLEND: 1.0, _BEND: 0.0, _TREE: 0.0}, STACK_RATE, STACK_STRENGTH, 0.0, STACK_INTERCEPT_RATE
        )
        self._calibrator = Calibrator()
        self._frauds = 0
        self._mean_share, self._mean_ms, self._mean_steps, self._quick_until_ms = mean_share, -1, 0, -1
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
        """Learn rows in order: (anomaly, truth, weight) each, as in `learn_one`.

        The stacker and the calibrator learn from what the lines and curves said *before* any of these rows, which
        is also what makes it cheap; so rows that are learned together belong to one epoch.
        """
        columns = shape_columns(vectors, room=1, unit=self._unit.value)
        columns[SIZE] = shape_anomaly(np.array([label[0] for label in labels], dtype=np.float64))
        amounts: list[float] = vectors[:, AMOUNT].tolist()
        slow, fast = self._line_margins(columns), self._curve_margins(columns)
        rows = columns.T
        keys = np.broadcast_to(np.arange(_WIDTH, dtype=np.intp), rows.shape)
        for (_, fraud, weight), slow_margin, fast_margin, line, hats, asked, amount in zip(
            labels, slow, fast, sparse(keys, rows), inputs(columns), questions(columns), amounts, strict=True
        ):
            slot = self._known.slots.get(amount)
            if slot is not None:
                hats[_KNOWN + slot] = 1.0
                fast_margin += self._fast_mean.weights[_KNOWN + slot]
            margins = self._weighed(slow_margin, fast_margin, self._tree.margin_one(asked))
            self._calibrator.learn_one(self._stack._raw_dot_one(margins), fraud, weight)
            self._stack.learn_one(margins, fraud, w=weight)
            self._slow.learn_one(line, fraud, w=weight)
            self._fast.learn_one(hats, fraud, w=weight)
            self._tree.learn_one(asked, fraud, weight)
            if fraud:
                self._frauds += 1
                new = self._known.learn_fraud(amount)
                if new is not None:
                    self._forget(new)
                    self._fast_mean.weights[_KNOWN + new] = 0.0

    def advance(self, at_ms: int) -> None:
        """Let event time pass: the running means move on a grid of `MEAN_EVERY_MS`; the first call only sets it."""
        steps = at_ms // MEAN_EVERY_MS - self._mean_ms // MEAN_EVERY_MS if self._mean_ms >= 0 else 0
        self._mean_ms = max(at_ms, self._mean_ms)
        if steps > 0:
            quick = QUICK_SHARE if at_ms <= self._quick_until_ms else 1.0
            # Young is a mean from the first fraud on: without one there is nothing to hurry to.
            before = self._mean_steps if self._frauds else _OLD
            share = moved_share(min(1.0, quick * self._mean_share), before, steps)
            self._mean_steps += steps if self._frauds else 0
            self._fast_mean.advance(share)
            self._curves = Curves(self._heights())
            self._calibrator.mean.advance(share)

    def quicken(self) -> None:
        """The world has changed: for `QUICK_MS` of event time follow it faster. What was learned is not thrown away."""
        self._quick_until_ms = max(self._mean_ms, 0) + QUICK_MS
        for model, floor in ((self._slow, prior.STRENGTH), (self._fast, prior.STRENGTH), (self._stack, STACK_STRENGTH)):
            sums = model.optimizer.g2
            for name in sums:
                sums[name] = max(floor, QUICK_FADE * sums[name])

    def observe_one(self, vector: Floats) -> None:
        """Let the half-space trees see an event; no label is needed."""
        self.observe_many(vector.reshape(1, SIZE))

    def observe_many(self, vectors: Floats) -> None:
        """`observe_one` over rows in order, as River would; a fraction of a microsecond each."""
        if self._batch is None:
            self._batch = HalfSpaceBatch(self._river_trees, ANOMALY_NAMES)
        self._unit.observe_many(vectors[:, AMOUNT])
        # As they are: where amounts are all alike to them, these trees look at how often and how new, and say more.
        self._batch.learn_many(np.ascontiguousarray(squash(shape_columns(vectors)[ANOMALY_ROWS]).T))

    @property
    def trust(self) -> dict[str, float]:
        """How far the stacker trusts each member."""
        blend, bend, tree = weights_of(self._stack, _STACK_NAMES).tolist()
        share = self._credibility
        return {"slow": blend * (1.0 - share) - bend, "fast": blend * share + bend, "tree": tree}

    def score_one(self, vector: Floats) -> tuple[float, float]:
        """River's own (probability of fraud, anomaly score); what compiled scores are held against."""
        columns = shape_columns(vector.reshape(1, SIZE), room=1, unit=self._unit.value)
        anomaly = float(self._trees.score_one(_tree_inputs(shape_columns(vector.reshape(1, SIZE)))[0]))
        columns[SIZE] = shape_anomaly(np.array([anomaly]))
        whole = dict(enumerate(columns[:, 0].tolist()))
        hats = next(inputs(columns))
        slot = self._known.slots.get(float(vector[AMOUNT]))
        if slot is not None:
            hats[_KNOWN + slot] = 1.0
        margins = self._weighed(
            self._slow._raw_dot_one(whole),
            self._fast_mean.river()._raw_dot_one(hats),
            self._tree.margin_one(next(questions(columns))),
        )
        margin = self._calibrator.calibrate_one(self._stack._raw_dot_one(margins))
        return float(sigmoid(np.array([margin]))[0]), anomaly

    def compile(self) -> FraudArrays:
        """The present state as flat arrays; later learning does not change them."""
        trust = self.trust
        lines = curves_of_lines(weights_of(self._slow, _SLOW_NAMES))
        tree = self._tree.compile()
        trees = self._trees
        features, thresholds, leaves = flatten(trees, ANOMALY_NAMES)
        known, heights = self._known.compile(self._fast_mean.weights[_KNOWN:])
        return FraudArrays(
            curves=trust["slow"] * lines + trust["fast"] * self._heights(),
            intercept=float(self._stack.intercept)
            + trust["slow"] * float(self._slow.intercept)
            + trust["fast"] * self._fast_mean.intercept
            + trust["tree"] * tree.start,
            tree_feature=tree.feature, tree_threshold=tree.threshold, tree_children=tree.children,
            tree_paths=trust["tree"] * tree.paths, tree_depth=tree.depth, calibration=self._calibrator.heights(),
            node_feature=features, node_threshold=thresholds, leaf_score=leaves,
            score_max=0.0 if trees._first_window else float(trees._max_score),
            unit=self._unit.value, known_amounts=known, known_heights=trust["fast"] * heights,
        )  # fmt: skip

    def dump(self) -> bytes:
        """The River objects for the learner's own signed checkpoint; never sent to workers."""
        tree, calibrator = self._tree, self._calibrator
        river = (self._slow, self._fast, tree.river, self._stack, calibrator.river, self._trees)
        numbers = (self._fast_mean.dump(), calibrator.mean.dump(), calibrator.frauds, tree.goods, tree.goods_weight)
        times = (self._mean_share, self._mean_ms, self._mean_steps, self._quick_until_ms, self._frauds)
        return pickle.dumps((river, numbers, times, self._unit.dump(), self._known.dump()), protocol=5)

    @classmethod
    def load(cls, data: bytes) -> FraudModel:
        """Restore what `dump` wrote, through the restricted unpickler; the caller has checked the signature."""
        saved = load_river(data)
        if len(saved) != _PARTS:
            raise CheckpointError(
                f"expected a model of {_PARTS} parts, found {len(saved)}: the checkpoint is of another release; start "
                "the learner without it, it learns anew from the decisions that are kept"
            )
        river, numbers, times, unit, known = saved
        model = cls()
        tree = model._tree
        model._slow, model._fast, tree.river, model._stack, calibration, model._river_trees = river
        fast_mean, calibration_mean, frauds, tree.goods, tree.goods_weight = numbers
        model._mean_share, model._mean_ms, model._mean_steps, model._quick_until_ms, model._frauds = times
        model._unit.load(unit)
        model._known.load(known)
        model._fast_mean = RunningMean(model._fast, _FAST_NAMES)
        model._fast_mean.load(fast_mean)
        model._curves = Curves(model._heights())
        model._calibrator.follow(calibration, calibration_mean, frauds)
        return model

    @property
    def _trees(self) -> Any:
        """River's own half-space trees, brought up to what the batches have learned."""
        if self._batch is not None:
            self._batch.write_back(self._river_trees)
        return self._river_trees

    def _heights(self) -> Floats:
        return self._fast_mean.weights[:_KNOWN].reshape(_WIDTH, KNOTS)

    def _forget(self, slot: int) -> None:
        self._fast._weights[_KNOWN + slot] = 0.0
        self._fast.optimizer.g2[_KNOWN + slot] = _KNOWN_STRENGTH

    @property
    def _credibility(self) -> float:
        return self._frauds / (self._frauds + CREDIBLE)

    def _weighed(self, slow: float, fast: float, tree: float) -> dict[int, float]:
        bend = fast - slow
        return {_BLEND: slow + self._credibility * bend, _BEND: bend, _TREE: tree}

    def _line_margins(self, columns: Floats) -> list[float]:
        weights = weights_of(self._slow, _SLOW_NAMES).reshape(-1, 1)
        return _sums(np.multiply(columns, weights), float(self._slow.intercept))

    def _curve_margins(self, columns: Floats) -> list[float]:
        return _sums(self._curves.values(columns), self._fast_mean.intercept)


def _sums(parts: Floats, intercept: float) -> list[float]:
    # Top to bottom and not by a library that may choose its own order.
    parts[0] += intercept
    sums: list[float] = np.add.accumulate(parts, axis=0)[-1].tolist()
    return sums


def _tree_inputs(columns: Floats) -> list[dict[str, float]]:
    rows: list[list[float]] = squash(columns[ANOMALY_ROWS]).T.tolist()
    return [dict(zip(ANOMALY_NAMES, row, strict=True)) for row in rows]
