"""What a scorecard may see of a customer's credit row at one moment.

Sex, marriage, ethnicity, religion, health, age and district are neither kept in the row nor seen here.
"""

from __future__ import annotations

from math import log, sqrt

import msgspec

from features.facility import DAY_MS
from features.months import LEVEL_MINOR, NO_BILL
from features.row import CreditRow

APPLICATION_WINDOW_MS = 30 * DAY_MS
PENALTY_HALF_LIFE_DAYS = 30.0
HOUSEHOLD_WINDOW_MS = 62 * DAY_MS
# Of what cannot be said of this customer; every such field is 0 or more where it can.
UNKNOWN = -1.0
_COVER_MAX, _DEBT_MAX = 50.0, 20.0
_IDLE_BELOW, _TIGHT_BELOW = 0.3, 1.5
_WHOLE_MONTHS_MIN = 3


class CreditView(msgspec.Struct, frozen=True):
    """What a scorecard sees at one moment; 0 is the good or unknown end unless said otherwise, -1 is unknown.

    Counts of minimum-only payments, returned payments and changes in the firm's registry halve in 180 days;
    `penalty_recent` is 1 on the day of penalty interest and halves in 30 days. `arrears_*` are classes of 30 days.

    Parameters
    ----------
    arrears_reported_days
        Days past due of the newest report that names them.
    arrears_previous, arrears_worst_6m, months_late_12m
        Class of the month before this one, worst class of the six before this one, months in arrears of twelve.
    utilisation_trend
        Use of limits at the last statement above the mean of the five before it.
    paid_ratio, paid_ratio_mean, unpaid_bills
        Part of the last bill that was paid, mean of six months (1 where nothing was billed too), bills not paid at all.
    line_idle_ratio
        Part of the first 30 % of the limits that is not drawn, 0..1; 0 without limits.
    repaid_ratio, line_log
        Mean monthly payments in relation to the limits; natural logarithm of the limits in major units; or -1.
    balance_cover_ratio, balance_mean_ratio, balance_spread_ratio
        Lowest balance of six months and mean of recent balances, in relation to a month's instalments; spread of recent
        balances in relation to their mean; or -1.
    tight_months, inflow_spread_ratio
        Months of six whose lowest balance was below one and a half instalments; spread of the money in of whole
        months in relation to their mean, from three months on; or -1.
    savings_ratio, income_trend
        Part of the money that came in and stayed, -1..1; money in of two whole months against those before, -1..1.
    debt_income_ratio
        What is owed in relation to a year's income.
    household_paid
        Household bills were paid from here within two months.
    collateral_ratio
        Collateral in relation to what is owed, 0..2.
    industry_stress
        Of a firm only: how far its industry's figures lie on the bad side of their own past, in deviations, 0..6.
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
    arrears_reported_days: int = 0
    arrears_previous: int = 0
    arrears_worst_6m: int = 0
    months_late_12m: int = 0
    utilisation_trend: float = 0.0
    paid_ratio: float = 1.0
    paid_ratio_mean: float = 1.0
    unpaid_bills: int = 0
    line_idle_ratio: float = 0.0
    repaid_ratio: float = UNKNOWN
    line_log: float = UNKNOWN
    balance_cover_ratio: float = UNKNOWN
    balance_mean_ratio: float = UNKNOWN
    balance_spread_ratio: float = UNKNOWN
    tight_months: int = -1
    inflow_spread_ratio: float = UNKNOWN
    savings_ratio: float = 0.0
    income_trend: float = 0.0
    debt_income_ratio: float = 0.0
    household_paid: bool = False
    inquiries_6m: int = 0
    registry_count: float = 0.0
    collateral_ratio: float = 0.0
    industry_stress: float = 0.0


def view(row: CreditRow, at_ms: int, industry_stress: float = 0.0) -> CreditView:
    """Return what a scorecard may see as of `at_ms`; a new customer has the neutral view.

    `industry_stress` is of the customer's industry, see `features.environment`; it is passed over for individuals.
    """
    limit = used = instalments = owed = collateral = past_due = 0
    for facility in row.facilities:
        balance = max(0, facility.balance_minor)
        owed += balance
        collateral += facility.collateral_minor
        if facility.limit_minor:
            limit += facility.limit_minor
            used += balance
        if at_ms < facility.ends_ms:
            instalments += facility.instalment_minor
        if facility.dues:
            past_due = max(past_due, facility.days_past_due(at_ms))
    months = row.months
    since = min((t for t in (row.customer_since_ms, row.first_seen_ms) if t >= 0), default=at_ms)
    # A month in which hardly anything was booked says little of what comes in: whole months, and the present one
    # only when there is no other.
    inflow, outflow = months.inflow[1:] or months.inflow, months.outflow[1:] or months.outflow
    while len(inflow) > 1 and not inflow[-1] and not outflow[-1]:
        inflow, outflow = inflow[:-1], outflow[:-1]
    earned = sum(inflow) * LEVEL_MINOR
    monthly = row.income.monthly_minor() or (earned / len(inflow) if inflow else 0.0)
    paid = [ratio / 100 for ratio in months.paid if ratio != NO_BILL]
    repaid = [ratio for ratio in months.repaid if ratio != NO_BILL]
    return CreditView(
        days_past_due=past_due,
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
        arrears_reported_days=row.bureau_dpd_max,
        arrears_previous=months.status[1] if len(months.status) > 1 else 0,
        arrears_worst_6m=max(months.status[1:7], default=0),
        months_late_12m=sum(status > 0 for status in months.status),
        utilisation_trend=_trend(months.used),
        paid_ratio=min(1.0, paid[0]) if paid else 1.0,
        paid_ratio_mean=sum(min(1.0, ratio) for ratio in paid) / len(paid) if paid else 1.0,
        unpaid_bills=sum(ratio == 0 for ratio in paid),
        line_idle_ratio=max(0.0, 1 - used / (limit * _IDLE_BELOW)) if limit else 0.0,
        repaid_ratio=sum(repaid) / len(repaid) / 100 if repaid else UNKNOWN,
        line_log=log(max(1.0, limit / 100)) if limit else UNKNOWN,
        balance_cover_ratio=_covers(min(months.low, default=0), instalments) if months.balances else UNKNOWN,
        balance_mean_ratio=_covers(months.mean, instalments) if months.balances else UNKNOWN,
        balance_spread_ratio=months.spread(),
        tight_months=(
            sum(low * LEVEL_MINOR < _TIGHT_BELOW * instalments for low in months.low)
            if instalments and months.balances
            else -1
        ),
        inflow_spread_ratio=_spread(inflow),
        savings_ratio=max(-1.0, 1 - sum(outflow) * LEVEL_MINOR / earned) if earned and len(inflow) > 1 else 0.0,
        income_trend=_growth(months.inflow[1:]),
        debt_income_ratio=min(_DEBT_MAX, owed / (12 * monthly)) if monthly else 0.0,
        household_paid=row.household_ms >= 0 and at_ms - row.household_ms < HOUSEHOLD_WINDOW_MS,
        inquiries_6m=row.bureau_inquiries,
        registry_count=row.registry.at(at_ms),
        collateral_ratio=min(2.0, collateral / owed) if owed else 0.0,
        industry_stress=industry_stress if row.enterprise else 0.0,
    )


def _spread(inflow: list[int]) -> float:
    if len(inflow) < _WHOLE_MONTHS_MIN or not sum(inflow):
        return UNKNOWN
    mean = sum(inflow) / len(inflow)
    return float(sqrt(sum((month - mean) ** 2 for month in inflow) / len(inflow)) / mean)


def _covers(balance: float, instalments_minor: int) -> float:
    if not instalments_minor:
        return UNKNOWN
    return min(_COVER_MAX, max(0.0, balance) * LEVEL_MINOR / instalments_minor)


def _trend(used: list[int]) -> float:
    known = [permille for permille in used if permille != NO_BILL]
    return (known[0] - sum(known) / len(known)) / 1000 if len(known) > 1 else 0.0


def _growth(inflow: list[int]) -> float:
    # Five whole months at most: the newest two against those before.
    late, early = inflow[:2], inflow[2:]
    if len(early) < 2 or not sum(early):
        return 0.0
    return max(-1.0, min(1.0, sum(late) / 2 / (sum(early) / len(early)) - 1))


def _fresh(since_ms: int, at_ms: int) -> float:
    return 0.5 ** (max(0, at_ms - since_ms) / (PENALTY_HALF_LIFE_DAYS * DAY_MS)) if since_ms >= 0 else 0.0
