"""A scenario: what is planted in a town's credit life, when and to whom, as a file that is checked whole.

The house's scenarios lie in `streams/town/scenarios/`; `load("boom-year")` reads one of them, a path any other.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from streams.town.errors import TownError

FOLDER: Final = Path(__file__).resolve().parent / "scenarios"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Cases per 1,000 people (firms: per 1,000 firms) and 30 days, and how trouble shows before it is missed.

    `lead_days` is the time from the first cause to the first day on which nothing is paid any more; `signs` how many
    of the possible signs a person shows in that time; `recovered_ratio` of them find their feet before.
    """

    income_loss: float = 4.0
    income_fall: float = 3.0
    over_borrowing: float = 4.0
    firm_failure: float = 0.0
    lead_days: tuple[int, int] = (30, 80)
    signs: tuple[int, int] = (3, 7)
    recovered_ratio: float = 0.35


@dataclass(frozen=True, slots=True)
class Chance:
    """Healthy lives that look like trouble for a while: cases per 1,000 people and 30 days; they owe and always pay."""

    job_change: float = 8.0
    late_salary: float = 6.0
    short_month: float = 5.0
    large_purchase: float = 12.0
    moved_bank: float = 2.0
    comparing_offers: float = 4.0
    cash_month: float = 5.0
    minimum_once: float = 8.0
    returned_by_mistake: float = 3.0
    quiet_month: float = 5.0
    gambler: float = 2.0
    sick_leave: float = 3.0
    moved_house: float = 4.0
    bad_luck: float = 12.0


@dataclass(frozen=True, slots=True)
class Shock:
    """A blow to all who work for an employer, or live in a district: from `day` on it strikes a `share` of them.

    Parameters
    ----------
    kind
        `factory_closure` or `district_shock`.
    day
        Of the town.
    share
        Of the members who are struck, 0..1.
    ruined_ratio
        Of those struck and owing: who defaults in the end.
    employees
        For a factory: its share of the town's employees, 0..1.
    place
        District (1 is the first) the shock strikes; of a factory, only the number in its name.
    """

    kind: str
    day: int
    share: float
    ruined_ratio: float
    employees: float = 0.05
    place: int = 1


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything a scenario file says. `town` are fields of `TownConfig` that it sets."""

    name: str
    first_day: int
    last_day: int
    trouble: Trouble = field(default_factory=Trouble)
    chance: Chance = field(default_factory=Chance)
    shocks: tuple[Shock, ...] = ()
    town: dict[str, Any] = field(default_factory=dict)


def names() -> tuple[str, ...]:
    """Scenarios of the house."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def load(name: str) -> Scenario:
    """Read a scenario of the house by name, or any by path.

    Raises
    ------
    TownError
        When there is none, or it says what it must not; names the key.
    """
    path = FOLDER / f"{name}.toml" if name in names() else Path(name)
    try:
        source = path.read_bytes()
    except OSError:
        raise TownError(
            f"scenario: expected one of {', '.join(names())} or the path of a TOML file, found {name!r}: correct it"
        ) from None
    return parse(source.decode("utf-8", "replace"), path.stem)


def parse(text: str, name: str) -> Scenario:
    """A scenario from TOML text; raises as `load` does."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TownError(f"scenario {name}: expected TOML, found {error}: correct the file") from None
    known = {"days", "trouble", "chance", "shocks", "town"}
    _only(document, known, name)
    first, last = _pair(document.get("days", [60, 150]), f"scenario {name}: days", 0, 3_660)
    shocks = []
    for number, table in enumerate(document.get("shocks", [])):
        where = f"scenario {name}: shocks[{number}]"
        _only(table, {part.name for part in fields(Shock)}, where)
        missing = [key for key in ("kind", "day", "share", "ruined_ratio") if key not in table]
        if missing:
            raise TownError(f"{where}.{missing[0]}: expected a value, found nothing: add it")
        if table["kind"] not in ("factory_closure", "district_shock"):
            raise TownError(
                f"{where}.kind: expected factory_closure or district_shock, found {table['kind']!r}: use one of these"
            )
        for key in ("share", "ruined_ratio", "employees"):
            _number(table.get(key, 0.05), f"{where}.{key}", 1)
        for key in ("day", "place"):
            _number(table.get(key, 1), f"{where}.{key}", 3_660)
        shocks.append(Shock(**table))
    return Scenario(
        name,
        first,
        last,
        _read(Trouble, document.get("trouble", {}), f"scenario {name}: trouble"),
        _read(Chance, document.get("chance", {}), f"scenario {name}: chance"),
        tuple(shocks),
        dict(document.get("town", {})),
    )


def _read(kind: Any, table: dict[str, Any], where: str) -> Any:
    _only(table, {part.name for part in fields(kind)}, where)
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key in ("lead_days", "signs"):
            values[key] = _pair(value, f"{where}.{key}", 1, 365)
        else:
            values[key] = _number(value, f"{where}.{key}", 1 if key.endswith("_ratio") else 1_000)
    return kind(**values)


def _only(table: Any, known: set[str], where: str) -> None:
    if not isinstance(table, dict):
        raise TownError(f"{where}: expected a table, found {table!r}: write its keys under a heading")
    for key in table:
        if key not in known:
            raise TownError(f"{where}: expected only {', '.join(sorted(known))}, found {key!r}: correct the spelling")


def _pair(value: Any, where: str, low: int, high: int) -> tuple[int, int]:
    whole = isinstance(value, list) and len(value) == 2 and all(type(each) is int for each in value)
    if not (whole and low <= value[0] <= value[1] <= high):
        raise TownError(f"{where}: expected two whole numbers from {low} to {high}, the smaller first, found {value!r}")
    return value[0], value[1]


def _number(value: Any, where: str, high: float) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= high:
        raise TownError(f"{where}: expected a number from 0 to {high:g}, found {value!r}: choose one in that range")
    return value
