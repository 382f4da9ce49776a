"""River's logistic regression over hats, with the running mean of its weights: what both credit models are made of."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from models.linear import regression

# Points are fitted to few outcomes: steps are large, and what is published is their running mean.
_RATE, _INTERCEPT_RATE, _STRENGTH = 0.4, 0.01, 1.0
_MEAN_EVERY, _MEAN_SHARE = 250, 0.1

Projection = Callable[[Mapping[int, float], Mapping[int, float]], dict[int, float]]


class HatRegression:
    """Learns one lesson at a time; `mean` and `mean_intercept` are what to score with.

    Parameters
    ----------
    weights, intercept
        Where it starts, log-odds of bad.
    project
        Applied to the weights every 250 lessons; none leaves them free.
    """

    def __init__(self, weights: Mapping[int, float], intercept: float, project: Projection | None = None) -> None:
        self._project = project
        start = dict[Hashable, float](weights.items())
        self._river = regression(start, _RATE, _STRENGTH, intercept, _INTERCEPT_RATE)
        self.mean = dict(weights)
        self.mean_intercept = intercept
        self.lessons = 0

    def learn_one(self, seen: dict[int, float], bad: bool) -> None:
        """Learn one outcome."""
        self._river.learn_one(seen, bad)
        self.lessons += 1
        if self.lessons % _MEAN_EVERY == 0:
            self.settle(_MEAN_SHARE)

    def settle(self, share: float) -> None:
        """Put the weights right and move their mean towards them by this share of the way."""
        weights = self._river._weights
        if self._project is not None:
            for name, value in self._project(self._present(), self._river.optimizer.g2).items():
                weights[name] = value
        for name, value in self._present().items():
            before = self.mean.get(name, 0.0)
            self.mean[name] = before + share * (value - before)
        self.mean_intercept += share * (float(self._river.intercept) - self.mean_intercept)

    def _present(self) -> dict[int, float]:
        weights = self._river._weights
        return {int(name): float(weights[name]) for name in sorted(weights)}

    def log_odds(self, seen: Mapping[int, float]) -> float:
        """Log-odds of bad by the mean weights."""
        mean = self.mean
        return self.mean_intercept + sum(mean.get(name, 0.0) * share for name, share in seen.items())

    def dump(self) -> list[Any]:
        """Plain values for a checkpoint."""
        squares = self._river.optimizer.g2
        present = self._present()
        rows = [[name, present[name], float(squares[name]), self.mean.get(name, 0.0)] for name in present]
        return [self.lessons, float(self._river.intercept), self.mean_intercept, rows]

    @classmethod
    def load(cls, data: Sequence[Any], project: Projection | None = None) -> HatRegression:
        """Restore what `dump` wrote."""
        lessons, intercept, mean_intercept, rows = data
        model = cls({name: weight for name, weight, _, _ in rows}, intercept, project)
        for name, _, square, mean in rows:
            model._river.optimizer.g2[name] = square
            model.mean[name] = mean
        model.lessons, model.mean_intercept = lessons, mean_intercept
        return model
