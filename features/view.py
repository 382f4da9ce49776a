"""What a scorecard may see of a customer's credit row at one moment.

Sex, marriage, ethnicity, religion, health, age and district are neither kept in the row nor seen here.
"""

from __future__ import annotations

import msgspec

from features.facility import DAY_MS
from features.row import CreditRow

APPLICATION_WINDOW_MS = 30 * DAY_MS
PENALTY_HALF_LIFE_DAYS = 30.0


class CreditView(msgspec.Struct, frozen=True):
    """What a scorecard sees at one moment; 0 is the good or unknown end, `bureau_score` -1 is unknown.

    Counts of minimum-only payments and returned payments halve in 180 days; `penalty_recent` is 1 on the day of
    penalty interest and halves in 30 days.
    """

    days_past_due: int
    income_overdue_days: float
    income_drop_ratio: float
    utilisation_ratio: float
    minimum_only_count: float
    returned_count: float
    legal_count: int
    overdraft: bool
    penalty_recent: float
    bureau_score: int
    tenure_days: float
    debt_service_ratio: float
    employment_ended: bool
    applications_30d: int
    has_credit: bool
    defaulted: bool = False


def view(row: CreditRow, at_ms: int) -> CreditView:
    """Return what a scorecard may see as of `at_ms`; a new customer has the neutral view."""
    limit = sum(f.limit_minor for f in row.facilities)
    used = sum(max(0, f.balance_minor) for f in row.facilities if f.limit_minor)
    instalments = sum(f.instalment_minor for f in row.facilities if at_ms < f.ends_ms)
    monthly = row.income.monthly_minor()
    since = min((t for t in (row.customer_since_ms, row.first_seen_ms) if t >= 0), default=at_ms)
    return CreditView(
        days_past_due=max((facility.days_past_due(at_ms) for facility in row.facilities), default=0),
        income_overdue_days=row.income.overdue_days(at_ms),
        income_drop_ratio=row.income.drop_ratio(),
        utilisation_ratio=used / limit if limit else 0.0,
        minimum_only_count=row.minimum_only.at(at_ms),
        returned_count=row.returned.at(at_ms),
        legal_count=row.legal_count,
        overdraft=bool(row.overdrawn),
        penalty_recent=_fresh(row.penalty_ms, at_ms),
        bureau_score=row.bureau_score,
        tenure_days=max(0, at_ms - since) / DAY_MS,
        debt_service_ratio=instalments / monthly if monthly else 0.0,
        employment_ended=row.employment_ended_ms >= 0,
        applications_30d=sum(at_ms - APPLICATION_WINDOW_MS < t <= at_ms for t in row.applications),
        has_credit=bool(row.facilities),
        defaulted=row.defaulted_ms >= 0,
    )


def _fresh(since_ms: int, at_ms: int) -> float:
    return 0.5 ** (max(0, at_ms - since_ms) / (PENALTY_HALF_LIFE_DAYS * DAY_MS)) if since_ms >= 0 else 0.0
