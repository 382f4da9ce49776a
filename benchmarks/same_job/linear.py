"""River's `StandardScaler | LogisticRegression`, predict-then-learn, many events at a time, with River's answers.

The scaler does not depend on the regression: its running means and variances are cumulative sums. The regression is
sequential, as each step moves the weights; but every step moves them along that event's own vector,
``w[k] = w[0] - rate * sum(g[j] * z[j] for j < k)``, so the logits of a block depend on each other only through the
products ``z[k] . z[j]``, and its gradients ``g`` are the one solution of ``g = gradient(start - L g)`` with a strictly
lower triangular ``L``. Repeating that equation settles one more event each time, whatever the numbers, and in
practice all of them within ten rounds. No approximation: the same steps in the same order, in other arithmetic.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.same_job.runs import Floats

# Larger blocks cost more for the products, smaller ones more calls.
_BLOCK = 96
# Events whose columns stay in the nearer caches through all of it.
_SPAN = 10 * _BLOCK
_ROUNDS_UNSEEN = 3
_SETTLED = 1e-14
# River's loss takes its limit values beyond this logit.
_STEEP = 18.0


class LinearBatch:
    """Standard scaler and logistic regression trained by plain SGD, as River's defaults make them.

    Parameters
    ----------
    rate, intercept_rate
        Learning rates; River's defaults.
    """

    def __init__(self, features: int, rate: float = 0.01, intercept_rate: float = 0.01) -> None:
        self.n = 0
        self.mean, self.variance = np.zeros((features, 1)), np.zeros((features, 1))
        self.weights, self.intercept = np.zeros(features), 0.0
        self._rate, self._intercept_rate = rate, intercept_rate
        self._lower = np.tri(_BLOCK, k=-1)

    def score_learn_many(self, columns: Floats, labels: Floats) -> Floats:
        """Probability of every event as before learning it; then it is learned.

        Parameters
        ----------
        columns
            Features, shape (features, n), n at least 1.
        labels
            1 or 0, shape (n,).
        """
        spans = range(0, len(labels), _SPAN)
        return np.concatenate([self._span(columns[:, at : at + _SPAN], labels[at : at + _SPAN]) for at in spans])

    def _span(self, columns: Floats, labels: Floats) -> Floats:
        before, after = self._scale(columns)
        n = len(labels)
        # Weights, the intercept's last, as they stand before each event; behind them those after the last.
        held = np.empty((len(self.weights) + 1, n + 1))
        held[:-1, 0], held[-1, 0] = self.weights, self.intercept
        for start in range(0, n, _BLOCK):
            end = min(n, start + _BLOCK)
            vectors, standing = after[:, start:end], held[:, start]
            gradients = self._gradients(vectors, standing, labels[start:end])
            moved = held[:, start : end + 1]
            np.multiply(vectors, -self._rate * gradients, out=moved[:-1, 1:])
            np.multiply(gradients, -self._intercept_rate, out=moved[-1, 1:])
            np.cumsum(moved, axis=1, out=moved)
        self.weights, self.intercept = held[:-1, -1].copy(), float(held[-1, -1])
        before *= held[:-1, :-1]
        logits = before.sum(axis=0) + held[-1, :-1]
        probability: Floats = 1.0 / (1.0 + np.exp(-np.clip(logits, -30.0, 30.0)))
        return probability

    def write_back(self, pipeline: Any, names: tuple[str, ...]) -> None:
        """Give everything learned to River's pipeline, which then goes on as if it had learned every event itself."""
        scaler, regression = pipeline["StandardScaler"], pipeline["LogisticRegression"]
        scaler.counts.update(dict.fromkeys(names, self.n - scaler.counts[names[0]]))
        scaler.means.update(zip(names, self.mean[:, 0].tolist(), strict=True))
        scaler.vars.update(zip(names, self.variance[:, 0].tolist(), strict=True))
        for name, weight in zip(names, self.weights.tolist(), strict=True):
            regression._weights[name] = weight
        regression.intercept = self.intercept
        regression.optimizer.n_iterations = self.n

    def _scale(self, columns: Floats) -> tuple[Floats, Floats]:
        """Standardised features by the statistics before and after each event, both shape (features, n)."""
        n = columns.shape[1]
        size = self.n + np.arange(1.0, n + 1)
        # Distances from the mean so far, at first from the first event: a constant feature has a variance of nothing.
        origin = self.mean if self.n else columns[:, :1]
        distance = columns - origin
        mean = np.empty((len(columns), n + 1))
        mean[:, :1] = origin
        np.cumsum(distance, axis=1, out=mean[:, 1:])
        mean[:, 1:] /= size
        mean[:, 1:] += origin
        from_before, from_after = columns - mean[:, :-1], columns - mean[:, 1:]
        variance = np.empty_like(mean)
        variance[:, :1] = self.variance
        products = from_before * from_after
        products[:, :1] += self.n * self.variance
        np.cumsum(products, axis=1, out=variance[:, 1:])
        variance[:, 1:] /= size
        self.n += n
        self.mean, self.variance = mean[:, -1:].copy(), variance[:, -1:].copy()
        # Where there is no variance River says 0.
        np.sqrt(variance, out=variance)
        variance[variance == 0.0] = np.inf
        from_before /= variance[:, :-1]
        from_after /= variance[:, 1:]
        return from_before, from_after

    def _gradients(self, vectors: Floats, standing: Floats, labels: Floats) -> Floats:
        """Derivatives of the loss at each event of a block, each by the weights that the events before it left."""
        size = len(labels)
        start = standing[:-1] @ vectors + standing[-1]
        lower = vectors.T @ vectors
        lower *= self._rate
        lower += self._intercept_rate
        lower *= self._lower[:size, :size]
        gradients = _gradient(start, labels)
        steep = False
        for done in range(size + 1):
            logits = start - lower @ gradients
            renewed = _steep_gradient(logits, labels) if steep else _gradient(logits, labels)
            if done >= _ROUNDS_UNSEEN and np.abs(renewed - gradients).max() < _SETTLED:
                # The rare case that the limits of River's loss were passed on the way.
                if steep or np.abs(logits).max() <= _STEEP:
                    return renewed
                steep = True
            gradients = renewed
        return gradients


def _gradient(logits: Floats, labels: Floats) -> Floats:
    with np.errstate(over="ignore"):
        result = np.exp(-logits)
    result += 1.0
    np.reciprocal(result, out=result)
    result -= labels
    return result


def _steep_gradient(logits: Floats, labels: Floats) -> Floats:
    sign = 2.0 * labels - 1.0
    margin = logits * sign
    # Beyond its limits River takes exp(-margin), and 1.
    between = 1.0 / (np.exp(np.clip(margin, -_STEEP, _STEEP)) + 1.0)
    near = np.where(margin > _STEEP, np.exp(-np.maximum(margin, _STEEP)), between)
    result: Floats = -sign * np.where(margin < -_STEEP, 1.0, near)
    return result
