"""What moved a score; and that a change of cards alone moves nobody's grade."""

from __future__ import annotations

import random

import msgspec
import pytest

from features.row import CreditRow
from features.view import CreditView, view
from models.credit.card import Card, CompiledCard, expert_card
from models.credit.change import Cards, settle
from models.credit.characteristics import CODES, inputs_of
from models.grades import grade_of

CALM = msgspec.structs.replace(view(CreditRow(), 0), tenure_days=365.0)


def shifted(version: int, by: float) -> CompiledCard:
    card = expert_card()
    return CompiledCard(Card(version, 0, card.points, card.base + by))


OLD = CompiledCard(expert_card())


def seen(**changes: object) -> CreditView:
    return msgspec.structs.replace(CALM, **changes)


def grade(score) -> str:
    return grade_of(score.grading_pd)


def test_changes_add_up_over_random_lives_and_switches() -> None:
    rng = random.Random(4)
    cards = [OLD]
    for version in range(2, 6):
        curves = [tuple(y * rng.uniform(0.3, 1.7) for y in curve) if rng.random() < 0.0 else curve for curve in
                  expert_card().points]  # fmt: skip
        cards.append(CompiledCard(Card(version, 0, tuple(curves), 600 + rng.uniform(-60, 60))))
    row, before, force = CreditRow(), None, 0
    for step in range(300):
        if step % 60 == 59:
            force += 1
        now = Cards(cards[min(force, 4)], cards[min(force, 4) - 1] if force else None)
        life = seen(utilisation_ratio=rng.random(), industry_stress=rng.uniform(0, 6), legal_count=rng.randrange(2))
        score = settle(row, inputs_of(life), now)
        if before is not None:
            assert sum(score.change.values()) == pytest.approx(score.points - before, abs=1e-9)
            assert set(score.change) == {"own", "environment", "model"}
        before = score.points


def test_what_the_industry_does_is_not_the_customers() -> None:
    row = CreditRow()
    settle(row, inputs_of(seen()), Cards(OLD))
    change = settle(row, inputs_of(seen(industry_stress=6.0, legal_count=1)), Cards(OLD)).change
    assert change == pytest.approx({"own": -60.0, "environment": -25.0, "model": 0.0})


@pytest.mark.parametrize("by", [-80.0, 80.0])
def test_a_switch_alone_moves_the_points_and_no_grade(by: float) -> None:
    row = CreditRow()
    first = settle(row, inputs_of(seen()), Cards(OLD))
    after = settle(row, inputs_of(seen()), Cards(shifted(2, by), OLD))
    assert after.points == first.points + by
    assert after.change == pytest.approx({"own": 0.0, "environment": 0.0, "model": by})
    assert grade_of(after.pd_12m) != grade(first) == grade(after)
    again = settle(row, inputs_of(seen(utilisation_ratio=0.31)), Cards(shifted(2, by), OLD))
    assert again.change["model"] == 0
    assert grade(again) == grade(first), "too small a step of one's own"


def test_after_an_own_step_the_new_card_speaks() -> None:
    row, new = CreditRow(), shifted(2, -30.0)
    settle(row, inputs_of(seen()), Cards(OLD))
    settle(row, inputs_of(seen()), Cards(new, OLD))
    worse = settle(row, inputs_of(seen(legal_count=1)), Cards(new, OLD))
    assert grade(worse) == grade_of(worse.pd_12m) == grade_of(new.score(inputs_of(seen(legal_count=1))).pd_12m)
    assert row.card_shift == 0.0
    assert worse.graded_pd is None


def test_an_own_step_down_never_comes_out_as_a_step_up() -> None:
    row, kind = CreditRow(), shifted(2, 90.0)
    settle(row, inputs_of(seen()), Cards(OLD))
    settle(row, inputs_of(seen()), Cards(kind, OLD))
    worse = settle(row, inputs_of(seen(legal_count=1)), Cards(kind, OLD))
    assert grade(worse) == grade_of(OLD.score(inputs_of(seen(legal_count=1))).pd_12m)
    assert grade_of(worse.pd_12m) != grade(worse)


def test_two_switches_between_two_events_blame_the_model() -> None:
    row = CreditRow()
    first = settle(row, inputs_of(seen()), Cards(OLD))
    late = settle(row, inputs_of(seen()), Cards(shifted(3, 40.0), shifted(2, -5.0)))
    assert late.change == pytest.approx({"own": 0.0, "environment": 0.0, "model": 40.0})
    assert grade(late) == grade(first)


def test_codes_are_complete() -> None:
    assert len(inputs_of(CALM)) == len(CODES)
