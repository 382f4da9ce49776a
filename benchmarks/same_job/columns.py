"""The features of a whole batch: what `job.update` computes event by event, from columns.

A customer's numbers are a row of one table; only the merchants of the last day are a dictionary each, and only they
are visited event by event. Equal to `job.update` within rounding (1e-12 relative).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from benchmarks.same_job.job import DAY_MS, HOME, HOUR_MS, NAMES, RISKY_MCC, TAUS_MS, TERMINAL_TAU_MS
from benchmarks.same_job.runs import Floats, Ints, Runs

PLACES = {name: place for place, name in enumerate(NAMES)}
_TAUS = np.array(TAUS_MS, dtype=np.float64).reshape(4, 1)
# Columns of the customers' table.
COUNTS, SUMS, TIME, N, MEAN, M2 = slice(0, 4), slice(4, 8), 8, 9, 10, 11
WIDTH = 12


class Payment(msgspec.Struct, gc=False):
    """What the job reads of an event."""

    event_id: str
    customer_id: str
    event_time_ms: int
    amount_minor: int
    channel: str
    merchant_id: str
    terminal_id: str
    mcc: str
    country: str
    is_fraud: bool


_decode_all = msgspec.json.Decoder(list[Payment]).decode


def decode(values: Sequence[bytes]) -> list[Payment]:
    """All events of a batch in one call; raises `msgspec.MsgspecError` when one is not a payment."""
    return _decode_all(b"[%b]" % b",".join(values))


class Slots(dict[str, int]):
    """Name → place in a table, given out in order of appearance; `names` by place."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __missing__(self, name: str) -> int:
        place = self[name] = len(self.names)
        self.names.append(name)
        return place


class _Flag(dict[str, float]):
    """Word → 1 or 0."""

    def __init__(self, known: Sequence[str], value: float) -> None:
        super().__init__(dict.fromkeys(known, value))
        self._other = 1.0 - value

    def __missing__(self, word: str) -> float:
        return self._other


