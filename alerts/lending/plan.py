"""The improvement plan: at most two things the customer can change that lift them a grade, the least effort first.

Only what a person can change within months is offered, and only for the better: pay arrears, use less of the limit,
pay more than the minimum, clear an overdraft, lower instalments. Waiting, income, employment, court cases and the
bureau's opinion are not advice. One narrow door to the scorecard: a callable from view to PD.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any, NamedTuple

import msgspec

from alerts.records import PlanStep
from alerts.texts import Texts
from features.view import CreditView
from models.grades import GRADES, grade_of

Pd = Callable[[CreditView], float]


class Change(NamedTuple):
    """A figure of the view that the customer can bring down to one of `targets`, and what that costs them."""

    code: str
    targets: tuple[float, ...]
    effort: float


# Targets from the easiest to the hardest; effort is an order among changes, not an amount.
CHANGES: tuple[Change, ...] = (
    Change("overdraft", (0,), 1.0),
    Change("applications_30d", (0,), 1.0),
    Change("minimum_only_count", (0,), 1.5),
    Change("days_past_due", (0,), 2.0),
    Change("returned_count", (0,), 2.0),
    Change("utilisation_ratio", (0.8, 0.5, 0.3), 2.5),
    Change("debt_service_ratio", (0.6, 0.4, 0.2), 3.0),
)


class Plan(NamedTuple):
    """The grade it leads to, the PD there and the one or two steps."""

    grade: str
    pd_12m: float
    steps: tuple[tuple[str, float, float], ...]


def improvement_plan(view: CreditView, pd: Pd, changes: tuple[Change, ...] = CHANGES) -> Plan | None:
    """The least effort that reaches a better grade, one change or two; None when no such change does.

    Parameters
    ----------
    view
        As of now. A customer in default is graded by the card here as everybody.
    pd
        12-month PD of a view, from the scorecard in force.

    Returns
    -------
    Steps as (code, value now, target). Among plans of the same effort the lower PD, then the order of `changes`.
    """
    now = GRADES.index(grade_of(pd(view)))
    steps = [
        (change.code, float(target), change.effort * (1 + place / 10))
        for change in changes
        for place, target in enumerate(change.targets)
        if float(getattr(view, change.code)) > target
    ]
    best: tuple[tuple[float, float], Plan] | None = None
    for size in (1, 2):
        for chosen in combinations(steps, size):
            if len({code for code, _target, _effort in chosen}) < size:
                continue
            reached = pd(_with(view, chosen))
            grade = grade_of(reached)
            if GRADES.index(grade) >= now:
                continue
            rank = (sum(effort for _code, _target, effort in chosen), reached)
            if best is None or rank < best[0]:
                made = tuple((code, float(getattr(view, code)), target) for code, target, _effort in chosen)
                best = rank, Plan(grade, reached, made)
        if best is not None:
            return best[1]
    return None


def _with(view: CreditView, chosen: tuple[tuple[str, float, float], ...]) -> CreditView:
    new: dict[str, Any] = {}
    for code, target, _effort in chosen:
        kind = type(getattr(view, code))
        new[code] = kind(target)
    return msgspec.structs.replace(view, **new)


def steps_in_words(texts: Texts, plan: Plan) -> list[PlanStep]:
    """The plan's steps as records carry them."""
    return [PlanStep(code, value, target, texts.both("plan", code, target)) for code, value, target in plan.steps]
