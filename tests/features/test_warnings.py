"""Early-warning indicators: each is there after its story and not before, and nothing else about a person is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from features import credit, warnings
from features.events import (
    Application,
    BureauReport,
    EmploymentChange,
    Event,
    Income,
    InstalmentDue,
    LegalEvent,
    LoanGranted,
    Login,
    Profile,
    RegistryChange,
    Repayment,
    Statement,
    Transaction,
)
from features.row import CreditRow
from features.warning_catalogue import CODES, INDICATORS, LISTED, ON, PLACE, REFERENCES
from features.warning_readings import SIZE, readings
from tests.features.timers import fire

DAY_MS = 86_400_000
START_MS = 1_735_689_600_000
SALARY = 240_000


class Life:
    """Months of one person's ordinary life, day by day, and what is made different in the last of them."""

    def __init__(self) -> None:
        self.row = CreditRow()
        self.count = 0
        self.day = 0
        self.balance = 200_000

    def say(self, kind: type[Event], **fields: Any) -> None:
        self.count += 1
        at_ms = START_MS + self.day * DAY_MS + self.count % 1000 * 1000
        event = kind(event_id=f"e{self.count}", customer_id="c", event_time_ms=at_ms, schema_version=1, **fields)
        merchant = bytes([len(str(fields.get("merchant_id", ""))) * 7 % 256])
        fire(self.row, at_ms)
        warnings.apply(self.row, event, merchant)
        credit.apply(self.row, event)

    def pay(self, amount: int, category: str | None = None, direction: str = "debit", **fields: Any) -> None:
        self.balance += amount if direction == "credit" else -amount
        fields = {"account_id": "acct", "balance_minor": self.balance} | fields
        if category is not None:
            fields["category"] = category
        self.say(
            Transaction, amount_minor=amount, currency="EUR", direction=direction, channel="online", status="approved",
            **fields,
        )  # fmt: skip

    def today(self, **unlike: Any) -> None:
        """One ordinary day; `unlike` switches parts of it off or changes them."""
        day = self.day % 30
        if day == 0 and unlike.get("salary", SALARY):
            self.say(
                Income, amount_minor=unlike.get("salary", SALARY), currency="EUR", source="salary", expected_days=30
            )
            self.pay(unlike.get("salary", SALARY), "salary", "credit")
        if day == 3 and unlike.get("rent", True):
            self.pay(80_000, "rent")
        if day == 4 and unlike.get("insurance", True):
            self.pay(4_500, "insurance")
        for n in range(unlike.get("purchases", 2)):
            self.pay(1_200, merchant_id="m" * (1 + (self.day * 2 + n) % unlike.get("merchants", 6)), mcc="5411")
        if day in (5, 20):
            self.pay(6_000, type="cash", terminal_id="atm_1")
        self.say(Login, channel="mobile", result="ok")
        if day == 10:
            self.say(
                Statement, facility_id="cc", balance_minor=unlike.get("used", 60_000), minimum_due_minor=3_000,
                due_time_ms=START_MS + (self.day + 18) * DAY_MS, limit_minor=300_000,
            )  # fmt: skip
        if day == 22 and unlike.get("repay", 60_000):
            self.say(Repayment, facility_id="cc", amount_minor=unlike.get("repay", 60_000))
            self.pay(unlike.get("repay", 60_000), "loan_payment")
        self.day += 1

    def live(self, days: int, **unlike: Any) -> Life:
        for _ in range(days):
            self.today(**unlike)
        return self

    def reading(self, code: str) -> float:
        return readings(self.row, START_MS + self.day * DAY_MS)[PLACE[code]]


def calm() -> Life:
    return Life().live(180)


