"""Credit events and timers change the customer's credit row; `features.view` says what a scorecard sees of it.

Sex, marriage, ethnicity, religion, health, age and district are neither kept nor used. A repayment is a
`repayment` event (a `loan_payment` transaction names no facility). Outcomes: `default` marks the customer,
`cured` lifts it, `paid_in_full` lifts it and closes the facility. Amounts are taken in one currency.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from zlib import crc32

import msgspec

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
    Outcome,
    Profile,
    RegistryChange,
    Repayment,
    Statement,
    Transaction,
)
from features.facility import Facility, Signal
from features.row import CreditRow
from features.view import CreditView, view

__all__ = ["CreditRow", "CreditView", "Signal", "apply", "days_past_due", "fire_next", "next_due", "view"]

FACILITIES_MAX = 6
APPLICATIONS_MAX = 8
OVERDRAWN_MAX = 8
INCOME_CATEGORIES = frozenset(("salary", "pension"))
INCOME_SOURCES = frozenset(("salary", "pension", "revenue"))
# A report of the house's own books: its arrears are the month's; a bureau's may be of years ago.
ISSUER = "issuer"
# A new address or a raised capital says little; these are asked about.
REGISTRY_CONCERNS = frozenset(("director", "filing_late", "owner", "status"))

T = TypeVar("T")


def apply(row: CreditRow, event: Event) -> bool:
    """Take one event into the row.

    Returns
    -------
    Whether the view or a timer may have changed. False, and cheap, for most transactions.
    """
    if row.first_seen_ms < 0:
        row.first_seen_ms = event.event_time_ms
    learn = _LEARN.get(type(event))
    return learn(row, event) if learn is not None else False


def next_due(row: CreditRow) -> int | None:
    """Due time of the earliest timer, or None; O(facilities)."""
    first = _next(row)
    return first[0].due_ms if first else None


def fire_next(row: CreditRow, at_ms: int) -> Signal | None:
    """Fire the earliest timer, if it is due at or before `at_ms`; None when nothing is.

    Whoever looks at the row as of the signal's due time does so before the next one fires. Ties go by place: income
    first, then the facilities in the order they became known.
    """
    first = _next(row)
    if first is None or first[0].due_ms > at_ms:
        return None
    signal, facility = first
    row.months.reach(signal.due_ms)
    if facility is None:
        row.income.fired()
    else:
        facility.fired(signal)
        row.months.late(facility.days_past_due(signal.due_ms))
    return signal


def days_past_due(row: CreditRow, at_ms: int) -> int:
    """Whole days since the oldest unpaid due of any facility; 0 when nothing is overdue."""
    return max((facility.days_past_due(at_ms) for facility in row.facilities), default=0)


def _next(row: CreditRow) -> tuple[Signal, Facility | None] | None:
    first: tuple[Signal, Facility | None] | None = None
    signal = row.income.next_due()
    if signal:
        first = signal, None
    for facility in row.facilities:
        signal = facility.next_due()
        if signal and (first is None or signal.due_ms < first[0].due_ms):
            first = signal, facility
    return first


def _known(value: T | msgspec.UnsetType | None) -> T | None:
    return None if isinstance(value, msgspec.UnsetType) else value


def _facility(row: CreditRow, facility_id: str, at_ms: int) -> Facility:
    for facility in row.facilities:
        if facility.facility_id == facility_id:
            facility.touched_ms = max(facility.touched_ms, at_ms)
            return facility
    if len(row.facilities) >= FACILITIES_MAX:
        # One that owes nothing goes first, of those the one not heard of for longest.
        row.facilities.remove(min(row.facilities, key=lambda f: (bool(f.dues), f.touched_ms)))
    facility = Facility(facility_id, touched_ms=at_ms)
    row.facilities.append(facility)
    return facility


def _transaction(row: CreditRow, event: Transaction) -> bool:
    category, balance = event.category, event.balance_minor
    if not category and not isinstance(balance, int):
        return False
    changed = False
    if event.status == "declined" or event.status == "reversed":
        return False
    if category in INCOME_CATEGORIES and event.direction == "credit":
        billed = event.billing_amount_minor
        row.income.receive(event.event_time_ms, billed if isinstance(billed, int) else event.amount_minor, None)
        changed = True
    elif category == "penalty_interest":
        row.penalty_ms = max(row.penalty_ms, event.event_time_ms)
        changed = True
    elif category == "household":
        row.household_ms = max(row.household_ms, event.event_time_ms)
    if isinstance(balance, int):
        months = row.months
        if event.event_time_ms >= months.ends_ms:
            months.reach(event.event_time_ms)
        # Interest is neither earned nor spent.
        months.booked(balance, 0 if category == "interest" else event.amount_minor, event.direction == "credit")
        if balance >= 0 and not row.overdrawn:
            return changed
        account = crc32((event.account_id or "").encode())
        below = account in row.overdrawn
        if balance < 0 and not below and len(row.overdrawn) < OVERDRAWN_MAX:
            if not row.overdrawn:
                row.overdrawn_since_ms = event.event_time_ms
            row.overdrawn.append(account)
            changed = True
        elif balance >= 0 and below:
            row.overdrawn.remove(account)
            if not row.overdrawn:
                row.overdrawn_since_ms = -1
            changed = True
    return changed


def _application(row: CreditRow, event: Application) -> bool:
    row.applications = sorted((*row.applications, event.event_time_ms))[-APPLICATIONS_MAX:]
    return True


def _statement(row: CreditRow, event: Statement) -> bool:
    facility = _facility(row, event.facility_id, event.event_time_ms)
    limit, months = _known(event.limit_minor), row.months
    asked, paid = facility.statement_minor, facility.paid_minor
    months.reach(event.event_time_ms)
    months.late(facility.days_past_due(event.event_time_ms))
    if facility.statement(event.balance_minor, event.minimum_due_minor, event.due_time_ms, limit):
        row.minimum_only.add(event.event_time_ms)
    lines = [f for f in row.facilities if f.limit_minor]
    used = sum(max(0, f.balance_minor) for f in lines)
    months.billed(asked, paid, sum(f.limit_minor for f in lines), used)
    return True


def _repayment(row: CreditRow, event: Repayment) -> bool:
    if event.returned is True:
        row.returned.add(event.event_time_ms)
    else:
        facility = _facility(row, event.facility_id, event.event_time_ms)
        row.months.reach(event.event_time_ms)
        row.months.late(facility.days_past_due(event.event_time_ms))
        facility.pay(event.amount_minor, event.event_time_ms)
    return True


def _granted(row: CreditRow, event: LoanGranted) -> bool:
    facility = _facility(row, event.facility_id, event.event_time_ms)
    facility.grant(event.event_time_ms, event.amount_minor, event.instalment_minor, event.term_months)
    return True


def _instalment(row: CreditRow, event: InstalmentDue) -> bool:
    _facility(row, event.facility_id, event.event_time_ms).instalment(event.amount_minor, event.due_time_ms)
    return True


def _limit(row: CreditRow, event: LimitChanged) -> bool:
    _facility(row, event.facility_id, event.event_time_ms).limit_minor = event.limit_minor
    return True


def _collateral(row: CreditRow, event: CollateralValued) -> bool:
    _facility(row, event.facility_id, event.event_time_ms).collateral_minor = event.value_minor
    return True


def _profile(row: CreditRow, event: Profile) -> bool:
    row.enterprise = event.customer_type == "enterprise"
    row.industry = event.industry or row.industry
    since = _known(event.customer_since_ms)
    if since is not None:
        row.customer_since_ms = since
    return True


def _income(row: CreditRow, event: Income) -> bool:
    if event.source not in INCOME_SOURCES:
        return False
    row.income.receive(event.event_time_ms, event.amount_minor, _known(event.expected_days))
    return True


def _bureau(row: CreditRow, event: BureauReport) -> bool:
    if event.event_time_ms < row.bureau_ms:
        return False
    row.bureau_ms = event.event_time_ms
    score, dpd, inquiries = _known(event.score), _known(event.days_past_due_max), _known(event.inquiries_6m)
    row.bureau_score = row.bureau_score if score is None else score
    row.bureau_dpd_max = row.bureau_dpd_max if dpd is None else dpd
    row.bureau_inquiries = row.bureau_inquiries if inquiries is None else inquiries
    if dpd is not None and event.bureau == ISSUER:
        row.months.reach(event.event_time_ms)
        row.months.late(dpd)
    return True


def _employment(row: CreditRow, event: EmploymentChange) -> bool:
    row.employment_ended_ms = event.event_time_ms if event.change == "ended" else -1
    return True


def _legal(row: CreditRow, event: LegalEvent) -> bool:
    if event.type == "lifted":
        row.legal_count = max(0, row.legal_count - 1)
    else:
        row.legal_count += 1
        row.legal_ms = max(row.legal_ms, event.event_time_ms)
    return True


def _registry(row: CreditRow, event: RegistryChange) -> bool:
    if event.type in REGISTRY_CONCERNS:
        row.registry.add(event.event_time_ms)
        return True
    return False


def _outcome(row: CreditRow, event: Outcome) -> bool:
    if event.outcome == "default":
        row.defaulted_ms = event.event_time_ms
    elif event.outcome in ("cured", "paid_in_full"):
        row.defaulted_ms = -1
    if event.outcome == "paid_in_full":
        row.facilities = [f for f in row.facilities if f.facility_id != event.facility_id]
    return event.outcome in ("default", "cured", "paid_in_full")


_LEARN: dict[type[Event], Callable[[CreditRow, Any], bool]] = {
    Transaction: _transaction,
    Application: _application,
    Statement: _statement,
    Repayment: _repayment,
    LoanGranted: _granted,
    InstalmentDue: _instalment,
    LimitChanged: _limit,
    CollateralValued: _collateral,
    Profile: _profile,
    Income: _income,
    BureauReport: _bureau,
    EmploymentChange: _employment,
    LegalEvent: _legal,
    RegistryChange: _registry,
    Outcome: _outcome,
}
