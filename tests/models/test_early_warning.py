"""The early-warning score adds up, rises with every sign, learns from matured outcomes and stays within its bounds."""

from __future__ import annotations

import math
import random

import pytest

from features.warning_catalogue import CODES, INDICATORS, PLACE
from models.early_warning import (
    EXPERT,
    HORIZON_MS,
    INTERCEPT,
    INTERCEPT_SPREAD,
    SAMPLE_EVERY_MS,
    SPREAD,
    WarningLearner,
    contributions,
    count_on,
    phase,
    probability,
)
from models.snapshot import initial_snapshot, pack, unpack

DAY_MS = 86_400_000
START_MS = 1_735_689_600_000
CALM = [0.0] * len(CODES)


def with_(*codes: str, reading: float = 1.0) -> list[float]:
    found = list(CALM)
    for code in codes:
        found[PLACE[code]] = reading
    return found


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def test_contributions_and_intercept_sum_to_the_logit() -> None:
    rng = random.Random(3)
    for _ in range(50):
        readings = [rng.random() for _ in CODES]
        total = EXPERT.intercept + sum(contributions(readings))
        assert logit(probability(readings)) == pytest.approx(total, abs=1e-9)


@pytest.mark.parametrize("code", CODES)
def test_a_fuller_reading_never_lowers_the_risk_nor_the_calming_one_raises_it(code: str) -> None:
    rng = random.Random(code)
    worsens = INDICATORS[PLACE[code]].expert > 0
    for _ in range(20):
        low = [rng.random() for _ in CODES]
        low[PLACE[code]] = 0.2
        high = list(low)
        high[PLACE[code]] = 0.9
        assert (probability(high) > probability(low)) is worsens


def test_only_worsening_indicators_that_are_there_are_counted() -> None:
    assert count_on(with_("salary_late", "rent_late", reading=0.5)) == 2
    assert count_on(with_("salary_late", reading=0.49)) == 0
    assert count_on(with_("account_quiet")) == 0


def sample_all(learner: WarningLearner, readings: dict[str, list[float]], weeks: int) -> None:
    for week in range(weeks):
        for customer_id, each in readings.items():
            learner.sample(customer_id, START_MS + week * 7 * DAY_MS, each)


def people(count: int, readings: list[float], name: str) -> dict[str, list[float]]:
    return {f"{name}{n}": readings for n in range(count)}


def test_it_learns_which_sign_speaks_and_only_from_matured_samples() -> None:
    learner = WarningLearner()
    bad, good = people(60, with_("rent_late"), "bad"), people(300, with_("cash_rising"), "good")
    sample_all(learner, bad | good, 5)
    for customer_id in bad:
        learner.default(customer_id, START_MS + 60 * DAY_MS)
    assert not learner.mature(START_MS + HORIZON_MS - 1)
    assert learner.weights().weights == EXPERT.weights
    assert learner.mature(START_MS + HORIZON_MS + 60 * DAY_MS)
    learned = learner.weights()
    assert learned.lessons == learner.lessons >= 360
    assert learned.weights[PLACE["rent_late"]] > EXPERT.weights[PLACE["rent_late"]]
    assert learned.weights[PLACE["cash_rising"]] < EXPERT.weights[PLACE["cash_rising"]]
    assert learned.weights[PLACE["pawn_shop"]] == EXPERT.weights[PLACE["pawn_shop"]]


def test_a_default_after_the_horizon_is_no_bad_sample() -> None:
    learner = WarningLearner()
    sample_all(learner, people(40, with_("rent_late"), "late"), 4)
    for n in range(40):
        learner.default(f"late{n}", START_MS + HORIZON_MS + 29 * DAY_MS)
    learner.mature(START_MS + HORIZON_MS + 28 * DAY_MS)
    assert learner.lessons == 40
    # Sampled in the first to fourth week by their ids: those of the last week see it within their ninety days.
    assert learner.bad == 0


def test_no_labels_turn_a_sign_round_or_carry_a_weight_out_of_bounds() -> None:
    learner = WarningLearner()
    worst, best = with_("salary_overdue", "gambling"), with_("account_quiet")
    for turn in range(40):
        at_ms = START_MS + turn * SAMPLE_EVERY_MS
        for n in range(60):
            learner.sample(f"a{turn}-{n}", at_ms, worst)
            learner.sample(f"b{turn}-{n}", at_ms, best)
            learner.default(f"b{turn}-{n}", at_ms + DAY_MS)
        learner.mature(at_ms + HORIZON_MS)
    learned = learner.weights()
    for weight, indicator in zip(learned.weights, INDICATORS, strict=True):
        assert abs(weight - indicator.expert) <= SPREAD + 1e-9
        assert weight * indicator.expert >= 0
    assert abs(learned.intercept - INTERCEPT) <= INTERCEPT_SPREAD
    assert learned.weights[PLACE["salary_overdue"]] < EXPERT.weights[PLACE["salary_overdue"]]


def test_customers_are_sampled_once_in_four_weeks_and_spread_over_them() -> None:
    learner = WarningLearner()
    everybody = people(200, CALM, "c")
    first = [sum(phase(name, START_MS + week * 7 * DAY_MS) == 0 for name in everybody) for week in range(4)]
    assert sum(first) == 200
    assert min(first) > 20
    sample_all(learner, everybody, 12)
    learner.mature(START_MS + 12 * 7 * DAY_MS + HORIZON_MS)
    assert learner.lessons == 200 * 3


def test_nobody_in_default_is_sampled() -> None:
    learner = WarningLearner()
    learner.default("c", START_MS)
    sample_all(learner, {"c": CALM}, 8)
    learner.mature(START_MS + 2 * HORIZON_MS)
    assert learner.lessons == 0


def test_a_restart_changes_nothing() -> None:
    whole, first = WarningLearner(), WarningLearner()
    bad, good = people(20, with_("rent_late"), "bad"), people(50, with_("cash_rising", reading=0.37), "good")
    for learner in (whole, first):
        sample_all(learner, bad | good, 6)
        learner.default("bad3", START_MS + 50 * DAY_MS)
        learner.mature(START_MS + HORIZON_MS)
    second = WarningLearner()
    second.restore(first.dump())
    for learner in (whole, second):
        learner.default("bad4", START_MS + 55 * DAY_MS)
        learner.mature(START_MS + HORIZON_MS + 50 * DAY_MS)
    assert second.weights() == whole.weights()
    assert second.dump() == whole.dump()
    assert whole.weights() != EXPERT


def test_weights_and_struck_groups_travel_in_the_snapshot(key: bytes) -> None:
    snapshot = initial_snapshot()
    assert unpack(pack(snapshot, key), key).warnings == EXPERT
    struck = {"district:d": "a" * 32}
    moved = type(snapshot)(
        2, 5, snapshot.fraud, snapshot.shared, warnings=type(EXPERT)(-5.0, [0.5] * len(CODES), 7), struck=struck
    )
    back = unpack(pack(moved, key), key)
    assert (back.warnings, back.struck) == (moved.warnings, struck)
