"""What lending knows of a customer at one moment, taken down while events go by: later ones change the row."""

from __future__ import annotations

from msgspec import Struct

from alerts.state import GRADES, Loan, RiskState
from features.facility import DAY_MS
from features.row import CreditRow
from features.view import CreditView, view
from models.scorecard import EXPERT_CARD, CompiledCard

MONTH_DAYS = 365.25 / 12
# More than any fraud-clear period asks for: no fraud was ever confirmed.
NEVER_DAYS = 36_500.0


class FacilityFacts(Struct, frozen=True, gc=False):
    """One facility; `due_ms` is its oldest unpaid due, which may lie ahead, -1 for none. Amounts are minor units."""

    facility_id: str
    due_ms: int
    exposure_minor: int
    limit_minor: int
    cover_minor: int
    granted_ms: int


class Borrower(Struct, frozen=True, gc=False):
    """A customer at `at_ms`; `income_minor` is a month's, 0 when unknown, `fraud_ms` -1 for never.

    `card` is the scorecard in force: what a plan or an answer is worked out with.
    """

    at_ms: int
    view: CreditView
    income_minor: float
    instalments_minor: int
    fraud_ms: int
    enterprise: bool
    facilities: tuple[FacilityFacts, ...]
    card: CompiledCard = EXPERT_CARD


def borrower_of(row: CreditRow, fraud_ms: int, at_ms: int, card: CompiledCard = EXPERT_CARD) -> Borrower:
    """Take down a credit row as of a time; O(facilities), nothing of the row is kept by reference."""
    return Borrower(
        at_ms=at_ms,
        view=view(row, at_ms),
        income_minor=row.income.monthly_minor(),
        instalments_minor=sum(f.instalment_minor for f in row.facilities if at_ms < f.ends_ms),
        fraud_ms=fraud_ms,
        enterprise=row.enterprise,
        facilities=tuple(
            FacilityFacts(
                f.facility_id, f.dues[0].due_ms if f.dues else -1, max(0, f.balance_minor), f.limit_minor,
                f.collateral_minor, f.granted_ms,
            )
            for f in row.facilities
        ),
        card=card,
    )  # fmt: skip


def days_past_due(due_ms: int, at_ms: int) -> int:
    """Whole days since a due; 0 before it and where there is none."""
    return max(0, (at_ms - due_ms) // DAY_MS) if due_ms >= 0 else 0


def fraud_clear_days(risk: RiskState, fraud_ms: int, at_ms: int) -> float:
    """Days since fraud was last confirmed; 0 while a card is under suspicion or frozen."""
    if risk.cards or any(a.action == "freeze_card" for a in risk.actions):
        return 0.0
    return max(0, at_ms - fraud_ms) / DAY_MS if fraud_ms >= 0 else NEVER_DAYS


def months_on_book(loans: dict[str, Loan], at_ms: int) -> float:
    """Months since the customer's oldest facility began; 0 without any."""
    first_ms = min((loan.since_ms for loan in loans.values()), default=at_ms)
    return max(0, at_ms - first_ms) / DAY_MS / MONTH_DAYS


def standing_values(risk: RiskState, at_ms: int) -> dict[str, float]:
    """The customer's figures that the risk state itself knows."""
    lending = risk.lending
    loans = lending.loans if lending else {}
    values: dict[str, float] = {
        "in_default": float(risk.grade == GRADES[-1]),
        "customer_days_past_due": float(max((days_past_due(one.due_ms, at_ms) for one in loans.values()), default=0)),
        "months_on_book": months_on_book(loans, at_ms),
        "retail": float(not (lending and lending.enterprise)),
        "watch_listed": float(bool(lending and lending.watch_ms >= 0)),
    }
    if risk.grade:
        values["grade"] = float(GRADES.index(risk.grade))
    if risk.pd_12m is not None:
        values["pd_12m"] = risk.pd_12m
    return values


def customer_values(risk: RiskState, borrower: Borrower) -> dict[str, float]:
    """Every figure about the customer."""
    values = standing_values(risk, borrower.at_ms)
    seen = borrower.view
    for name in (
        "utilisation_ratio", "debt_service_ratio", "income_overdue_days", "income_drop_ratio", "returned_count",
        "minimum_only_count", "legal_count", "applications_30d", "tenure_days",
    ):  # fmt: skip
        values[name] = float(getattr(seen, name))
    if seen.bureau_score >= 0:
        values["bureau_score"] = float(seen.bureau_score)
    values["customer_days_past_due"] = float(seen.days_past_due)
    values["fraud_clear_days"] = fraud_clear_days(risk, borrower.fraud_ms, borrower.at_ms)
    return values
