"""Pay days and standing orders: salaries, pensions, revenue; rent, household bills, insurance, suppliers."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from features.events import Income
from streams.town.agenda import Agenda
from streams.town.bank import Bank
from streams.town.config import CURRENCY, DAY_MS, HOUR_MS
from streams.town.people import Person


def date_of(time_ms: int) -> datetime.date:
    """The UTC date of a time."""
    return datetime.date.fromordinal(719_163 + time_ms // DAY_MS)


class Wages:
    """Enters what comes and goes by the calendar. Whoever lost the job is paid nothing, or the benefit."""

    def __init__(self, people: Iterable[Person], bank: Bank, agenda: Agenda) -> None:
        self._bank = bank
        self._agenda = agenda
        self._paid_on: dict[int, list[Person]] = defaultdict(list)
        self._rent_on: dict[int, list[Person]] = defaultdict(list)
        self._irregular: list[Person] = []
        for person in people:
            if person.occupation in ("employee", "retired"):
                self._paid_on[person.pay_day].append(person)
            else:
                self._irregular.append(person)
            if not person.firm:
                self._rent_on[1 + (person.pay_day + 3) % 28].append(person)

    def day(self, start_ms: int, rng: np.random.Generator, agenda: Agenda) -> None:
        """Enter one day's payments."""
        date = date_of(start_ms)
        paid, renting = self._paid_on[date.day], self._rent_on[date.day]
        for person, u in zip(paid, rng.random(len(paid)).tolist(), strict=True):
            agenda.today(start_ms + 5 * HOUR_MS + int(u * HOUR_MS), self._salary, person, u)
        for person, u in zip(renting, rng.random(len(renting)).tolist(), strict=True):
            agenda.today(start_ms + 7 * HOUR_MS + int(u * HOUR_MS), self._household, person)
        for person, u in zip(self._irregular, rng.random((len(self._irregular), 4)).tolist(), strict=True):
            if person.firm:
                self._firm(start_ms, date, person, u, agenda)
            elif u[0] < 1 / 14:
                amount = round(person.income_minor * 14 / 30 * (0.5 + u[1]))
                agenda.today(start_ms + 9 * HOUR_MS + int(u[2] * 8 * HOUR_MS), self._earn, person, amount)

    def _salary(self, time_ms: int, person: Person, u: float, late: bool = False) -> None:
        if person.salary_late_days and not late:
            self._agenda.at(time_ms + int(person.salary_late_days * DAY_MS), self._salary, person, u, True)
        elif person.salary_elsewhere:
            pass
        elif person.occupation == "retired":
            self._income(time_ms, person, person.income_minor, "pension", "pension_fund", 30)
        elif person.employed:
            # Overtime and the like: a salary differs by a percent or so.
            amount = round(person.income_minor * person.salary_share * (0.99 + 0.02 * (u * 97 % 1)))
            self._income(time_ms, person, amount, "salary", person.employer_id or "employer", 30)
        elif person.benefit:
            self._income(time_ms, person, round(person.income_minor * 0.45), "benefit", "employment_office", 30)

    def _earn(self, time_ms: int, person: Person, amount_minor: int) -> None:
        self._income(time_ms, person, amount_minor, "other", "clients", None)

    def _income(
        self, time_ms: int, person: Person, amount_minor: int, source: str, payer: str, rhythm: int | None
    ) -> None:
        known = {} if rhythm is None else {"expected_days": rhythm}
        self._bank.emit(
            Income,
            time_ms,
            person,
            amount_minor=amount_minor,
            currency=CURRENCY,
            source=source,
            payer_id=payer,
            **known,
        )
        category = source if source in ("salary", "pension", "benefit") else "other"
        self._bank.credit(time_ms, person, amount_minor, category)  # type: ignore[arg-type]  # one of the four above

    def _household(self, time_ms: int, person: Person, late: bool = False) -> None:
        if person.rent_late_days and not late:
            self._agenda.at(time_ms + int(person.rent_late_days * DAY_MS), self._household, person, True)
            return
        bank = self._bank
        bank.pay(time_ms, person, person.rent_minor, "rent", f"landlord_{person.index % 97:02d}")
        bank.pay(time_ms, person, 6_000 + person.rent_minor // 20, "household", "payee_energy")
        if person.index % 2 and person.insured:
            bank.pay(time_ms, person, 4_500, "insurance", "payee_insurance")

    def _firm(self, start_ms: int, date: datetime.date, person: Person, u: list[float], agenda: Agenda) -> None:
        if date.weekday() >= 5:
            return
        if date.weekday() == 4:
            amount = round(person.income_minor * person.salary_share * 7 / 30 * (0.75 + 0.5 * u[0]))
            agenda.today(start_ms + 16 * HOUR_MS, self._revenue, person, amount)
        if u[1] < 0.6:
            amount = round(person.income_minor * (0.02 + 0.06 * u[2]))
            agenda.today(start_ms + 10 * HOUR_MS + int(u[3] * 5 * HOUR_MS), self._supply, person, amount, int(u[3] * 6))

    def _revenue(self, time_ms: int, person: Person, amount_minor: int) -> None:
        self._income(time_ms, person, amount_minor, "revenue", "customers", 7)

    def _supply(self, time_ms: int, person: Person, amount_minor: int, supplier: int) -> None:
        payee = f"supplier_{person.index:06d}_{supplier}"
        self._bank.pay(time_ms, person, amount_minor, "other", payee, ordered=False)
