"""What is unusual and honest: holidays abroad, new phones, big purchases, payees paid for the first time."""

from __future__ import annotations

import numpy as np

from streams.town.agenda import Agenda
from streams.town.bank import Bank
from streams.town.config import DAY_MS, HOUR_MS, MINUTE_MS
from streams.town.habits import Habits
from streams.town.people import Person
from streams.town.places import COUNTRIES, Place, Places
from streams.town.truth import Truth

# Chance per person and day.
_HOLIDAY, _PHONE, _BIG, _PAYEE = 0.0025, 0.002, 0.006, 0.006


class Oddities:
    """Enters honest surprises, so that whoever alerts on everything new is wrong often enough to notice."""

    def __init__(self, people: list[Person], places: Places, habits: Habits, bank: Bank, truth: Truth) -> None:
        # Firms have no holidays; they are the last in the list.
        self._people = [p for p in people if not p.firm]
        self._places = places
        self._habits = habits
        self._bank = bank
        self._truth = truth

    def day(self, start_ms: int, rng: np.random.Generator, agenda: Agenda) -> None:
        """Enter one day's surprises."""
        u = rng.random((4, len(self._people)))
        for i in np.flatnonzero(u[0] < _HOLIDAY).tolist():
            days = int(rng.integers(3, 12))
            agenda.at(start_ms + 4 * HOUR_MS, self._leave, i, int(rng.integers(len(COUNTRIES))))
            agenda.at(start_ms + days * DAY_MS + 3 * HOUR_MS, self._return, i)
        for i in np.flatnonzero(u[1] < _PHONE).tolist():
            at_ms = start_ms + int(rng.uniform(9, 21) * HOUR_MS)
            agenda.today(at_ms, self._bank.bind_device, self._people[i])
            agenda.today(at_ms + 3 * MINUTE_MS, self._bank.login, self._people[i], True)
        big = [p for p in (*self._places.doors, *self._places.shops) if p.mcc in ("5732", "5712", "4722", "5651")]
        for i in np.flatnonzero(u[2] < _BIG).tolist():
            amount = int(np.exp(self._habits.level[i]) * rng.uniform(30_000, 140_000))
            place = big[int(rng.integers(len(big)))] if big else self._places.doors[0]
            at_ms = start_ms + int(rng.uniform(9.5, 20.5) * HOUR_MS)
            agenda.today(at_ms, self._big, self._people[i], amount, place, float(rng.random()))
        for i in np.flatnonzero(u[3] < _PAYEE).tolist():
            at_ms = start_ms + int(rng.uniform(8, 22) * HOUR_MS)
            agenda.today(at_ms, self._new_payee, self._people[i], round(float(rng.lognormal(9.6, 0.9))), agenda)

    def _leave(self, _time_ms: int, i: int, country: int) -> None:
        self._habits.away[i] = country

    def _return(self, _time_ms: int, i: int) -> None:
        self._habits.away[i] = -1

    def _big(self, time_ms: int, person: Person, amount_minor: int, place: Place, u: float) -> None:
        event = self._bank.purchase(time_ms, person, person.main_card, amount_minor, place)
        # One in twenty-five is asked about, and turns out to be genuine.
        if event.status == "approved" and u < 0.04:
            self._truth.false_report(event, person, u * 25)

    def _new_payee(self, time_ms: int, person: Person, amount_minor: int, agenda: Agenda) -> None:
        payee = self._bank.add_payee(time_ms, person)
        agenda.at(time_ms + 4 * MINUTE_MS, self._first_transfer, person, amount_minor, payee.payee_id)

    def _first_transfer(self, time_ms: int, person: Person, amount_minor: int, payee_id: str) -> None:
        self._bank.pay(
            time_ms,
            person,
            amount_minor,
            "other",
            payee_id,
            channel="mobile",
            device_id=person.device_id,
            ordered=False,
        )
