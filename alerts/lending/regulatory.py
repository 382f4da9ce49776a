"""IFRS 9 stages and the five classes of a facility: decision tables in the policy, worse at once, better on probation.

Each line of a table is criteria and the class they ask for at least; the worst line that holds counts. A facility moves
to a better class only after the tables have said so without a break for the probation of the class it leaves: out of
stage 3 to 2 and then to 1; out of non-performing to special mention and then to normal. Money owed by a firm is
classed together: `bad_share` is the share of what it owes that its own figures make non-performing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

from msgspec import Struct

from alerts.lending.borrower import days_past_due, standing_values
from alerts.lending.facts import Criterion, Values, all_hold, criteria
from alerts.state import FIVE_CLASSES, STAGES, SUBSTANDARD, Lending, Loan, RiskState
from alerts.tables import Table
from features.facility import DAY_MS

LINES_MAX = 24
_DAYS = ("days_past_due", "customer_days_past_due")
_SPECIAL_MENTION = FIVE_CLASSES.index("special_mention")


class ClassLine(Struct, frozen=True):
    """Criteria, the least class they ask for (its number) and the paragraph behind it."""

    at_least: int
    when: tuple[Criterion, ...]
    reference: str


class Regulatory(Struct, frozen=True):
    """The tables, the loss assumptions and the probation of each class in milliseconds."""

    lgd_unsecured: float
    lgd_secured: float
    collateral_haircut: float
    stages: tuple[ClassLine, ...]
    five: tuple[ClassLine, ...]
    stage_3_ms: int
    stage_2_ms: int
    non_performing_ms: int
    special_mention_ms: int
    # Days past due at which a line may begin to hold, rising.
    boundaries: tuple[int, ...]


def parse_regulatory(table: Table) -> Regulatory:
    """Read `[regulatory]`; refuses a table that knows no way into a class."""
    stages = _lines(table, "stages", "stage", tuple(str(stage) for stage in STAGES[1:]), 2)
    five = _lines(table, "five_classes", "class", FIVE_CLASSES[1:], 1)
    probation = table.table("probation")
    made = Regulatory(
        lgd_unsecured=table.number("lgd_unsecured", 0, 1),
        lgd_secured=table.number("lgd_secured", 0, 1),
        collateral_haircut=table.number("collateral_haircut", 0, 1),
        stages=stages,
        five=five,
        stage_3_ms=_probation(probation, "stage_3"),
        stage_2_ms=_probation(probation, "stage_2"),
        non_performing_ms=_probation(probation, "non_performing"),
        special_mention_ms=_probation(probation, "special_mention"),
        boundaries=_boundaries((*stages, *five)),
    )
    probation.done()
    if made.lgd_secured > made.lgd_unsecured:
        raise table.refuse("lgd_secured", made.lgd_secured, "at most lgd_unsecured", "collateral cannot raise the loss")
    table.done()
    return made


def _probation(table: Table, name: str) -> int:
    return cast(int, table.duration_ms(name, {"none": 0}))


def _lines(table: Table, key: str, name: str, classes: Sequence[str], first: int) -> tuple[ClassLine, ...]:
    made: list[ClassLine] = []
    for one in table.tables(key, LINES_MAX):
        wanted = str(one.whole(name, 2, 3)) if name == "stage" else one.text(name, classes)
        when = criteria(one, ("customer", "facility"))
        made.append(ClassLine(classes.index(wanted) + first, when, one.text("reference")))
        one.done()
    missing = [wanted for place, wanted in enumerate(classes, first) if all(line.at_least != place for line in made)]
    if missing:
        raise table.refuse(key, f"no line for {', '.join(missing)}", "a way into every class", "add a line for each")
    return tuple(made)


def _boundaries(lines: Sequence[ClassLine]) -> tuple[int, ...]:
    days = {
        math.floor(c.value) + 1 if c.op == ">" else math.ceil(c.value)
        for line in lines
        for c in line.when
        if c.fact in _DAYS and c.op in (">", ">=", "==")
    }
    return tuple(sorted(days))


def loss_given_default(table: Regulatory, exposure_minor: int, cover_minor: int) -> float:
    """Share of an exposure that is lost in default, from what its collateral is worth after the haircut."""
    if exposure_minor <= 0:
        return table.lgd_unsecured
    covered = min(1.0, cover_minor * (1 - table.collateral_haircut) / exposure_minor)
    return table.lgd_secured * covered + table.lgd_unsecured * (1 - covered)


def facility_values(table: Regulatory, loan: Loan, customer: Values, at_ms: int, bad_share: float) -> dict[str, float]:
    """The customer's figures and those of one facility."""
    pd_12m = customer.get("pd_12m")
    impaired = loan.stage == STAGES[-1] or customer.get("in_default") == 1
    values = {
        **customer,
        "days_past_due": float(days_past_due(loan.due_ms, at_ms)),
        "exposure_minor": float(loan.exposure_minor),
        "stage": float(loan.stage),
        "bad_share": bad_share,
    }
    if loan.exposure_minor > 0:
        values["coverage_ratio"] = loan.cover_minor / loan.exposure_minor
    if pd_12m is not None:
        lgd = loss_given_default(table, loan.exposure_minor, loan.cover_minor)
        values["loss_ratio"] = lgd * (1.0 if impaired else pd_12m)
        if loan.pd_millionths >= 0:
            # Half a millionth stands for less: a grade without any risk does not exist.
            before = max(loan.pd_millionths, 0.5) / 1e6
            values["pd_ratio"] = pd_12m / before
            values["pd_rise"] = pd_12m - before
    return values


