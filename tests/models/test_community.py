"""A blow to a district or an employer is found once, explains the signs of its members elsewhere, and chance is not."""

from __future__ import annotations

import random

import pytest

from models.community import (
    MEMBERS_MIN,
    NAMED_MAX,
    CommunityMonitor,
    Membership,
    Shock,
    community_id,
)

DAY_MS = 86_400_000
START_MS = 1_735_689_600_000


class Town:
    """800 people in five districts; employer 0 has fifty of them, the others four each."""

    def __init__(self, seed: int = 1) -> None:
        self.monitor = CommunityMonitor()
        self.rng = random.Random(seed)
        self.place = {f"c{n}": (f"d{n % 5}", "e0" if n % 16 == 3 else f"e{1 + n // 4}") for n in range(800)}
        for name, (district, employer) in self.place.items():
            self.monitor.belong(name, Membership(district, employer))
        self.day = 0
        self.shocks: list[Shock] = []

    def live(self, days: int, struck: tuple[str, ...] = (), over: int = 1) -> Town:
        """Days of chance: one person in a thousand a day; `struck` show a sign within the first `over` days."""
        when = {name: self.rng.randrange(over) for name in struck}
        for passed in range(days):
            at_ms = START_MS + self.day * DAY_MS
            for name in self.place:
                if self.rng.random() < 0.001 or when.get(name) == passed:
                    self.monitor.sign(name, at_ms + 1)
            self.day += 1
            self.shocks += self.monitor.advance(at_ms + DAY_MS)
        return self

    def members(self, of: str) -> list[str]:
        return [name for name, places in self.place.items() if of in places]


@pytest.mark.parametrize("seed", range(3))
def test_two_years_of_chance_are_no_shock(seed: int) -> None:
    assert Town(seed).live(730).shocks == []


@pytest.mark.parametrize("seed", range(3))
def test_a_district_that_is_struck_makes_one_shock(seed: int) -> None:
    town = Town(seed).live(200)
    struck = tuple(town.members("d2")[::4])
    town.live(60, struck, over=25)
    assert [(shock.scope, shock.scope_id) for shock in town.shocks] == [("district", "d2")]
    shock = town.shocks[0]
    assert shock.members == 160
    assert shock.struck >= 5 > shock.expected / 3
    assert START_MS + 200 * DAY_MS <= shock.since_ms <= shock.at_ms <= START_MS + 225 * DAY_MS
    assert town.monitor.open() == {"district:d2": shock.alert_id}


@pytest.mark.parametrize("seed", range(3))
def test_a_factory_that_closes_makes_one_shock_and_none_of_the_districts_its_people_live_in(seed: int) -> None:
    town = Town(seed).live(200)
    town.live(60, tuple(town.members("e0")), over=10)
    assert [(shock.scope, shock.scope_id) for shock in town.shocks] == [("employer", "e0")]


def test_a_shock_is_over_when_nobody_is_struck_any_more_and_may_come_again() -> None:
    town = Town().live(200)
    struck = tuple(town.members("d2")[::4])
    town.live(220, struck, over=10)
    assert town.monitor.open() == {}
    town.live(30, struck, over=10)
    assert [shock.scope_id for shock in town.shocks] == ["d2", "d2"]
    assert len({shock.alert_id for shock in town.shocks}) == 2


def test_a_sign_that_lasts_is_counted_once() -> None:
    town = Town().live(200)
    for _ in range(60):
        for name in town.members("d2")[:4]:
            town.monitor.sign(name, START_MS + town.day * DAY_MS + 1)
        town.live(1)
    assert town.shocks == []


def test_small_groups_are_never_judged() -> None:
    town = Town().live(100)
    assert len(town.members("e7")) < MEMBERS_MIN
    town.live(30, tuple(town.members("e7")))
    assert town.shocks == []


def test_a_shock_names_the_alerts_of_members_raised_since_it_began() -> None:
    town = Town().live(200)
    now = START_MS + town.day * DAY_MS
    inside, outside = town.members("d2"), town.members("d1")
    town.monitor.alerted(inside[0], now - 40 * DAY_MS, "old")
    town.monitor.alerted(inside[1], now + 2, "b")
    town.monitor.alerted(inside[2], now + 1, "a")
    town.monitor.alerted(outside[0], now + 1, "elsewhere")
    town.live(40, tuple(inside[::4]), over=3)
    assert town.shocks[0].alert_ids == ("a", "b")
    assert NAMED_MAX == 200


def test_whoever_moves_is_counted_where_they_are_now() -> None:
    town = Town().live(200)
    for name in town.members("d2"):
        town.monitor.belong(name, Membership("d9", None))
    town.live(60, tuple(town.members("d2")[::4]), over=10)
    assert [shock.scope_id for shock in town.shocks] == ["d9"]


def test_a_restart_changes_nothing() -> None:
    whole, other = Town(4).live(150), Town(4).live(150)
    again = CommunityMonitor()
    again.restore(other.monitor.dump())
    other.monitor = again
    struck = tuple(whole.members("d3")[::4])
    assert whole.live(60, struck, 10).shocks == other.live(60, struck, 10).shocks != []
    assert whole.monitor.dump() == other.monitor.dump()


def test_the_alert_id_is_a_function_of_whom_and_when() -> None:
    assert community_id("district", "d", 5) == community_id("district", "d", 5)
    assert (
        len({community_id("district", "d", 5), community_id("employer", "d", 5), community_id("district", "d", 6)}) == 3
    )
