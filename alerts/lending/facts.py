"""The figures that tables of the policy may ask for, and the criteria over them.

A figure that is not known makes no criterion hold. No figure is, or stands for, sex, marriage, ethnicity, religion,
health, age or district; `tests/alerts/lending/test_fairness.py` walks this list.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from msgspec import Struct

from alerts.state import GRADES
from alerts.tables import Table

About = Literal["customer", "facility", "application"]
CRITERIA_MAX = 8


class Fact(NamedTuple):
    """A figure: its name, what it is about, its unit."""

    name: str
    about: About
    unit: str


FACTS: tuple[Fact, ...] = (
    Fact("grade", "customer", "grade"),
    Fact("pd_12m", "customer", "probability"),
    Fact("in_default", "customer", "0/1"),
    Fact("customer_days_past_due", "customer", "days"),
    Fact("utilisation_ratio", "customer", "ratio"),
    Fact("debt_service_ratio", "customer", "ratio"),
    Fact("income_overdue_days", "customer", "days"),
    Fact("income_drop_ratio", "customer", "ratio"),
    Fact("returned_count", "customer", "count"),
    Fact("minimum_only_count", "customer", "count"),
    Fact("legal_count", "customer", "count"),
    Fact("bureau_score", "customer", "points"),
    Fact("applications_30d", "customer", "count"),
    Fact("tenure_days", "customer", "days"),
    Fact("months_on_book", "customer", "months"),
    Fact("fraud_clear_days", "customer", "days"),
    Fact("retail", "customer", "0/1"),
    Fact("watch_listed", "customer", "0/1"),
    Fact("early_warning", "customer", "0/1"),
    Fact("days_past_due", "facility", "days"),
    Fact("pd_ratio", "facility", "ratio"),
    Fact("pd_rise", "facility", "probability"),
    Fact("loss_ratio", "facility", "ratio"),
    Fact("coverage_ratio", "facility", "ratio"),
    Fact("exposure_minor", "facility", "minor"),
    Fact("stage", "facility", "class"),
    Fact("bad_share", "facility", "ratio"),
    Fact("thin_file", "application", "0/1"),
    Fact("income_months", "application", "months"),
    Fact("debt_service_after_ratio", "application", "ratio"),
    Fact("income_overstated_ratio", "application", "ratio"),
    Fact("income_unverified", "application", "0/1"),
)
UNITS: dict[str, str] = {fact.name: fact.unit for fact in FACTS}
_GRADE_OPS = ("worse_than", "better_than")
_NUMBER_OPS = (">=", ">", "<=", "<", "==")

Values = Mapping[str, float]


class Criterion(Struct, frozen=True):
    """`fact op value`, and the closed range of floats that is the same; grades are places on the scale, 0 the best."""

    fact: str
    op: str
    value: float
    low: float
    high: float


def criterion(fact: str, op: str, value: float) -> Criterion:
    """A criterion with its range.

    Examples
    --------
    >>> all_hold([criterion("days_past_due", ">", 30)], {"days_past_due": 30.0})
    False
    """
    low, high = -math.inf, math.inf
    if op in (">=", "=="):
        low = value
    elif op == ">":
        low = math.nextafter(value, math.inf)
    if op in ("<=", "=="):
        high = value
    elif op == "<":
        high = math.nextafter(value, -math.inf)
    return Criterion(fact, op, value, low, high)


def all_hold(criteria: Sequence[Criterion], values: Values) -> bool:
    """Whether every criterion holds; False where a figure is not known."""
    for one in criteria:
        found = values.get(one.fact)
        if found is None or not one.low <= found <= one.high:
            return False
    return True


def criteria(table: Table, about: Sequence[About]) -> tuple[Criterion, ...]:
    """Read `when` of a table: at least one criterion over figures of these kinds.

    Raises
    ------
    PolicyError
        For a figure or grade that does not exist, or one that cannot be known here.
    """
    names = [fact.name for fact in FACTS if fact.about in about]
    made: list[Criterion] = []
    for one in table.tables("when", CRITERIA_MAX):
        fact = one.text("fact", names)
        if fact == "grade":
            op = one.text("op", _GRADE_OPS)
            place = float(GRADES.index(one.text("value", GRADES)))
            made.append(criterion(fact, ">" if op == "worse_than" else "<", place))
        else:
            made.append(criterion(fact, one.text("op", _NUMBER_OPS), one.number("value")))
        one.done()
    if not made:
        raise table.refuse("when", [], "at least one criterion", "a line without criteria would always hold")
    return tuple(made)
