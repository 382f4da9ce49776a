"""Credit events, timers and the view."""

from __future__ import annotations

import copy
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.credit import CreditRow, CreditView, apply, days_past_due, next_due, view
from features.events import (
    Application,
    BureauReport,
    CollateralValued,
    EmploymentChange,
    Event,
    Income,
    InstalmentDue,
    LegalEvent,
    LimitChanged,
    LoanGranted,
    Login,
    Outcome,
    Profile,
    Repayment,
    Statement,
    Transaction,
)
from features.facility import DUES_MAX
from tests.features.test_warnings import WARNINGS_BYTES_MAX
from tests.features.timers import fire

DAY = 86_400_000
START = 1_533_081_600_000


def of(kind: type[Event], at: int, **fields: Any) -> Any:
    return kind(event_id=f"{kind.__name__}-{at}", customer_id="c", event_time_ms=at, schema_version=1, **fields)


def tx(at: int, amount: int = 1_000, direction: str = "credit", **fields: Any) -> Any:
    fields = {"currency": "EUR", "channel": "online", **fields}
    return of(Transaction, at, amount_minor=amount, direction=direction, **fields)


def salary(at: int, amount: int = 200_000, **fields: Any) -> Any:
    return of(Income, at, amount_minor=amount, currency="EUR", source="salary", **fields)


def due(at: int, amount: int = 10_000, facility: str = "loan") -> Any:
    return of(InstalmentDue, at, facility_id=facility, amount_minor=amount, due_time_ms=at)


def paid(at: int, amount: int = 10_000, facility: str = "loan", **fields: Any) -> Any:
    return of(Repayment, at, facility_id=facility, amount_minor=amount, **fields)


def statement(at: int, minimum: int = 1_000, balance: int = 50_000, **fields: Any) -> Any:
    fields = {"facility_id": "card", "due_time_ms": at + 20 * DAY, **fields}
    return of(Statement, at, minimum_due_minor=minimum, balance_minor=balance, **fields)


def row_of(*events: Any) -> CreditRow:
    row = CreditRow()
    for event in events:
        apply(row, event)
    return row


def kinds(row: CreditRow, at: int) -> list[tuple[str, float, str]]:
    return [(s.kind, (s.due_ms - START) / DAY, s.ref) for s in fire(row, at)]


def test_nothing_known_is_the_neutral_view() -> None:
    row = CreditRow()
    assert next_due(row) is None
    assert fire(row, START) == []
    assert view(row, START) == CreditView(
        days_past_due=0, income_overdue_days=0.0, income_drop_ratio=0.0, utilisation_ratio=0.0, minimum_only_count=0.0,
        returned_count=0.0, legal_count=0, overdraft=False, penalty_recent=0.0, bureau_score=-1, tenure_days=0.0,
        debt_service_ratio=0.0, employment_ended=False, applications_30d=0, has_credit=False,
    )  # fmt: skip


# --- instalments and days past due ------------------------------------------------------------------------


def test_unpaid_instalment_fires_each_signal_once_as_of_its_due_time() -> None:
    row = row_of(due(START))
    assert next_due(row) == START + DAY
    assert fire(row, START + DAY - 1) == []
    assert kinds(row, START + DAY) == [("instalment_missed", 1, "loan")]
    assert fire(row, START + DAY) == []
    assert next_due(row) == START + 30 * DAY
    assert kinds(row, START + 200 * DAY) == [("dpd_30", 30, "loan"), ("dpd_60", 60, "loan"), ("dpd_90", 90, "loan")]
    assert fire(row, START + 900 * DAY) == []
    assert next_due(row) is None


def test_paid_in_time_is_silent() -> None:
    row = row_of(due(START), paid(START + DAY - 1))
    assert next_due(row) is None
    assert fire(row, START + 99 * DAY) == []


def test_part_paid_is_still_due() -> None:
    row = row_of(due(START), paid(START, 9_999))
    assert [k for k, _, _ in kinds(row, START + DAY)] == ["instalment_missed"]


def test_instalment_paid_ahead_is_silent() -> None:
    row = row_of(paid(START - 2 * DAY, 15_000), due(START))
    assert next_due(row) is None
    apply(row, due(START + 30 * DAY))
    assert row.facilities[0].dues[0].left_minor == 5_000


def test_same_instalment_told_twice_is_one() -> None:
    row = row_of(due(START), due(START), paid(START, 10_000))
    assert next_due(row) is None


