from __future__ import annotations

import numpy as np
import pytest

from models.hats import KNOT_VALUES, KNOTS, STEP, Curves, curves_of_lines, inputs, segments
from models.shaping import CLIP


def columns(n: int, features: int = 3) -> np.ndarray:
    rng = np.random.default_rng(n)
    values = np.clip(3 * rng.normal(size=(features, n)), -CLIP, CLIP)
    values[:, :4] = [-CLIP, 0.0, 0.5, CLIP]
    return values


def test_shares_of_two_neighbours_give_the_value_back() -> None:
    values = columns(200)
    knots, upper = segments(values)
    assert knots.min() == 0
    assert knots.max() == KNOTS - 1
    assert ((upper >= 0) & (upper < 1)).all()
    assert np.abs(KNOT_VALUES[knots] + upper * STEP - values).max() < 1e-12


def test_inputs_leave_out_what_is_nothing_and_never_name_the_knot_at_zero() -> None:
    values = columns(100)
    for event, hats in zip(values.T, inputs(values), strict=True):
        assert 0.0 not in hats.values()
        total = np.zeros(3)
        for key, share in hats.items():
            feature, knot = divmod(key, KNOTS)
            assert KNOT_VALUES[knot] != 0.0
            total[feature] += share * KNOT_VALUES[knot]
        assert np.abs(total - event).max() < 1e-12
    assert list(inputs(np.zeros((3, 2)))) == [{}, {}]


def test_a_curve_is_the_sum_of_its_hats() -> None:
    rng = np.random.default_rng(5)
    heights = rng.normal(size=(3, KNOTS))
    heights[:, KNOTS // 2] = 0.0
    values = columns(300)
    got = Curves(heights).values(values)
    flat = heights.ravel()
    for place, hats in enumerate(inputs(values)):
        assert got[:, place].sum() == pytest.approx(sum(flat[key] * share for key, share in hats.items()), abs=1e-12)


def test_curves_of_lines_are_the_lines() -> None:
    weights = np.array([1.5, -0.3, 0.0])
    values = columns(300)
    assert np.abs(Curves(curves_of_lines(weights)).values(values) - weights[:, np.newaxis] * values).max() < 1e-12


def test_a_value_does_not_depend_on_its_neighbours() -> None:
    curves = Curves(np.random.default_rng(6).normal(size=(3, KNOTS)))
    values = columns(101)
    whole = curves.values(values)
    for place in range(101):
        one = curves.values(np.ascontiguousarray(values[:, place : place + 1]))
        assert one.tobytes() == np.ascontiguousarray(whole[:, place : place + 1]).tobytes()
