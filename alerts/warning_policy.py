"""The policy's `[warnings]` table: when the early-warning score puts a customer on the watch list, and off it."""

from __future__ import annotations

from typing import cast

from msgspec import Struct

from alerts.planned import PlannedAction, planned_actions
from alerts.records import SEVERITIES, Severity
from alerts.tables import Table


class WarningPolicy(Struct, frozen=True):
    """`enter` and `exit` are probabilities of default within ninety days.

    A customer is put on the list at `enter` with at least `indicators_min` indicators, and leaves it after `calm_ms`
    below `exit`; the same customer alerts again only after `cool_down_ms`.
    """

    enter: float
    exit: float
    indicators_min: int
    calm_ms: int
    cool_down_ms: int
    severity: Severity
    actions: tuple[PlannedAction, ...]


def warning_policy(table: Table) -> WarningPolicy:
    """Read the table; raises `alerts.errors.PolicyError` with key, found, expected and advice."""
    policy = WarningPolicy(
        enter=table.number("enter", 0, 1),
        exit=table.number("exit", 0, 1),
        indicators_min=table.whole("indicators_min", 1, 20),
        calm_ms=cast(int, table.duration_ms("calm_time", {"none": 0})),
        cool_down_ms=cast(int, table.duration_ms("cool_down", {"none": 0})),
        severity=cast(Severity, table.text("severity", SEVERITIES)),
        actions=planned_actions(table),
    )
    table.done()
    if not policy.exit < policy.enter:
        raise table.refuse("exit", policy.exit, f"less than enter ({policy.enter:g})", "leave room for hysteresis")
    return policy
