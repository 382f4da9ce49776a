"""Indicators shared between customers: how busy a terminal, merchant or device is, and what fraud is known there.

The learner counts (`SharedIndicators`, place by place in `models/places.py`); workers read an immutable copy
(`SharedTable`) out of a snapshot.
"""

from __future__ import annotations

from typing import Any

from models.places import DAY_MS, TRAFFIC_DAYS, Counts, Places

__all__ = ["DAY_MS", "Counts", "SharedIndicators", "SharedTable"]

RECENT_HALF_LIFE_MS = 7 * DAY_MS
# The smoothing prior: a place is believed to have 0.5 % fraud as firmly as twenty transactions would say so.
PRIOR_RATE, PRIOR_COUNT = 0.005, 20

Figures = tuple[float, float, float, float, float, float, float, float]
_NOTHING = (0.0, PRIOR_RATE, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


class SharedTable:
    """Immutable look-ups for scoring; unknown places get the prior. About 0.2 µs a call.

    Examples
    --------
    >>> day = 86_400_000
    >>> table = SharedTable({"t-1": Counts(14, 60, 4, 9 * day, 3, 7 * day, 1, day, 3 * day)}, {})
    >>> table.terminal("t-1", at_ms=9 * day)
    (2.0, 0.05125, 3.0, 4.0, 1.0, 0.5, 8.0, 2.0)
    >>> table.terminal("t-2", at_ms=1_000)[:3], table.merchant(None, at_ms=1_000)
    ((0.0, 0.005, 0.0), (0.0, 0.005))
    """

    __slots__ = ("devices", "merchants", "terminals")

    def __init__(
        self, terminals: dict[str, Counts], merchants: dict[str, Counts], devices: dict[str, Counts] | None = None
    ) -> None:
        self.terminals = terminals
        self.merchants = merchants
        self.devices = devices or {}

    def terminal(self, terminal_id: str | None, at_ms: int) -> Figures:
        """The figures of a terminal at event time `at_ms`.

        Returns
        -------
        Transactions per day; fraud rate 0..1; frauds that became known in 7 and in 30 days; good transactions known
        since the latest fraud; 0.5 to that power; days since the first known fraud of the present series happened,
        and from that one to the last. Without frauds all but the first two are 0.
        """
        counts = self.terminals.get(terminal_id) if terminal_id else None
        if counts is None:
            return _NOTHING
        tx_7d, tx_30d, fraud_30d, known_ms, fraud_7d, _, good, first_ms, last_ms = counts
        rate = (fraud_30d + PRIOR_RATE * PRIOR_COUNT) / (tx_30d + PRIOR_COUNT)
        traffic, rate = tx_7d / TRAFFIC_DAYS, rate if rate < 1.0 else 1.0
        if known_ms < 0:
            return (traffic, rate, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        age = (at_ms - first_ms if at_ms > first_ms else 0) / DAY_MS
        span = (last_ms - first_ms) / DAY_MS
        return (traffic, rate, float(fraud_7d), float(fraud_30d), float(good), 0.5**good, age, span)

    def merchant(self, merchant_id: str | None, at_ms: int) -> tuple[float, float]:  # noqa: ARG002
        """(transactions per day, fraud rate 0..1); `at_ms` as for `terminal`, the figures move with snapshots."""
        counts = self.merchants.get(merchant_id) if merchant_id else None
        if counts is None:
            return (0.0, PRIOR_RATE)
        rate = (counts[2] + PRIOR_RATE * PRIOR_COUNT) / (counts[1] + PRIOR_COUNT)
        return (counts[0] / TRAFFIC_DAYS, rate if rate < 1.0 else 1.0)

    def device(self, device_id: str | None, at_ms: int) -> tuple[float, float, float, float]:
        """The figures of a device: transactions per day; fraud rate 0..1; freshness of the last known fraud 0..1; days
        since the first known fraud of the present series happened. The last two are 0 without frauds.
        """
        counts = self.devices.get(device_id) if device_id else None
        if counts is None:
            return (0.0, PRIOR_RATE, 0.0, 0.0)
        traffic, rate = counts[0] / TRAFFIC_DAYS, (counts[2] + PRIOR_RATE * PRIOR_COUNT) / (counts[1] + PRIOR_COUNT)
        rate, known_ms, first_ms = rate if rate < 1.0 else 1.0, counts[3], counts[7]
        if known_ms < 0:
            return (traffic, rate, 0.0, 0.0)
        recent = 0.5 ** ((at_ms - known_ms if at_ms > known_ms else 0) / RECENT_HALF_LIFE_MS)
        return (traffic, rate, recent, (at_ms - first_ms if at_ms > first_ms else 0) / DAY_MS)


class SharedIndicators:
    """The learner's counters per terminal, merchant and device, at most `entities_max` of each.

    Parameters
    ----------
    entities_max
        Beyond it the least recently touched place is evicted and counted; its figures fall back to the prior.
    """

    def __init__(self, entities_max: int = 200_000) -> None:
        self.entities_max = entities_max
        self._sorts = (Places(entities_max), Places(entities_max), Places(entities_max))

    @property
    def evicted(self) -> int:
        """Places thrown out so far because the table was full."""
        return sum(places.evicted for places in self._sorts)

    def update(
        self, terminal_id: str | None, merchant_id: str | None, event_time_ms: int, device_id: str | None = None
    ) -> None:
        """Count one transaction at its event time."""
        for places, place_id in zip(self._sorts, (terminal_id, merchant_id, device_id), strict=True):
            if place_id:
                places.touch(place_id).add_tx(event_time_ms // DAY_MS)

    def fraud_known(
        self, terminal_id: str | None, merchant_id: str | None, event_time_ms: int, known_ms: int,
        device_id: str | None = None,
    ) -> None:  # fmt: skip
        """Count one fraud of `event_time_ms` at the moment it became known."""
        for places, place_id in zip(self._sorts, (terminal_id, merchant_id, device_id), strict=True):
            if place_id:
                places.touch(place_id).know_fraud(event_time_ms, known_ms)

    def good_known(self, terminal_id: str | None, merchant_id: str | None, event_time_ms: int) -> None:
        """Count one transaction nobody complained about until its label was mature; matters where fraud is known."""
        for places, place_id in zip(self._sorts, (terminal_id, merchant_id), strict=False):
            if place_id:
                places.know_good(place_id, event_time_ms)

    def fraud_withdrawn(
        self, terminal_id: str | None, merchant_id: str | None, event_time_ms: int, known_ms: int,
        device_id: str | None = None,
    ) -> None:  # fmt: skip
        """Take back a fraud of `event_time_ms` counted at `known_ms`, because a later outcome says it was none."""
        for places, place_id in zip(self._sorts, (terminal_id, merchant_id, device_id), strict=True):
            if place_id:
                places.touch(place_id).withdraw(event_time_ms, known_ms)

    def table(self, as_of_ms: int) -> SharedTable:
        """An immutable copy as of event time `as_of_ms`; O(places touched), O(places) once a day."""
        today = as_of_ms // DAY_MS
        return SharedTable(*(places.table(today) for places in self._sorts))

    def dump(self) -> list[Any]:
        """Plain lists and numbers for the checkpoint; `load` restores an equal object."""
        return [self.entities_max, *(places.dump() for places in self._sorts)]

    @classmethod
    def load(cls, data: list[Any]) -> SharedIndicators:
        """Restore what `dump` wrote."""
        entities_max, *sorts = data
        indicators = cls(entities_max)
        for places, saved in zip(indicators._sorts, sorts, strict=True):
            places.load(saved)
        return indicators
