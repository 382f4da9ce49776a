"""Indicators shared between customers: how busy a terminal or merchant is, and what fraud is known there.

The learner counts (`SharedIndicators`); workers read an immutable copy (`SharedTable`) out of a snapshot.
Days are UTC days of event time; a window of n days is the day of `as_of` and the n - 1 days before it. A
fraud counts at the moment it became *known*, never earlier, so that a replay cannot see the future.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field
from typing import Any, NamedTuple

DAY_MS = 86_400_000
TRAFFIC_DAYS = 7
FRAUD_DAYS = 30
RECENT_HALF_LIFE_MS = 7 * DAY_MS
# The smoothing prior: a place is believed to have 0.5 % fraud as firmly as twenty transactions would say so.
PRIOR_RATE, PRIOR_COUNT = 0.005, 20
# A fraud known this long ago has decayed below one in a thousand.
FORGET_DAYS = 70
# Known frauds kept per place; more than this in thirty days changes nothing that matters.
FRAUDS_MAX = 256
# A fraud that becomes known after so long without any other begins a new series.
SERIES_GAP_MS = 14 * DAY_MS
# One fraud alone is no full share: as if half a good transaction had been seen.
SHARE_PRIOR = 0.5
# Good transactions since the latest fraud are counted up to here; beyond it the place is clean.
GOOD_MAX = 1000


class Counts(NamedTuple):
    """What is known about one place: transactions and known frauds in 7 and 30 days, and its series of frauds.

    `first_known_ms` begins the present series, `good_since` counts the good ones known since its latest fraud.
    """

    tx_7d: int
    tx_30d: int
    fraud_30d: int
    last_known_ms: int  # -1: none
    fraud_7d: int = 0
    first_known_ms: int = -1
    good_since: int = 0


Figures = tuple[float, float, float, float, float, float, float, float, float]


class SharedTable:
    """Immutable look-ups for scoring; unknown places get the prior. About 0.2 µs a call.

    Examples
    --------
    >>> table = SharedTable({"t-1": Counts(14, 60, 4, 1_000, 3, 1_000, 1)}, {})
    >>> table.terminal("t-1", at_ms=1_000)
    (2.0, 0.05125, 1.0, 3.0, 4.0, 1.0, 0.5, 0.6666666666666666, 0.0)
    >>> table.terminal("t-2", at_ms=1_000)[:3], table.merchant(None, at_ms=1_000)
    ((0.0, 0.005, 0.0), (0.0, 0.005))
    """

    __slots__ = ("merchants", "terminals")

    def __init__(self, terminals: dict[str, Counts], merchants: dict[str, Counts]) -> None:
        self.terminals = terminals
        self.merchants = merchants

    def terminal(self, terminal_id: str | None, at_ms: int) -> Figures:
        """The figures of a terminal at event time `at_ms`.

        Returns
        -------
        Transactions per day; fraud rate 0..1; freshness of the last known fraud 0..1; frauds that became known in 7
        and in 30 days; good transactions known since the latest fraud; 0.5 to that power; the share of frauds of 7
        days among these and the good ones since; days since the present series began. Without frauds all but the
        first two are 0.
        """
        counts = self.terminals.get(terminal_id) if terminal_id else None
        if counts is None:
            return (0.0, PRIOR_RATE, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        tx_7d, tx_30d, fraud_30d, last_ms, fraud_7d, first_ms, good = counts
        rate = (fraud_30d + PRIOR_RATE * PRIOR_COUNT) / (tx_30d + PRIOR_COUNT)
        traffic, rate = tx_7d / TRAFFIC_DAYS, rate if rate < 1.0 else 1.0
        if last_ms < 0:
            return (traffic, rate, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        recent = 0.5 ** ((at_ms - last_ms if at_ms > last_ms else 0) / RECENT_HALF_LIFE_MS)
        age = (at_ms - first_ms if at_ms > first_ms else 0) / DAY_MS
        share = fraud_7d / (fraud_7d + good + SHARE_PRIOR)
        return (traffic, rate, recent, float(fraud_7d), float(fraud_30d), float(good), 0.5**good, share, age)

    def merchant(self, merchant_id: str | None, at_ms: int) -> tuple[float, float]:  # noqa: ARG002
        """(transactions per day, fraud rate 0..1); `at_ms` as for `terminal`, the figures move with snapshots."""
        counts = self.merchants.get(merchant_id) if merchant_id else None
        if counts is None:
            return (0.0, PRIOR_RATE)
        rate = (counts[2] + PRIOR_RATE * PRIOR_COUNT) / (counts[1] + PRIOR_COUNT)
        return (counts[0] / TRAFFIC_DAYS, rate if rate < 1.0 else 1.0)


@dataclass(slots=True)
class _Place:
    # Parallel lists, oldest first: UTC day numbers with their transactions; times at which frauds became known.
    days: list[int] = field(default_factory=list)
    txs: list[int] = field(default_factory=list)
    frauds: list[int] = field(default_factory=list)
    # Event time of the latest fraud known, and how many later transactions are known to be good.
    fraud_ms: int = -1
    good: int = 0

    def add_tx(self, day: int) -> None:
        if self.days and self.days[-1] == day:
            self.txs[-1] += 1
        elif not self.days or self.days[-1] < day:
            self.days.append(day)
            self.txs.append(1)
        elif day in self.days:
            self.txs[self.days.index(day)] += 1
        else:
            at = sum(1 for d in self.days if d < day)
            self.days.insert(at, day)
            self.txs.insert(at, 1)

    def forget(self, today: int) -> None:
        keep = bisect_right(self.days, today - FRAUD_DAYS)
        if keep:
            del self.days[:keep], self.txs[:keep]
        keep = bisect_left(self.frauds, (today - FORGET_DAYS + 1) * DAY_MS)
        if keep:
            del self.frauds[:keep]
        if not self.frauds:
            self.fraud_ms, self.good = -1, 0

    def know_fraud(self, event_time_ms: int, known_ms: int) -> None:
        insort(self.frauds, known_ms)
        del self.frauds[:-FRAUDS_MAX]
        if event_time_ms > self.fraud_ms:
            self.fraud_ms, self.good = event_time_ms, 0

    def know_good(self, event_time_ms: int) -> bool:
        counts = bool(self.frauds) and event_time_ms > self.fraud_ms and self.good < GOOD_MAX
        self.good += counts
        return counts

    def counts(self, today: int) -> Counts:
        first = -1
        for place, known_ms in enumerate(self.frauds):
            if not place or known_ms - self.frauds[place - 1] > SERIES_GAP_MS:
                first = known_ms
        days, txs, frauds = self.days, self.txs, self.frauds
        since_7d, since_30d = bisect_right(days, today - TRAFFIC_DAYS), bisect_right(days, today - FRAUD_DAYS)
        return Counts(
            sum(txs[since_7d:]),
            sum(txs[since_30d:]),
            len(frauds) - bisect_left(frauds, (today - FRAUD_DAYS + 1) * DAY_MS),
            frauds[-1] if frauds else -1,
            len(frauds) - bisect_left(frauds, (today - TRAFFIC_DAYS + 1) * DAY_MS),
            first,
            self.good,
        )


class _Places:
    # Least recently touched first, so that eviction takes what nobody asks for.
    def __init__(self, places_max: int) -> None:
        self.places_max = places_max
        self.evicted = 0
        self.places: dict[str, _Place] = {}
        self._table: dict[str, Counts] = {}
        self._touched: dict[str, None] = {}
        self._today = -1

    def touch(self, place_id: str) -> _Place:
        place = self.places.pop(place_id, None) or _Place()
        self.places[place_id] = place
        self._touched[place_id] = None
        if len(self.places) > self.places_max:
            oldest = next(iter(self.places))
            del self.places[oldest]
            self._table.pop(oldest, None)
            self._touched.pop(oldest, None)
            self.evicted += 1
        return place

    def know_good(self, place_id: str, event_time_ms: int) -> None:
        # Neither makes a place nor keeps one from eviction: it is old news.
        place = self.places.get(place_id)
        if place is not None and place.know_good(event_time_ms):
            self._touched[place_id] = None

    def table(self, today: int) -> dict[str, Counts]:
        # Within a day only touched places change; a new day moves every window.
        changed = list(self.places) if today != self._today else list(self._touched)
        self._today = today
        self._touched = {}
        for place_id in changed:
            place = self.places[place_id]
            place.forget(today)
            if place.days or place.frauds:
                self._table[place_id] = place.counts(today)
            else:
                del self.places[place_id]
                self._table.pop(place_id, None)
        return dict(self._table)


class SharedIndicators:
    """The learner's counters per terminal and merchant, at most `entities_max` of each.

    Parameters
    ----------
    entities_max
        Beyond it the least recently touched place is evicted and counted; its figures fall back to the prior.
    """

    def __init__(self, entities_max: int = 200_000) -> None:
        self.entities_max = entities_max
        self._terminals = _Places(entities_max)
        self._merchants = _Places(entities_max)

    @property
    def evicted(self) -> int:
        """Places thrown out so far because the table was full."""
        return self._terminals.evicted + self._merchants.evicted

    def update(self, terminal_id: str | None, merchant_id: str | None, event_time_ms: int) -> None:
        """Count one transaction at its event time."""
        for places, place_id in ((self._terminals, terminal_id), (self._merchants, merchant_id)):
            if place_id:
                places.touch(place_id).add_tx(event_time_ms // DAY_MS)

    def fraud_known(self, terminal_id: str | None, merchant_id: str | None, event_time_ms: int, known_ms: int) -> None:
        """Count one fraud of `event_time_ms` at the moment it became known."""
        for places, place_id in ((self._terminals, terminal_id), (self._merchants, merchant_id)):
            if place_id:
                places.touch(place_id).know_fraud(event_time_ms, known_ms)

    def good_known(self, terminal_id: str | None, merchant_id: str | None, event_time_ms: int) -> None:
        """Count one transaction nobody complained about until its label was mature; matters where fraud is known."""
        for places, place_id in ((self._terminals, terminal_id), (self._merchants, merchant_id)):
            if place_id:
                places.know_good(place_id, event_time_ms)

    def fraud_withdrawn(self, terminal_id: str | None, merchant_id: str | None, known_ms: int) -> None:
        """Take back a fraud counted at `known_ms`, because a later outcome says it was none."""
        for places, place_id in ((self._terminals, terminal_id), (self._merchants, merchant_id)):
            if place_id:
                place = places.touch(place_id)
                if known_ms in place.frauds:
                    place.frauds.remove(known_ms)

    def table(self, as_of_ms: int) -> SharedTable:
        """An immutable copy as of event time `as_of_ms`; O(places touched), O(places) once a day."""
        today = as_of_ms // DAY_MS
        return SharedTable(self._terminals.table(today), self._merchants.table(today))

    def dump(self) -> list[Any]:
        """Plain lists and numbers for the checkpoint; `load` restores an equal object."""
        return [self.entities_max, *(_dump(places) for places in (self._terminals, self._merchants))]

    @classmethod
    def load(cls, data: list[Any]) -> SharedIndicators:
        """Restore what `dump` wrote."""
        entities_max, terminals, merchants = data
        indicators = cls(entities_max)
        _load(indicators._terminals, terminals)
        _load(indicators._merchants, merchants)
        return indicators


def _dump(places: _Places) -> list[Any]:
    rows = [[place_id, p.days, p.txs, p.frauds, p.fraud_ms, p.good] for place_id, p in places.places.items()]
    return [places.evicted, places._today, list(places._touched), rows]


def _load(places: _Places, data: list[Any]) -> None:
    places.evicted, today, touched, rows = data
    places.places = {place_id: _Place(*place) for place_id, *place in rows}
    places._today = today
    places._touched = dict.fromkeys(touched)
    # The cached table is a pure function of the counts: what was not touched since is as it was on that day.
    # A touched place may keep an older line until the next table, which rewrites it; here it has none until then.
    places._table = {i: p.counts(today) for i, p in places.places.items() if i not in places._touched}