def test_days_past_due_counts_whole_days_from_the_oldest_unpaid() -> None:
    row = row_of(due(START), due(START + 30 * DAY))
    assert days_past_due(row, START - DAY) == 0
    assert days_past_due(row, START + DAY - 1) == 0
    assert days_past_due(row, START + 45 * DAY) == 45
    apply(row, paid(START + 45 * DAY))
    assert days_past_due(row, START + 45 * DAY) == 15
    apply(row, paid(START + 46 * DAY))
    assert days_past_due(row, START + 90 * DAY) == 0
    assert view(row, START + 45 * DAY).days_past_due == 0


def test_late_repayment_clears_and_a_second_slide_fires_again() -> None:
    row = row_of(due(START))
    assert [k for k, _, _ in kinds(row, START + 31 * DAY)] == ["instalment_missed", "dpd_30"]
    apply(row, paid(START + 32 * DAY))
    assert fire(row, START + 100 * DAY) == []
    apply(row, due(START + 100 * DAY))
    assert kinds(row, START + 131 * DAY) == [("instalment_missed", 101, "loan"), ("dpd_30", 130, "loan")]


def test_payment_of_the_oldest_is_no_new_worsening_by_the_next() -> None:
    row = row_of(due(START), due(START + 30 * DAY))
    fire(row, START + 65 * DAY)
    apply(row, paid(START + 65 * DAY))
    # The younger is 35 days past due: 30 was passed under the older one, 60 is still to come.
    assert kinds(row, START + 95 * DAY) == [("dpd_60", 90, "loan")]


def test_facilities_fire_in_due_order() -> None:
    row = row_of(
        due(START + 2 * DAY, facility="b"), due(START, facility="a"), salary(START - 29 * DAY, expected_days=30)
    )
    assert kinds(row, START + 8 * DAY) == [
        ("instalment_missed", 1, "a"), ("instalment_missed", 3, "b"), ("income_missed", 7, "income"),
    ]  # fmt: skip


def test_dues_are_bounded_and_keep_the_oldest() -> None:
    row = row_of(*(due(START + n * 30 * DAY) for n in range(20)))
    assert len(row.facilities[0].dues) == DUES_MAX
    assert sum(d.left_minor for d in row.facilities[0].dues) == 200_000
    assert days_past_due(row, START + 600 * DAY) == 600


def test_announced_instalment_is_not_overdue_before_its_time() -> None:
    row = row_of(of(InstalmentDue, START, facility_id="loan", amount_minor=5, due_time_ms=START + 10 * DAY))
    assert next_due(row) == START + 11 * DAY
    assert days_past_due(row, START + 9 * DAY) == 0


def test_returned_repayment_did_not_happen_and_fades() -> None:
    row = row_of(due(START), paid(START, returned=True))
    assert days_past_due(row, START + 5 * DAY) == 5
    assert view(row, START).returned_count == 1.0
    assert view(row, START + 180 * DAY).returned_count == 0.5


# --- cards --------------------------------------------------------------------------------------------


def test_statement_sets_use_of_the_limit() -> None:
    row = row_of(statement(START, limit_minor=100_000))
    assert view(row, START).utilisation_ratio == 0.5
    apply(row, paid(START + DAY, 25_000, "card"))
    assert view(row, START).utilisation_ratio == 0.25
    apply(row, of(LimitChanged, START + DAY, facility_id="card", limit_minor=50_000))
    assert view(row, START).utilisation_ratio == 0.5


def test_balance_without_a_limit_is_no_use_of_a_limit() -> None:
    row = row_of(statement(START, limit_minor=100_000), statement(START, balance=70_000, facility_id="other"))
    assert view(row, START).utilisation_ratio == 0.5


def test_money_paid_before_a_statement_is_in_its_balance_already() -> None:
    row = row_of(paid(START - DAY, 5_000, "card"), statement(START, 1_000))
    assert next_due(row) == START + 21 * DAY
    apply(row, paid(START + DAY, 1_000, "card"))
    apply(row, statement(START + 30 * DAY))
    assert view(row, START + 30 * DAY).minimum_only_count == 1.0
    apply(row, statement(START + 60 * DAY, 2_000))
    assert view(row, START + 60 * DAY).minimum_only_count < 1.0, "nothing was paid in the second month"


def test_money_in_a_statement_is_not_paid_ahead_as_well() -> None:
    row = row_of(paid(START - DAY, 5_000, "card"), statement(START, 0), due(START + DAY, 5_000, "card"))
    assert [d.left_minor for d in row.facilities[0].dues] == [5_000]


def test_statement_minimum_includes_what_is_unpaid() -> None:
    row = row_of(statement(START, 1_000), statement(START + 30 * DAY, 2_500))
    assert [d.left_minor for d in row.facilities[0].dues] == [1_000, 1_500]
    apply(row, paid(START + 31 * DAY, 2_500, "card"))
    assert next_due(row) is None


