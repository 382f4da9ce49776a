from __future__ import annotations

import numpy as np
import pytest
from river import optim

from models.linear import RunningMean, regression, weights_of


def test_a_lean_step_is_rivers_own() -> None:
    rng = np.random.default_rng(1)
    names = list(range(5))
    ours = regression(dict.fromkeys(names, 0.2), 0.3, 1.0, -1.0, 0.01)
    rivers = regression(dict.fromkeys(names, 0.2), 0.3, 1.0, -1.0, 0.01)
    rivers.optimizer = optim.AdaGrad(0.3)
    rivers.optimizer.g2.update(dict.fromkeys(names, 1.0))
    for _ in range(300):
        x = {name: float(rng.normal()) for name in names if rng.random() < 0.6}
        y, w = bool(rng.random() < 0.3), float(rng.choice([1.0, 10.0]))
        ours.learn_one(x, y, w=w)
        rivers.learn_one(x, y, w=w)
    assert weights_of(ours, names) == pytest.approx(weights_of(rivers, names), abs=1e-12)
    assert ours.intercept == pytest.approx(rivers.intercept, abs=1e-12)


def test_strength_holds_the_start() -> None:
    loose, firm = (regression({"a": 0.0}, 0.3, strength, 0.0, 0.0) for strength in (1.0, 100.0))
    for model in (loose, firm):
        model.learn_one({"a": 1.0}, True)
    (far,), (near,) = weights_of(loose, ["a"]), weights_of(firm, ["a"])
    assert far > 5 * near > 0


def test_the_mean_follows_and_forgets_at_its_pace() -> None:
    model = regression({"a": 0.0}, 0.3, 1.0, 0.5, 0.1)
    mean = RunningMean(model, ["a"])
    model._weights["a"] = 1.0
    model.intercept = 1.5
    assert mean.weights.tolist() == [0.0]
    mean.advance(0.25)
    assert (mean.weights.tolist(), mean.intercept) == ([0.25], 0.75)
    other = RunningMean(model, ["a"])
    other.load(mean.dump())
    other.advance(1.0)
    assert (other.weights.tolist(), other.intercept) == ([1.0], 1.5)
    assert mean.river()._raw_dot_one({"a": 2.0}) == pytest.approx(0.75 + 0.5)
