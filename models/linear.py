"""River's logistic regression as the members of the fraud score use it: from given weights, with a running mean."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np
from river import linear_model, optim, utils

from models.shaping import Floats


class LeanAdaGrad(optim.AdaGrad):  # type: ignore[misc]  # River is not typed
    """River's AdaGrad with all weights moved at once: a quarter cheaper, equal but for the last bits."""

    def _step_with_dict(self, w: Any, g: Any) -> Any:
        sums, eps = self.g2, self.eps
        steps = {}
        for name, gradient in g.items():
            sums[name] = total = sums[name] + gradient * gradient
            steps[name] = gradient / sqrt(total + eps)
        w.isub_scaled(utils.VectorDict(steps), self.learning_rate)
        return w


def regression(
    weights: Mapping[Hashable, float], rate: float, strength: float, intercept: float, intercept_rate: float
) -> linear_model.LogisticRegression:
    """A River logistic regression that starts from these weights.

    Parameters
    ----------
    weights
        Starting point, every input named.
    rate
        AdaGrad's learning rate: a rare input still learns when it shows up, one seen every time settles.
    strength
        Sum of squared gradients each weight starts with: how firmly the start is held.
    intercept, intercept_rate
        Its start and its constant small step.
    """
    model = linear_model.LogisticRegression(
        optimizer=LeanAdaGrad(rate), intercept_init=intercept, intercept_lr=intercept_rate
    )
    # River has no public way to start from given weights; the contract tests would notice a change.
    model._weights = utils.VectorDict(dict(weights))
    for name in weights:
        model.optimizer.g2[name] = strength
    return model


def weights_of(model: linear_model.LogisticRegression, names: list[Hashable]) -> Floats:
    """Present weights in the order of these names."""
    return np.asarray(model._weights.to_numpy(names), dtype=np.float64)


def moved_share(share: float, before: int, steps: int) -> float:
    """How much of the way a running mean goes in so many steps, each a `share` of it, or more while it is young.

    Parameters
    ----------
    share
        Of one step, more than 0, at most 1.
    before
        Steps since there was anything to learn; in the k-th the mean goes 1 / (k + 1) of the way if that is more, so
        that the start counts as one of them.

    Examples
    --------
    >>> round(moved_share(0.05, 0, 2), 3), round(moved_share(0.05, 1, 1), 3), round(moved_share(0.05, 100, 2), 4)
    (0.667, 0.333, 0.0975)
    """
    young = min(steps, max(0, int(1.0 / share) - 1 - before))
    stays = (1.0 - share) ** (steps - young)
    for step in range(before + 1, before + young + 1):
        stays *= 1.0 - 1.0 / (step + 1)
    return 1.0 - stays


class RunningMean:
    """The running mean of a regression's weights: what is published of a member that learns fast.

    Steps large enough to follow new fraud make the weights of the moment noisy; their mean over some days is not.

    Parameters
    ----------
    model
        Learns; only read here.
    names
        Its inputs, in the order of `weights`.
    """

    def __init__(self, model: linear_model.LogisticRegression, names: Sequence[Hashable]) -> None:
        self._model, self._names = model, list[Hashable](names)
        self.weights = weights_of(model, self._names)
        self.intercept = float(model.intercept)

    def advance(self, share: float) -> None:
        """Move towards the present weights by this share of the way."""
        self.weights = self.weights + share * (weights_of(self._model, self._names) - self.weights)
        self.intercept += share * (float(self._model.intercept) - self.intercept)

    def river(self) -> linear_model.LogisticRegression:
        """A River regression with the means for weights: what compiled scores are held against."""
        start = dict(zip(self._names, self.weights.tolist(), strict=True))
        return regression(start, 0.0, 1.0, self.intercept, 0.0)

    def dump(self) -> list[float]:
        """Plain numbers for the checkpoint."""
        return [self.intercept, *self.weights.tolist()]

    def load(self, numbers: Sequence[float]) -> None:
        """Restore what `dump` wrote."""
        self.intercept = numbers[0]
        self.weights = np.array(numbers[1:], dtype=np.float64)
