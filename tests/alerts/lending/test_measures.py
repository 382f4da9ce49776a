"""The watch list, measures against worsening, what may favour a customer and when; and that cards are left alone."""

from __future__ import annotations

import msgspec
import pytest

from alerts.lending.measures import ADVERSE, UPWARD
from alerts.shift import Assessor
from alerts.state import ActiveAction, Lending, Loan, RiskState
from tests.alerts.lending.conftest import DAY_MS, START_MS, borrower_at, facility, scored

CARD = facility("card", exposure_minor=950_000, limit_minor=1_000_000)
STRAINED = {"utilisation_ratio": 0.95}


def graded(grade: str, pd: float) -> RiskState:
    return RiskState(grade=grade, pd_12m=pd)


def names(change) -> list[str]:
    return [a.action for a in change.risk_change.state.actions]


def test_a_weak_grade_on_a_full_limit_asks_a_human_to_lower_it(assessor, policy, on):
    change = assessor.review(graded("B", 0.06), on(0), borrower_at(0, CARD, figures=STRAINED), scored(0.06))
    alert = change.alerts[0]
    assert (alert.rule, alert.scope.type) == ("limit_beyond_means", "customer")
    assert [(a.action, a.mode, a.to) for a in alert.actions] == [
        ("limit_decrease", "advise", policy.after_loan.adverse_to)
    ]
    assert [(r.code, r.text.en) for r in alert.reasons] == [
        ("utilisation_ratio", "Share of the credit limit in use: 95.0%"), ("grade", "Credit grade: B"),
    ]  # fmt: skip
    assert alert.reasons[1].text.zh_cn == "信用等级：B"


def test_a_measure_in_force_is_not_said_again_and_comes_back_after_its_cool_down(assessor, on):
    risk, days = graded("B", 0.06), []
    for day in range(0, 200, 5):
        while (due := assessor.next_due(risk)) is not None and due <= START_MS + day * DAY_MS:
            assessor.expire(risk, due, on(day))
        change = assessor.review(risk, on(day), borrower_at(day, CARD, figures=STRAINED), scored(0.06))
        days += [day] * len(change.alerts if change else [])
    assert days == [0, 90, 180]


def test_the_change_joins_what_was_alerted_already(assessor, on):
    who = borrower_at(0, CARD, figures=STRAINED)
    change = assessor.review(graded("B", 0.06), on(0), who, scored(0.06), hushed=True)
    assert change.alerts == []
    assert names(change) == ["limit_decrease"]


def test_one_event_alerts_once_and_the_most_severe_leads(assessor, on):
    risk = graded("C", 0.6)
    secured = facility("loan", exposure_minor=1_000_000, cover_minor=100_000)
    who = borrower_at(0, CARD, secured, figures=STRAINED | {"legal_count": 1})
    change = assessor.review(risk, on(0), who, scored(0.6))
    assert [alert.rule for alert in change.alerts] == ["recall_review"]
    assert {"limit_beyond_means", "collateral_short"} <= set(change.alerts[0].also)
    assert {"limit_decrease", "require_collateral", "early_recall_review"} <= set(names(change))
    assert all(a.mode == "advise" for a in change.risk_change.state.actions)


def test_repricing_looks_at_the_risk_of_the_day_of_the_grant(assessor, on):
    risk = graded("A", 0.004)
    assessor.review(risk, on(0), borrower_at(0, facility()), scored(0.004))
    assert assessor.review(risk, on(10), borrower_at(10, facility()), scored(0.004)) is None
    risk.pd_12m, risk.grade = 0.03, "BB"
    change = assessor.review(risk, on(20), borrower_at(20, facility()), scored(0.03))
    assert [(a.action, a.scope.id) for a in change.risk_change.state.actions] == [("reprice", "loan-1")]


# --- watch list ------------------------------------------------------------------------------------------------


