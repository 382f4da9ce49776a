from __future__ import annotations

import numpy as np
import pytest
from river import optim

from models.linear import RunningMean, moved_share, regression, weights_of


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


def test_a_young_mean_is_the_plain_mean_of_its_start_and_what_followed() -> None:
    where, place = [4.0, -2.0, 7.0, 1.0], 10.0
    for before, value in enumerate(where):
        place += moved_share(0.05, before, 1) * (value - place)
    assert place == pytest.approx((10.0 + sum(where)) / 5)


def test_leaping_over_steps_is_taking_them_and_an_old_mean_moves_by_its_share() -> None:
    stays = 1.0
    for before in range(30):
        stays *= 1.0 - moved_share(0.05, before, 1)
    assert moved_share(0.05, 0, 30) == pytest.approx(1.0 - stays)
    assert moved_share(0.05, 19, 3) == pytest.approx(1.0 - 0.95**3)
    assert moved_share(1.0, 0, 1) == 1.0
