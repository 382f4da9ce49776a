from __future__ import annotations

import msgspec
import pytest

from alerts.errors import AssessmentError
from alerts.policy import parse_policy
from alerts.shift import Assessor
from alerts.state import FACILITIES_MAX, RiskState
from models.scorecard import CreditScore

DAY_MS = 86_400_000
PD = {"AA": 0.001, "A": 0.004, "BBB": 0.01, "BB": 0.02, "B": 0.06, "CCC": 0.15}
POINTS = (
    ("base", 600.0), ("utilisation_ratio", -40.0), ("legal_count", -60.0), ("tenure_days", 12.0),
    ("overdraft", -12.0), ("returned_count", -20.0), ("penalty_recent", -25.0),
)  # fmt: skip


def scored(grade: str) -> CreditScore:
    return CreditScore(PD[grade], 600.0, {}, POINTS)


@pytest.fixture
def observe(assessor, facts):
    def assess(risk, day, grade, **more):
        return assessor.credit(risk, facts(day, day * DAY_MS, None), scored(grade), **more)

    return assess


def test_the_first_grade_is_state_not_news(observe):
    risk = RiskState()
    change = observe(risk, 0, "BBB")
    assert change.alerts == []
    assert (change.risk_change.state.grade, change.risk_change.state.pd_12m) == ("BBB", 0.01)
    assert observe(risk, 1, "BBB") is None


def test_down_at_once_with_the_largest_deductions_as_reasons(observe):
    risk = RiskState()
    observe(risk, 0, "BBB")
    alert = observe(risk, 1, "B").alerts[0]
    assert (alert.rule, alert.grade_from, alert.grade_to) == ("grade_down", "BBB", "B")
    assert [r.code for r in alert.reasons] == ["legal_count", "utilisation_ratio", "penalty_recent", "returned_count"]
    assert alert.title.en == "Credit grade lowered from BBB to B"
    assert all(a.mode == "advise" for a in alert.actions)


def test_up_only_after_enough_observations_over_enough_days(observe):
    risk = RiskState()
    observe(risk, 0, "BB")
    for day in (10, 20):
        change = observe(risk, day, "A")
        assert change is None or change.alerts == []
    assert risk.grade == "BB"
    assert observe(risk, 69, "A") is None
    change = observe(risk, 70, "A")
    assert (risk.grade, change.alerts, change.risk_change.state.grade) == ("A", [], "A")
    assert risk.candidate == ""


def test_a_move_alerts_where_the_policy_says_so(policy_text, facts):
    loud = policy_text.replace('alert = false\ncool_down = "30d"', 'cool_down = "30d"')
    assert loud != policy_text
    for text, told in ((policy_text, ["grade_down"]), (loud, ["grade_down", "grade_up"])):
        assessor, risk, rules = Assessor(parse_policy(text)), RiskState(), []
        # Down among the good grades, down to where a human looks, and up again.
        for day, grade in ((0, "A"), (10, "BBB"), (20, "BB"), (30, "CCC"), (40, "A"), (80, "A"), (120, "A")):
            change = assessor.credit(risk, facts(day, day * DAY_MS, None), scored(grade))
            rules += [alert.rule for alert in change.alerts] if change is not None else []
        assert (rules, risk.grade) == (told, "A")


def test_an_interrupted_run_starts_again(observe):
    risk = RiskState()
    observe(risk, 0, "BB")
    for day, grade in ((10, "A"), (20, "A"), (30, "BB"), (40, "A"), (90, "A")):
        observe(risk, day, grade)
    assert risk.grade == "BB"
    observe(risk, 100, "A")
    assert risk.grade == "A"


def test_confirmed_is_the_worst_of_the_run(observe):
    risk = RiskState()
    observe(risk, 0, "B")
    for day, grade in ((10, "AA"), (40, "BBB"), (80, "AA")):
        observe(risk, day, grade)
    assert risk.grade == "BBB"


def test_a_grade_that_flaps_alerts_once(observe):
    risk = RiskState()
    observe(risk, 0, "BBB")
    alerts = [c.alerts for day in range(1, 100) if (c := observe(risk, day, ("B", "BB")[day % 2])) and c.alerts]
    assert len(alerts) == 1


def test_pd_is_published_again_only_when_it_moved_enough(assessor, facts):
    risk = RiskState()

    def at(pd: float):
        return assessor.credit(risk, facts(1, 0, None), CreditScore(pd, 600.0, {}, ()))

    at(0.0110)
    assert at(0.0132) is None
    assert risk.pd_12m == 0.011
    change = at(0.0139)
    assert [(c.path, c.before, c.after, c.reason) for c in change.risk_change.changed] == [
        ("pd_12m", 0.011, 0.0139, "pd_moved")
    ]
    assert change.alerts == []


def test_ninety_days_past_due_is_default_and_only_confirmation_or_cure_ends_it(observe, assessor, facts):
    risk = RiskState()
    observe(risk, 0, "BBB")
    alert = observe(risk, 1, "BBB", days_past_due=90).alerts[0]
    assert (alert.rule, alert.grade_to, alert.severity, risk.pd_12m) == ("default", "D", "critical", 1.0)
    assert observe(risk, 2, "BBB", days_past_due=95) is None
    assert observe(risk, 3, "BBB") is None
    assert observe(risk, 4, "BBB", defaulted=True) is None
    change = assessor.outcome(risk, facts(5), "cured")
    assert change.risk_change.state.grade == "C"
    assert change.alerts == []
    assert "default" not in [a.reason for a in risk.actions]