class Features:
    """Customers' and terminals' tables of one process, and the features of each batch."""

    def __init__(self) -> None:
        self.customers, self.terminals = Slots(), Slots()
        self.table = np.zeros((1024, WIDTH))
        self.merchants: list[dict[str, int]] = []
        self._terminal_table = np.zeros((2, 1024))
        self._foreign, self._online = _Flag((HOME,), 0.0), _Flag(("ecom",), 1.0)
        self._risky = _Flag(sorted(RISKY_MCC), 1.0)

    def place(self, customer_id: str) -> int:
        """Where the customer is in `table` and `merchants`; a new one gets an empty place."""
        place = self.customers[customer_id]
        self._make_room()
        return place

    def update(self, events: Sequence[Payment]) -> tuple[Floats, Ints]:
        """Take a batch in.

        Parameters
        ----------
        events
            In order; at least one.

        Returns
        -------
        Features in the order of `NAMES`, shape (features, n); places of the customers touched, each once.
        """
        n = len(events)
        customers = np.fromiter(map(self.customers.__getitem__, [e.customer_id for e in events]), np.int64, n)
        terminals = np.fromiter(map(self.terminals.__getitem__, [e.terminal_id for e in events]), np.int64, n)
        self._make_room()
        times = np.array([e.event_time_ms for e in events], dtype=np.int64)
        amounts = np.array([e.amount_minor for e in events], dtype=np.float64) / 100
        columns = np.empty((len(NAMES), n))
        columns[0] = amounts
        np.log1p(amounts, out=columns[1])
        columns[PLACES["night"]] = times // HOUR_MS % 24 < 6
        columns[PLACES["weekend"]] = (times // DAY_MS + 3) % 7 >= 5
        columns[PLACES["foreign"]] = list(map(self._foreign.__getitem__, [e.country for e in events]))
        columns[PLACES["online"]] = list(map(self._online.__getitem__, [e.channel for e in events]))
        columns[PLACES["mcc_risky"]] = list(map(self._risky.__getitem__, [e.mcc for e in events]))
        columns[PLACES["terminal_7d"]] = self._traffic(terminals, times)
        numbers, news = self._variety(events, customers.tolist(), times.tolist())
        columns[PLACES["merchants_24h"]], columns[PLACES["merchant_new"]] = numbers, news
        return columns, self._rolling(columns, customers, times, amounts)

    def _rolling(self, columns: Floats, customers: Ints, times: Ints, amounts: Floats) -> Ints:
        runs = Runs(customers)
        old = self.table.take(runs.slots, axis=0).T
        amount, seen = amounts.take(runs.order), old[N].take(runs.run) + runs.position
        newest = runs.newest(times.take(runs.order), old[TIME].astype(np.int64))
        gap = (newest - runs.before(newest, old[TIME].astype(np.int64))).astype(np.float64)
        gap[seen == 0] = 0.0
        fade = np.exp(-gap / _TAUS)
        counts, sums = np.ones((4, len(amount))), np.tile(amount, (4, 1))
        counts[:, runs.first] += fade.take(runs.first, axis=1) * old[COUNTS]
        sums[:, runs.first] += fade.take(runs.first, axis=1) * old[SUMS]
        runs.recur(fade, counts, sums)
        # Both fade alike: their ratio before this event is the one after the event before.
        count_before, sum_before = runs.before(counts[3], old[3]), runs.before(sums[3], old[7])
        usual = np.divide(sum_before, count_before, out=amount.copy(), where=seen > 0)
        # Distances from the mean so far: a customer who always pays the same has a deviation of exactly nothing.
        origin = np.where(old[N] > 0, old[MEAN], amount.take(runs.first)).take(runs.run)
        mean = amount - origin
        runs.sum(mean)
        mean = origin + mean / (seen + 1)
        mean_before = runs.before(mean, old[MEAN])
        m2 = (amount - mean_before) * (amount - mean)
        m2[runs.first] += old[M2]
        runs.sum(m2)
        variance = runs.before(m2, old[M2]) / np.maximum(seen - 1, 1)
        known = (seen > 1) & (variance > 0)
        zscore = np.divide(amount - mean_before, np.sqrt(variance), out=np.zeros_like(amount), where=known)
        at = runs.order
        columns[2:6, at], columns[6:10, at] = counts, sums
        columns[PLACES["mean_ratio_30d"], at] = amount / (usual + 1.0)
        columns[PLACES["zscore_own"], at] = zscore
        columns[PLACES["gap_log"], at] = np.log1p(gap / 1000)
        end = runs.last
        new = np.vstack((counts[:, end], sums[:, end], newest[end], seen[end] + 1, mean[end], m2[end]))
        self.table[runs.slots] = new.T
        return runs.slots

    def _traffic(self, terminals: Ints, times: Ints) -> Floats:
        runs = Runs(terminals)
        old_count, old_time = self._terminal_table.take(runs.slots, axis=1)
        newest = runs.newest(times.take(runs.order), old_time.astype(np.int64))
        gap = newest - runs.before(newest, old_time.astype(np.int64))
        fade = np.exp(-gap / TERMINAL_TAU_MS)
        count = np.ones(len(times))
        count[runs.first] += fade.take(runs.first) * old_count
        runs.recur(fade, count)
        self._terminal_table[:, runs.slots] = count[runs.last], newest[runs.last]
        traffic = np.empty(len(times))
        traffic[runs.order] = count
        return traffic

    def _variety(
        self, events: Sequence[Payment], customers: list[int], times: list[int]
    ) -> tuple[list[int], list[bool]]:
        everyone = self.merchants
        numbers, news = [], []
        for place, event, time in zip(customers, events, times, strict=True):
            merchants, merchant = everyone[place], event.merchant_id
            if merchants:
                new = merchants.pop(merchant, None) is None
                merchants[merchant] = time
                after = time - DAY_MS
                while merchants[oldest := next(iter(merchants))] < after:
                    del merchants[oldest]
                news.append(new)
                numbers.append(len(merchants))
            else:
                merchants[merchant] = time
                news.append(True)
                numbers.append(1)
        return numbers, news

    def _make_room(self) -> None:
        while len(self.merchants) < len(self.customers):
            self.merchants.append({})
        if (room := len(self.table)) < len(self.customers):
            grown = np.zeros((max(2 * room, len(self.customers)), WIDTH))
            grown[:room] = self.table
            self.table = grown
        if (room := self._terminal_table.shape[1]) < len(self.terminals):
            wider = np.zeros((2, max(2 * room, len(self.terminals))))
            wider[:, :room] = self._terminal_table
            self._terminal_table = wider
