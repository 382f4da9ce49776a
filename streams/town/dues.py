"""Credit by the calendar: loans granted, instalments and card statements that fall due, and how they are paid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from features.events import Application, BureauReport, InstalmentDue, LoanGranted, Statement
from streams.town.agenda import Agenda
from streams.town.bank import Bank
from streams.town.config import CURRENCY, DAY_MS, HOUR_MS, MINUTE_MS, TownConfig
from streams.town.people import CardLine, Loan, Missed, Person
from streams.town.truth import Truth
from streams.town.wages import date_of

# From a statement to its due date, and from the notice of an instalment to the instalment.
CARD_TERM_DAYS = 18
NOTICE_DAYS = 7


class Dues:
    """Enters statements and instalments, and what customers pay towards them, in time, late or not at all."""

    def __init__(self, config: TownConfig, people: Iterable[Person], agenda: Agenda, bank: Bank, truth: Truth) -> None:
        self._config = config
        self._agenda = agenda
        self._bank = bank
        self._truth = truth
        self._statement_on: dict[int, list[Person]] = defaultdict(list)
        self._instalment_on: dict[int, list[Person]] = defaultdict(list)
        for person in people:
            if person.line is not None:
                self._statement_on[person.line.statement_day].append(person)
            if person.loan is not None:
                self._instalment_on[person.loan.due_day].append(person)
                self._arrange(person, person.loan)

    def _arrange(self, person: Person, loan: Loan) -> None:
        start_ms = self._config.start_ms + loan.granted_day * DAY_MS + 10 * HOUR_MS + person.index % 240 * MINUTE_MS
        # Loans older than the town are told on its first day, without their application.
        if loan.granted_day:
            self._agenda.at(start_ms - 3 * HOUR_MS, self._apply, person, loan)
        self._agenda.at(start_ms, self._grant, person, loan)

    def _apply(self, time_ms: int, person: Person, loan: Loan) -> None:
        self._bank.emit(
            Application, time_ms, person, product="loan", amount_minor=loan.amount_minor, currency=CURRENCY,
            term_months=loan.term_months, stated_income_minor=person.income_minor, channel="mobile",
        )  # fmt: skip
        self._agenda.at(time_ms + MINUTE_MS, self._report, person)

    def _report(self, time_ms: int, person: Person) -> None:
        self._bank.emit(
            BureauReport, time_ms, person, score=560 + person.index * 37 % 300 - 60 * (person.late_days > 0),
            open_facilities=int(person.line is not None), days_past_due_max=person.late_days, bureau="bureau",
        )  # fmt: skip

    def _grant(self, time_ms: int, person: Person, loan: Loan) -> None:
        self._bank.emit(
            LoanGranted, time_ms, person, facility_id=loan.facility_id, amount_minor=loan.amount_minor,
            currency=CURRENCY, instalment_minor=loan.instalment_minor, term_months=loan.term_months,
            product="business_loan" if person.firm else "consumer_loan",
        )  # fmt: skip
        if loan.granted_day:
            self._bank.credit(time_ms, person, loan.amount_minor, "other")

    def day(self, start_ms: int, rng: np.random.Generator, agenda: Agenda) -> None:
        """Enter one day's statements and notices of instalments."""
        stating = self._statement_on[date_of(start_ms).day]
        for person, u in zip(stating, rng.random(len(stating)).tolist(), strict=True):
            if person.line is not None and not person.line.closed:
                agenda.today(start_ms + 2 * HOUR_MS + int(u * HOUR_MS), self._state, person, person.line, u)
        owing = self._instalment_on[date_of(start_ms + NOTICE_DAYS * DAY_MS).day]
        for person, u in zip(owing, rng.random(len(owing)).tolist(), strict=True):
            loan = person.loan
            if loan is None or loan.closed or loan.paid_minor >= loan.instalment_minor * loan.term_months:
                continue
            if start_ms >= self._config.start_ms + (loan.granted_day + 1) * DAY_MS:
                agenda.today(start_ms + 3 * HOUR_MS + int(u * HOUR_MS), self._announce, person, loan)

    def _state(self, time_ms: int, person: Person, line: CardLine, u: float) -> None:
        used = line.used_minor
        over = max(0, used - line.limit_minor)
        minimum = max(0, min(used, max(2_500, used * 3 // 100) + over))
        due_ms = time_ms + CARD_TERM_DAYS * DAY_MS
        event: Statement = self._bank.emit(
            Statement, time_ms, person, facility_id=line.facility_id, balance_minor=used, minimum_due_minor=minimum,
            due_time_ms=due_ms, limit_minor=line.limit_minor, currency=CURRENCY,
        )  # fmt: skip
        if minimum:
            early = int((0.05 if person.last_moment else 0.2 + 6 * u) * DAY_MS)
            paid_ms = due_ms + person.late_days * DAY_MS if person.late_days else due_ms - early
            self._agenda.at(paid_ms, self._pay_card, person, line, event)

    def _pay_card(self, time_ms: int, person: Person, line: CardLine, statement: Statement) -> None:
        if line.closed:
            return
        minimum = statement.minimum_due_minor
        if person.pays(time_ms):
            rest = statement.balance_minor - minimum
            amount = minimum + (rest if line.style == "full" else rest * 35 // 100 if line.style == "part" else 0)
            self._bank.repay_card(time_ms, person, amount)
        elif time_ms < statement.due_time_ms:
            self._agenda.at(statement.due_time_ms, self._pay_card, person, line, statement)
        else:
            self._truth.missed(time_ms, person, Missed(line.facility_id, statement.event_id, minimum))

    def _announce(self, time_ms: int, person: Person, loan: Loan) -> None:
        due_ms = time_ms + NOTICE_DAYS * DAY_MS
        event: InstalmentDue = self._bank.emit(
            InstalmentDue, time_ms, person, facility_id=loan.facility_id, amount_minor=loan.instalment_minor,
            due_time_ms=due_ms, currency=CURRENCY,
        )  # fmt: skip
        paid_ms = due_ms + person.late_days * DAY_MS if person.late_days else due_ms - 2 * HOUR_MS
        self._agenda.at(paid_ms, self._pay_loan, person, loan, event)

    def _pay_loan(self, time_ms: int, person: Person, loan: Loan, notice: InstalmentDue) -> None:
        if loan.closed:
            return
        if person.pays(time_ms):
            self._bank.repay_loan(time_ms, person, loan, notice.amount_minor)
        elif time_ms < notice.due_time_ms:
            self._agenda.at(notice.due_time_ms, self._pay_loan, person, loan, notice)
        else:
            self._truth.missed(time_ms, person, Missed(loan.facility_id, notice.event_id, notice.amount_minor))
