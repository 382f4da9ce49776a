"""Job losses: the salary stops, spending shrinks, then dues are missed; some find work again, the others default."""

from __future__ import annotations

from features.events import EmploymentChange
from streams.town.agenda import Agenda
from streams.town.bank import Bank
from streams.town.config import DAY_MS, HOUR_MS, TownConfig
from streams.town.habits import Habits
from streams.town.people import Person
from streams.town.planted import Case
from streams.town.truth import Truth
from streams.town.wages import date_of


class Hardship:
    """Plants job losses among employees who owe something and have been paid at least once."""

    def __init__(
        self, config: TownConfig, people: list[Person], habits: Habits, agenda: Agenda, bank: Bank, truth: Truth
    ) -> None:
        self._config = config
        self._people = people
        self._habits = habits
        self._agenda = agenda
        self._bank = bank
        self._truth = truth

    def job_loss(self, case: Case) -> None:
        """Someone loses the job today."""
        today = (case.start_ms - self._config.start_ms) // DAY_MS
        free = [p for p in self._people if p.free(case.start_ms) and p.employed and self._paid_before(p, today)]
        # A loan falls due for certain; a card only when it was used.
        owing = [p for p in free if p.loan is not None and p.loan.granted_day == 0]
        owing = owing or [p for p in free if p.loan is not None or p.line is not None]
        if not owing:
            return
        rng = case.rng
        person = owing[int(rng.integers(len(owing)))]
        person.case = case
        # They leave at the end of the day's work, after any salary that came this morning.
        start_ms = case.start_ms = case.end_ms = case.start_ms + 17 * HOUR_MS
        case.involve(person.customer_id, start_ms)
        recovers = bool(rng.random() < self._config.recovered_ratio)
        told = bool(rng.random() < 0.5)
        person.benefit = told
        person.stop_ms = start_ms + int(rng.uniform(8, 15) * DAY_MS)
        self._agenda.at(start_ms, self._leave, case, person, told)
        if recovers:
            # Arrears are paid before the first of them becomes a default, some days after the new job began.
            person.resume_ms = person.stop_ms + int(rng.uniform(0.8, 0.95) * self._config.default_after_days * DAY_MS)
            self._agenda.at(max(start_ms + DAY_MS, person.resume_ms - 4 * DAY_MS), self._hired, case, person)
            self._agenda.at(person.resume_ms, self._truth.make_up, person)

    def _paid_before(self, person: Person, today: int) -> bool:
        first = self._config.start_ms
        return any(date_of(first + d * DAY_MS).day == person.pay_day for d in range(min(today, 31)))

    def _leave(self, time_ms: int, case: Case, person: Person, told: bool) -> None:
        person.employed = False
        self._habits.spend[person.index] = 0.5
        if person.line is not None:
            person.line.style = "minimum"
        if told:
            # The bank hears of it some days later, if at all.
            after = int(case.rng.uniform(1, 6) * DAY_MS)
            self._agenda.at(time_ms + after, self._tell, case, person, "ended")

    def _tell(self, time_ms: int, case: Case, person: Person, change: str) -> None:
        case.note(
            self._bank.emit(
                EmploymentChange,
                time_ms,
                person,
                change=change,
                employer_id=person.employer_id or "employer",
                industry=person.industry,
            )
        )

    def _hired(self, time_ms: int, case: Case, person: Person) -> None:
        person.employed = True
        person.employer_id = f"employer_{200 + person.index % 50:03d}"
        self._habits.spend[person.index] = 0.85
        self._tell(time_ms, case, person, "started")
