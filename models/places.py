"""What is counted about the places of one sort (terminals, merchants, devices), and the figures of each day.

Days are UTC days of event time; a window of n days is the day of `as_of` and the n - 1 days before it. A fraud counts
at the moment it became *known*, never earlier, so that a replay cannot see the future.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import Any, NamedTuple

DAY_MS = 86_400_000
TRAFFIC_DAYS = 7
FRAUD_DAYS = 30
# A fraud known this long ago has decayed below one in a thousand.
FORGET_DAYS = 70
# Known frauds kept per place; more than this in thirty days changes nothing that matters.
FRAUDS_MAX = 256
# A fraud that becomes known after so long without any other begins a new series.
SERIES_GAP_MS = 14 * DAY_MS
# Good transactions since the latest fraud are counted up to here; beyond it the place is clean.
GOOD_MAX = 1000


class Counts(NamedTuple):
    """What is known about one place: transactions and known frauds in 7 and 30 days, and its series of frauds.

    `first_known_ms` begins the present series; its earliest and latest fraud happened at `first_fraud_ms` and
    `last_fraud_ms`; `good_since` counts the good ones known since the place's latest fraud. -1: none.
    """

    tx_7d: int
    tx_30d: int
    fraud_30d: int
    last_known_ms: int
    fraud_7d: int = 0
    first_known_ms: int = -1
    good_since: int = 0
    first_fraud_ms: int = -1
    last_fraud_ms: int = -1


@dataclass(slots=True)
class Place:
    """What is counted about one place; `counts` reads it as of a day."""

    # Parallel lists, oldest first: UTC day numbers with their transactions; times at which frauds became known, with
    # the times at which they had happened.
    days: list[int] = field(default_factory=list)
    txs: list[int] = field(default_factory=list)
    frauds: list[int] = field(default_factory=list)
    happened: list[int] = field(default_factory=list)
    # Event time of the latest fraud known, and how many later transactions are known to be good.
    fraud_ms: int = -1
    good: int = 0

    def add_tx(self, day: int) -> None:
        """One transaction on this UTC day; days may come out of order."""
        days = self.days
        if not days or days[-1] < day:
            days.append(day)
            self.txs.append(1)
        elif days[-1] == day:
            self.txs[-1] += 1
        elif day in days:
            self.txs[days.index(day)] += 1
        else:
            at = sum(1 for d in days if d < day)
            days.insert(at, day)
            self.txs.insert(at, 1)

    def forget(self, today: int) -> None:
        """Drop what no window reaches any more."""
        days = self.days
        if days and days[0] <= today - FRAUD_DAYS:
            keep = bisect_right(days, today - FRAUD_DAYS)
            del days[:keep], self.txs[:keep]
        if not self.frauds:
            self.fraud_ms, self.good = -1, 0
            return
        keep = bisect_left(self.frauds, (today - FORGET_DAYS + 1) * DAY_MS)
        if keep:
            del self.frauds[:keep], self.happened[:keep]
        if not self.frauds:
            self.fraud_ms, self.good = -1, 0

    def know_fraud(self, event_time_ms: int, known_ms: int) -> None:
        """A fraud of `event_time_ms` became known."""
        place = bisect_right(self.frauds, known_ms)
        self.frauds.insert(place, known_ms)
        self.happened.insert(place, event_time_ms)
        del self.frauds[:-FRAUDS_MAX], self.happened[:-FRAUDS_MAX]
        if event_time_ms > self.fraud_ms:
            self.fraud_ms, self.good = event_time_ms, 0

    def withdraw(self, event_time_ms: int, known_ms: int) -> None:
        """Take one back; nothing where none such is known."""
        for place in range(bisect_left(self.frauds, known_ms), bisect_right(self.frauds, known_ms)):
            if self.happened[place] == event_time_ms:
                del self.frauds[place], self.happened[place]
                return

    def know_good(self, event_time_ms: int) -> bool:
        """A transaction turned out good; whether that changed anything."""
        counts = bool(self.frauds) and event_time_ms > self.fraud_ms and self.good < GOOD_MAX
        self.good += counts
        return counts

    def counts(self, today: int) -> Counts:
        """Windows and series as of this UTC day."""
        days, txs, frauds = self.days, self.txs, self.frauds
        since_30d, since_7d = bisect_right(days, today - FRAUD_DAYS), bisect_right(days, today - TRAFFIC_DAYS)
        tx_7d = sum(txs[since_7d:]) if since_7d < len(txs) else 0
        tx_30d = tx_7d + (sum(txs[since_30d:since_7d]) if since_30d < since_7d else 0)
        if not frauds:
            # Nearly all places.
            return Counts(tx_7d, tx_30d, 0, -1, 0, -1, self.good)
        first = 0
        for place in range(1, len(frauds)):
            if frauds[place] - frauds[place - 1] > SERIES_GAP_MS:
                first = place
        series = self.happened[first:]
        return Counts(
            tx_7d,
            tx_30d,
            len(frauds) - bisect_left(frauds, (today - FRAUD_DAYS + 1) * DAY_MS),
            frauds[-1],
            len(frauds) - bisect_left(frauds, (today - TRAFFIC_DAYS + 1) * DAY_MS),
            frauds[first],
            self.good,
            min(series),
            max(series),
        )


class Places:
    """All places of one sort, at most `places_max`: beyond it the least recently touched one goes."""

    def __init__(self, places_max: int) -> None:
        self.places_max = places_max
        self.evicted = 0
        self.places: dict[str, Place] = {}
        self._table: dict[str, Counts] = {}
        self._touched: dict[str, None] = {}
        self._today = -1

    def touch(self, place_id: str) -> Place:
        """The place, made if need be, as the latest touched."""
        place = self.places.pop(place_id, None)
        self.places[place_id] = place = Place() if place is None else place
        self._touched[place_id] = None
        if len(self.places) > self.places_max:
            oldest = next(iter(self.places))
            del self.places[oldest]
            self._table.pop(oldest, None)
            self._touched.pop(oldest, None)
            self.evicted += 1
        return place

    def know_good(self, place_id: str, event_time_ms: int) -> None:
        """Pass good news to a place; it neither makes one nor keeps one from eviction."""
        place = self.places.get(place_id)
        if place is not None and place.know_good(event_time_ms):
            self._touched[place_id] = None

    def table(self, today: int) -> dict[str, Counts]:
        """Counts of every place as of this UTC day; O(places touched), O(places) on a new day."""
        # Within a day only touched places change; a new day moves every window.
        changed = list(self.places) if today != self._today else list(self._touched)
        self._today = today
        self._touched = {}
        table = self._table
        for place_id in changed:
            place = self.places[place_id]
            place.forget(today)
            if place.days or place.frauds:
                table[place_id] = place.counts(today)
            else:
                del self.places[place_id]
                table.pop(place_id, None)
        return dict(table)

    def dump(self) -> list[Any]:
        """Plain lists and numbers for the checkpoint."""
        rows = [
            [place_id, p.days, p.txs, p.frauds, p.happened, p.fraud_ms, p.good] for place_id, p in self.places.items()
        ]
        return [self.evicted, self._today, list(self._touched), rows]

    def load(self, data: list[Any]) -> None:
        """Take over what `dump` wrote."""
        self.evicted, today, touched, rows = data
        self.places = {place_id: Place(*place) for place_id, *place in rows}
        self._today = today
        self._touched = dict.fromkeys(touched)
        # The cached table is a pure function of the counts: what was not touched since is as it was on that day.
        # A touched place may keep an older line until the next table, which rewrites it; here it has none until then.
        self._table = {i: p.counts(today) for i, p in self.places.items() if i not in self._touched}