def test_paying_only_the_minimum_is_counted_and_fades() -> None:
    row = row_of(statement(START), paid(START + DAY, 1_050, "card"), statement(START + 30 * DAY))
    assert view(row, START + 30 * DAY).minimum_only_count == 1.0
    assert view(row, START + 210 * DAY).minimum_only_count == 0.5


@pytest.mark.parametrize(("paid_minor", "balance"), [(20_000, 50_000), (900, 50_000), (1_050, 1_050)])
def test_paying_more_less_or_all_is_not_minimum_only(paid_minor: int, balance: int) -> None:
    row = row_of(statement(START, balance=balance), paid(START + DAY, paid_minor, "card"), statement(START + 30 * DAY))
    assert view(row, START + 30 * DAY).minimum_only_count == 0.0


# --- income -------------------------------------------------------------------------------------------


def test_given_rhythm_misses_once_and_twice() -> None:
    row = row_of(salary(START, expected_days=30))
    assert next_due(row) == START + 36 * DAY
    assert kinds(row, START + 36 * DAY) == [("income_missed", 36, "income")]
    assert kinds(row, START + 400 * DAY) == [("income_missed_twice", 66, "income")]
    assert next_due(row) is None


def test_short_rhythm_has_three_days_of_grace() -> None:
    assert next_due(row_of(salary(START, expected_days=7))) == START + 10 * DAY


def test_rhythm_is_learnt_after_three_intervals() -> None:
    row = row_of(*(salary(START + n * 30 * DAY) for n in range(3)))
    assert next_due(row) is None
    apply(row, salary(START + 90 * DAY))
    assert next_due(row) == START + 126 * DAY


def test_irregular_income_is_not_expected() -> None:
    row = row_of(*(salary(START + day * DAY) for day in (0, 5, 47, 52, 110, 120)))
    assert next_due(row) is None


def test_salary_that_comes_again_clears() -> None:
    row = row_of(salary(START, expected_days=30))
    assert view(row, START + 35 * DAY).income_overdue_days == 0.0
    assert view(row, START + 36 * DAY).income_overdue_days == 6.0
    fire(row, START + 40 * DAY)
    apply(row, salary(START + 41 * DAY))
    assert view(row, START + 41 * DAY).income_overdue_days == 0.0
    assert kinds(row, START + 77 * DAY) == [("income_missed", 77, "income")]


def test_salary_as_transaction_and_as_income_is_one_payment() -> None:
    row = row_of(salary(START), tx(START + 5, 200_000, category="salary"))
    assert (row.income.pay_days, row.income.last_minor) == (1, 200_000)
    apply(row, tx(START + 6, 30_000, category="salary"))
    assert (row.income.pay_days, row.income.last_minor) == (1, 230_000)


def test_salary_as_transaction_counts_only_as_credit() -> None:
    assert row_of(tx(START, category="pension")).income.pay_days == 1
    assert row_of(tx(START, category="salary", direction="debit")).income.pay_days == 0
    assert row_of(tx(START, category="benefit")).income.pay_days == 0
    assert row_of(of(Income, START, amount_minor=5, currency="EUR", source="other")).income.pay_days == 0


def test_drop_of_income_is_against_the_mean_before() -> None:
    row = row_of(*(salary(START + n * 30 * DAY) for n in range(4)))
    assert view(row, START + 90 * DAY).income_drop_ratio == 0.0
    apply(row, salary(START + 120 * DAY, 50_000))
    assert view(row, START + 120 * DAY).income_drop_ratio == 0.75
    apply(row, salary(START + 150 * DAY, 900_000))
    assert view(row, START + 150 * DAY).income_drop_ratio == 0.0


def test_one_missed_pay_day_hardly_stretches_the_rhythm() -> None:
    row = row_of(*(salary(START + n * 30 * DAY) for n in (0, 1, 2, 3, 4, 6)))
    assert row.income.interval_days == pytest.approx(33.75)


# --- the rest of the view -------------------------------------------------------------------------------


def test_debt_service_is_monthly_instalments_over_monthly_income() -> None:
    loan = of(
        LoanGranted, START, facility_id="l", amount_minor=10**6, currency="EUR", instalment_minor=50_000, term_months=12
    )
    row = row_of(loan)
    assert view(row, START).debt_service_ratio == 0.0
    assert view(row, START).has_credit
    apply(row, salary(START, 200_000, expected_days=30))
    assert view(row, START).debt_service_ratio == 0.25
    assert view(row, START + 400 * DAY).debt_service_ratio == 0.0
    apply(row, of(Outcome, START + DAY, outcome="paid_in_full", facility_id="l"))
    assert view(row, START + DAY).debt_service_ratio == 0.0
    assert not view(row, START + DAY).has_credit


