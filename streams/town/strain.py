"""A town's credit life by a scenario: trouble that shows before it is missed, look-alikes, firms, shocks."""

from __future__ import annotations

from dataclasses import fields
from typing import Final

import numpy as np

from streams.town.agenda import Agenda
from streams.town.bank import Bank
from streams.town.config import DAY_MS, HOUR_MS, TownConfig
from streams.town.people import Person
from streams.town.places import district_name
from streams.town.planted import Case
from streams.town.scenario import Scenario, Shock, Trouble
from streams.town.signs import Signs
from streams.town.truth import Truth

# Signs by where they show; which of them a person shows is drawn.
_ACCOUNT: Final = ("savings_drained", "overdraft", "cash", "declined", "fewer", "rent_late", "uninsured", "logins")
_CARD: Final = ("card_near_limit", "cash_advance", "minimum", "last_moment")
_CREDIT: Final = ("returned", "applications", "bureau")
_VICE: Final = ("gambling", "pawn")
_FIRM: Final = ("overdraft", "declined", "returned", "applications", "bureau", "lawsuit", "filing_late", "logins")
HARDSHIPS: Final = ("income_loss", "income_fall", "over_borrowing", "firm_failure", "struck")
SHOCKS: Final = ("factory_closure", "district_shock")
_REST_DAYS: Final = 40


