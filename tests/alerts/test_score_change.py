"""A score's change is own + environment + model, in whole points that add up exactly."""

from __future__ import annotations

import random

import pytest

from alerts.explanation import change_reasons
from alerts.score_change import HUNDRED, MODEL, apportion, hundredths, score_change, whole_points
from alerts.texts import load
from features.view import CreditView
from models.scorecard import CARD, score
from tests.alerts.lending.conftest import seen

CODES = [line.code for line in CARD]


def drawn(rng: random.Random) -> dict[str, int]:
    return hundredths([("base", 600.0), *((code, rng.uniform(-120, 40)) for code in rng.sample(CODES, 6))])


@pytest.mark.parametrize("seed", range(200))
def test_whole_parts_add_up_to_the_rounded_difference(seed):
    rng = random.Random(seed)
    before, after = drawn(rng), drawn(rng)
    bridge = drawn(rng) if seed % 3 == 0 else None
    made = score_change(before, after, bridge, environment=CODES[:2])
    assert made.points_to - made.points_from == made.own + made.environment + made.model
    assert sum(points for _code, points in made.parts) == made.points_to - made.points_from
    assert (made.points_from, made.points_to) == (whole_points(before), whole_points(after))
    reached = after if bridge is None else bridge
    exact = {code: reached.get(code, 0) - before.get(code, 0) for code in (*before, *reached)}
    exact[MODEL] = sum(after.values()) - sum(reached.values())
    for code, points in made.parts:
        assert abs(points * HUNDRED - exact[code]) < HUNDRED, "each part is within a point of its share"
    assert made.environment == sum(points for code, points in made.parts if code in CODES[:2])


def test_nothing_moved_is_no_part():
    same = hundredths((("base", 600.0), ("overdraft", -12.0)))
    made = score_change(same, dict(same))
    assert (made.own, made.environment, made.model, made.parts) == (0, 0, 0, [])


def test_a_model_switch_alone_is_all_the_models():
    then, now = hundredths((("base", 600.0),)), hundredths((("base", 580.4),))
    made = score_change(then, now, bridge=then)
    assert (made.own, made.model, made.parts) == (0, -20, [("model", -20)])


@pytest.mark.parametrize(("parts", "total", "whole"), [
    ([50, 50], 1, [1, 0]), ([-50, -50], -1, [0, -1]), ([], 0, []), ([250, -250], 0, [3, -3]),
])  # fmt: skip
def test_the_largest_remainder_gets_the_point(parts, total, whole):
    assert apportion(parts, total) == whole


def test_reasons_are_what_moved_not_what_is():
    def contributions(view: CreditView) -> dict[str, int]:
        return hundredths(score(view).contributions)

    before = seen(legal_count=2, utilisation_ratio=0.4, tenure_days=400.0)
    after = seen(legal_count=2, utilisation_ratio=0.99, overdraft=True, tenure_days=430.0)
    change = score_change(contributions(before), contributions(after))
    reasons = change_reasons(load(), change, worse=True)
    assert [reason.code for reason in reasons] == ["utilisation_ratio", "overdraft"]
    assert reasons[1].text.zh_cn == "账户透支：拉低信用等级"