def test_weekly_income_is_brought_to_a_month() -> None:
    row = row_of(due(START, 30_000), salary(START, 70_000, expected_days=7))
    assert view(row, START).debt_service_ratio == pytest.approx(0.1)


def test_overdraft_is_per_account_and_ends() -> None:
    row = row_of(tx(START, balance_minor=-1, account_id="a"), tx(START + 1, balance_minor=5, account_id="b"))
    assert view(row, START).overdraft
    assert row.overdrawn_since_ms == START
    apply(row, tx(START + 2, balance_minor=0, account_id="a"))
    assert not view(row, START).overdraft
    assert row.overdrawn_since_ms == -1


def test_penalty_interest_fades() -> None:
    row = row_of(tx(START, direction="debit", category="penalty_interest"))
    assert view(row, START).penalty_recent == 1.0
    assert view(row, START + 30 * DAY).penalty_recent == 0.5


def test_employment_legal_bureau_default_and_tenure() -> None:
    row = row_of(
        of(EmploymentChange, START, change="ended"),
        of(LegalEvent, START, type="lawsuit"),
        of(LegalEvent, START, type="judgment"),
        of(LegalEvent, START, type="lifted"),
        of(BureauReport, START, score=612),
        of(BureauReport, START - 1, score=1),
        of(BureauReport, START + 1),
        of(Outcome, START, outcome="default"),
        of(Profile, START, customer_type="enterprise", customer_since_ms=START - 100 * DAY),
    )
    seen = view(row, START)
    assert (seen.employment_ended, seen.legal_count, seen.bureau_score, seen.defaulted) == (True, 1, 612, True)
    assert seen.tenure_days == 100.0
    apply(row, of(EmploymentChange, START + 1, change="started"))
    apply(row, of(Outcome, START + 1, outcome="cured"))
    assert not view(row, START + 1).employment_ended
    assert not view(row, START + 1).defaulted


def test_applications_count_for_thirty_days() -> None:
    apply_at = [START, START + DAY]
    row = row_of(*(of(Application, at, product="card", amount_minor=1, currency="EUR") for at in apply_at))
    assert view(row, START + DAY).applications_30d == 2
    assert view(row, START + 30 * DAY).applications_30d == 1, "exactly thirty days old is excluded"
    assert view(row, START + 31 * DAY).applications_30d == 0


def test_apply_says_whether_the_view_may_have_changed() -> None:
    row = CreditRow()
    assert not apply(row, tx(START, direction="debit"))
    assert not apply(row, tx(START, direction="debit", category="household"))
    assert not apply(row, tx(START, balance_minor=5))
    assert apply(row, tx(START, balance_minor=-5))
    assert not apply(row, tx(START + 1, balance_minor=-6))
    assert not apply(row, tx(START + 1, balance_minor=6, status="declined"))
    assert not apply(row, tx(START + 1, balance_minor=6, status="reversed"))
    assert apply(row, tx(START + 1, balance_minor=6))
    assert not apply(row, of(Login, START, channel="mobile", result="ok"))
    assert not apply(row, of(Outcome, START, outcome="fraud_confirmed"))
    assert apply(row, salary(START))
    assert apply(row, of(CollateralValued, START, facility_id="f", collateral_id="k", value_minor=7))


def test_district_changes_nothing() -> None:
    here = row_of(of(Profile, START, customer_type="individual", district="north"))
    there = row_of(of(Profile, START, customer_type="individual", district="south"))
    assert here == there


def test_a_facility_too_many_takes_the_place_of_the_quietest_that_owes_nothing() -> None:
    row = row_of(due(START, facility="owes"))
    for n in range(8):
        apply(row, of(LimitChanged, START + 1 + n, facility_id=f"f{n}", limit_minor=1))
    assert [f.facility_id for f in row.facilities] == ["owes", *(f"f{n}" for n in range(3, 8))]


# --- the row --------------------------------------------------------------------------------------------


