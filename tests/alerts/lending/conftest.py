"""Borrowers and their scores in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from alerts.lending.borrower import Borrower, FacilityFacts
from alerts.shift import Facts
from features.row import CreditRow
from features.view import CreditView, view
from models.scorecard import CreditScore

DAY_MS = 86_400_000
START_MS = 1_700_000_000_000
NEUTRAL = view(CreditRow(), 0)


def seen(**figures: Any) -> CreditView:
    return msgspec.structs.replace(NEUTRAL, **figures)


def facility(name: str = "loan-1", due_days: float | None = None, **more: Any) -> FacilityFacts:
    """A facility granted at the start; its oldest due lies `due_days` after the start."""
    due_ms = -1 if due_days is None else START_MS + round(due_days * DAY_MS)
    facts = {"exposure_minor": 1_000_000, "limit_minor": 0, "cover_minor": 0, "granted_ms": START_MS} | more
    return FacilityFacts(name, due_ms, **facts)


def borrower_at(day: float, *facilities: FacilityFacts, **more: Any) -> Borrower:
    """A seasoned borrower with an income of 3,000.00 a month."""
    at_ms = START_MS + round(day * DAY_MS)
    figures = more.pop("figures", {})
    known = {
        "income_minor": 300_000.0,
        "instalments_minor": 0,
        "fraud_ms": -1,
        "enterprise": False,
    } | more
    dpd = max(((at_ms - f.due_ms) // DAY_MS for f in facilities if f.due_ms >= 0), default=0)
    look = seen(**({"tenure_days": 900.0, "has_credit": bool(facilities), "days_past_due": max(0, dpd)} | figures))
    return Borrower(at_ms=at_ms, view=look, facilities=facilities, **known)


def scored(pd_12m: float, *contributions: tuple[str, float]) -> CreditScore:
    return CreditScore(pd_12m, 600.0, {}, contributions or (("base", 600.0),))


@pytest.fixture
def on() -> Callable[[float], Facts]:
    """Facts of an event on a day."""

    def make(day: float) -> Facts:
        at_ms = START_MS + round(day * DAY_MS)
        return Facts("c-1", f"e-{at_ms}", at_ms, None, None, None, 3)

    return make
