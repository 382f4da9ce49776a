"""What a customer may read: the improvement plan and the letter, without a word of the inside."""

from __future__ import annotations

import re

import msgspec
import pytest

from alerts.lending.letter import BANDS, band_of, letter
from alerts.lending.plan import CHANGES, improvement_plan
from alerts.state import GRADES as ALL_GRADES
from alerts.state import Application, Lending, RiskState
from alerts.texts import load
from features.facility import Facility
from features.row import CreditRow
from features.view import CreditView
from models.grades import GRADES, grade_of
from models.scorecard import CARD, score
from tests.alerts.lending.conftest import DAY_MS, START_MS, seen

CODES = {line.code for line in CARD}


def pd(view: CreditView) -> float:
    return score(view).pd_12m


def test_one_change_is_enough_where_one_is():
    view = seen(overdraft=True, tenure_days=900.0, has_credit=True)
    plan = improvement_plan(view, lambda v: 0.03 if v.overdraft else 0.001)
    assert plan.steps == (("overdraft", 1.0, 0.0),)


def test_two_changes_where_one_is_not_enough_and_the_least_effort_wins():
    view = seen(overdraft=True, utilisation_ratio=0.9, days_past_due=5, has_credit=True)

    def both(v: CreditView) -> float:
        return 0.001 if not v.overdraft and v.utilisation_ratio <= 0.5 else 0.06

    plan = improvement_plan(view, both)
    assert plan.steps == (("overdraft", 1.0, 0.0), ("utilisation_ratio", 0.9, 0.5))
    assert plan.grade == grade_of(0.001)


@pytest.mark.parametrize("figures", [
    {"days_past_due": 20, "utilisation_ratio": 1.2}, {"minimum_only_count": 5.0, "overdraft": True},
    {"debt_service_ratio": 0.8, "applications_30d": 6}, {"returned_count": 2.5, "utilisation_ratio": 0.85},
])  # fmt: skip
def test_the_plan_reaches_the_grade_it_promises(figures):
    view = seen(**figures, tenure_days=900.0, has_credit=True)
    plan = improvement_plan(view, pd)
    assert 1 <= len(plan.steps) <= 2
    after = msgspec.structs.replace(view, **{code: type(getattr(view, code))(to) for code, _now, to in plan.steps})
    assert grade_of(pd(after)) == plan.grade
    assert GRADES.index(plan.grade) < GRADES.index(grade_of(pd(view)))
    assert all(to < now for _code, now, to in plan.steps)


def test_nothing_to_change_is_no_plan():
    assert improvement_plan(seen(legal_count=3, has_credit=True), pd) is None


def test_only_what_a_customer_can_change_is_advice():
    changes = {change.code for change in CHANGES}
    assert changes <= CODES
    assert changes.isdisjoint({"legal_count", "tenure_days", "bureau_score", "employment_ended", "income_drop_ratio"})


# --- the letter ------------------------------------------------------------------------------------------------


@pytest.fixture
def row() -> CreditRow:
    card = Facility("cc_000042", limit_minor=1_000_000, balance_minor=950_000, touched_ms=START_MS)
    return CreditRow(first_seen_ms=START_MS - 400 * DAY_MS, facilities=[card], overdrawn=[7])


@pytest.fixture
def risk() -> RiskState:
    until_ms = START_MS + 30 * DAY_MS
    reasons = ["fraud_recent", "utilisation_ratio", "amount_beyond_capacity"]
    refused = Application("app-7", "personal_loan", "decline", START_MS, until_ms, False, "CNY", 0, 0, 0, 0, 0, reasons)
    granted = Application("app-8", "card", "approve", START_MS, until_ms, True, "CNY", 2_000_000, 0, 452, 552, 100_000,
                          [])  # fmt: skip
    lending = Lending(applications=[refused, granted], points={"base": 60_000, "tenure_days": 100}, watch_ms=START_MS,
                      watch_reason="grade_weak", tier="support")  # fmt: skip
    return RiskState(grade="B", pd_12m=0.06, lending=lending)


def written(policy, row, risk, lang="en", at_ms=START_MS):
    made = letter(policy, load(), row, risk, at_ms, score, "2023-11-14", "desk@bank.example")
    text = [made.subject, *(t for p in made.paragraphs for t in (p.text, *p.items))]
    return made, "\n".join(t.en if lang == "en" else t.zh_cn for t in text)


def test_the_letter_says_where_it_stands_why_what_helps_and_whom_to_ask(policy, row, risk):
    made, text = written(policy, row, risk)
    assert f"{made.points} points" in text
    for words in (
        "Use of the credit limit", "Account overdrawn", "What would help", "Bring the account back above zero",
        "proposes not to grant", "we can offer it", "CNY 20,000.00 as a running limit", "4.52% and 5.52%",
        "Collateral worth CNY 1,000.00", "desk@bank.example", "never use sex", "a person looks at",
    ):  # fmt: skip
        assert words in text, words


def test_the_chinese_letter_is_chinese(policy, row, risk):
    _made, text = written(policy, row, risk, "zh-CN")
    for words in ("您的信用评估说明", "授信额度使用率", "使账户余额恢复为正", "20,000.00 元", "不会由机器"):
        assert words in text, words
    assert "{" not in text


@pytest.mark.parametrize("lang", ["en", "zh-CN"])
def test_no_word_of_the_inside_is_in_it(policy, row, risk, lang):
    _made, text = written(policy, row, risk, lang)
    assert "_" not in text.replace("desk@bank.example", "")
    codes = {*CODES, *(r.id for r in policy.origination.rules), *(m.id for m in policy.after_loan.measures), "app-7",
             "cc_000042", "grade_weak", "watch", "stage", "PD", "IFRS"}  # fmt: skip
    assert [code for code in codes if "_" in code and code in text] == []
    assert re.search(r"\b(AAA|AA|BBB|BB|CCC|IFRS|PD|stage|watch list)\b", text) is None


def test_answers_that_have_run_out_and_customers_without_credit(policy, row, risk):
    _made, text = written(policy, row, risk, at_ms=START_MS + 31 * DAY_MS)
    assert "Your application" not in text
    made, text = written(policy, CreditRow(), RiskState())
    assert (made.points, made.band) == (None, None)
    assert "no credit with us yet" in text


def test_every_grade_has_a_word_for_customers_and_better_grades_no_worse_one():
    words = [band_of(grade) for grade in ALL_GRADES]
    assert words[-1] == "default"
    assert [BANDS.index(word) for word in words[:-1]] == sorted(BANDS.index(word) for word in words[:-1])
    assert set(words[:-1]) == set(BANDS)