def drained(life: Life) -> None:
    for _ in range(35):
        life.pay(max(0, life.balance) // 5, "other")
        life.today()


def often(life: Life, **fields: Any) -> None:
    for _ in range(30):
        life.pay(9_000, **fields)
        life.today()


def said(kind: type[Event], **fields: Any) -> Callable[[Life], None]:
    return lambda life: life.say(kind, **fields)


def applied(life: Life) -> None:
    for _ in range(3):
        life.say(Application, product="loan", amount_minor=100_000, currency="EUR")
        life.live(4)


def declined(life: Life) -> None:
    for _ in range(28):
        life.say(
            Transaction, amount_minor=9, currency="EUR", direction="debit", channel="pos", status="declined",
            merchant_id="m",
        )  # fmt: skip
        life.today()


def below(life: Life) -> None:
    life.pay(life.balance + 150_000, "other")
    life.live(20, salary=0)


def worse(life: Life) -> None:
    life.say(BureauReport, score=700, inquiries_6m=0)
    life.live(5)
    life.say(BureauReport, score=620, inquiries_6m=2)


def late(life: Life) -> None:
    life.live(7, salary=0)
    life.say(Income, amount_minor=SALARY, currency="EUR", source="salary", expected_days=30)


def looked(life: Life) -> None:
    for _ in range(30):
        for _ in range(3):
            life.say(Login, channel="mobile", result="ok")
        life.today()


def moved_money(life: Life) -> None:
    for _ in range(90):
        life.pay(7_000, "other")
        life.today()


STORIES: dict[str, Callable[[Life], Any]] = {
    "salary_overdue": lambda life: life.live(12, salary=0),
    "salary_missed_twice": lambda life: life.live(42, salary=0),
    "salary_late": late,
    "salary_drop": lambda life: life.live(5, salary=SALARY // 2),
    "inflow_falling": lambda life: life.live(65, salary=SALARY // 2),
    "employment_ended": said(EmploymentChange, change="ended"),
    "benefit_received": lambda life: life.pay(90_000, "benefit", "credit"),
    "balance_falling": drained,
    "balance_low": drained,
    "overdraft_used": below,
    "overdraft_lasting": below,
    "outflow_exceeds_inflow": moved_money,
    "declined_payments": declined,
    "rent_late": lambda life: life.live(10, rent=False),
    "insurance_lapsed": lambda life: life.live(45, insurance=False),
    "utilisation_high": lambda life: life.live(15, used=285_000),
    "utilisation_rising": lambda life: life.live(15, used=285_000),
    "minimum_only": lambda life: life.live(45, repay=3_000),
    "payment_ratio_falling": lambda life: life.live(45, repay=3_000),
    "payment_later": lambda life: (
        life.live(27, repay=0), life.say(Repayment, facility_id="cc", amount_minor=60_000)
    ),
    "returned_payment": said(Repayment, facility_id="cc", amount_minor=5_000, returned=True),
    "cash_advance": lambda life: life.say(
        Transaction, amount_minor=5_000, currency="EUR", direction="debit", channel="atm", status="approved",
        type="cash", account_id="cc",
    ),
    "applications_many": applied,
    "bureau_worse": worse,
    "new_debt": said(
        LoanGranted, facility_id="l", amount_minor=9, currency="EUR", instalment_minor=1, term_months=9
    ),
    "cash_rising": lambda life: often(life, type="cash", terminal_id="atm_1"),
    "gambling": lambda life: often(life, merchant_id="bet", mcc="7995"),
    "pawn_shop": lambda life: life.pay(3_000, merchant_id="pawn", mcc="5933"),
    "merchants_fewer": lambda life: life.live(35, merchants=1),
    "purchases_fewer": lambda life: life.live(35, purchases=0),
    "logins_more": looked,
    "legal_event": said(LegalEvent, type="lawsuit"),
    "registry_adverse": said(RegistryChange, type="filing_late"),
    "penalty_interest": lambda life: life.pay(100, "penalty_interest"),
    "account_quiet": lambda life: life.live(100, purchases=0, salary=0),
}  # fmt: skip


def test_every_indicator_has_a_story_and_words_in_both_languages() -> None:
    assert list(CODES) == list(STORIES)
    assert len(CODES) == SIZE == len(set(CODES)) >= 20
    assert all(it.en and it.zh and it.source and it.theme in REFERENCES for it in (*INDICATORS, *LISTED))
    assert not {it.code for it in LISTED} & set(CODES)


@pytest.mark.parametrize("code", CODES)
def test_an_indicator_is_there_after_its_story_and_not_before(code: str) -> None:
    life = calm()
    assert life.reading(code) < ON, readings(life.row, START_MS + life.day * DAY_MS)
    STORIES[code](life)
    assert life.reading(code) >= ON


def test_a_new_customer_shows_nothing() -> None:
    assert readings(CreditRow(), START_MS) == [0.0] * SIZE


def test_readings_stay_within_nought_and_one() -> None:
    life = calm()
    for story in STORIES.values():
        story(life)
        assert all(0 <= each <= 1 for each in readings(life.row, START_MS + life.day * DAY_MS))


def test_district_and_employer_are_kept_and_never_read() -> None:
    lives = []
    for district, employer in (("a", "x"), ("b", "y"), (None, None)):
        life = Life()
        known = {} if district is None else {"district": district, "employer_id": employer}
        life.say(Profile, customer_type="individual", **known)
        lives.append(life.live(100, salary=0))
    first, second, third = (life.row.warnings for life in lives)
    assert 0 != first.district != second.district != 0
    assert third.district == third.employer == 0
    seen = [readings(life.row, START_MS + 101 * DAY_MS) for life in lives]
    assert seen[0] == seen[1] == seen[2]


# What a credit row of two kilobytes has room for beside the rest of it.
WARNINGS_BYTES_MAX = 210


def test_memory_stays_small_whatever_happens() -> None:
    life = Life()
    life.say(Profile, customer_type="individual", district="d" * 64, employer_id="e" * 64)
    for _ in range(40):
        for n in range(32):
            life.pay(10**10, merchant_id="m" * (n + 1), mcc="7995")
            life.pay(10**10, type="cash")
        life.pay(10**11, "salary", "credit")
        life.live(7)
    for story in STORIES.values():
        story(life)
    life.row.warnings.watch_since_ms = life.row.warnings.calm_since_ms = START_MS
    assert len(msgspec.msgpack.encode(life.row.warnings)) <= WARNINGS_BYTES_MAX


def test_weeks_of_silence_are_zeros_and_bounded_work() -> None:
    life = calm()
    before = life.row.warnings.fast[warnings.PURCHASES]
    life.day += 7 * 50
    life.today()
    assert life.row.warnings.fast[warnings.PURCHASES] < before // 4
    assert life.row.warnings.weeks < 60


def test_an_instalment_says_nothing_by_itself() -> None:
    life = calm()
    notice = InstalmentDue(
        event_id="i", customer_id="c", event_time_ms=START_MS + 181 * DAY_MS, schema_version=1, facility_id="l",
        amount_minor=5, due_time_ms=START_MS + 190 * DAY_MS,
    )  # fmt: skip
    life.row.warnings.week_end_ms = notice.event_time_ms + 1
    assert warnings.apply(life.row, notice, b"") is False
