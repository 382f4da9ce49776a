"""What each early-warning indicator reads from a customer's credit row at one moment, 0 to 1."""

from __future__ import annotations

from features.facility import DAY_MS
from features.row import CreditRow
from features.warning_catalogue import INDICATORS
from features.warnings import (
    BALANCE,
    CASH,
    COUNT_ONE,
    DECLINED,
    GAMBLING,
    INFLOW,
    LOGINS,
    MERCHANTS,
    PURCHASES,
)

# Before so many weeks a customer's usual is not known, and nothing is compared with it.
WEEKS_MIN = 6
_WEEKS_A_MONTH = 30 / 7
_EMPTY = (0,) * 9


def readings(row: CreditRow, at_ms: int) -> list[float]:
    """All indicators in catalogue order, each 0 to 1; all 0 for a new customer. About ten microseconds.

    Parameters
    ----------
    row
        A customer's credit row, not changed.
    at_ms
        Event time the indicators are read as of, at or after the row's latest event.
    """
    w, today = row.warnings, at_ms // DAY_MS
    known = w.weeks >= WEEKS_MIN
    fast, slow = (w.fast, w.slow) if known else (_EMPTY, _EMPTY)
    income = row.income
    monthly = income.monthly_minor() or slow[INFLOW] * _WEEKS_A_MONTH or 1.0
    expected = income.expected_days()
    overdue = income.overdue_days(at_ms)
    below = (at_ms - row.overdrawn_since_ms) / DAY_MS if row.overdrawn and row.overdrawn_since_ms >= 0 else 0.0
    applied = sum(at_ms - 60 * DAY_MS < t <= at_ms for t in row.applications)
    rent_gap = today - w.rent_day if w.rents >= 2 else 0
    insured_gap = today - w.insurance_day if w.insurances >= 2 else 0
    quiet = min(_fell(fast[PURCHASES], slow[PURCHASES]), _fell(fast[INFLOW], slow[INFLOW]))
    return [
        _ramp(overdue, 1.5, 6.0),
        _ramp(overdue - expected, 0.0, 6.0) if expected else 0.0,
        _ramp(w.late_days, 1.0, 5.0) * _fresh(w.late_day, today, 45),
        _ramp(income.drop_ratio(), 0.06, 0.3) if income.pay_days > 1 else 0.0,
        _ramp(_fell(w.last_in, w.mean_in), 0.08, 0.4) if known and w.mean_in > 0 else 0.0,
        float(row.employment_ended_ms >= 0),
        _fresh(w.benefit_day, today, 60),
        _ramp((slow[BALANCE] - fast[BALANCE]) / monthly, 0.1, 0.6),
        _ramp(-fast[BALANCE] / monthly, -0.3, 0.0) if known else 0.0,
        _fresh(w.overdraft_day, today, 40),
        _ramp(below, 4.0, 18.0),
        _ramp(w.last_out / max(1, w.last_in) - 1, 0.05, 0.4) if known and w.last_in >= 0 else 0.0,
        _ramp(fast[DECLINED] / COUNT_ONE, 0.1, 0.8),
        max(_ramp(rent_gap, 33, 38), _ramp(w.rent_gap_days, 33, 38) * _fresh(w.rent_day, today, 60)),
        _ramp(insured_gap, 34, 40) if insured_gap < 200 else 0.0,
        _ramp(w.used / 1000, 0.65, 0.92),
        _ramp((w.used - w.used_mean) / 1000, 0.05, 0.35),
        float(w.minimum),
        _ramp((w.paid_mean - w.paid) / 1000, 0.05, 0.5) if w.paid >= 0 else 0.0,
        _ramp((w.margin_mean - w.margin) / 100, 1.5, 4.0) if w.margins > 2 else 0.0,
        _fresh(w.returned_day, today, 60),
        _fresh(w.advance_day, today, 45),
        _ramp(applied, 0.4, 2.4),
        _fresh(w.bureau_day, today, 90),
        _fresh(w.granted_day, today, 120),
        _ramp((fast[CASH] - slow[CASH]) * _WEEKS_A_MONTH / monthly, 0.02, 0.16),
        _ramp(fast[GAMBLING] * _WEEKS_A_MONTH / monthly, 0.01, 0.08),
        _fresh(w.pawn_day, today, 60),
        _ramp(_fell(fast[MERCHANTS], slow[MERCHANTS]), 0.15, 0.5),
        _ramp(_fell(fast[PURCHASES], slow[PURCHASES]), 0.2, 0.6),
        _ramp(fast[LOGINS] / slow[LOGINS] - 1, 0.15, 0.8) if slow[LOGINS] > 0 else 0.0,
        _fresh(row.legal_ms // DAY_MS if row.legal_count else -1, today, 180),
        _fresh(w.registry_day, today, 120),
        _fresh(row.penalty_ms // DAY_MS if row.penalty_ms >= 0 else -1, today, 60),
        _ramp(quiet, 0.5, 0.8),
    ]


SIZE = len(INDICATORS)


def _ramp(value: float, low: float, high: float) -> float:
    """0 up to `low`, 1 from `high` on, straight between."""
    if value <= low:
        return 0.0
    return 1.0 if value >= high else (value - low) / (high - low)


def _fresh(day: int, today: int, span_days: int) -> float:
    """1 on the day, still above a half at two thirds of the span, 0 at its end; 0 for never."""
    if day < 0 or today - day >= span_days:
        return 0.0
    return min(1.0, 1.5 * (1 - max(0, today - day) / span_days))


def _fell(fast: int, slow: int) -> float:
    return 1 - fast / slow if slow > 0 else 0.0
