"""After the loan is made: the watch list, measures against worsening, and what opens the way upward again.

A measure is criteria and actions. Adverse ones are advice to the human the policy names; what favours the customer
(`UPWARD`) is given only after seasoning, a fraud-clear period and without arrears, whichever line asks for it.
"""

from __future__ import annotations

from typing import cast

from msgspec import Struct

from alerts.lending.borrower import Borrower, fraud_clear_days, months_on_book
from alerts.lending.facts import Criterion, criteria
from alerts.planned import PlannedAction, planned_actions
from alerts.records import SEVERITIES, Severity
from alerts.state import GRADES, SIGNALS, RiskState
from alerts.tables import Table
from features.facility import DAY_MS

ADVERSE = ("limit_decrease", "reprice", "require_collateral", "early_recall_review", "decline")
UPWARD = ("limit_increase", "offer")
LINES_MAX = 32


class Upward(Struct, frozen=True):
    """What must be true before anything favours the customer."""

    months_on_book: float
    fraud_clear_ms: int


class WatchLine(Struct, frozen=True):
    """All criteria hold: the customer is on the watch list."""

    id: str
    when: tuple[Criterion, ...]


class Measure(Struct, frozen=True):
    """All criteria hold: its actions, and an alert when `alert`, unless it did within `cool_down_ms`."""

    id: str
    title: tuple[str, str] | None
    scope: str
    when: tuple[Criterion, ...]
    severity: Severity
    alert: bool
    cool_down_ms: int
    actions: tuple[PlannedAction, ...]
    # Whether it favours the customer.
    is_upward: bool


class AfterLoan(Struct, frozen=True):
    """`[after_loan]` of the policy; `adverse_to` is the human who gets adverse advice."""

    adverse_to: str
    upward: Upward
    watch_leaves_ms: int
    watch_signals: tuple[str, ...]
    watch: tuple[WatchLine, ...]
    measures: tuple[Measure, ...]


def parse_after_loan(table: Table) -> AfterLoan:
    """Read `[after_loan]`; refuses a measure that both favours and burdens, and a nameless addressee."""
    upward = table.table("upward")
    watch = table.table("watch_list")
    made = AfterLoan(
        adverse_to=table.text("adverse_to"),
        upward=Upward(
            upward.number("months_on_book", 0, 120), cast(int, upward.duration_ms("fraud_clear", {"none": 0}))
        ),
        watch_leaves_ms=cast(int, watch.duration_ms("leaves_after", {"none": 0})),
        watch_signals=_signals(watch),
        watch=_watch(watch),
        measures=_measures(table),
    )
    upward.done()
    watch.done()
    table.done()
    return made


def _watch(table: Table) -> tuple[WatchLine, ...]:
    made: list[WatchLine] = []
    for one in table.tables("enter", LINES_MAX):
        made.append(WatchLine(one.name("id"), criteria(one, ("customer",))))
        one.done()
    return tuple(made)


def _signals(table: Table) -> tuple[str, ...]:
    names: list[str] = []
    for one in table.tables("signals", len(SIGNALS)):
        names.append(one.text("signal", SIGNALS))
        one.done()
    return tuple(names)


def _measures(table: Table) -> tuple[Measure, ...]:
    made: list[Measure] = []
    for one in table.tables("measures", LINES_MAX):
        scope = one.text("scope", ("customer", "facility"))
        measure = Measure(
            id=one.name("id"),
            title=one.title(),
            scope=scope,
            when=criteria(one, ("customer", "facility") if scope == "facility" else ("customer",)),
            severity=cast(Severity, one.text("severity", SEVERITIES)),
            alert=one.flag("alert"),
            cool_down_ms=cast(int, one.duration_ms("cool_down", {"none": 0})),
            actions=(planned := planned_actions(one)),
            is_upward=any(plan.action in UPWARD for plan in planned),
        )
        one.done()
        names = [plan.action for plan in measure.actions]
        if not names or any(plan.lasts_ms == 0 for plan in measure.actions):
            raise one.refuse("actions", names, "at least one action that lasts", 'write lasts = "30d" or the like')
        if any(name in UPWARD for name in names) and any(name in ADVERSE for name in names):
            raise one.refuse("actions", names, "what favours or what burdens, not both", "make two measures of it")
        if any(measure.id == other.id for other in made):
            raise one.refuse("id", measure.id, "an id of its own", "rename the measure; its id is part of alert ids")
        made.append(measure)
    return tuple(made)


def may_rise(upward: Upward, risk: RiskState, borrower: Borrower | None) -> bool:
    """Whether anything may favour this customer now: seasoned, clear of fraud, current, not watched, not in default."""
    lending = risk.lending
    if borrower is None or lending is None or risk.grade in ("", GRADES[-1]) or lending.watch_ms >= 0:
        return False
    at_ms = borrower.at_ms
    return (
        borrower.view.days_past_due == 0
        and months_on_book(lending.loans, at_ms) >= upward.months_on_book
        and fraud_clear_days(risk, borrower.fraud_ms, at_ms) * DAY_MS >= upward.fraud_clear_ms
    )
