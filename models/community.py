"""Blows that many take at once: the rate of new signs of lost income per district and employer, against its own past.

Per group and day the members with a *new* common sign are counted (one whose sign is young is not counted again). What
is expected is the group's own moving rate, held near the whole town's, times its members. A Poisson CUSUM with a
slowly leaking memory adds up how much more there is than expected; when it crosses its limit and enough members are
struck, there is one shock, and none again until the group has been calm. These figures speak of groups only: no
customer's score reads them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from features.facility import DAY_MS

# The rate the CUSUM is tuned to find, as a multiple of the expected one, and its limit in log-likelihood.
TIMES, LIMIT = 4.0, 9.0
MEMBERS_MIN, STRUCK_MIN, STRUCK_RATIO_MIN = 8, 5, 0.08
# A member's sign is one sign for so long; a group's struck members are counted over as long.
SIGN_MS = 45 * DAY_MS
WINDOW_DAYS = 35
# Moving baselines: the share of a day's figure, and how many member-days of the town's rate a group starts from.
_FADE, _PRIOR_DAYS = 0.02, 600.0
# A day's least rate: fewer than one new sign per member and two years is not believed.
RATE_MIN = 1 / 730
# A shock is over when no member was newly struck for so long, or after so long at the latest.
_CALM_MS, _LASTS_MS = 45 * DAY_MS, 150 * DAY_MS
# Beyond so many customers those who came first speak for all: rates need no more, and the checkpoint stays small.
GROUPS_MAX, MEMBERS_MAX, NAMED_MAX = 20_000, 200_000, 200


class Shock(Struct, array_like=True, frozen=True):
    """One blow to a group. `scope` is `district` or `employer`; `alert_id` that of its community alert.

    `struck` of `members` had a new sign since `since_ms`; `expected` would have been usual. `alert_ids` are alerts of
    members raised before, folded under this one: at most 200.
    """

    alert_id: str
    scope: str
    scope_id: str
    since_ms: int
    at_ms: int
    members: int
    struck: int
    expected: float
    alert_ids: tuple[str, ...] = ()


class Membership(NamedTuple):
    """What a profile says of where a customer belongs."""

    district: str | None
    employer: str | None


class _Group(Struct, array_like=True):
    members: int = 0
    # Member-days and new signs, fading.
    exposure: float = 0.0
    signs: float = 0.0
    sum: float = 0.0
    since_ms: int = -1
    # Day numbers and new signs of each, the last `WINDOW_DAYS`.
    days: list[int] = []
    counts: list[int] = []
    today: int = 0
    alert_id: str = ""
    opened_ms: int = -1
    last_ms: int = -1


class CommunityMonitor:
    """Counts, compares, and says when a group was struck; driven by `models.learner`, epoch by epoch.

    State is bounded: at most 20,000 groups and 200,000 customers; beyond, newcomers are passed over and counted in
    `passed_over`, and members and struck are those of the customers it knows.
    """

    def __init__(self) -> None:
        self._member: dict[str, tuple[str, ...]] = {}
        self._groups: dict[str, _Group] = {}
        # When each customer's sign was last seen, and when the present one began.
        self._signs: dict[str, int] = {}
        self._first: dict[str, int] = {}
        # Latest early-warning alert of a customer, for folding.
        self._alerts: dict[str, tuple[int, str]] = {}
        self._day = -1
        self.passed_over = 0

    def belong(self, customer_id: str, place: Membership) -> None:
        """A profile: the customer belongs to these groups from now on."""
        names = tuple(
            f"{scope}:{name}" for scope, name in (("district", place.district), ("employer", place.employer)) if name
        )
        before = self._member.get(customer_id, ())
        if names == before:
            return
        if not before and len(self._member) >= MEMBERS_MAX:
            self.passed_over += 1
            return
        for name in before:
            self._groups[name].members -= 1
        kept = []
        for name in names:
            group = self._groups.get(name)
            if group is None:
                if len(self._groups) >= GROUPS_MAX:
                    self.passed_over += 1
                    continue
                group = self._groups[name] = _Group()
            group.members += 1
            kept.append(name)
        self._member[customer_id] = tuple(kept)

    def sign(self, customer_id: str, at_ms: int) -> None:
        """A common sign (income late, missing, lower; job ended) is there for this customer."""
        if customer_id not in self._member:
            return
        last_ms = self._signs.get(customer_id)
        # It stays one sign for as long as it is seen.
        self._signs[customer_id] = max(at_ms, last_ms or -1)
        if last_ms is not None and at_ms - last_ms < SIGN_MS:
            return
        self._first[customer_id] = at_ms
        names = self._member.get(customer_id, ())
        # Whoever belongs to a group that is known to be struck says nothing about the others.
        for name in [name for name in names if self._groups[name].alert_id] or names:
            group = self._groups[name]
            group.today += 1
            group.last_ms = max(group.last_ms, at_ms)

    def alerted(self, customer_id: str, at_ms: int, alert_id: str) -> None:
        """An early-warning alert of this customer."""
        if customer_id not in self._member:
            return
        self._alerts[customer_id] = (at_ms, alert_id)

    def advance(self, until_ms: int) -> list[Shock]:
        """Close the days that are over by `until_ms`; the shocks that were found, groups by name."""
        day = until_ms // DAY_MS
        if day <= self._day or self._day < 0:
            self._day = max(day, self._day)
            return []
        days = day - self._day
        self._day = day
        town_exposure = sum(group.exposure for group in self._groups.values())
        town_rate = max(RATE_MIN, sum(g.signs for g in self._groups.values()) / town_exposure if town_exposure else 0.0)
        over = [name for name, group in sorted(self._groups.items()) if self._close(group, until_ms, days, town_rate)]
        shocks = []
        while over := [name for name in over if self._is_struck(self._groups[name])]:
            # The group of which the largest part was struck explains the signs of its members in other groups.
            name = max(over, key=lambda each: (sum(self._groups[each].counts) / self._groups[each].members, each))
            shocks.append(self._open(name, until_ms, town_rate))
            over.remove(name)
        for old in (self._signs, self._first, self._alerts):
            self._forget(old, until_ms)
        return shocks

    @staticmethod
    def _forget(memory: dict[str, Any], until_ms: int) -> None:
        gone = until_ms - 2 * SIGN_MS
        late = [k for k, v in memory.items() if (v[0] if isinstance(v, tuple) else v) < gone]
        for key in late:
            del memory[key]

    def _close(self, group: _Group, until_ms: int, days: int, town_rate: float) -> bool:
        """The days since the last one; whether the sum has crossed its limit."""
        count, group.today = group.today, 0
        expected = _rate(group, town_rate) * group.members * days
        if count:
            group.days.append(self._day)
            group.counts.append(count)
        keep = next((i for i, d in enumerate(group.days) if d > self._day - WINDOW_DAYS), len(group.days))
        del group.days[:keep], group.counts[:keep]
        if group.alert_id:
            # A struck group's figures are no baseline.
            if until_ms - group.last_ms > _CALM_MS or until_ms - group.opened_ms > _LASTS_MS:
                group.alert_id, group.sum, group.days, group.counts = "", 0.0, [], []
            return False
        step = count * math.log(TIMES) - (TIMES - 1) * expected
        if group.sum <= 0 and step > 0:
            group.since_ms = until_ms - days * DAY_MS
        group.sum = max(0.0, group.sum + step)
        fade = (1 - _FADE) ** days
        group.exposure = group.exposure * fade + group.members * days
        group.signs = group.signs * fade + min(count, 3 * expected + 1)
        return self._is_struck(group)

    @staticmethod
    def _is_struck(group: _Group) -> bool:
        struck = sum(group.counts)
        enough = group.members >= MEMBERS_MIN and struck >= max(STRUCK_MIN, STRUCK_RATIO_MIN * group.members)
        return group.sum >= LIMIT and enough

    def _open(self, name: str, until_ms: int, town_rate: float) -> Shock:
        group = self._groups[name]
        scope, _, scope_id = name.partition(":")
        group.alert_id = community_id(scope, scope_id, until_ms)
        group.opened_ms, group.sum = until_ms, 0.0
        for customer_id, first_ms in self._first.items():
            if first_ms >= group.since_ms and name in self._member.get(customer_id, ()):
                for other in self._member[customer_id]:
                    if other != name:
                        _explain(self._groups[other], -(-first_ms // DAY_MS))
        return Shock(
            group.alert_id, scope, scope_id, group.since_ms, until_ms, group.members, sum(group.counts),
            round(_rate(group, town_rate) * group.members * WINDOW_DAYS, 2), self._members_alerts(name, group.since_ms),
        )  # fmt: skip

    def _members_alerts(self, name: str, since_ms: int) -> tuple[str, ...]:
        found = [
            (at_ms, alert_id)
            for customer_id, (at_ms, alert_id) in self._alerts.items()
            if at_ms >= since_ms and name in self._member.get(customer_id, ())
        ]
        return tuple(alert_id for _, alert_id in sorted(found))[:NAMED_MAX]

    def open(self) -> dict[str, str]:
        """Groups that are struck now, by ``scope:id``, with the id of their community alert."""
        return {name: group.alert_id for name, group in sorted(self._groups.items()) if group.alert_id}

    def dump(self) -> list[Any]:
        """Plain values for the checkpoint."""
        return [
            [[name, list(groups)] for name, groups in self._member.items()], list(self._groups.items()),
            list(self._signs.items()), list(self._first.items()), list(self._alerts.items()), self._day,
            self.passed_over,
        ]  # fmt: skip

    def restore(self, data: Sequence[Any]) -> None:
        """Take over what `dump` wrote; an empty list is a monitor that begins."""
        if not data:
            return
        members, groups, signs, first, alerts, self._day, self.passed_over = data
        self._member = {name: tuple(each) for name, each in members}
        self._groups = {name: group if isinstance(group, _Group) else _Group(*group) for name, group in groups}
        self._signs, self._first = dict(map(tuple, signs)), dict(map(tuple, first))
        self._alerts = {name: (at_ms, alert_id) for name, (at_ms, alert_id) in alerts}


def _rate(group: _Group, town_rate: float) -> float:
    return (group.signs + town_rate * _PRIOR_DAYS) / (group.exposure + _PRIOR_DAYS)


def _explain(group: _Group, day: int) -> None:
    """Take one sign of about that day out of a group's count: another group's blow explains it."""
    places = [i for i, (d, n) in enumerate(zip(group.days, group.counts, strict=True)) if n > 0 and abs(d - day) <= 2]
    if places and not group.alert_id:
        nearest = min(places, key=lambda i: abs(group.days[i] - day))
        group.counts[nearest] -= 1
        group.sum = max(0.0, group.sum - math.log(TIMES))


def community_id(scope: str, scope_id: str, at_ms: int) -> str:
    """Id of a community alert: a function of whom it is about and when."""
    place = "\0".join(("community", scope, scope_id, str(at_ms)))
    return hashlib.sha256(place.encode()).hexdigest()[:32]
