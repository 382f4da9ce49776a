"""What is kept per customer for early warning, and what the indicators read from it.

Weeks are the customer's own, from the first event on. Each week leaves one figure per measure, which moves a fast mean
(about four weeks) and a slow one (about four months): most indicators are the difference of the two. The present week
is never part of a mean. What comes in and goes out is compared from pay day to pay day. `apply` goes before
`features.credit.apply`: it compares what comes with what was known.

District and employer are kept as hashes for one purpose, to find the common alert a customer's alert belongs to; no
indicator reads them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zlib import crc32

import msgspec

from features.facility import DAY_MS
from features.kinds import (
    Application,
    BureauReport,
    EmploymentChange,
    Event,
    Income,
    LegalEvent,
    LoanGranted,
    Login,
    Outcome,
    Profile,
    RegistryChange,
    Repayment,
    Statement,
    Transaction,
)

if TYPE_CHECKING:
    from features.row import CreditRow

__all__ = ["MEASURES", "Warnings", "apply"]

WEEK_MS = 7 * DAY_MS
MEASURES = ("inflow", "outflow", "purchases", "merchants", "cash", "balance", "logins", "gambling", "declined")
INFLOW, OUTFLOW, PURCHASES, MERCHANTS, CASH, BALANCE, LOGINS, GAMBLING, DECLINED = range(9)
# Counts are kept in hundredths, so that their means stay whole numbers.
COUNT_ONE = 100
FAST, SLOW = 0.3, 0.06
# Weeks of silence are as many zeros; more than these say nothing new.
_EMPTY_WEEKS_MAX = 8
_PAWN_MCC = "5933"
_MARKED_MCC = frozenset(("7995", "7800", "7801", "7802", "9754", _PAWN_MCC))
_SALARY = ("salary", "pension")
_PAY_DAY_MS = 3 * DAY_MS
# Without a pay day a cycle ends by itself.
_CYCLE_WEEKS_MIN, _CYCLE_WEEKS_MAX = 3, 5


class Warnings(msgspec.Struct, array_like=True, gc=False):
    """At most 400 bytes packed. Times that matter are UTC day numbers, -1 for never; money in minor units.

    `week` counts the present week per measure; of the balance it is the lowest so far, known when `balance_known`.
    Watch and calm are written by the alert rules only; the indicators never read them.
    """

    week_end_ms: int = -1
    weeks: int = 0
    week: list[int] = msgspec.field(default_factory=lambda: [0] * len(MEASURES))
    merchants: int = 0
    balance_known: bool = False
    fast: list[int] = []
    slow: list[int] = []
    late_days: int = 0
    late_day: int = -1
    benefit_day: int = -1
    overdraft_day: int = -1
    rent_day: int = -1
    rents: int = 0
    rent_gap_days: int = 0
    insurance_day: int = -1
    insurances: int = 0
    advance_day: int = -1
    pawn_day: int = -1
    returned_day: int = -1
    bureau_day: int = -1
    registry_day: int = -1
    granted_day: int = -1
    # From pay day to pay day: what came and went in the weeks closed, where the present week began to count, what the
    # last cycle's figures were and the mean of what came in those before.
    cycle_in: int = 0
    cycle_out: int = 0
    from_in: int = 0
    from_out: int = 0
    cycle_weeks: int = 0
    last_in: int = -1
    last_out: int = 0
    mean_in: int = -1
    # Ratios in thousandths, of the last statement and its mean before; days in hundredths.
    statements: int = 0
    used: int = 0
    used_mean: int = 0
    paid: int = -1
    paid_mean: int = -1
    minimum: bool = False
    margin: int = 0
    margin_mean: int = 0
    margins: int = 0
    district: int = 0
    employer: int = 0
    watch_since_ms: int = -1
    calm_since_ms: int = -1


def apply(row: CreditRow, event: Event, merchants: bytes) -> bool:
    """Take one event in, before `features.credit.apply` does.

    Parameters
    ----------
    row
        The customer's credit row; only its `warnings` change.
    merchants
        The hot row's memory of merchants, latest last: its last byte tells the merchant of this event.

    Returns
    -------
    Whether the indicators are worth reading now: once a customer's week, and at events of income and credit.
    """
    w = row.warnings
    at_ms = event.event_time_ms
    due = False
    if at_ms >= w.week_end_ms:
        due = _turn(w, at_ms)
    kind = type(event)
    if kind is Transaction:
        _transaction(row, w, event, merchants)  # type: ignore[arg-type]  # its kind was just asked
        return due
    if kind is Login:
        w.week[LOGINS] += COUNT_ONE
        return due
    take = _TAKE.get(kind)
    if take is None:
        return due
    return bool(take(row, w, event)) or due


def _turn(w: Warnings, at_ms: int) -> bool:
    """Close the weeks that are over; False for the first event of all."""
    if w.week_end_ms < 0:
        w.week_end_ms = at_ms + WEEK_MS
        return False
    passed = (at_ms - w.week_end_ms) // WEEK_MS + 1
    w.week_end_ms += passed * WEEK_MS
    week = w.week
    w.cycle_in += week[INFLOW] - w.from_in
    w.cycle_out += week[OUTFLOW] - w.from_out
    w.from_in = w.from_out = 0
    w.cycle_weeks += passed
    if w.cycle_weeks > _CYCLE_WEEKS_MAX:
        _close_cycle(w)
    week[MERCHANTS] = w.merchants.bit_count() * COUNT_ONE
    if not w.balance_known and w.fast:
        # Nobody said what is left: as in the weeks before.
        week[BALANCE] = w.fast[BALANCE]
    _fold(w, week)
    for _ in range(min(passed - 1, _EMPTY_WEEKS_MAX)):
        _fold(w, [0, 0, 0, 0, 0, week[BALANCE], 0, 0, 0])
    w.week, w.merchants, w.balance_known = [0] * len(MEASURES), 0, False
    return True


def _close_cycle(w: Warnings) -> None:
    week = w.week
    came, went = w.cycle_in + week[INFLOW] - w.from_in, w.cycle_out + week[OUTFLOW] - w.from_out
    # The first is cut off by where it began.
    if w.last_in >= 0:
        w.mean_in = w.last_in if w.mean_in < 0 else w.mean_in + round(0.3 * (w.last_in - w.mean_in))
    w.last_in, w.last_out = came, went
    w.cycle_in = w.cycle_out = w.cycle_weeks = 0
    w.from_in, w.from_out = week[INFLOW], week[OUTFLOW]


def _fold(w: Warnings, week: list[int]) -> None:
    w.weeks += 1
    if not w.fast:
        w.fast, w.slow = list(week), list(week)
        return
    # Until a mean has seen its number of weeks it is the plain mean of all.
    fast, slow = max(FAST, 1 / w.weeks), max(SLOW, 1 / w.weeks)
    w.fast = [old + round(fast * (new - old)) for old, new in zip(w.fast, week, strict=True)]
    w.slow = [old + round(slow * (new - old)) for old, new in zip(w.slow, week, strict=True)]


def _transaction(row: CreditRow, w: Warnings, event: Transaction, merchants: bytes) -> None:
    week = w.week
    if event.status == "declined":
        week[DECLINED] += COUNT_ONE
        return
    balance = event.balance_minor
    if balance.__class__ is int:
        if not w.balance_known or balance < week[BALANCE]:
            week[BALANCE], w.balance_known = balance, True
        if balance < 0:
            w.overdraft_day = event.event_time_ms // DAY_MS
    category = event.category
    if category:
        _categorised(row, w, event, category)
        return
    amount = event.billing_amount_minor or event.amount_minor
    if event.direction == "credit":
        week[INFLOW] += amount
        return
    week[OUTFLOW] += amount
    if event.merchant_id:
        week[PURCHASES] += COUNT_ONE
        if merchants:
            w.merchants |= 1 << (merchants[-1] & 31)
        if event.mcc in _MARKED_MCC:
            if event.mcc == _PAWN_MCC:
                w.pawn_day = event.event_time_ms // DAY_MS
            else:
                week[GAMBLING] += amount
    elif event.type == "cash":
        week[CASH] += amount
        # A card of a facility, not of an account: there is no balance with it.
        account = event.account_id
        if account and balance.__class__ is not int and any(f.facility_id == account for f in row.facilities):
            w.advance_day = event.event_time_ms // DAY_MS


def _categorised(row: CreditRow, w: Warnings, event: Transaction, category: str) -> None:
    amount = event.billing_amount_minor or event.amount_minor
    today = event.event_time_ms // DAY_MS
    if event.direction == "credit":
        if category in _SALARY:
            _paid(row, w, event.event_time_ms)
        elif category == "benefit":
            w.benefit_day = today
        w.week[INFLOW] += amount
        return
    w.week[OUTFLOW] += amount
    if category == "rent":
        w.rent_gap_days = today - w.rent_day if w.rents else 0
        w.rent_day, w.rents = today, w.rents + 1
    elif category == "insurance":
        w.insurance_day, w.insurances = today, w.insurances + 1
    elif category == "gambling":
        w.week[GAMBLING] += amount


def _paid(row: CreditRow, w: Warnings, at_ms: int) -> None:
    """A pay day: was it later than it should have been?"""
    income = row.income
    gap_ms = at_ms - income.last_ms
    days = income.expected_days()
    if income.last_ms >= 0 and gap_ms < _PAY_DAY_MS:
        return
    # Weekly revenue would make cycles of a week: four of them are one.
    if w.cycle_weeks >= _CYCLE_WEEKS_MIN:
        _close_cycle(w)
    if income.last_ms < 0 or not days:
        return
    w.late_days = max(0, round(gap_ms / DAY_MS - days))
    w.late_day = at_ms // DAY_MS


def _income(row: CreditRow, w: Warnings, event: Income) -> bool:
    if event.source == "benefit":
        w.benefit_day = event.event_time_ms // DAY_MS
    elif event.source in ("salary", "pension", "revenue"):
        _paid(row, w, event.event_time_ms)
    return True


def _statement(row: CreditRow, w: Warnings, event: Statement) -> bool:
    limit = event.limit_minor or 0
    for facility in row.facilities:
        if facility.facility_id == event.facility_id:
            limit = limit or facility.limit_minor
            before, minimum = facility.statement_minor, facility.minimum_minor
            if before > 0 and minimum > 0:
                paid = min(1000, 1000 * facility.paid_minor // before)
                w.paid_mean = paid if w.paid < 0 else w.paid_mean + round(0.25 * (w.paid - w.paid_mean))
                w.paid = paid
                w.minimum = before > 2 * minimum and facility.paid_minor <= 1.15 * minimum
    if limit:
        used = max(0, min(2000, 1000 * event.balance_minor // limit))
        w.used_mean = used if not w.statements else w.used_mean + round(0.25 * (w.used - w.used_mean))
        w.used, w.statements = used, w.statements + 1
    return True


def _repayment(row: CreditRow, w: Warnings, event: Repayment) -> bool:
    if event.returned is True:
        w.returned_day = event.event_time_ms // DAY_MS
        return True
    for facility in row.facilities:
        if facility.facility_id == event.facility_id and facility.dues:
            margin = max(-3000, min(3000, round((facility.dues[0].due_ms - event.event_time_ms) * 100 / DAY_MS)))
            w.margin_mean = margin if not w.margins else w.margin_mean + round(0.25 * (w.margin - w.margin_mean))
            w.margin, w.margins = margin, w.margins + 1
    return False


def _bureau(row: CreditRow, w: Warnings, event: BureauReport) -> bool:
    if event.event_time_ms < row.bureau_ms:
        return False
    worse = isinstance(event.score, int) and row.bureau_score - event.score >= 30 and row.bureau_score >= 0
    asked = isinstance(event.inquiries_6m, int) and event.inquiries_6m - row.bureau_inquiries >= 3
    if worse or (asked and row.bureau_ms >= 0):
        w.bureau_day = event.event_time_ms // DAY_MS
    elif isinstance(event.score, int) and event.score > row.bureau_score + 20:
        w.bureau_day = -1
    return True


def _registry(_row: CreditRow, w: Warnings, event: RegistryChange) -> bool:
    if event.type in ("filing_late", "director", "status"):
        w.registry_day = event.event_time_ms // DAY_MS
    return True


def _granted(_row: CreditRow, w: Warnings, event: LoanGranted) -> bool:
    if w.weeks >= 4:
        # Not what a bank tells of the past when it joins.
        w.granted_day = event.event_time_ms // DAY_MS
    return False


def _profile(_row: CreditRow, w: Warnings, event: Profile) -> bool:
    if event.district:
        w.district = crc32(f"district:{event.district}".encode())
    if event.employer_id:
        w.employer = crc32(f"employer:{event.employer_id}".encode())
    return False


def _anew(_row: CreditRow, _w: Warnings, _event: Event) -> bool:
    """The credit row has it; the indicators are read anew."""
    return True


_TAKE: dict[type[Event], Any] = {
    Income: _income,
    Statement: _statement,
    Repayment: _repayment,
    BureauReport: _bureau,
    RegistryChange: _registry,
    LoanGranted: _granted,
    Profile: _profile,
    Application: _anew,
    EmploymentChange: _anew,
    LegalEvent: _anew,
    Outcome: _anew,
}