def test_default_ends_by_confirmation_too_without_an_offer(observe, assessor, facts):
    risk = RiskState()
    assessor.outcome(risk, facts(0, 0), "default")
    assert risk.grade == "D"
    assert [observe(risk, day, "BBB") for day in (1, 30)] == [None, None]
    change = observe(risk, 61, "BBB")
    assert (risk.grade, change.alerts, change.risk_change.state.actions) == ("BBB", [], [])


def test_a_signal_is_as_of_its_due_time_whatever_woke_it(assessor, facts):
    early = assessor.signal(RiskState(), facts(1, 5), "instalment_missed", 1000, "f-1", None, 25_000)
    late = assessor.signal(RiskState(), facts(9, 9_999_999), "instalment_missed", 1000, "f-1", None, 25_000)
    assert early == late
    alert = early.alerts[0]
    assert (alert.source_event_id, alert.event_time_ms) == ("timer:instalment_missed:f-1:1000", 1000)
    assert (alert.scope.type, alert.scope.id) == ("facility", "f-1")
    assert alert.reasons[0].text.en == "The instalment due is unpaid (EUR 250.00)"
    assert early.risk_change.state.facilities[0].dpd_class == "dpd_1"


def test_a_signal_cools_down_per_facility(assessor, facts):
    risk = RiskState()
    assert assessor.signal(risk, facts(1), "instalment_missed", 0, "f-1").alerts
    assert assessor.signal(risk, facts(1), "instalment_missed", 19 * DAY_MS, "f-1") is None
    assert assessor.signal(risk, facts(1), "instalment_missed", 19 * DAY_MS, "f-2").alerts
    assert assessor.signal(risk, facts(1), "instalment_missed", 20 * DAY_MS, "f-1").alerts


def test_income_missed_is_about_the_customer(assessor, facts):
    alert = assessor.signal(RiskState(), facts(1), "income_missed", 0, "income").alerts[0]
    assert (alert.scope.type, alert.scope.id) == ("customer", "c-1")


def test_a_grade_that_falls_with_a_signal_is_one_alert(observe, assessor, facts):
    risk = RiskState()
    observe(risk, 0, "BBB")
    change = assessor.signal(risk, facts(1), "dpd_30", DAY_MS, "f-1", scored("CCC"))
    assert len(change.alerts) == 1
    alert = change.alerts[0]
    assert (alert.rule, alert.grade_from, alert.grade_to, alert.pd_12m) == ("dpd_30", "BBB", "CCC", 0.15)
    assert [r.code for r in alert.reasons] == ["dpd_30", "legal_count", "utilisation_ratio", "penalty_recent"]
    assert observe(risk, 2, "CCC") is None


def test_dpd_90_is_default(observe, assessor, facts):
    risk = RiskState()
    observe(risk, 0, "BBB")
    alert = assessor.signal(risk, facts(1), "dpd_90", DAY_MS, "f-1", scored("CCC")).alerts[0]
    assert (risk.grade, alert.grade_to, alert.severity) == ("D", "D", "critical")


def test_current_again_ends_the_advice_about_the_facility(assessor, facts):
    risk = RiskState()
    assessor.signal(risk, facts(1), "dpd_30", 0, "f-1")
    assert [a.scope_id for a in risk.actions] == ["f-1"]
    change = assessor.facility(risk, facts(2), "f-1", 0)
    assert (change.risk_change.state.facilities, change.risk_change.state.actions) == ([], [])
    assert assessor.facility(risk, facts(3), "f-1", 0) is None


def test_the_worst_facilities_are_kept(assessor, facts):
    risk = RiskState()
    for n in range(FACILITIES_MAX):
        assessor.facility(risk, facts(n), f"f-{n}", 1 if n == 3 else 40)
    assessor.facility(risk, facts(99), "f-mild", 1)
    assert "f-mild" not in risk.facilities
    assessor.facility(risk, facts(99), "f-worst", 95)
    assert ("f-worst" in risk.facilities, "f-3" in risk.facilities) == (True, False)


@pytest.mark.parametrize("wrong", [lambda a, r, f: a.signal(r, f, "salary_late", 0, "x"),
                                   lambda a, r, f: a.credit(r, f, CreditScore(float("nan"), 0.0, {}, ()))])  # fmt: skip
def test_what_no_caller_should_send_is_refused(assessor, facts, wrong):
    risk = RiskState()
    with pytest.raises((AssessmentError, ValueError)):
        wrong(assessor, risk, facts(1))
    assert risk == RiskState()


def test_state_after_credit_round_trips(observe):
    risk = RiskState()
    for day, grade in ((0, "BBB"), (1, "B"), (9, "A")):
        observe(risk, day, grade)
    packed = msgspec.msgpack.encode(risk)
    assert msgspec.msgpack.decode(packed, type=RiskState) == risk