def test_the_watch_list_is_left_when_nothing_asked_for_it_for_long_enough(assessor, on):
    risk = graded("BB", 0.02)
    change = assessor.review(risk, on(20), borrower_at(20, facility(due_days=1)), scored(0.02))
    assert change.risk_change.state.watch_list.reason == "arrears"
    assert change.risk_change.state.facilities[0].stage == 2, "EBA/GL/2020/06 8.5"
    assessor.review(risk, on(30), borrower_at(30, facility()), scored(0.02))
    assert risk.lending.watch_ms >= 0
    dues = []
    while (due := assessor.next_due(risk)) is not None:
        dues.append((due - START_MS) // DAY_MS)
        change = assessor.expire(risk, due, on(0))
    assert dues == [120, 210], "off the list after 90 days; then the probation of stage 2"
    assert change.risk_change.state.watch_list is None
    assert change.risk_change.state.facilities == []


def test_the_cure_ends_what_was_asked_for(assessor, on):
    risk = graded("B", 0.06)
    who = borrower_at(20, facility(due_days=1), CARD, figures=STRAINED)
    assessor.review(risk, on(20), who, scored(0.06))
    assert "limit_beyond_means" in [a.reason for a in risk.actions]
    risk.actions = [msgspec.structs.replace(a, expires_ms=None) for a in risk.actions]
    assessor.review(risk, on(30), borrower_at(30, facility(), CARD), scored(0.06))
    while (due := assessor.next_due(risk)) is not None and due <= START_MS + 120 * DAY_MS:
        assessor.expire(risk, due, on(0))
    assert (risk.lending.watch_ms, risk.actions) == (-1, [])


def test_silence_puts_a_borrower_on_the_list_without_an_event(assessor, on):
    risk = RiskState(grade="BB", pd_12m=0.02, lending=Lending())
    change = assessor.signal(risk, on(9), "income_missed_twice", START_MS, "income")
    assert change.risk_change.state.watch_list.since_ms == START_MS
    other = RiskState(grade="BB", pd_12m=0.02, lending=Lending())
    assert assessor.signal(other, on(9), "income_missed", START_MS, "income").risk_change.state.watch_list is None


# --- upward ----------------------------------------------------------------------------------------------------

GOOD = {"utilisation_ratio": 0.7, "debt_service_ratio": 0.1}


@pytest.mark.parametrize(
    ("day", "more", "favoured"),
    [
        (200, {}, True),
        (150, {}, False),
        (200, {"fraud_ms": START_MS + 100 * DAY_MS}, False),
        (400, {"fraud_ms": START_MS + 100 * DAY_MS}, True),
        (200, {"figures": GOOD | {"legal_count": 1}}, False),
    ],
    ids=["seasoned", "too young", "fraud 100 days ago", "fraud 300 days ago", "on the watch list"],
)
def test_upward_only_after_seasoning_and_a_fraud_clear_period(assessor, on, day, more, favoured):
    risk = graded("A", 0.003)
    assessor.review(risk, on(0), borrower_at(0, CARD), scored(0.003))
    assessor.review(risk, on(day), borrower_at(day, CARD, **({"figures": GOOD} | more)), scored(0.003))
    assert ([a.action for a in risk.actions if a.action in UPWARD] == ["limit_increase"]) is favoured


def test_what_favours_ends_at_once_with_the_first_arrears(assessor, on):
    risk = graded("A", 0.003)
    assessor.review(risk, on(0), borrower_at(0, CARD), scored(0.003))
    assessor.review(risk, on(200), borrower_at(200, CARD, figures=GOOD), scored(0.003))
    assert [a.action for a in risk.actions] == ["limit_increase"]
    late = facility("card", due_days=199, exposure_minor=950_000, limit_minor=1_000_000)
    assessor.review(risk, on(201), borrower_at(201, late, figures=GOOD), scored(0.003))
    assert risk.actions == []


@pytest.mark.parametrize(("day", "offered"), [(300, ["offer"]), (100, [])])
def test_a_better_grade_brings_an_offer_only_to_the_seasoned(assessor, on, day, offered):
    loan = Loan(START_MS, 10_000, exposure_minor=1)
    risk = RiskState(grade="BB", pd_12m=0.02, lending=Lending(loans={"card": loan}),
                     candidate="A", candidate_count=9, candidate_since_ms=START_MS)  # fmt: skip
    change = assessor.credit(risk, on(day), scored(0.003), borrower=borrower_at(day, CARD))
    assert risk.grade == "A"
    assert [a.action for a in change.risk_change.state.actions] == offered


def test_a_falling_grade_brings_a_plan_in_words(assessor, on):
    risk = graded("A", 0.004)
    who = borrower_at(5, CARD, figures={"utilisation_ratio": 0.95, "overdraft": True})
    change = assessor.credit(risk, on(5), scored(0.06, ("base", 600.0), ("overdraft", -12.0)), borrower=who)
    steps = change.alerts[0].plan
    assert 1 <= len(steps) <= 2
    assert steps[0].text.en == "Bring the account back above zero and keep it there"


# --- cards -----------------------------------------------------------------------------------------------------


def test_no_credit_change_of_any_kind_touches_a_freeze(assessor, on):
    freeze = ActiveAction("freeze_card", "enforce", "card", "tok_1", START_MS, None, "fraud_confirmed", "")
    risk = graded("B", 0.06)
    risk.actions.append(freeze)
    for day in range(0, 300, 10):
        late = facility(due_days=day - 40 if day < 150 else None)
        assessor.review(risk, on(day), borrower_at(day, late, CARD, figures=STRAINED), scored(0.06))
        while (due := assessor.next_due(risk)) is not None and due <= START_MS + day * DAY_MS:
            assessor.expire(risk, due, on(day))
        assert freeze in risk.actions


def test_releasing_a_card_leaves_the_measures(policy, assessor, on):
    own = [a for a in policy.after_loan.measures if a.id == "limit_beyond_means"]
    assert own[0].actions[0].action in ADVERSE
    watchful = msgspec.structs.replace(
        own[0], actions=(msgspec.structs.replace(own[0].actions[0], action="call_customer"),)
    )
    other = Assessor(
        msgspec.structs.replace(policy, after_loan=msgspec.structs.replace(policy.after_loan, measures=(watchful,)))
    )
    risk = graded("B", 0.06)
    other.review(risk, on(0), borrower_at(0, CARD, figures=STRAINED), scored(0.06))
    other.outcome(risk, on(1), "false_positive")
    assert [a.action for a in risk.actions] == ["call_customer"]


# --- what the points say ---------------------------------------------------------------------------------------


def test_a_grades_alert_takes_the_points_apart_and_a_new_card_is_nobodys_fault(assessor, on):
    risk = RiskState()
    assessor.credit(risk, on(0), scored(0.004, ("base", 600.0), ("tenure_days", 10.4)))
    now = (("base", 590.0), ("overdraft", -12.0), ("tenure_days", 10.4))
    same_view_before = (("base", 600.0), ("overdraft", -12.0), ("tenure_days", 10.4))
    change = assessor.credit(risk, on(1), scored(0.06, *now), bridge=same_view_before)
    told = change.alerts[0].score_change
    assert (told.points_from, told.points_to, told.own, told.model) == (610, 588, -12, -10)
    assert change.risk_change.score_change == told
    assert [reason.code for reason in change.alerts[0].reasons] == ["overdraft"], "the model is no reason of a person's"
