"""The months a credit row remembers: when one begins, what counts in it, how it is judged."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.credit import apply, view
from features.events import BureauReport, InstalmentDue, Profile, RegistryChange, Repayment, Statement, Transaction
from features.months import FLOW_MONTHS, STATUS_MONTHS, Months, class_of, month_of
from features.row import CreditRow
from tests.features.timers import fire

DAY = 86_400_000


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def of(kind: type, when: str, **values: Any) -> Any:
    return kind(event_id=f"{kind.__name__}-{when}", customer_id="c", event_time_ms=at(when), schema_version=1, **values)


def statement(when: str, balance: int, limit: int = 100_000) -> Any:
    return of(
        Statement, when, facility_id="f", balance_minor=balance, minimum_due_minor=0, due_time_ms=at(when) + 20 * DAY,
        limit_minor=limit,
    )  # fmt: skip


def paid(when: str, amount: int) -> Any:
    return of(Repayment, when, facility_id="f", amount_minor=amount)


def booked(when: str, amount: int, balance: int, direction: str = "debit", **values: Any) -> Any:
    return of(
        Transaction, when, amount_minor=amount, currency="EUR", direction=direction, channel="branch",
        balance_minor=balance, **values,
    )  # fmt: skip


@given(st.integers(0, 4_102_444_799_999))
def test_months_are_those_of_the_calendar(at_ms: int) -> None:
    day = datetime.fromtimestamp(at_ms // 1000, UTC)
    month, ends_ms = month_of(at_ms)
    assert month == (day.year - 1970) * 12 + day.month - 1
    after = datetime(day.year + (day.month == 12), day.month % 12 + 1, 1, tzinfo=UTC)
    assert ends_ms == int(after.timestamp() * 1000)


def test_a_new_month_moves_the_others_back_and_the_oldest_out() -> None:
    months = Months()
    for n in range(30):
        months.reach(at(f"20{20 + n // 12}-{n % 12 + 1:02d}-03"))
        months.late(30 * (n % 9))
        assert months.status[0] == class_of(30 * (n % 9))
    assert months.status == [class_of(30 * (n % 9)) for n in range(29, 29 - STATUS_MONTHS, -1)]
    assert len(months.used) == len(months.low) == FLOW_MONTHS


def test_silent_months_are_months() -> None:
    months = Months()
    months.reach(at("2020-01-10"))
    months.late(60)
    months.reach(at("2020-04-10"))
    assert months.status == [0, 0, 0, 2]


def test_worst_arrears_of_a_month_stay_after_they_are_paid() -> None:
    row = CreditRow()
    apply(row, of(InstalmentDue, "2020-01-01", facility_id="f", amount_minor=100, due_time_ms=at("2020-01-05")))
    fire(row, at("2020-02-25"))
    apply(row, paid("2020-02-26", 100))
    seen = view(row, at("2020-03-01"))
    assert (seen.days_past_due, row.months.status[0]) == (0, 2)
    apply(row, statement("2020-03-02", 0))
    seen = view(row, at("2020-03-02"))
    assert (seen.arrears_previous, seen.arrears_worst_6m, seen.months_late_12m) == (2, 2, 2)


def test_only_the_issuers_report_makes_a_month_late() -> None:
    for bureau, months_late in (("issuer", 1), ("agency", 0)):
        row = CreditRow()
        apply(row, of(BureauReport, "2020-01-20", days_past_due_max=60, bureau=bureau))
        seen = view(row, at("2020-01-20"))
        assert (seen.arrears_reported_days, seen.months_late_12m) == (60, months_late), bureau


def test_bills_paid_in_part_in_full_and_not_at_all() -> None:
    row = CreditRow()
    for month, (balance, payment) in enumerate([(50_000, 0), (50_000, 25_000), (80_000, 0), (90_000, 90_000)], 1):
        if payment:
            apply(row, paid(f"2020-{month:02d}-10", payment))
        apply(row, statement(f"2020-{month:02d}-25", balance))
    seen = view(row, at("2020-04-25"))
    # Bills of 500, 500 and 800: half, nothing, more than all.
    assert seen.paid_ratio == 1.0
    assert seen.unpaid_bills == 1
    assert seen.paid_ratio_mean == pytest.approx((0.5 + 0 + 1) / 3)
    assert seen.utilisation_ratio == 0.9
    assert seen.utilisation_trend == pytest.approx(0.9 - (0.5 + 0.5 + 0.8 + 0.9) / 4)
    assert seen.line_idle_ratio == 0.0


def test_a_limit_hardly_drawn_is_idle_and_no_limit_is_not() -> None:
    row = CreditRow()
    assert view(row, 0).line_idle_ratio == 0.0
    apply(row, statement("2020-01-25", 3_000))
    assert view(row, at("2020-01-25")).line_idle_ratio == pytest.approx(0.9)


def test_lowest_and_usual_balance_against_the_instalments() -> None:
    row = CreditRow()
    for day in range(1, 25):
        apply(row, booked(f"2020-01-{day:02d}", 0, 400_000 if day != 9 else 100_000))
    assert view(row, at("2020-01-25")).balance_cover_ratio == -1.0
    due = of(InstalmentDue, "2020-01-25", facility_id="f", amount_minor=100_000, due_time_ms=at("2020-02-05"))
    apply(row, due)
    seen = view(row, at("2020-01-25"))
    assert seen.balance_cover_ratio == pytest.approx(1.0)
    assert seen.balance_mean_ratio == pytest.approx(3.875)
    assert seen.tight_months == 1
    assert seen.balance_spread_ratio == pytest.approx(0.1546, abs=1e-3)


def test_regular_money_is_told_from_irregular() -> None:
    seen = []
    for amounts in ([100_000] * 6, [300_000, 0, 50_000, 200_000, 10_000, 40_000]):
        row = CreditRow()
        for month, amount in enumerate(amounts, 1):
            apply(row, booked(f"2020-{month:02d}-05", amount, 500_000, "credit"))
        seen.append(view(row, at("2020-06-20")))
    assert seen[0].inflow_spread_ratio == 0.0
    assert seen[1].inflow_spread_ratio > 0.8
    assert seen[0].income_trend == 0.0 > seen[1].income_trend


def test_interest_is_neither_earned_nor_spent() -> None:
    row = CreditRow()
    apply(row, booked("2020-01-05", 100_000, 100_000, "credit", category="interest"))
    assert row.months.inflow == [0]


def test_registry_changes_that_concern_a_lender_count() -> None:
    row = CreditRow()
    apply(row, of(Profile, "2020-01-01", customer_type="enterprise"))
    for kind, counted in (("address", 0.0), ("capital", 0.0), ("filing_late", 1.0)):
        apply(row, of(RegistryChange, "2020-01-02", type=kind))
        assert view(row, at("2020-01-02")).registry_count == counted


def test_industry_stress_is_seen_for_firms_only() -> None:
    row = CreditRow()
    assert view(row, 0, industry_stress=4.0).industry_stress == 0.0
    row.enterprise = True
    assert view(row, 0, industry_stress=4.0).industry_stress == 4.0


def test_a_copy_shares_no_month() -> None:
    row = CreditRow()
    apply(row, booked("2020-01-05", 100_000, 100_000, "credit"))
    before = msgspec.to_builtins(row)
    apply(row.copy(), booked("2020-01-06", 100_000, 200_000, "credit"))
    assert msgspec.to_builtins(row) == before
