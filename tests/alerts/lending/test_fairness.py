"""What may never be an input is none: not in events kept, views, cards, tables or texts; and the engine shows it."""

from __future__ import annotations

import re

import msgspec
import pytest

from alerts.errors import PolicyError
from alerts.lending.borrower import Borrower, FacilityFacts
from alerts.lending.facts import FACTS
from alerts.lending.letter import LETTER_LINES
from alerts.lending.plan import CHANGES
from alerts.policy import parse_policy
from alerts.shift import Assessor
from alerts.state import Application, Lending, Loan, RiskState
from features.catalogue import NAMES
from features.facility import Facility
from features.income import IncomeRhythm
from features.kinds import ALL_KINDS
from features.row import CreditRow, HotRow
from features.view import CreditView
from models.scorecard import CARD

PROTECTED = re.compile(
    r"(^|_)(sex|gender|male|female|marital|marriage|married|spouse|ethnic\w*|race|racial|nationality|religio\w*|faith|"
    r"health|disab\w*|pregnan\w*|age|aged|birth\w*|born)(_|$)"
)
PLACES = re.compile(r"(^|_)(district|postcode|zip|address|neighbou?rhood|region)(_|$)")
# The age of a series of frauds, not of a person.
NOT_OF_PERSONS = ("terminal_fraud_age", "device_fraud_age")
INPUTS = {
    "features": NAMES,
    "view": CreditView.__struct_fields__,
    "card": tuple(line.code for line in CARD),
    "facts": tuple(fact.name for fact in FACTS),
    "plan": tuple(change.code for change in CHANGES),
    "rows": tuple(
        name
        for kind in (CreditRow, HotRow, Facility, IncomeRhythm, Borrower, FacilityFacts, RiskState, Lending, Loan,
                     Application)
        for name in kind.__struct_fields__
    ),
}  # fmt: skip


@pytest.mark.parametrize("where", INPUTS)
def test_nothing_protected_is_an_input(where):
    assert len(INPUTS[where]) > 3
    assert [name for name in INPUTS[where] if PROTECTED.search(name) and name not in NOT_OF_PERSONS] == []


@pytest.mark.parametrize("where", INPUTS)
def test_where_someone_lives_is_no_input(where):
    assert [name for name in INPUTS[where] if PLACES.search(name)] == []


def test_no_event_carries_what_is_protected():
    fields = [name for kind in ALL_KINDS for name in kind.__struct_fields__]
    assert len(fields) > 60
    assert [name for name in fields if PROTECTED.search(name)] == []


@pytest.mark.parametrize("name", ["sex", "customer_age", "marital_status", "ethnicity", "birth_year", "religion"])
def test_the_walk_would_see_it(name):
    assert PROTECTED.search(name)


@pytest.mark.parametrize("name", ["average_balance", "usage_ratio", "mortgage_minor", "coverage_ratio", "stage"])
def test_the_walk_does_not_see_what_only_sounds_alike(name):
    assert not PROTECTED.search(name)


@pytest.mark.parametrize("fact", ["sex", "age", "district"])
def test_a_policy_cannot_ask_for_it(policy_text, fact):
    text = policy_text.replace(
        '{ fact = "legal_count", op = ">=", value = 1 }', f'{{ fact = "{fact}", op = ">=", value = 1 }}', 1
    )
    with pytest.raises(PolicyError) as caught:
        parse_policy(text)
    assert caught.value.found == repr(fact)
    assert fact in text.splitlines()[caught.value.line - 1]


def test_a_social_signal_scores_nobody_unless_switched_on(policy, policy_text, on):
    borrower = RiskState(grade="BB", pd_12m=0.02, lending=Lending())
    packed = msgspec.msgpack.encode(borrower)
    assert Assessor(policy).social(borrower, on(0), -1.0) is None
    assert msgspec.msgpack.encode(borrower) == packed
    willing = Assessor(parse_policy(policy_text.replace("social_signal = false", "social_signal = true")))
    assert willing.social(borrower, on(0), 0.0) is None
    change = willing.social(borrower, on(0), -0.9)
    assert change.alerts == []
    assert [(a.action, a.mode) for a in change.risk_change.state.actions] == [("monitor", "advise")]
    assert (borrower.grade, borrower.pd_12m) == ("BB", 0.02)
    assert willing.social(RiskState(), on(0), -0.9) is None, "nobody without credit is looked at"


def test_the_letter_promises_what_the_walk_checks():
    assert "not_used" in LETTER_LINES
    assert "human" in LETTER_LINES
