"""Bust-outs: a customer is quiet and exact for weeks, then takes all there is within days and pays no more."""

from __future__ import annotations

import numpy as np

from features.events import LimitChanged
from streams.town.agenda import Agenda
from streams.town.bank import Bank
from streams.town.config import CURRENCY, DAY_MS, HOUR_MS, TownConfig
from streams.town.habits import Habits
from streams.town.people import CREDIT, Person
from streams.town.places import Place, Places
from streams.town.planted import Case
from streams.town.truth import Truth
from streams.town.wages import date_of


class Busts:
    """Plants bust-outs. They start with the town, because the quiet time belongs to them."""

    def __init__(
        self, config: TownConfig, people: list[Person], places: Places, habits: Habits, agenda: Agenda, bank: Bank,
        truth: Truth,
    ) -> None:  # fmt: skip
        self._config = config
        self._people = people
        self._habits = habits
        self._agenda = agenda
        self._bank = bank
        self._truth = truth
        # What is easily sold again.
        dear = [p for p in (*places.doors, *places.shops) if p.mcc in ("5732", "5712", "5651", "4722")]
        self._dear = dear or list(places.doors)

    def bust_out(self, case: Case) -> None:
        """Choose who it is, keep them quiet, and enter the spree some days before a statement."""
        free = [p for p in self._people if p.case is None and p.line is not None and p.late_days == 0]
        if not free:
            return
        rng = case.rng
        days = self._config.days
        # Between a third and half of the run, and right before a statement, so that what follows can be seen.
        hoped = int(rng.integers(days // 3, max(days // 2, days - 70) + 1))
        soon = {self._day_of_month(hoped + later) for later in range(8)}
        free = [p for p in free if p.line is not None and p.line.statement_day in soon] or free
        person = free[int(rng.integers(len(free)))]
        line = person.line
        if line is None:
            return
        person.case = case
        line.style = "full"
        self._habits.spend[person.index] = 0.4
        waits = [d for d in range(hoped, hoped + 31) if self._day_of_month(d) == line.statement_day]
        spree = max(1, waits[0] - int(rng.integers(4, 8)))
        start_ms = self._config.start_ms + spree * DAY_MS
        case.start_ms = case.end_ms = start_ms
        case.involve(person.customer_id, start_ms)
        self._agenda.at(start_ms - 12 * DAY_MS, self._raise, person)
        self._agenda.at(start_ms, self._begin, case, person)

    def _day_of_month(self, day: int) -> int:
        return date_of(self._config.start_ms + day * DAY_MS).day

    def _raise(self, time_ms: int, person: Person) -> None:
        if person.line is not None:
            person.line.limit_minor = person.line.limit_minor * 3 // 2
            self._bank.emit(
                LimitChanged, time_ms, person, facility_id=person.line.facility_id,
                limit_minor=person.line.limit_minor, currency=CURRENCY,
            )  # fmt: skip

    def _begin(self, time_ms: int, case: Case, person: Person) -> None:
        person.stop_ms = time_ms
        rng = case.rng
        self._spree(time_ms, case, person, 1.6)
        # A payment from nowhere frees the line once more; it bounces when the money is gone.
        pay_ms = time_ms + int(rng.uniform(1.7, 2.0) * DAY_MS)
        self._agenda.at(pay_ms, self._false_payment, case, person)

    def _spree(self, from_ms: int, case: Case, person: Person, days: float) -> None:
        rng = case.rng
        line = person.line
        left = 0 if line is None else line.limit_minor - line.used_minor
        # Parts that sum to a little more than is left, so that the last is declined.
        parts = rng.dirichlet(np.full(int(rng.integers(6, 11)), 4.0)) * left * 1.05
        times = np.sort(rng.uniform(8 * HOUR_MS, days * 24 * HOUR_MS, size=len(parts)))
        for part, after in zip(parts.tolist(), times.tolist(), strict=True):
            place = self._dear[int(rng.integers(len(self._dear)))]
            self._agenda.at(from_ms + int(after), self._take, case, person, int(part) + 1, place)

    def _take(self, time_ms: int, case: Case, person: Person, amount_minor: int, place: Place) -> None:
        case.note(self._bank.purchase(time_ms, person, CREDIT, amount_minor, place))

    def _false_payment(self, time_ms: int, case: Case, person: Person) -> None:
        line = person.line
        amount = 0 if line is None else line.used_minor * 9 // 10
        payment = self._bank.repay_card(time_ms, person, amount, own=False)
        if payment is not None:
            case.note(payment)
            self._spree(time_ms, case, person, 1.0)
            self._agenda.at(time_ms + 3 * DAY_MS, self._bounce, case, person, payment.amount_minor)

    def _bounce(self, time_ms: int, case: Case, person: Person, amount_minor: int) -> None:
        returned = self._bank.return_payment(time_ms, person, amount_minor)
        if returned is not None:
            case.note(returned)
