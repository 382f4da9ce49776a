"""Stages and five classes as tables of cases, each with the paragraph it is about."""

from __future__ import annotations

import pytest

from alerts.lending.regulatory import facility_values, loss_given_default, reclassify
from alerts.state import FIVE_CLASSES, Lending, Loan, RiskState
from tests.alerts.lending.conftest import DAY_MS, START_MS, borrower_at, facility, scored

# days past due, PD at grant, PD now, in default, watch listed, firm → stage, class, paragraph
CASES = [
    (0, 0.01, 0.01, False, False, 1, "normal", "IFRS 9 5.5.5: twelve-month losses"),
    (1, 0.01, 0.01, False, False, 1, "special_mention", "Measures 2023 art. 10 (1): overdue"),
    (30, 0.01, 0.01, False, False, 1, "special_mention", "IFRS 9 5.5.11: more than 30 days, not 30"),
    (31, 0.01, 0.01, False, False, 2, "special_mention", "IFRS 9 5.5.11: 30 days backstop"),
    (89, 0.01, 0.01, False, False, 2, "special_mention", "IFRS 9 B5.5.37: not yet 90"),
    (90, 0.01, 0.01, False, False, 3, "substandard", "IFRS 9 B5.5.37; Measures art. 11 (2): credit-impaired"),
    (91, 0.01, 0.01, False, False, 3, "substandard", "Measures 2023 art. 11 (1): more than 90 days"),
    (270, 0.01, 0.01, False, False, 3, "substandard", "Measures 2023 art. 12 (1): more than 270, not 270"),
    (271, 0.01, 0.01, False, False, 3, "doubtful", "Measures 2023 art. 12 (1)"),
    (360, 0.01, 0.01, False, False, 3, "doubtful", "Measures 2023 art. 13 (1): more than 360, not 360"),
    (361, 0.01, 0.01, False, False, 3, "loss", "Measures 2023 art. 13 (1)"),
    (0, 0.01, 0.0249, False, False, 1, "normal", "IFRS 9 5.5.9: ratio below the threshold"),
    (0, 0.01, 0.026, False, False, 2, "special_mention", "IFRS 9 5.5.9: PD more than 2.5 times that at grant"),
    (0, 0.0005, 0.002, False, False, 1, "normal", "IFRS 9 5.5.10: four times nearly nothing is low risk"),
    (0, 0.15, 0.21, False, False, 2, "special_mention", "house: PD of 20 % and more is stage 2 at least"),
    (0, 0.01, 0.01, False, True, 2, "special_mention", "EBA/GL/2020/06 8.5: watch list"),
    (0, 0.01, 1.0, True, False, 3, "substandard", "IFRS 9 App. A; EBA/GL/2016/07: default of the customer"),
]


def state(pd_at_grant: float, pd_now: float, *, default: bool = False, watched: bool = False, **loan: int) -> RiskState:
    made = Loan(START_MS, round(pd_at_grant * 1e6), exposure_minor=1_000_000)
    for name, value in loan.items():
        setattr(made, name, value)
    lending = Lending(loans={"f": made}, watch_ms=START_MS if watched else -1)
    return RiskState(grade="D" if default else "BBB", pd_12m=pd_now, lending=lending)


def classes(risk: RiskState, name: str = "f") -> tuple[int, str]:
    loan = risk.lending.loans[name]
    return loan.stage, FIVE_CLASSES[loan.five]


@pytest.mark.parametrize(("days", "grant", "now", "default", "watched", "stage", "five", "paragraph"), CASES)
def test_a_facility_has_the_class_of_the_table(policy, days, grant, now, default, watched, stage, five, paragraph):
    risk = state(grant, now, default=default, watched=watched, due_ms=START_MS)
    reclassify(policy.regulatory, risk, START_MS + days * DAY_MS + DAY_MS - 1)
    assert classes(risk) == (stage, five), paragraph


def test_every_line_of_the_policy_has_a_case(policy):
    stages = {(stage, five) for *_rest, stage, five, _paragraph in CASES}
    assert {five for _stage, five in stages} == set(FIVE_CLASSES)
    assert {stage for stage, _five in stages} == {1, 2, 3}
    assert all(line.reference for line in (*policy.regulatory.stages, *policy.regulatory.five))
    assert policy.regulatory.boundaries == (1, 31, 90, 91, 271, 361)


def test_stage_3_is_left_through_stage_2_and_each_takes_its_probation(policy):
    risk = state(0.01, 0.01, due_ms=START_MS)
    reclassify(policy.regulatory, risk, START_MS + 95 * DAY_MS)
    loan, paid_day = risk.lending.loans["f"], 100
    loan.due_ms = -1
    at = {}
    for day in range(paid_day, paid_day + 200):
        reclassify(policy.regulatory, risk, START_MS + day * DAY_MS)
        at.setdefault(classes(risk), day - paid_day)
    # EBA/GL/2016/07 paragraph 71: three months; Measures 2023 article 14: six months out of non-performing.
    assert at == {(3, "substandard"): 0, (2, "substandard"): 90, (1, "normal"): 180}


