"""Everything about a town that can be chosen, checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

from features.events import EVENT_TIME_MAX_MS
from streams.town.errors import TownError
from streams.town.scenario import Scenario

DAY_MS: Final = 86_400_000
HOUR_MS: Final = 3_600_000
MINUTE_MS: Final = 60_000
HOME: Final = "FR"
CURRENCY: Final = "EUR"

# Key, smallest and largest value. The upper ends keep one day of one town in a few hundred megabytes at most.
_RANGES: Final[tuple[tuple[str, int, int], ...]] = (
    ("people", 1, 200_000),
    ("firms", 0, 20_000),
    ("days", 1, 3_660),
    ("seed", 0, 2**63 - 1),
    ("merchants", 5, 100_000),
    ("terminals", 4, 400_000),
    ("districts", 1, 1_000),
    ("card_thefts", 0, 1_000),
    ("terminal_compromises", 0, 1_000),
    ("account_takeovers", 0, 1_000),
    ("bust_outs", 0, 1_000),
    ("job_losses", 0, 1_000),
    ("recovered_ratio", 0, 1),
    ("chargeback_ratio", 0, 1),
    ("false_report_ratio", 0, 1),
    ("default_after_days", 1, 365),
)


@dataclass(frozen=True, slots=True)
class TownConfig:
    """What a town is like.

    Parameters
    ----------
    people, firms, merchants, terminals
        How many; `None` for the last three: in proportion to `people`.
    days, start_ms
        How long, from which midnight UTC on.
    seed
        Everything random follows from it.
    districts
        Parts of the town; people mostly shop in their own.
    label_delay_days
        Shortest and longest time from a fraudulent transaction to its `fraud_confirmed`.
    card_thefts, terminal_compromises, account_takeovers, bust_outs, job_losses
        Planted cases per 1,000 people and 30 days; 0 plants none, otherwise at least one is planted.
    recovered_ratio
        Share of job losses that end with a new job and paid arrears; the others default.
    chargeback_ratio
        Share of confirmed, approved card frauds that become a chargeback later.
    false_report_ratio
        Share of genuine purchases that the customer reports by mistake (`false_positive`).
    default_after_days
        Days past due until a `default` is declared. Shorter than the customary 90, so that a town of sixty
        days shows the whole story; set 90 for long runs.
    scenario
        Credit life beside the cases above, from `streams.town.scenario`; see `of` for its own settings.

    Raises
    ------
    TownError
        When a value is out of range.

    Examples
    --------
    >>> TownConfig(people=300).merchant_count
    120
    >>> TownConfig(days=0)
    Traceback (most recent call last):
    ...
    streams.town.errors.TownError: days: expected 1 to 3660, found 0: choose a value in that range
    """

    people: int = 500
    days: int = 60
    seed: int = 7
    start_ms: int = 1_735_689_600_000  # 2025-01-01
    firms: int | None = None
    merchants: int | None = None
    terminals: int | None = None
    districts: int = 6
    label_delay_days: tuple[int, int] = (1, 7)
    card_thefts: float = 12.0
    terminal_compromises: float = 3.0
    account_takeovers: float = 8.0
    bust_outs: float = 5.0
    job_losses: float = 12.0
    recovered_ratio: float = 0.4
    chargeback_ratio: float = 0.3
    false_report_ratio: float = 0.0005
    default_after_days: int = 20
    scenario: Scenario | None = None

    def __post_init__(self) -> None:
        kinds = {field.name: str(field.type) for field in fields(self)}
        for key, low, high in _RANGES:
            value: Any = getattr(self, key)
            if value is None and "None" in kinds[key]:
                continue
            whole = isinstance(value, int) and not isinstance(value, bool)
            if not (whole or (isinstance(value, float) and kinds[key] == "float")):
                raise TownError(f"{key}: expected a number ({kinds[key]}), found {value!r}: give a number")
            if not low <= value <= high:
                raise TownError(f"{key}: expected {low} to {high}, found {value!r}: choose a value in that range")
        self._check_delays()
        self._check_times()
        if self.terminal_count < self.merchant_count - self.shop_count:
            raise TownError(
                f"terminals: expected at least {self.merchant_count - self.shop_count}, one for each of the "
                f"merchants with a door, found {self.terminal_count}: ask for more terminals or fewer merchants"
            )

    def _check_delays(self) -> None:
        delays = self.label_delay_days
        whole = isinstance(delays, tuple) and len(delays) == 2 and all(isinstance(d, int) for d in delays)
        if not (whole and 0 < delays[0] <= delays[1] <= 365):
            raise TownError(
                f"label_delay_days: expected two whole numbers of days, 1 to 365, the shorter first, found {delays!r}: "
                "for example (1, 7)"
            )

    def _check_times(self) -> None:
        if not isinstance(self.start_ms, int) or self.start_ms < 0 or self.start_ms % DAY_MS:
            raise TownError(
                f"start_ms: expected a midnight UTC in milliseconds since 1970, found {self.start_ms!r}: "
                f"use a multiple of {DAY_MS}"
            )
        if self.end_ms > EVENT_TIME_MAX_MS:
            raise TownError(
                f"start_ms and days: expected an end before {EVENT_TIME_MAX_MS} (year 2100), found {self.end_ms}: "
                "start earlier or ask for fewer days"
            )

    @classmethod
    def of(cls, scenario: Scenario, **chosen: Any) -> TownConfig:
        """The town of a scenario: what the file sets for it, and over that what is `chosen`.

        Raises
        ------
        TownError
            When either names what a town does not have.
        """
        known = {part.name for part in fields(cls)} - {"scenario"}
        for key in scenario.town:
            if key not in known:
                raise TownError(
                    f"scenario {scenario.name}: town: found {key!r}, expected one of {', '.join(sorted(known))}"
                )
        return cls(**{**scenario.town, **chosen}, scenario=scenario)

    @property
    def end_ms(self) -> int:
        """The first moment after the town's last day."""
        return self.start_ms + self.days * DAY_MS

    @property
    def firm_count(self) -> int:
        """Enterprise customers: as asked, else one for every 25 people."""
        return self.people // 25 if self.firms is None else self.firms

    @property
    def merchant_count(self) -> int:
        """Merchants: as asked, else two for every five people, at least 50."""
        return max(50, self.people * 2 // 5) if self.merchants is None else self.merchants

    @property
    def shop_count(self) -> int:
        """How many of the merchants sell online only: every fifth."""
        return self.merchant_count // 5

    @property
    def terminal_count(self) -> int:
        """Terminals at merchants with a door: as asked, else one and a half for each of them."""
        return (self.merchant_count - self.shop_count) * 3 // 2 if self.terminals is None else self.terminals