def reclassify(table: Regulatory, risk: RiskState, at_ms: int) -> None:
    """Bring every facility's stage and class up to `at_ms`; worse at once, better when its probation is over."""
    lending = risk.lending
    if lending is None:
        return
    customer = standing_values(risk, at_ms)
    own: dict[str, int] = {}
    asked: dict[str, int] = {}
    for name, loan in lending.loans.items():
        values = facility_values(table, loan, customer, at_ms, 0.0)
        asked[name] = _worst(table.stages, values, 1)
        _stage(table, loan, asked[name], at_ms)
        values["stage"] = float(loan.stage)
        own[name] = _worst(table.five, values, 0)
    if all(loan.stage == asked[name] and not own[name] for name, loan in lending.loans.items()):
        # Nearly always: nobody's debt is bad and no probation of a stage runs, so that a second look says the same.
        for loan in lending.loans.values():
            _five(table, loan, 0, 0, at_ms)
        return
    owed = sum(loan.exposure_minor for loan in lending.loans.values())
    bad = sum(loan.exposure_minor for name, loan in lending.loans.items() if own[name] >= SUBSTANDARD)
    share = bad / owed if owed else 0.0
    for name, loan in lending.loans.items():
        values = facility_values(table, loan, customer, at_ms, share)
        wanted = _worst(table.five, values, 0)
        # Probations run side by side: what only the stage's probation still asks for does not hold back this clock.
        values["stage"] = float(asked[name])
        _five(table, loan, wanted, _worst(table.five, values, 0), at_ms)


def _worst(lines: Sequence[ClassLine], values: Values, least: int) -> int:
    worst = least
    for line in lines:
        if line.at_least > worst and all_hold(line.when, values):
            worst = line.at_least
    return worst


def _stage(table: Regulatory, loan: Loan, wanted: int, at_ms: int) -> None:
    if wanted >= loan.stage:
        loan.stage, loan.stage_better_ms = wanted, -1
        return
    if loan.stage_better_ms < 0:
        loan.stage_better_ms = at_ms
    while wanted < loan.stage and at_ms - loan.stage_better_ms >= (waits := stage_probation(table, loan.stage)):
        loan.stage -= 1
        # The next probation begins where this one ended, not when somebody looked.
        loan.stage_better_ms += waits
    if wanted == loan.stage:
        loan.stage_better_ms = -1


def _five(table: Regulatory, loan: Loan, wanted: int, without_probation: int, at_ms: int) -> None:
    loan.five = max(loan.five, wanted)
    if without_probation >= loan.five:
        loan.five_better_ms = -1
        return
    if loan.five_better_ms < 0:
        loan.five_better_ms = at_ms
    while wanted < loan.five and at_ms - loan.five_better_ms >= (waits := five_probation(table, loan.five)):
        performing = max(wanted, _SPECIAL_MENTION) if loan.five >= SUBSTANDARD else wanted
        loan.five = performing
        loan.five_better_ms += waits
    if without_probation == loan.five:
        loan.five_better_ms = -1


def stage_probation(table: Regulatory, stage: int) -> int:
    """Probation before a facility leaves a stage for the better, milliseconds."""
    return table.stage_3_ms if stage == STAGES[-1] else table.stage_2_ms


def five_probation(table: Regulatory, five: int) -> int:
    """Probation before a facility leaves a class for the better, milliseconds."""
    return table.non_performing_ms if five >= SUBSTANDARD else table.special_mention_ms


def next_review(table: Regulatory, lending: Lending, at_ms: int) -> int:
    """When time alone may next move a class: a day past due that a line names, or the end of a probation; -1 never."""
    times: list[int] = []
    for loan in lending.loans.values():
        if loan.due_ms >= 0:
            days = days_past_due(loan.due_ms, at_ms)
            times += [loan.due_ms + boundary * DAY_MS for boundary in table.boundaries if boundary > days][:1]
        if loan.stage_better_ms >= 0:
            times.append(loan.stage_better_ms + stage_probation(table, loan.stage))
        if loan.five_better_ms >= 0:
            times.append(loan.five_better_ms + five_probation(table, loan.five))
    # A clock that ran out while something else still holds the class back waits for that.
    return min((due_ms for due_ms in times if due_ms > at_ms), default=-1)