def _stream(seed: int, size: int) -> list[Any]:
    rng, at, out = random.Random(seed), START, []
    for _ in range(size):
        at += rng.choice([0, 1, DAY // 2, DAY, 9 * DAY, 31 * DAY, -DAY // 3])
        facility = f"f{rng.randrange(10)}"
        amount = rng.choice([0, 1, 1_000, 50_000, 200_000])
        out.append(
            rng.choice(
                [
                    salary(at, amount, expected_days=rng.choice([None, msgspec.UNSET, 30])),
                    tx(at, amount, category="salary", balance_minor=rng.choice([-5, 5])),
                    due(at, amount, facility),
                    paid(at, amount, facility, returned=rng.random() < 0.2),
                    statement(at, amount // 10, amount, facility_id=facility, limit_minor=rng.choice([None, 90_000])),
                    of(Application, at, product="x", amount_minor=amount, currency="EUR"),
                    of(LegalEvent, at, type=rng.choice(["lawsuit", "lifted"])),
                    of(Outcome, at, outcome="paid_in_full", facility_id=facility),
                ]
            )
        )
    return out


def _drive(row: CreditRow, events: list[Any]) -> list[Any]:
    out: list[Any] = []
    for event in events:
        at = event.event_time_ms
        fired = fire(row, at)
        assert fired == sorted(fired, key=lambda s: s.due_ms)
        assert all(s.due_ms <= at for s in fired)
        after = next_due(row)
        assert after is None or after > at
        apply(row, event)
        out.append((fired, view(row, at)))
    return out


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 80), cut=st.integers(0, 80))
def test_round_trip_in_mid_stream_equals_uninterrupted(seed: int, size: int, cut: int) -> None:
    events = _stream(seed, size)
    whole, first = CreditRow(), CreditRow()
    want = _drive(whole, events)
    got = _drive(first, events[:cut])
    packed = msgspec.msgpack.encode(first)
    second = msgspec.msgpack.decode(packed, type=CreditRow)
    third = copy.copy(first)
    got += _drive(second, events[cut:])
    _drive(third, events[cut:])
    assert got == want
    assert msgspec.msgpack.encode(first) == packed
    assert msgspec.msgpack.encode(second) == msgspec.msgpack.encode(third) == msgspec.msgpack.encode(whole)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6))
def test_days_past_due_equal_brute_force(seed: int) -> None:
    rng = random.Random(seed)
    row, owed, at = CreditRow(), list[list[int]](), START
    for _ in range(40):
        at += rng.randrange(20) * DAY
        # No more open dues than the row keeps apart, and never paid ahead.
        if len(owed) < DUES_MAX and rng.random() < 0.6 and (not owed or owed[-1][0] != at):
            apply(row, due(at, 100))
            owed.append([at, 100])
        elif owed:
            amount = min(rng.choice([30, 100, 150]), sum(left for _, left in owed))
            apply(row, paid(at, amount))
            while amount:
                used = min(amount, owed[0][1])
                owed[0][1] -= used
                amount -= used
                if not owed[0][1]:
                    del owed[0]
        later = at + rng.randrange(100) * DAY
        assert days_past_due(row, later) == ((later - owed[0][0]) // DAY if owed else 0)


def test_fullest_row_stays_within_two_kilobytes() -> None:
    row = CreditRow()
    long = "x" * 60
    for n in range(8):
        name = f"{long}{n:04d}"
        money = {"amount_minor": 10**13, "currency": "EUR", "instalment_minor": 10**12}
        grant = of(LoanGranted, START, facility_id=name, term_months=600, **money)
        apply(row, grant)
        for month in range(9):
            apply(row, due(START + month * 30 * DAY, 10**9, name))
        apply(row, of(CollateralValued, START, facility_id=name, collateral_id="k", value_minor=10**12))
    for n in range(40):
        apply(row, of(Application, START + n, product="x", amount_minor=1, currency="EUR"))
        apply(row, tx(START + n, balance_minor=-1, account_id=f"a{n}"))
        apply(row, salary(START + n * 30 * DAY))
    apply(row, of(Profile, START, customer_type="individual", occupation=long, industry=long, employer_id=long))
    for month in range(14):
        at = START + (300 + 30 * month) * DAY
        for facility in row.facilities:
            apply(row, statement(at, 10**12, 10**13, limit_minor=10**13, facility_id=facility.facility_id))
        apply(row, tx(at, 10**13, "debit", balance_minor=-(10**13), account_id="a1"))
        apply(row, tx(at + 1, 10**13, balance_minor=10**13, account_id="a0"))
    row.card_version, row.card_points, row.card_shift, row.card_environment = 2**31, 1.1, 1.1, 1.1
    row.card_range = [9999, 7, 7, 7, 7]
    assert (len(row.facilities), len(row.months.status), len(row.months.inflow)) == (6, 12, 6)
    assert (row.occupation, row.employer) == ("", ""), "nobody reads them"
    # Early warning's part, at its fullest (tests/features/test_warnings.py), must find room too.
    assert len(msgspec.msgpack.encode(row)) - len(msgspec.msgpack.encode(row.warnings)) + WARNINGS_BYTES_MAX <= 2048
