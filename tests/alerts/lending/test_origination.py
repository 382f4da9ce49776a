"""Applications: outcome, limit, term, price, collateral and reasons."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from alerts.lending.bands import OUTCOMES
from alerts.lending.borrower import customer_values
from alerts.lending.origination import Answer, Request, blended_pd, decide
from alerts.state import APPLICATIONS_MAX, CardState, RiskState
from models.grades import MASTER_SCALE
from tests.alerts.lending.conftest import DAY_MS, START_MS, borrower_at, facility, scored

REQUEST = Request("app-1", "personal_loan", 1_500_000, "EUR", 36)
OWED = facility("card", exposure_minor=10_000)
BAD = (("base", 600.0), ("legal_count", -60.0), ("utilisation_ratio", -40.0), ("overdraft", -12.0),
       ("penalty_recent", -25.0), ("returned_count", -20.0), ("tenure_days", 12.0))  # fmt: skip


@pytest.fixture
def answer(policy):
    def make(pd: float, request: Request = REQUEST, published: str = "", day: float = 400, **more: Any) -> Answer:
        contributions = more.pop("contributions", ())
        risk = more.pop("risk", RiskState(grade=published, pd_12m=pd))
        who = borrower_at(day, *more.pop("facilities", (OWED,)), **more)
        values = customer_values(risk, who)
        score = scored(pd, *contributions)
        return decide(policy.origination, policy.regulatory, request, who, values, score, published)

    return make


def test_the_best_are_approved_on_the_fast_track_with_all_terms(answer):
    best = answer(0.0004)
    assert (best.outcome, best.fast_track, best.limit_minor, best.term_months) == ("approve", True, 1_500_000, 36)
    assert best.reasons == ()
    assert best.collateral_minor == 0
    # Cost 350 + expected loss 0.0004 x 45 % = 1.8, rounded up + margin 100 to 200.
    assert (best.rate_low_bp, best.rate_high_bp) == (452, 552)


def test_a_worse_pd_never_gets_more(answer):
    answers = [answer(pd) for pd in (0.0004, 0.002, 0.005, 0.012, 0.03, 0.06, 0.12, 0.3, 0.9)]
    assert [OUTCOMES.index(a.outcome) for a in answers] == sorted(OUTCOMES.index(a.outcome) for a in answers)
    assert [a.limit_minor for a in answers] == sorted((a.limit_minor for a in answers), reverse=True)
    assert [a.rate_low_bp for a in answers] == sorted(a.rate_low_bp for a in answers)
    assert (answers[0].outcome, answers[-1].outcome) == ("approve", "decline")
    assert answers[-1].limit_minor == 0


def test_instalments_in_force_take_room_from_the_limit(answer):
    asked = REQUEST._replace(amount_minor=50_000_000)
    free, bound = answer(0.0004, asked), answer(0.0004, asked, instalments_minor=90_000)
    # 40 % of 3,000.00 is 1,200.00 a month; over 36 months at 5.52 %.
    assert free.limit_minor == pytest.approx(120_000 * (1 - (1 + 0.0552 / 12) ** -36) / (0.0552 / 12), abs=10_000)
    assert bound.limit_minor == pytest.approx(free.limit_minor / 4, abs=10_000)
    assert free.limit_minor % 10_000 == 0
    assert (bound.outcome, bound.reasons) == ("refer", ("amount_beyond_capacity",))


def test_no_room_in_a_seen_income_is_declined(answer):
    full = answer(0.0004, instalments_minor=120_000)
    assert (full.outcome, full.limit_minor, full.reasons) == ("decline", 0, ("no_room_in_income",))


def test_a_running_limit_is_taken_by_what_it_costs_a_month(answer):
    card = answer(0.0004, REQUEST._replace(term_months=0, amount_minor=0))
    assert (card.term_months, card.limit_minor) == (0, 2_400_000)


@pytest.mark.parametrize(
    ("more", "outcome", "reason"),
    [
        ({"facilities": (facility(due_days=395),)}, "refer", "payment_open"),
        ({"facilities": (facility(due_days=370),)}, "decline", "in_arrears"),
        ({"risk": RiskState(grade="D", pd_12m=1.0)}, "decline", "default_open"),
        ({"fraud_ms": START_MS + 390 * DAY_MS}, "refer", "fraud_recent"),
        ({"figures": {"legal_count": 1}}, "refer", "legal_case"),
        ({"figures": {"applications_30d": 5}}, "refer", "many_applications"),
        ({"figures": {"income_overdue_days": 9.0}}, "refer", "income_interrupted"),
        ({"income_minor": 0.0}, "refer", "income_unknown"),
        ({"income_minor": 0.0, "request": REQUEST._replace(stated_income_minor=400_000)}, "refer", "income_unverified"),
        ({"request": REQUEST._replace(stated_income_minor=500_000)}, "refer", "income_overstated"),
        ({"request": REQUEST._replace(amount_minor=40_000_000)}, "refer", "amount_beyond_capacity"),
    ],
)
def test_what_speaks_against_it_is_the_reason_whatever_the_grade(answer, more, outcome, reason):
    found = answer(0.0004, **more)
    assert (found.outcome, found.reasons[0], found.fast_track) == (outcome, reason, False)


def test_a_card_under_suspicion_is_no_time_for_credit(answer):
    suspicious = RiskState(grade="AAA", pd_12m=0.0004, cards={"tok": CardState(3, 0, 0)})
    assert answer(0.0004, risk=suspicious).reasons == ("fraud_recent",)


def test_a_grade_that_declines_says_what_of_the_score_is_behind_it(answer):
    found = answer(0.5, contributions=BAD)
    assert found.outcome == "decline"
    assert found.reasons == ("legal_count", "utilisation_ratio", "penalty_recent", "returned_count")


def test_the_published_grade_counts_when_it_is_worse(answer):
    assert answer(0.0004, published="B").outcome == "refer"
    assert answer(0.06, published="AAA").outcome == "refer"


def test_collateral_is_asked_for_above_the_months_of_the_band(answer):
    grade = next(g for g in MASTER_SCALE if g.name == "BB")
    small, large = (answer(grade.pd_max, REQUEST._replace(amount_minor=a)) for a in (2_000_000, 3_000_000))
    assert (small.collateral_minor, large.collateral_minor) == (0, 1_500_000)


def test_a_thin_file_is_judged_by_the_prior_and_referred_where_its_grade_declines(answer, policy):
    thin = {"facilities": (), "figures": {"tenure_days": 0.0, "has_credit": False}}
    found = answer(0.9, **thin)
    assert found.pd_12m == policy.origination.thin_prior_pd
    assert found.outcome == "refer"
    assert "thin_file" in found.reasons
    worse = answer(0.9, **(thin | {"figures": {"tenure_days": 300.0, "has_credit": False}}))
    assert worse.pd_12m > found.pd_12m
    assert worse.outcome == "refer", "its own grade would decline: a human looks"
    hard = answer(0.9, risk=RiskState(grade="D", pd_12m=1.0), **thin)
    assert hard.outcome == "decline", "a rule that declines is no matter of knowing little"


def test_the_prior_fades_with_the_customers_own_months(policy):
    blended = [blended_pd(policy.origination, 0.001, months) for months in (0, 3, 12, 60, 600)]
    assert blended == sorted(blended, reverse=True)
    assert blended[0] == 0.04
    assert blended[2] == pytest.approx((0.04 / 0.96 * 0.001 / 0.999) ** 0.5, rel=0.01)


def test_a_price_beyond_the_ceiling_is_referred_and_capped(answer, policy):
    ceiling = policy.origination.rate_max_bp
    dear = msgspec.structs.replace(policy.origination, rate_max_bp=440)
    risk, who = RiskState(grade="AAA", pd_12m=0.0004), borrower_at(400, OWED)
    found = decide(dear, policy.regulatory, REQUEST, who, customer_values(risk, who), scored(0.0004), "AAA")
    assert (found.outcome, found.reasons) == ("refer", ("price_above_ceiling",))
    assert found.rate_low_bp == found.rate_high_bp == 440
    assert answer(0.9, contributions=BAD).rate_high_bp == ceiling


# --- what leaves -----------------------------------------------------------------------------------------------


def test_an_approval_is_in_the_risk_change_and_alerts_nobody(assessor, on):
    risk = RiskState(grade="AAA", pd_12m=0.0004)
    change = assessor.application(risk, on(400), REQUEST, borrower_at(400, OWED), scored(0.0004))
    assert change.alerts == []
    state = change.risk_change.state
    assert [(a.action, a.mode, a.scope.type, a.scope.id) for a in state.actions] == [
        ("approve", "advise", "application", "app-1")
    ]
    assert (state.applications[0].decision, state.applications[0].limit_minor) == ("approve", 1_500_000)


def test_a_referral_asks_a_named_human_with_reasons_in_words(assessor, policy, on):
    change = assessor.application(
        RiskState(), on(400), REQUEST, borrower_at(400, OWED, income_minor=0.0), scored(0.0004)
    )
    alert = change.alerts[0]
    assert (alert.rule, alert.scope.type, alert.application.decision) == ("application_refer", "application", "refer")
    assert [(r.code, r.text.en) for r in alert.reasons] == [("income_unknown", "No income is known")]
    declined = assessor.application(
        RiskState(), on(401), REQUEST, borrower_at(401, OWED, instalments_minor=120_000), scored(0.0004)
    )
    assert [(a.action, a.to) for a in declined.alerts[0].actions] == [("decline", policy.after_loan.adverse_to)]


def test_declining_who_is_no_customer_yet_alerts_nobody(assessor, on):
    stranger = borrower_at(0, figures={"tenure_days": 800.0}, instalments_minor=120_000)
    change = assessor.application(RiskState(), on(0), REQUEST, stranger, scored(0.0004))
    assert change.alerts == []
    assert change.risk_change.state.applications[0].decision == "decline"


def test_answers_expire_and_few_are_kept(assessor, on):
    risk = RiskState()
    for number in range(APPLICATIONS_MAX + 3):
        request = REQUEST._replace(application_id=f"app-{number}")
        assessor.application(risk, on(number), request, borrower_at(number, OWED), scored(0.0004))
    assert [a.application_id for a in risk.lending.applications] == ["app-3", "app-4", "app-5", "app-6"]
    assert sorted(a.scope_id for a in risk.actions) == ["app-3", "app-4", "app-5", "app-6"]
    while (due := assessor.next_due(risk)) is not None:
        assessor.expire(risk, due, on(0))
    assert (risk.lending.applications, risk.actions) == ([], [])
