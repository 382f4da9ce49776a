"""The town itself: day after day of everybody's events, in time order, with the truth kept beside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from features.events import Event, Outcome, Profile
from streams.town import people as folk
from streams.town import places as ground
from streams.town.agenda import Agenda
from streams.town.bank import Bank
from streams.town.busts import Busts
from streams.town.config import DAY_MS, HOME, TownConfig
from streams.town.dues import Dues
from streams.town.frauds import Frauds
from streams.town.habits import Habits
from streams.town.hardship import Hardship
from streams.town.oddities import Oddities
from streams.town.planted import TYPOLOGIES, Case, Planted, case_of, plan
from streams.town.signs import Signs
from streams.town.strain import Strain
from streams.town.truth import Truth
from streams.town.wages import Wages


class Town:
    """A simulated town of bank customers.

    Events come sorted by `event_time_ms`; ties keep the order in which they were made, and ids count up in that
    order. Every day draws from a generator seeded with (seed, day), every planted case from one of its own, so the
    same configuration gives the same bytes (for one NumPy version: its distributions may change between
    versions). Balances, cards and dues carry over, so a day can only be reached through the days before it.

    Parameters
    ----------
    config
        What the town is like; the defaults are 500 people for 60 days.

    Examples
    --------
    >>> town = Town(TownConfig(people=20, days=3))
    >>> next(iter(town.events())).event_id
    'town7-000000001'
    """

    def __init__(self, config: TownConfig | None = None) -> None:
        self.config = TownConfig() if config is None else config
        self._forget()

    def _forget(self) -> None:
        self._cases: list[Case] = []
        self._strain: Strain | None = None
        self._kinds: Counter[str] = Counter()
        self._labels: Counter[str] = Counter()
        self._outcomes: Counter[str] = Counter()

    @property
    def planted(self) -> tuple[Planted, ...]:
        """The cases that have shown themselves so far, in the order planned; all of them after the last event."""
        cases = self._cases + (self._strain.cases if self._strain else [])
        return tuple(case.record() for case in cases if case.event_ids or case.noted)

    @property
    def chances(self) -> tuple[Planted, ...]:
        """Of a scenario: the healthy who looked like trouble for a while, so far."""
        return tuple(case.record() for case in (self._strain.chances if self._strain else []))

    def events(self) -> Iterator[Event]:
        """Every event of the town, lazily: one day and what is pending are in memory at a time.

        Each call begins anew, and `planted` and `summary` follow the latest call. What would happen after the
        last day, late labels among it, is left out.
        """
        self._forget()
        return self._live()

    def _live(self) -> Iterator[Event]:
        config = self.config
        rng = np.random.default_rng([config.seed, 0])
        places = ground.build(config, rng)
        people = folk.build(config, rng)
        habits = Habits(config, people, places, rng)
        agenda, bank = Agenda(), Bank(config)
        truth = Truth(config, agenda, bank)
        wages = Wages(people, bank, agenda)
        if config.scenario is not None:
            signs = Signs(places, habits, agenda, bank)
            self._strain = Strain(config, config.scenario, people, signs, agenda, bank, truth)
            self._strain.staff()
        dues = Dues(config, people, agenda, bank, truth)
        oddities = Oddities(people, places, habits, bank, truth)
        frauds = Frauds(people, places, habits, agenda, bank, truth)
        planters = {
            "card_theft": frauds.card_theft,
            "terminal_compromise": frauds.terminal_compromise,
            "account_takeover": frauds.account_takeover,
            "bust_out": Busts(config, people, places, habits, agenda, bank, truth).bust_out,
            "job_loss": Hardship(config, people, habits, agenda, bank, truth).job_loss,
        }
        planned = plan(config)
        for person in people:
            agenda.today(config.start_ms, self._introduce, bank, person)
        cases, out, count = self._cases, bank.out, self._count
        for day in range(config.days):
            start_ms = config.start_ms + day * DAY_MS
            agenda.now_ms = start_ms
            for case_id, typology, number in planned.get(day, ()):
                case = case_of(config, case_id, typology, number, day)
                cases.append(case)
                planters[typology](case)
            if self._strain is not None:
                self._strain.day(day, start_ms)
            rng = np.random.default_rng([config.seed, 1, day])
            habits.day(start_ms, rng, agenda, bank, truth)
            wages.day(start_ms, rng, agenda)
            dues.day(start_ms, rng, agenda)
            oddities.day(start_ms, rng, agenda)
            for _ in agenda.run(start_ms + DAY_MS):
                for event in out:
                    count(event)
                    yield event
                out.clear()

    def _introduce(self, time_ms: int, bank: Bank, person: folk.Person) -> None:
        known: dict[str, Any] = {} if person.employer_id is None else {"employer_id": person.employer_id}
        if not person.firm:
            known["education_band"] = person.education
        bank.emit(
            Profile, time_ms, person, customer_type="enterprise" if person.firm else "individual",
            occupation=person.occupation, customer_since_ms=person.since_ms, district=person.district,
            industry=person.industry, country=HOME, **known,
        )  # fmt: skip

    def _count(self, event: Event) -> None:
        self._kinds[str(event.__struct_config__.tag)] += 1
        if isinstance(event, Outcome):
            self._outcomes[event.outcome] += 1
            if event.outcome == "fraud_confirmed":
                self._labels[str(event.typology)] += 1

    def summary(self) -> dict[str, Any]:
        """What has been generated so far: events by kind, cases and confirmed frauds by typology, outcomes."""
        cases = Counter(case.typology for case in self.planted)
        total = sum(self._kinds.values())
        return {
            "events": total,
            "events_per_person_day": round(total / (self.config.people + self.config.firm_count) / self.config.days, 2),
            "kinds": dict(sorted(self._kinds.items())),
            "planted": {t: cases[t] for t in (*TYPOLOGIES, *sorted(cases.keys() - set(TYPOLOGIES)))},
            "fraud_confirmed": {t: self._labels[t] for t in TYPOLOGIES if self._labels[t]},
            "outcomes": dict(sorted(self._outcomes.items())),
        }