class Strain:
    """Plans a scenario and plays it; `cases` are the troubles and shocks, `chances` the healthy look-alikes."""

    def __init__(
        self, config: TownConfig, scenario: Scenario, people: list[Person], signs: Signs, agenda: Agenda, bank: Bank,
        truth: Truth,
    ) -> None:  # fmt: skip
        self.cases: list[Case] = []
        self.chances: list[Case] = []
        self._config, self._scenario, self._people = config, scenario, people
        self._signs, self._agenda, self._bank, self._truth = signs, agenda, bank, truth
        # Until when someone is part of something already.
        self._busy: dict[int, int] = {}
        self._plan: dict[int, list[tuple[str, int]]] = {}
        self._numbers = 0
        self._lay_out()

    def _lay_out(self) -> None:
        rng = np.random.default_rng([self._config.seed, 4])
        scenario = self._scenario
        crowd, firms = self._config.people / 1_000, self._config.firm_count / 1_000
        rates = [(part.name, getattr(scenario.trouble, part.name)) for part in fields(Trouble)][:4]
        rates += [(part.name, getattr(scenario.chance, part.name)) for part in fields(scenario.chance)]
        for name, rate in rates:
            if name in HARDSHIPS:
                low, high = scenario.first_day, scenario.last_day
            else:
                # Look-alikes are there from the beginning and to the end, as life is.
                low, high = 20, self._config.days - 10
            count = round(rate * max(0, high - low) / 30 * (firms if name == "firm_failure" else crowd))
            for day in rng.integers(low, max(low + 1, high), size=count).tolist():
                self._plan.setdefault(day, []).append((name, self._number()))

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def staff(self) -> None:
        """Give the factories their employees, before the first salary."""
        rng = np.random.default_rng([self._config.seed, 6])
        for shock in self._scenario.shocks:
            if shock.kind == "factory_closure":
                for person in self._people:
                    if person.occupation == "employee" and rng.random() < shock.employees:
                        person.employer_id, person.industry = works(shock), "manufacturing"

    def day(self, day: int, start_ms: int) -> None:
        """Begin what is planned for this day."""
        for name, number in self._plan.get(day, ()):
            case = self._case(name, number, start_ms)
            if name in HARDSHIPS:
                self._trouble(case)
            else:
                self._chance(case)
        for shock in self._scenario.shocks:
            if shock.day == day:
                self._strike(shock, start_ms)

    def _case(self, typology: str, number: int, start_ms: int) -> Case:
        name = f"{'case' if typology in (*HARDSHIPS, *SHOCKS) else 'chance'}-{self._config.seed}-s{number:04d}"
        start_ms += 9 * HOUR_MS
        return Case(name, typology, np.random.default_rng([self._config.seed, 5, number]), start_ms, start_ms)

    def _choose(self, case: Case) -> Person | None:
        typology, at_ms = case.typology, case.start_ms
        fit = [
            p
            for p in self._people
            if p.case is None and p.firm == (typology == "firm_failure") and p.late_days == 0 and self._owes(p)
            and self._busy.get(p.index, -1) < at_ms
            and (p.employed or typology not in ("income_loss", "income_fall", *_OF_EMPLOYEES))
            and (p.line is not None or typology not in ("minimum_once",))
        ]  # fmt: skip
        return fit[int(case.rng.integers(len(fit)))] if fit else None

    @staticmethod
    def _owes(person: Person) -> bool:
        # A loan falls due for certain; a card only when it was used.
        return (person.loan is not None and person.loan.granted_day == 0) or person.line is not None

    # --- trouble ----------------------------------------------------------------------------------------

    def _trouble(self, case: Case) -> None:
        person = self._choose(case)
        if person is not None:
            recovers = bool(case.rng.random() < self._scenario.trouble.recovered_ratio)
            self._suffer(case, person, recovers)

    def _suffer(self, case: Case, person: Person, recovers: bool) -> None:
        rng, trouble = case.rng, self._scenario.trouble
        person.case = case
        self.cases.append(case)
        start_ms = case.start_ms
        case.involve(person.customer_id, start_ms)
        case.noted = True
        stop_ms = start_ms + int(rng.uniform(*trouble.lead_days) * DAY_MS)
        signs = self._draw(case, person)
        case.signs = tuple(signs)
        for sign in signs:
            # They do not all begin on the first day.
            from_ms = start_ms + int(rng.uniform(0, 0.55) * (stop_ms - start_ms))
            self._signs.of(sign)(person, rng, from_ms, stop_ms)
        case.end = "recovered" if recovers else "default"
        wait_ms = self._config.default_after_days * DAY_MS
        if not recovers:
            person.stop_ms = stop_ms
        elif rng.random() < 0.6:
            # Back on their feet before anything was missed.
            self._agenda.at(start_ms + int(rng.uniform(0.5, 1.1) * (stop_ms - start_ms)), self._recover, case, person)
        else:
            person.stop_ms = stop_ms
            person.resume_ms = stop_ms + int(rng.uniform(0.6, 0.9) * wait_ms)
            self._agenda.at(person.resume_ms, self._recover, case, person)
            self._agenda.at(person.resume_ms + HOUR_MS, self._truth.make_up, person)

    def _draw(self, case: Case, person: Person) -> list[str]:
        rng, typology = case.rng, case.typology
        signs: list[str] = []
        pool: tuple[str, ...]
        if typology == "firm_failure":
            pool = _FIRM
            signs += ["short_salary"] if rng.random() < 0.8 else []
        else:
            pool = (*_ACCOUNT, *_CREDIT, *(_CARD if person.line is not None else ()))
            pool += _VICE if typology == "over_borrowing" or rng.random() < 0.25 else ()
        if typology == "income_loss":
            person.employed = False
            signs += [sign for sign in ("told", "benefit") if rng.random() < 0.4]
        elif typology == "income_fall":
            signs += [("late_salary", "short_salary")[int(rng.integers(2))]]
        low, high = self._scenario.trouble.signs
        count = min(len(pool), int(rng.integers(low, high + 1)))
        chosen = rng.choice(len(pool), size=count, replace=False).tolist()
        return signs + [pool[place] for place in sorted(chosen)]

    def _recover(self, time_ms: int, case: Case, person: Person) -> None:
        case.involve(person.customer_id, time_ms)
        case.recovered_ms = time_ms
        self._work_again(time_ms, person)

    def _work_again(self, time_ms: int, person: Person) -> None:
        if person.occupation == "employee" and not person.employed:
            person.employed = True
            person.employer_id = f"employer_{200 + person.index % 50:03d}"
            self._signs.employment(time_ms, person, "started")
        self._signs.calm(time_ms, person)

    # --- healthy lives that look like it ----------------------------------------------------------------

    def _chance(self, case: Case) -> None:
        person = self._choose(case)
        if person is None:
            return
        rng, start_ms = case.rng, case.start_ms
        days = float(rng.uniform(14, 35))
        signs: tuple[str, ...] = {
            "late_salary": ("late_salary",), "short_month": ("short_salary",), "comparing_offers": ("applications",),
            "cash_month": ("cash",), "minimum_once": ("minimum",), "returned_by_mistake": ("returned",),
            "quiet_month": ("fewer",), "gambler": ("gambling",), "job_change": (), "moved_bank": ("fewer",),
            "large_purchase": (), "sick_leave": ("benefit",), "moved_house": ("rent_late", "uninsured"), "bad_luck": (),
        }[case.typology]  # fmt: skip
        if case.typology in ("job_change", "sick_leave"):
            days = float(rng.uniform(20, 50))
            person.employed = False
            signs += ("told",) if rng.random() < 0.3 else ()
        elif case.typology == "moved_bank":
            # Salary and shopping are elsewhere from now on; dues are still paid from what is sent over.
            days = float(self._config.days)
            person.salary_elsewhere = True
            for month in range(int(days // 30)):
                self._agenda.at(start_ms + int((month * 30 + 3) * DAY_MS), self._send_over, person)
        elif case.typology == "large_purchase":
            self._agenda.at(start_ms + 3 * HOUR_MS, self._buy, person, float(rng.uniform(0.4, 0.95)))
        elif case.typology == "gambler":
            days = float(rng.uniform(60, 150))
        # Two troubles seldom come alone, even to the healthy.
        if rng.random() < 0.25:
            signs += (_ACCOUNT[int(rng.integers(len(_ACCOUNT)))],)
        if case.typology == "bad_luck":
            pool = (*_ACCOUNT, *_CREDIT, *_VICE, *(_CARD if person.line is not None else ()))
            signs += tuple(pool[place] for place in rng.choice(len(pool), size=int(rng.integers(1, 3)), replace=False))
        end_ms = start_ms + int(days * DAY_MS)
        for sign in signs:
            self._signs.of(sign)(person, rng, start_ms, end_ms)
        case.signs, case.end = signs, "healthy"
        case.involve(person.customer_id, start_ms)
        case.noted = True
        self.chances.append(case)
        self._busy[person.index] = end_ms + _REST_DAYS * DAY_MS
        self._agenda.at(end_ms, self._pass_by, person)

    def _pass_by(self, time_ms: int, person: Person) -> None:
        # Unless a shock has come since.
        if person.case is None:
            self._work_again(time_ms, person)

    def _send_over(self, time_ms: int, person: Person) -> None:
        due = person.loan.instalment_minor if person.loan is not None else 0
        used = person.line.used_minor if person.line is not None else 0
        self._bank.credit(time_ms, person, due + used + person.rent_minor * 5 // 4, "other")

    def _buy(self, time_ms: int, person: Person, share: float) -> None:
        amount = int(max(0, person.balance_minor) * share)
        self._bank.pay(time_ms, person, amount, "other", f"payee_{person.index:06d}_7", ordered=False)

    # --- shocks -----------------------------------------------------------------------------------------

    def _strike(self, shock: Shock, start_ms: int) -> None:
        group = self._case(shock.kind, self._number(), start_ms)
        self.cases.append(group)
        rng = group.rng
        group.about = works(shock) if shock.kind == "factory_closure" else district_name(shock.place - 1)
        for person in self._people:
            mine = person.employer_id if shock.kind == "factory_closure" else person.district
            if person.firm or not person.employed or mine != group.about or rng.random() >= shock.share:
                continue
            at_ms = start_ms + int(rng.uniform(0, 6) * DAY_MS) + 9 * HOUR_MS
            group.involve(person.customer_id, at_ms)
            group.noted = True
            ruined = bool(rng.random() < shock.ruined_ratio)
            laid_off = shock.kind == "factory_closure" or bool(rng.random() < 0.4)
            if person.case is None and person.late_days == 0 and self._owes(person) and ruined:
                case = self._case("struck", self._number(), at_ms - 9 * HOUR_MS)
                case.about = group.case_id
                if laid_off:
                    person.employed = False
                self._suffer(case, person, recovers=False)
            elif laid_off:
                person.employed = False
                person.benefit = bool(rng.random() < 0.6)
                self._agenda.at(at_ms + int(rng.uniform(30, 90) * DAY_MS), self._work_again, person)
            if not laid_off:
                (self._signs.short_salary if rng.random() < 0.6 else self._signs.late_salary)(person, rng, at_ms, at_ms)
                self._agenda.at(at_ms + int(rng.uniform(60, 120) * DAY_MS), self._pass_by, person)
        group.signs = ()


_OF_EMPLOYEES: Final = ("job_change", "late_salary", "short_month", "moved_bank", "sick_leave")


def works(shock: Shock) -> str:
    """Name of a shock's factory."""
    return f"works_{shock.place:02d}"
