"""What was planted, recorded while it happens, so that whoever raises alerts can be held against the truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from features.events import Event
from streams.town.config import DAY_MS, TownConfig

TYPOLOGIES: Final = ("card_theft", "terminal_compromise", "account_takeover", "bust_out", "job_loss")


@dataclass(frozen=True, slots=True)
class Planted:
    """One planted case as far as it has been generated.

    `event_ids` are the events that make the case: fraudulent transactions with the sign-ins and device
    changes around them; for `bust_out` the spree and the returned payment; for `bust_out` and `job_loss` the
    dues that were missed. Outcomes are not among them. `end_ms` is the time of the last thing that belongs to it.
    """

    case_id: str
    typology: str
    customer_ids: tuple[str, ...]
    start_ms: int
    end_ms: int
    event_ids: tuple[str, ...]
    # Of a scenario's cases: the signs shown, how it ends (`default`, `recovered`, `healthy`), when it turned, and what
    # it is about (the district or employer of a shock; of someone struck by it, the shock's case).
    signs: tuple[str, ...] = ()
    end: str = ""
    recovered_ms: int = -1
    about: str = ""


@dataclass(slots=True)
class Case:
    """A case under way: where its planter notes what it did, and the case's own random numbers."""

    case_id: str
    typology: str
    rng: np.random.Generator
    start_ms: int
    end_ms: int = 0
    customer_ids: list[str] = field(default_factory=list)
    event_ids: list[str] = field(default_factory=list)
    # First fraud and delay until it is noticed, per customer.
    noticed: dict[str, tuple[int, int]] = field(default_factory=dict)
    signs: tuple[str, ...] = ()
    end: str = ""
    recovered_ms: int = -1
    about: str = ""
    # Shown although no event is part of it: a scenario's cases are known from their first day.
    noted: bool = False

    def involve(self, customer_id: str, time_ms: int) -> None:
        """`customer_id` is part of the case from `time_ms` on."""
        if customer_id not in self.customer_ids:
            self.customer_ids.append(customer_id)
        self.end_ms = max(self.end_ms, time_ms)

    def note(self, event: Event) -> None:
        """`event` is part of the case."""
        self.involve(event.customer_id, event.event_time_ms)
        self.event_ids.append(event.event_id)

    def record(self) -> Planted:
        """The case as it stands."""
        return Planted(
            self.case_id,
            self.typology,
            tuple(self.customer_ids),
            self.start_ms,
            self.end_ms,
            tuple(self.event_ids),
            self.signs,
            self.end,
            self.recovered_ms,
            self.about,
        )


def plan(config: TownConfig) -> dict[int, list[tuple[str, str, int]]]:
    """Which cases begin on which day: day → (case id, typology, number of its random stream).

    The number of cases is the rate times people and months, rounded, at least one where the rate is above 0.
    """
    rng = np.random.default_rng([config.seed, 2])
    warm = min(10, config.days // 4)
    last = config.days - 1
    # Hardship and bust-outs take weeks to show: they begin early enough for the end to be seen.
    spans = {
        "card_theft": (config.card_thefts, warm, last),
        "terminal_compromise": (config.terminal_compromises, warm, max(warm, last - 12)),
        "account_takeover": (config.account_takeovers, warm, last),
        "bust_out": (config.bust_outs, 0, 0),
        "job_loss": (config.job_losses, min(6, last), max(min(6, last), last * 3 // 10, last - 45)),
    }
    days: dict[int, list[tuple[str, str, int]]] = {}
    number = 0
    for typology in TYPOLOGIES:
        rate, first, final = spans[typology]
        months = config.people * config.days / 30_000
        count = max(1, round(rate * months)) if rate > 0 else 0
        for day in np.sort(rng.integers(first, final + 1, size=count)).tolist():
            number += 1
            days.setdefault(day, []).append((f"case-{config.seed}-{number:04d}", typology, number))
    return days


def case_of(config: TownConfig, case_id: str, typology: str, number: int, day: int) -> Case:
    """A case with random numbers of its own, so that no other case's draws can disturb it."""
    start_ms = config.start_ms + day * DAY_MS
    return Case(case_id, typology, np.random.default_rng([config.seed, 3, number]), start_ms, start_ms)
