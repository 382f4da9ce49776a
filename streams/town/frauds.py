"""Frauds by strangers: stolen cards, skimming terminals, accounts taken over."""

from __future__ import annotations

import numpy as np

from streams.town.agenda import Agenda
from streams.town.bank import Bank
from streams.town.config import DAY_MS, HOUR_MS, MINUTE_MS
from streams.town.habits import Habits
from streams.town.people import Person
from streams.town.places import COUNTRIES, Place, Places
from streams.town.planted import Case
from streams.town.truth import Truth

_VICTIMS_MAX = 8


class Frauds:
    """Plants cases on the day they begin. Victims are people who are in no other case then."""

    def __init__(
        self, people: list[Person], places: Places, habits: Habits, agenda: Agenda, bank: Bank, truth: Truth
    ) -> None:
        self._people = [p for p in people if not p.firm]
        self._places = places
        self._habits = habits
        self._agenda = agenda
        self._bank = bank
        self._truth = truth
        # Only busy terminals are worth skimming: the top tenth, at least five.
        traffic = habits.traffic()
        self._busy = np.argsort(-traffic, kind="stable")[: max(5, len(traffic) // 10)].tolist()

    def _victim(self, case: Case, wealth_minor: int) -> Person | None:
        free = [p for p in self._people if p.free(case.start_ms) and p.balance_minor >= wealth_minor]
        free = free or [p for p in self._people if p.free(case.start_ms)]
        if not free:
            return None
        person = free[int(case.rng.integers(len(free)))]
        person.case = case
        return person

    def card_theft(self, case: Case) -> None:
        """A card is stolen: within hours a burst of purchases where its owner never was."""
        person = self._victim(case, 50_000)
        if person is None:
            return
        rng = case.rng
        slot = person.main_card
        at_ms = case.start_ms + int(rng.uniform(0, 20) * HOUR_MS)
        case.start_ms = case.end_ms = at_ms
        way = rng.random()
        abroad = self._places.abroad[int(rng.integers(len(COUNTRIES)))]
        here = self._places.shops if way < 0.35 else abroad if way < 0.75 else self._places.doors
        case.involve(person.customer_id, at_ms)
        for turn in range(int(rng.integers(4, 10))):
            # Thieves try a small amount first.
            amount = rng.uniform(100, 600) if turn == 0 else np.exp(self._habits.level[person.index]) * 9_000
            amount *= 1.0 if turn == 0 else rng.lognormal(0.7, 0.6)
            place = here[int(rng.integers(len(here)))]
            self._strike(at_ms, case, person, slot, int(amount), place)
            at_ms += int(rng.uniform(2, 35) * MINUTE_MS)

    def _strike(self, at_ms: int, case: Case, person: Person, slot: int, amount_minor: int, place: Place) -> None:
        # Now and then the thief has no PIN, or the bank's own rules say no.
        refused = bool(case.rng.random() < 0.1)
        stranger = f"dev_x_{case.case_id.replace('-', '_')}"
        self._agenda.at(
            at_ms, self._misuse, case, person, slot, person.cards[slot], amount_minor, place, stranger, refused
        )

    def _misuse(
        self, time_ms: int, case: Case, person: Person, slot: int, card_id: str, amount_minor: int, place: Place,
        device_id: str, refused: bool,
    ) -> None:  # fmt: skip
        # A card that was replaced meanwhile is worthless.
        if person.cards[slot] == card_id:
            event = self._bank.purchase(time_ms, person, slot, max(1, amount_minor), place, device_id, refused)
            self._truth.fraud(event, person, case, slot)

    def terminal_compromise(self, case: Case) -> None:
        """A busy terminal copies cards for four days; copies are used there and elsewhere some days later."""
        free = [n for n in self._busy if self._places.doors[n].terminal_id not in self._bank.visits]
        if not free:
            return
        place = self._places.doors[free[int(case.rng.integers(len(free)))]]
        terminal = place.terminal_id or ""

        def visited(time_ms: int, person: Person, slot: int) -> None:
            # The copies' own use passes here too, by people who are in the case by then.
            full = len(case.customer_ids) >= _VICTIMS_MAX
            if not person.free(time_ms) or person.firm or full or case.rng.random() > 0.6:
                return
            person.case = case
            case.involve(person.customer_id, time_ms)
            self._use_copy(time_ms, case, person, slot, place)

        self._agenda.at(case.start_ms, lambda _: self._bank.visits.__setitem__(terminal, visited))
        self._agenda.at(case.start_ms + 4 * DAY_MS, lambda _: self._bank.visits.pop(terminal, None))

    def _use_copy(self, copied_ms: int, case: Case, person: Person, slot: int, place: Place) -> None:
        rng = case.rng
        at_ms = copied_ms + int(rng.uniform(3, 7) * DAY_MS)
        for turn in range(int(rng.integers(2, 5))):
            doors, shops = self._places.doors, self._places.shops
            elsewhere = shops if rng.random() < 0.5 else doors
            where = place if turn == 0 or rng.random() < 0.3 else elsewhere[int(rng.integers(len(elsewhere)))]
            amount = np.exp(self._habits.level[person.index]) * rng.lognormal(9.2, 0.5)
            self._strike(at_ms, case, person, slot, int(amount), where)
            at_ms += int(rng.uniform(10, 180) * MINUTE_MS)

    def account_takeover(self, case: Case) -> None:
        """Someone guesses the password, binds a device, adds a payee and empties the account."""
        person = self._victim(case, 150_000)
        if person is None:
            return
        rng = case.rng
        at_ms = case.start_ms + int(rng.uniform(0, 22) * HOUR_MS)
        case.start_ms = case.end_ms = at_ms
        case.involve(person.customer_id, at_ms)
        device = f"dev_x_{case.case_id.replace('-', '_')}"
        country = COUNTRIES[int(rng.integers(len(COUNTRIES)))][0] if rng.random() < 0.6 else "FR"
        for _ in range(int(rng.integers(2, 7))):
            self._agenda.at(at_ms, self._sign_in, case, person, False, device, country)
            at_ms += int(rng.uniform(15, 90) * 1_000)
        self._agenda.at(at_ms, self._sign_in, case, person, True, device, country)
        at_ms += int(rng.uniform(1, 5) * MINUTE_MS)
        self._agenda.at(at_ms, self._bind, case, person, device)
        at_ms += int(rng.uniform(2, 10) * MINUTE_MS)
        shares = rng.uniform(0.35, 0.8, size=int(rng.integers(1, 4))).tolist()
        waits = (rng.uniform(3, 25, size=len(shares)) * MINUTE_MS).astype(int).tolist()
        self._agenda.at(at_ms, self._drain, case, person, device, shares, waits, country)

    def _sign_in(self, time_ms: int, case: Case, person: Person, ok: bool, device: str, country: str) -> None:
        case.note(self._bank.login(time_ms, person, ok, "online", device, country))

    def _bind(self, time_ms: int, case: Case, person: Person, device: str) -> None:
        case.note(self._bank.bind_device(time_ms, person, device))

    def _drain(
        self, time_ms: int, case: Case, person: Person, device: str, shares: list[float], waits: list[int], country: str
    ) -> None:
        payee = self._bank.add_payee(time_ms, person, country)
        case.note(payee)
        for share, wait in zip(shares, waits, strict=True):
            time_ms += wait
            self._agenda.at(time_ms, self._take, case, person, device, payee.payee_id, share)

    def _take(self, time_ms: int, case: Case, person: Person, device: str, payee_id: str, share: float) -> None:
        amount = max(20_000, int(max(0, person.balance_minor) * share))
        event = self._bank.pay(
            time_ms, person, amount, "other", payee_id, channel="online", device_id=device, ordered=False
        )
        self._truth.fraud(event, person, case, None)
