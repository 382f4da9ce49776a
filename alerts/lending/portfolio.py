"""The book as a whole: exposure, expected loss and concentration by grade, class, industry and district.

Concentration is the Herfindahl-Hirschman index (HHI) of exposure shares, 0 to 1: 1 is one single name, 1/n is n equal
ones, so `1 / HHI` is how many equal names the book is worth. District figures are for the book, never for a person.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from alerts.lending.regulatory import Regulatory, loss_given_default
from alerts.lending.segments import Tier, tier_of
from alerts.state import DPD_CLASSES, FIVE_CLASSES, GRADES, STAGES, SUBSTANDARD, Loan, RiskState
from features.row import CreditRow

DIMENSIONS = ("grade", "stage", "five_class", "dpd_class", "tier", "industry", "district")
UNKNOWN, PRIVATE = "unknown", "private persons"
_ORDER: dict[str, tuple[str, ...]] = {
    "grade": GRADES,
    "stage": tuple(str(stage) for stage in STAGES),
    "five_class": FIVE_CLASSES,
    "dpd_class": DPD_CLASSES,
}


class Exposure(NamedTuple):
    """One facility of one customer; `labels` in the order of `DIMENSIONS`, money in minor units."""

    labels: tuple[str, ...]
    drawn_minor: int
    undrawn_minor: int
    expected_loss_minor: float
    non_performing: bool


class Cell(NamedTuple):
    """Facilities that share a label; `share` is of all drawn money."""

    label: str
    customers: int
    facilities: int
    drawn_minor: int
    undrawn_minor: int
    expected_loss_minor: float
    non_performing_minor: int
    share: float


class Book(NamedTuple):
    """Totals, the cells of each dimension, and HHI of each and of the names themselves (None without exposure)."""

    customers: int
    facilities: int
    drawn_minor: int
    undrawn_minor: int
    expected_loss_minor: float
    non_performing_ratio: float | None
    watch_listed_minor: int
    cells: dict[str, list[Cell]]
    hhi: dict[str, float | None]
    hhi_names: float | None
    largest_names: list[tuple[str, int, float]]


def exposures(
    regulatory: Regulatory, tiers: tuple[Tier, ...], row: CreditRow, risk: RiskState, district: str
) -> Iterable[Exposure]:
    """Every facility of a customer's row; one without a class yet is in stage 1 and normal."""
    pd_12m = risk.pd_12m if risk.pd_12m is not None else 0.0
    loans = risk.lending.loans if risk.lending else {}
    for facility in row.facilities:
        drawn = max(0, facility.balance_minor)
        loan = loans.get(facility.facility_id) or Loan(0)
        pd_here = 1.0 if loan.stage == STAGES[-1] or risk.grade == GRADES[-1] else pd_12m
        loss = drawn * pd_here * loss_given_default(regulatory, drawn, facility.collateral_minor)
        labels = (
            risk.grade or UNKNOWN,
            str(loan.stage),
            FIVE_CLASSES[loan.five],
            DPD_CLASSES[risk.facilities.get(facility.facility_id, 0)],
            tier_of(tiers, risk.grade).id if risk.grade else UNKNOWN,
            (row.industry or UNKNOWN) if row.enterprise else PRIVATE,
            district or UNKNOWN,
        )
        yield Exposure(labels, drawn, max(0, facility.limit_minor - drawn), loss, loan.five >= SUBSTANDARD)


class Portfolio:
    """Adds up customers; each is added once.

    Parameters
    ----------
    regulatory, tiers
        Of the policy in force.
    names_max
        How many of the largest names are kept.
    """

    def __init__(self, regulatory: Regulatory, tiers: tuple[Tier, ...], names_max: int = 10) -> None:
        self._regulatory, self._tiers, self._names_max = regulatory, tiers, names_max
        # label → [customers, facilities, drawn, undrawn, expected loss, non-performing]
        self._cells: dict[str, dict[str, list[float]]] = {name: {} for name in DIMENSIONS}
        self._customers = self._facilities = self._drawn = self._undrawn = self._bad = self._watched = 0
        self._loss = 0.0
        self._squares = 0
        self._largest: list[tuple[int, str]] = []

    def add(self, customer_id: str, row: CreditRow, risk: RiskState, district: str = "") -> None:
        """Add one customer's facilities; nothing for a customer without any."""
        found = list(exposures(self._regulatory, self._tiers, row, risk, district))
        if not found:
            return
        drawn = sum(one.drawn_minor for one in found)
        self._customers += 1
        self._drawn += drawn
        self._squares += drawn * drawn
        self._largest = sorted([*self._largest, (drawn, customer_id)], key=lambda it: (-it[0], it[1]))
        del self._largest[self._names_max :]
        if risk.lending is not None and risk.lending.watch_ms >= 0:
            self._watched += drawn
        for one in found:
            self._facilities += 1
            self._undrawn += one.undrawn_minor
            self._loss += one.expected_loss_minor
            self._bad += one.drawn_minor * one.non_performing
        for place, dimension in enumerate(DIMENSIONS):
            cells = self._cells[dimension]
            for label in dict.fromkeys(one.labels[place] for one in found):
                cells.setdefault(label, [0, 0, 0, 0, 0.0, 0])[0] += 1
            for one in found:
                cell = cells[one.labels[place]]
                cell[1] += 1
                cell[2] += one.drawn_minor
                cell[3] += one.undrawn_minor
                cell[4] += one.expected_loss_minor
                cell[5] += one.drawn_minor * one.non_performing

    def book(self) -> Book:
        """What was added, as a report."""
        total = self._drawn
        return Book(
            self._customers, self._facilities, total, self._undrawn, self._loss,
            self._bad / total if total else None, self._watched,
            {name: self._ranked(name) for name in DIMENSIONS},
            {name: hhi([cell[2] for cell in self._cells[name].values()]) for name in DIMENSIONS},
            self._squares / total**2 if total else None,
            [(name, drawn, drawn / total if total else 0.0) for drawn, name in self._largest],
        )  # fmt: skip

    def _ranked(self, dimension: str) -> list[Cell]:
        cells, order = self._cells[dimension], _ORDER.get(dimension)
        if order:
            names = [name for name in (*order, UNKNOWN) if name in cells]
        else:
            names = sorted(cells, key=lambda name: (-cells[name][2], name))
        total = self._drawn
        made = []
        for name in names:
            customers, facilities, drawn, undrawn, loss, bad = cells[name]
            share = drawn / total if total else 0.0
            made.append(Cell(name, int(customers), int(facilities), int(drawn), int(undrawn), loss, int(bad), share))
        return made


def hhi(amounts: Iterable[float]) -> float | None:
    """Herfindahl-Hirschman index of amounts, 0 to 1; None when there is nothing.

    Examples
    --------
    >>> hhi([1, 1, 1, 1]), hhi([5, 0]), hhi([])
    (0.25, 1.0, None)
    """
    held = list(amounts)
    total = sum(held)
    return sum(amount * amount for amount in held) / total**2 if total else None