def test_non_performing_goes_through_special_mention_while_the_table_still_says_so(policy):
    risk = state(0.01, 0.01, watched=True, due_ms=START_MS)
    reclassify(policy.regulatory, risk, START_MS + 95 * DAY_MS)
    risk.lending.loans["f"].due_ms = -1
    reclassify(policy.regulatory, risk, START_MS + 100 * DAY_MS)
    reclassify(policy.regulatory, risk, START_MS + 280 * DAY_MS)
    assert classes(risk) == (2, "special_mention")


def test_a_relapse_begins_probation_anew(policy):
    risk = state(0.01, 0.01, due_ms=START_MS)
    loan = risk.lending.loans["f"]
    reclassify(policy.regulatory, risk, START_MS + 40 * DAY_MS)
    loan.due_ms = -1
    reclassify(policy.regulatory, risk, START_MS + 50 * DAY_MS)
    loan.due_ms = START_MS + 20 * DAY_MS
    reclassify(policy.regulatory, risk, START_MS + 100 * DAY_MS)
    assert classes(risk) == (2, "special_mention")
    loan.due_ms = -1
    reclassify(policy.regulatory, risk, START_MS + 101 * DAY_MS)
    reclassify(policy.regulatory, risk, START_MS + 190 * DAY_MS)
    assert classes(risk)[0] == 2
    reclassify(policy.regulatory, risk, START_MS + 191 * DAY_MS)
    assert classes(risk) == (1, "normal")


@pytest.mark.parametrize(("bad_minor", "firm", "expected"), [
    (120_000, True, "substandard"), (90_000, True, "normal"), (120_000, False, "normal"),
])  # fmt: skip
def test_a_tenth_of_a_firms_debt_pulls_down_the_rest(policy, bad_minor, firm, expected):
    risk = state(0.01, 0.01, exposure_minor=1_000_000 - bad_minor)
    risk.lending.loans["bad"] = Loan(START_MS, 10_000, due_ms=START_MS, exposure_minor=bad_minor)
    risk.lending.enterprise = firm
    reclassify(policy.regulatory, risk, START_MS + 92 * DAY_MS)
    assert classes(risk, "bad")[1] == "substandard"
    assert classes(risk)[1] == expected, "Measures 2023 article 9"


@pytest.mark.parametrize(("cover", "loss"), [(0, 0.45), (10_000_000, 0.15), (714_286, 0.30)])
def test_collateral_after_its_haircut_lowers_the_loss(policy, cover, loss):
    assert loss_given_default(policy.regulatory, 1_000_000, cover) == pytest.approx(loss, abs=1e-6)


def test_what_is_not_known_makes_no_line_hold(policy):
    risk = state(0.01, 0.5)
    loan = risk.lending.loans["f"]
    loan.pd_millionths = -1
    values = facility_values(policy.regulatory, loan, {}, START_MS, 0.0)
    assert "pd_ratio" not in values
    assert "loss_ratio" not in values


def test_time_alone_moves_classes_at_the_day_the_table_names(assessor, on):
    risk = RiskState(grade="BBB", pd_12m=0.01)
    assessor.review(risk, on(0), borrower_at(0, facility(due_days=10)), scored(0.01))
    days, found = [], []
    while (due := assessor.next_due(risk)) is not None and due < START_MS + 500 * DAY_MS:
        change = assessor.expire(risk, due, on(0))
        assert assessor.next_due(risk) != due
        if change and change.risk_change:
            days.append((due - START_MS) // DAY_MS - 10)
            found.append(change.risk_change.state.facilities[0])
            assert change.risk_change.cause.kind == "review"
            assert change.risk_change.event_time_ms == due
    # Day 91 moves nothing: day 90 made the facility impaired already.
    assert days == [1, 31, 90, 271, 361]
    assert [(f.stage, f.five_class) for f in found] == [
        (1, "special_mention"), (2, "special_mention"), (3, "substandard"), (3, "doubtful"), (3, "loss"),
    ]  # fmt: skip


def test_the_pd_at_grant_is_kept_from_the_first_day(assessor, on):
    risk = RiskState(grade="A", pd_12m=0.004)
    assessor.review(risk, on(0), borrower_at(0, facility()), scored(0.004))
    assessor.review(risk, on(30), borrower_at(30, facility()), scored(0.09))
    assert risk.lending.loans["loan-1"].pd_millionths == 4_000
    change = assessor.review(risk, on(31), borrower_at(31), scored(0.09))
    assert risk.lending.loans == {}
    assert change is None or change.risk_change.state.facilities == []
