"""A card as data: points that add up, whole points too, curves that run one way, what is refused."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.row import CreditRow
from features.view import CreditView, view
from models.credit.card import Card, CompiledCard, check_card, expert_card, rounded
from models.credit.characteristics import CARD, CODES, DIMENSIONS, inputs_of
from models.credit.curves import INPUTS, NAMES, STARTS, hats, points_of, projected, weights_of
from models.credit.scale import FACTOR, OFFSET
from models.errors import SnapshotError

EXPERT = CompiledCard(expert_card())
BANNED = (
    "sex",
    "gender",
    "marriage",
    "ethnic",
    "religion",
    "health",
    "age_",
    "birth",
    "district",
    "education",
    "social",
)


@st.composite
def vectors(draw: st.DrawFn) -> list[float]:
    return [draw(st.floats(min(x for x, _ in line.curve) - 1, max(x for x, _ in line.curve) + 1)) for line in CARD]


@st.composite
def weights(draw: st.DrawFn) -> dict[int, float]:
    return {name: draw(st.floats(-3, 3)) for name in NAMES}


def card_of(learned: dict[int, float], base: float = 590.0) -> CompiledCard:
    return CompiledCard(Card(2, 0, points_of(learned), base))


def test_every_characteristic_is_a_field_of_the_view_and_none_is_banned() -> None:
    assert set(CODES) <= set(CreditView.__struct_fields__)
    assert len(set(CODES)) == len(CODES) >= 30
    assert [code for code in CreditView.__struct_fields__ if code.startswith(BANNED)] == []
    assert {line.dimension for line in CARD} == set(DIMENSIONS)


@pytest.mark.parametrize("line", CARD, ids=CODES)
def test_every_curve_rises_in_value_and_passes_nought_where_it_is_neutral(line) -> None:
    xs = [x for x, _ in line.curve]
    assert xs == sorted(set(xs))
    assert dict(line.curve)[line.neutral] == 0


def test_a_card_from_its_own_weights_is_the_same_card() -> None:
    again = points_of(weights_of(expert_card().points))
    for ours, theirs in zip(again, expert_card().points, strict=True):
        assert ours == pytest.approx(theirs)


@given(vectors(), weights())
def test_points_are_the_log_odds_of_the_regression(inputs: list[float], learned: dict[int, float]) -> None:
    flat = projected(learned, dict.fromkeys(NAMES, 1.0))
    score = card_of(flat).score(inputs)
    log_odds = sum(flat.get(name, 0.0) * share for name, share in hats(inputs).items())
    assert score.points == pytest.approx(590.0 - FACTOR * log_odds, abs=1e-6)
    assert sum(score.dimensions.values()) == pytest.approx(score.points)
    assert sum(points for _, points in score.contributions) == pytest.approx(score.points)
    assert 0 < score.pd_90d <= score.pd_12m < 1


@given(vectors())
def test_whole_points_add_up_and_are_never_a_point_away(inputs: list[float]) -> None:
    score = EXPERT.score(inputs)
    total, dimensions = rounded(score)
    assert total == round(score.points) == sum(dimensions.values())
    assert all(abs(dimensions[name] - points) <= 1 + 1e-6 for name, points in score.dimensions.items())


@given(weights(), st.integers(0, 2**32))
def test_whatever_was_learned_a_worse_input_never_raises_the_points(learned: dict[int, float], seed: int) -> None:
    strength = {name: 1.0 + (seed >> name % 32 & 7) for name in NAMES}
    card = card_of(projected(learned, strength))
    neutral = [line.neutral for line in CARD]
    for place, line in enumerate(CARD):
        if not line.worse:
            continue
        xs = [x for x, _ in line.curve]
        grid = sorted({*xs, *((a + b) / 2 for a, b in pairwise(xs)), xs[-1] + 1})
        points = [card.points([*neutral[:place], x, *neutral[place + 1 :]]) for x in grid]
        steps = [(b - a) * line.worse for a, b in pairwise(points)]
        assert max(steps) <= 1e-9, line.code


@given(weights())
def test_projection_keeps_what_runs_right_and_is_done_once(learned: dict[int, float]) -> None:
    ones = dict.fromkeys(NAMES, 1.0)
    once = projected(learned, ones)
    assert projected(once, ones) == pytest.approx(once)
    right = weights_of(expert_card().points)
    assert projected(right, ones) == pytest.approx(right)


def test_projection_is_nearest_in_weighted_squares() -> None:
    # legal_count: corners 0 (neutral), 1, 3; the first was seen thrice as often and says more than the second.
    start = STARTS[CODES.index("legal_count")]
    learned = dict.fromkeys(NAMES, 0.0) | {start + 1: 2.0, start + 2: 1.0}
    pooled = projected(learned, dict.fromkeys(NAMES, 1.0) | {start + 1: 3.0})
    assert (pooled[start + 1], pooled[start + 2]) == (1.75, 1.75)


def test_what_is_not_known_gives_no_points() -> None:
    unseen = EXPERT.score(inputs_of(view(CreditRow(), 0)))
    assert [code for code, _ in unseen.contributions] == ["base", "tenure_days"]
    known = msgspec.structs.replace(view(CreditRow(), 0), bureau_score=300, line_log=5.0, tight_months=6)
    assert EXPERT.score(inputs_of(known)).points < unseen.points


def test_a_card_that_runs_the_wrong_way_is_refused() -> None:
    curves = list(expert_card().points)
    place = CODES.index("legal_count")
    curves[place] = tuple(-y for y in curves[place])
    with pytest.raises(SnapshotError, match="legal_count of credit card 1 to run one way"):
        check_card(msgspec.structs.replace(expert_card(), points=tuple(curves)))


@pytest.mark.parametrize(
    ("change", "says"),
    [({"credit_version": 99}, "catalogue 99"), ({"base": float("nan")}, "finite"), ({"points": ((1.0,),)}, "1 curves")],
)
def test_a_card_that_is_not_sound_is_refused(change, says) -> None:
    with pytest.raises(SnapshotError, match=says):
        check_card(msgspec.structs.replace(expert_card(), **change))


def test_inputs_have_numbers_of_their_own() -> None:
    assert len(NAMES) == len(set(NAMES)) == INPUTS - len(CARD)
    assert pytest.approx(487.12, abs=0.01) == OFFSET
