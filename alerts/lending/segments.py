"""Service that differs by grade, campaigns with a holdout, what may be looked at: three tables of the policy."""

from __future__ import annotations

from hashlib import blake2b

from msgspec import Struct

from alerts.state import GRADES
from alerts.tables import Table

TIERS_MAX = 12


class Tier(Struct, frozen=True):
    """A service tier: its grades reach down to `down_to`; `answer_hours` is the time in which a person answers."""

    id: str
    down_to: str
    answer_hours: int
    named_adviser: bool
    campaigns: bool


class Campaigns(Struct, frozen=True):
    """How many customers get no offer so that its effect can be known, and the salt that picks them."""

    holdout_share: float
    salt: str


class Fairness(Struct, frozen=True):
    """What may be looked at beyond the standing inputs. `social_signal`: a strongly negative one asks for a look."""

    social_signal: bool
    social_signal_below: float


def parse_segments(table: Table) -> tuple[Tier, ...]:
    """Read `[segments]`; every grade, default too, has exactly one tier."""
    made: list[Tier] = []
    for one in table.tables("tiers", TIERS_MAX):
        tier = Tier(
            one.name("id"),
            one.text("down_to", GRADES),
            one.whole("answer_hours", 1, 720),
            one.flag("named_adviser"),
            one.flag("campaigns"),
        )
        one.done()
        if made and GRADES.index(tier.down_to) <= GRADES.index(made[-1].down_to):
            raise one.refuse("down_to", tier.down_to, f"a grade below {made[-1].down_to}", "order the tiers downward")
        made.append(tier)
    if not made or made[-1].down_to != GRADES[-1]:
        found = made[-1].down_to if made else "no tier"
        raise table.refuse("tiers", found, f"the last tier down to {GRADES[-1]}", "every grade needs a tier")
    table.done()
    return tuple(made)


def tier_of(tiers: tuple[Tier, ...], grade: str) -> Tier:
    """The tier of a grade; without a grade yet, that of the worst performing one."""
    place = GRADES.index(grade) if grade else len(GRADES) - 2
    return next(tier for tier in tiers if GRADES.index(tier.down_to) >= place)


def parse_campaigns(table: Table) -> Campaigns:
    """Read `[campaigns]`."""
    made = Campaigns(table.number("holdout_share", 0, 0.5), table.text("salt"))
    table.done()
    return made


def parse_fairness(table: Table) -> Fairness:
    """Read `[fairness]`; what is protected has no key here: it can be switched on by nobody."""
    made = Fairness(table.flag("social_signal"), table.number("social_signal_below", -1, 1))
    table.done()
    return made


def in_holdout(campaigns: Campaigns, campaign_id: str, customer_id: str) -> bool:
    """Whether a customer gets no offer of a campaign: a pure function of both ids and the salt, alike on every run.

    Examples
    --------
    >>> some = Campaigns(0.1, "a salt")
    >>> sum(in_holdout(some, "spring", f"c-{n}") for n in range(10_000)) in range(900, 1100)
    True
    """
    digest = blake2b(f"holdout\0{campaigns.salt}\0{campaign_id}\0{customer_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < campaigns.holdout_share * 2.0**64
