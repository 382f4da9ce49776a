"""What people do when money is short, one method a sign; the healthy show the same signs, one at a time, by chance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from features.events import Application, BureauReport, EmploymentChange, LegalEvent, RegistryChange, Repayment
from streams.town.agenda import Agenda
from streams.town.bank import Bank
from streams.town.config import CURRENCY, DAY_MS, HOME, HOUR_MS
from streams.town.habits import Habits
from streams.town.people import CREDIT, DEBIT, Person
from streams.town.places import Place, Places

Sign = Callable[[Person, np.random.Generator, int, int], None]
_BETTING: Final = tuple(Place(f"m_bet_{n}", None, "7995", HOME, CURRENCY, None, 4_000) for n in range(4))
_PAWN: Final = tuple(Place(f"m_pawn_{n}", f"term_pawn_{n}", "5933", HOME, CURRENCY, None, 6_000) for n in range(3))


class Signs:
    """Signs by name. Each is called as `sign(person, rng, from_ms, until_ms)`; `calm` ends those that last.

    Everything random is drawn when the sign is entered, from the case's own generator.
    """

    def __init__(self, places: Places, habits: Habits, agenda: Agenda, bank: Bank) -> None:
        self._places, self._habits, self._agenda, self._bank = places, habits, agenda, bank
        self._style: dict[int, str] = {}

    def of(self, name: str) -> Sign:
        """The sign of that name, with underscores."""
        sign: Sign = getattr(self, name)
        return sign

    def calm(self, _time_ms: int, person: Person) -> None:
        """Life is as before; what is owed stays."""
        person.salary_share, person.salary_late_days, person.rent_late_days = 1.0, 0.0, 0.0
        person.insured, person.last_moment, person.benefit = True, False, False
        self._habits.spend[person.index] = 1.0
        if person.line is not None and person.index in self._style:
            person.line.style = self._style.pop(person.index)

    def _often(
        self, rng: np.random.Generator, from_ms: int, until_ms: int, every_days: float, action: Any, *args: Any
    ) -> None:
        span = max(DAY_MS, until_ms - from_ms)
        count = max(1, int(rng.poisson(span / DAY_MS / every_days)))
        for u in np.sort(rng.random(count)).tolist():
            at_ms = from_ms + int(u * span)
            at_ms = at_ms // DAY_MS * DAY_MS + int((9 + 12 * (u * 61 % 1)) * HOUR_MS)
            self._agenda.at(max(at_ms, from_ms), action, *args)

    def _set(self, at_ms: int, change: Callable[[], None]) -> None:
        self._agenda.at(at_ms, lambda _time_ms: change())

    # --- income -----------------------------------------------------------------------------------------

    def late_salary(self, person: Person, rng: np.random.Generator, from_ms: int, until_ms: int) -> None:  # noqa: ARG002
        """The salary comes days after its day."""
        days = float(rng.uniform(4, 11))
        self._set(from_ms, lambda: setattr(person, "salary_late_days", days))

    def short_salary(self, person: Person, rng: np.random.Generator, from_ms: int, until_ms: int) -> None:  # noqa: ARG002
        """The salary (a firm's revenue) is a part of the usual."""
        share = float(rng.uniform(0.35, 0.65) if person.firm else rng.uniform(0.45, 0.85))
        self._set(from_ms, lambda: setattr(person, "salary_share", share))

    def benefit(self, person: Person, rng: np.random.Generator, from_ms: int, until_ms: int) -> None:  # noqa: ARG002
        """The employment office pays a part of what the employer paid."""
        person.benefit = True

    def told(self, person: Person, rng: np.random.Generator, from_ms: int, until_ms: int) -> None:
        """The bank hears that the job ended."""
        at_ms = from_ms + int(rng.uniform(0.02, 0.3) * (until_ms - from_ms))
        self._agenda.at(at_ms, self.employment, person, "ended")

    def employment(self, time_ms: int, person: Person, change: str) -> None:
        """Say that a job began or ended."""
        self._bank.emit(
            EmploymentChange, time_ms, person, change=change, employer_id=person.employer_id or "employer",
            industry=person.industry,
        )  # fmt: skip

    # --- account ----------------------------------------------------------------------------------------

    def savings_drained(self, person: Person, rng: np.random.Generator, from_ms: int, until_ms: int) -> None:
        """A part of what is left goes somewhere else, again and again."""
        self._often(rng, from_ms, until_ms, 6, self._drain, person, float(rng.uniform(0.12, 0.3)))

    def _drain(self, time_ms: int, person: Person, share: float) -> None:
        amount = int(person.balance_minor * share)
        if amount > 1_000:
            self._bank.pay(time_ms, person, amount, "other", f"payee_{person.index:06d}_9", ordered=False)

    def overdraft(self, person: Person, rng: np.random.Generator, from_ms: int, until_ms: int) -> None:
        """The account goes below zero once in a while."""
        self._often(rng, from_ms, until_ms, 18, self._overdraw, person, float(rng.uniform(0.05, 0.5)))

    def _overdraw(self, time_ms: int, person: Person, share: float) -> None:
        amount = max(0, person.balance_minor) + int(person.overdraft_minor * share)
        self._bank.pay(time_ms, person, amount, "other", f"payee_{person.index:06d}_8")

    def cash(self, person: Person, rng: np.random.Generator, from_ms: int, until_ms: int) -> None:
        """More cash than usual."""
        self._often(rng, from_ms, until_ms, 4, self._withdraw, person, float(rng.uniform(0.02, 0.07)), DEBIT)

    def cash_advance(self, person: Person, rng: np.random.Generator, from_ms: int, until_ms: int) -> None:
        """Cash on the credit card."""
        self._often(rng, from_ms, until_ms, 12, self._withdraw, person, float(rng.uniform(0.04, 0.1)), CREDIT)

    def _withdraw(self, time_ms: int, person: Person, share: float, slot: int) -> None:
        machines = self._places.cash
        amount = max(2_000, int(person.income_minor * share) // 1_000 * 1_000)
        self._bank.purchase(time_ms, person, slot, amount, machines[person.index % len(machines)])

    def declined(self, person: Person, rng: np.random.Generator, from_ms: int, until_ms: int) -> None:
        """Purchases that the account does not cover."""
        self._often(rng, from_ms, until_ms, 10, self._overreach, person, int(rng.integers(1 << 20)))

    def _overreach(self, time_ms: int, person: Person, pick: int) -> None:
        doors = self._places.doors
        amount = max(0, person.balance_minor) + person.overdraft_minor + 5_000
        self._bank.purchase(time_ms, person, DEBIT, amount, doors[pick % len(doors)])

    # --- card and loan ----------------------------------------------------------------------------------

    def card_near_limit(self, person: Person, rng: np.random.Generator, from_ms: int, until_ms: int) -> None:
        """The credit card fills up."""
        self._often(
            rng, from_ms, until_ms, 5, self._fill, person, float(rng.uniform(0.12, 0.35)), int(rng.integers(99))
        )

    def _fill(self, time_ms: int, person: Person, share: float, pick: int) -> None:
        line = person.line
        if line is not None and not line.closed and line.used_minor < 0.97 * line.limit_minor:
            doors = self._places.doors
            amount = int((line.limit_minor - line.used_minor) * share) + 1
            self._bank.purchase(time_ms, person, CREDIT, amount, doors[(pick * 7 + time_ms // DAY_MS) % len(doors)])

    def minimum(self, person: Person, rng: np.random.Generator, from_ms: int, until_ms: int) -> None:  # noqa: ARG002
        """Only the minimum of the card is paid."""
        line = person.line
        if line is not None:
            self._style.setdefault(person.index, line.style)
            self._set(from_ms, lambda: setattr(line, "style", "minimum"))

    def last_moment(self, person: Person, rng: np.random.Generator, from_ms: int, until_ms: int) -> None:  # noqa: ARG002
        """Dues are paid on their last day."""
        self._set(from_ms, lambda: setattr(person, "last_moment", True))

    def returned(self, person: Person, rng: np.random.Generator, from_ms: int, until_ms: int) -> None:
        """A direct debit is tried and bounces; it is paid in time all the same."""
        self._often(rng, from_ms, until_ms, 30, self._bounce, person)

    def _bounce(self, time_ms: int, person: Person) -> None:
        facility, amount = None, 0
        if person.loan is not None and person.loan.granted_day == 0:
            facility, amount = person.loan.facility_id, person.loan.instalment_minor
        elif person.line is not None:
            facility, amount = person.line.facility_id, max(2_500, person.line.used_minor // 20)
        if facility is not None:
            self._bank.emit(
                Repayment, time_ms, person, facility_id=facility, amount_minor=amount, currency=CURRENCY, returned=True
            )

    def applications(self, person: Person, rng: np.random.Generator, from_ms: int, until_ms: int) -> None:
        """Credit is asked for in several places."""
        span = min(until_ms - from_ms, 45 * DAY_MS)
        for u in np.sort(rng.random(int(rng.integers(2, 5)))).tolist():
            self._agenda.at(from_ms + int(u * span), self._apply, person, int(person.income_minor * (0.5 + 2 * u)))
        if rng.random() < 0.5:
            self._agenda.at(from_ms + span, self._report, person, int(rng.integers(20, 60)), int(rng.integers(3, 7)))

    def _apply(self, time_ms: int, person: Person, amount_minor: int) -> None:
        self._bank.emit(
            Application, time_ms, person, product="loan", amount_minor=amount_minor, currency=CURRENCY, term_months=24,
            stated_income_minor=person.income_minor, channel="mobile",
        )  # fmt: skip

    def bureau(self, person: Person, rng: np.random.Generator, from_ms: int, until_ms: int) -> None:
        """The credit bureau sees more inquiries and a lower score."""
        for share in (0.0, float(rng.uniform(0.3, 0.9))):
            at_ms = from_ms + int(share * (until_ms - from_ms))
            worse = int(rng.integers(50, 140)) if share else 0
            self._agenda.at(at_ms, self._report, person, worse, int(rng.integers(4, 9)) if share else 1)

    def _report(self, time_ms: int, person: Person, worse: int, inquiries: int) -> None:
        self._bank.emit(
            BureauReport, time_ms, person, score=max(300, 560 + person.index * 37 % 300 - worse),
            inquiries_6m=inquiries, open_facilities=1 + int(person.line is not None), bureau="bureau",
        )  # fmt: skip

    # --- how the money is spent -------------------------------------------------------------------------

    def gambling(self, person: Person, rng: np.random.Generator, from_ms: int, until_ms: int) -> None:
        """Money goes to betting."""
        self._often(rng, from_ms, until_ms, 4, self._spend, person, _BETTING, float(rng.uniform(0.01, 0.04)))

    def pawn(self, person: Person, rng: np.random.Generator, from_ms: int, until_ms: int) -> None:
        """Things go to the pawn shop and are bought back."""
        self._often(rng, from_ms, until_ms, 14, self._spend, person, _PAWN, float(rng.uniform(0.02, 0.05)))

    def _spend(self, time_ms: int, person: Person, places: tuple[Place, ...], share: float) -> None:
        place = places[(person.index + time_ms // DAY_MS) % len(places)]
        self._bank.purchase(time_ms, person, DEBIT, int(person.income_minor * share) + 1, place)

    def fewer(self, person: Person, rng: np.random.Generator, from_ms: int, until_ms: int) -> None:  # noqa: ARG002
        """Fewer purchases in fewer shops."""
        share = float(rng.uniform(0.25, 0.6))
        self._set(from_ms, lambda: self._habits.spend.__setitem__(person.index, share))

    def rent_late(self, person: Person, rng: np.random.Generator, from_ms: int, until_ms: int) -> None:  # noqa: ARG002
        """Rent and bills are paid after their day."""
        days = float(rng.uniform(4, 13))
        self._set(from_ms, lambda: setattr(person, "rent_late_days", days))

    def uninsured(self, person: Person, rng: np.random.Generator, from_ms: int, until_ms: int) -> None:  # noqa: ARG002
        """Insurance is given up."""
        self._set(from_ms, lambda: setattr(person, "insured", False))

    def logins(self, person: Person, rng: np.random.Generator, from_ms: int, until_ms: int) -> None:
        """The balance is looked at all the time."""
        self._often(rng, from_ms, until_ms, 0.6, self._look, person)

    def _look(self, time_ms: int, person: Person) -> None:
        self._bank.login(time_ms, person, True)

    # --- firms ------------------------------------------------------------------------------------------

    def lawsuit(self, person: Person, rng: np.random.Generator, from_ms: int, until_ms: int) -> None:
        """Suppliers go to court."""
        at_ms = from_ms + int(rng.uniform(0.3, 0.95) * (until_ms - from_ms))
        self._agenda.at(at_ms, self._sue, person)

    def _sue(self, time_ms: int, person: Person) -> None:
        self._bank.emit(LegalEvent, time_ms, person, type="lawsuit", amount_minor=person.income_minor // 3)

    def filing_late(self, person: Person, rng: np.random.Generator, from_ms: int, until_ms: int) -> None:
        """Accounts are not filed in time, or the director leaves."""
        kind = "filing_late" if rng.random() < 0.6 else "director"
        at_ms = from_ms + int(rng.uniform(0.2, 0.9) * (until_ms - from_ms))
        self._agenda.at(at_ms, self._register, person, kind)

    def _register(self, time_ms: int, person: Person, kind: str) -> None:
        self._bank.emit(RegistryChange, time_ms, person, type=kind)
