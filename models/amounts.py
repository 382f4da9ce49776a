"""Amounts beside their curve: the unit a stream counts in, and the exact amounts that frauds repeat.

The catalogue's scales and the expert's weights are made for a currency in which an ordinary payment is some tens of
units. Where it is hundreds of thousands (rupiah, dong) every amount would look the same; divided by a power of ten
they look as they do at home. And thieves who test cards repeat an amount to the cent, which no curve can single out.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from models.shaping import Floats

# So many amounts are looked at before the unit is settled, once and for ever.
UNIT_SAMPLE = 1000
# An ordinary payment where the unit is 1: the center of `amount_last` in the catalogue, as log10 of minor units.
_ORDINARY = 8.0 / math.log(10.0)
# Closer than this to it, in powers of ten, nothing is changed: people and countries differ as much.
_NEAR = 0.8

KNOWN_MAX = 256
# An amount is known once so many frauds had it; only so many that came less often are remembered.
KNOWN_FRAUDS, COUNTED_MAX = 3, 4096


def unit_of(amounts: Floats) -> float:
    """What amounts are to be divided by so that their median is an ordinary payment: a power of ten.

    Parameters
    ----------
    amounts
        Minor units, more than 0; shape (n,), n at least 1.

    Examples
    --------
    >>> unit_of(np.array([2_000.0, 4_000.0, 90_000.0])), unit_of(np.array([55_000_000.0])), unit_of(np.array([70.0]))
    (1.0, 10000.0, 0.01)
    """
    apart = math.log10(float(np.median(amounts))) - _ORDINARY
    return 10.0 ** round(apart) if abs(apart) > _NEAR else 1.0


class Unit:
    """Settles the unit on the first `UNIT_SAMPLE` amounts; until then it is 1."""

    def __init__(self) -> None:
        self.value = 1.0
        self._sample: list[float] | None = []

    def observe_many(self, amounts: Floats) -> None:
        """See events' amounts, minor units; events without one do not count."""
        if self._sample is None:
            return
        self._sample += amounts[amounts > 0.0].tolist()
        if len(self._sample) >= UNIT_SAMPLE:
            self.value = unit_of(np.array(self._sample[:UNIT_SAMPLE]))
            self._sample = None

    def dump(self) -> list[Any]:
        """Plain values for the checkpoint."""
        return [self.value, None if self._sample is None else list(self._sample)]

    def load(self, saved: list[Any]) -> None:
        """Restore what `dump` wrote."""
        self.value, self._sample = saved


class KnownAmounts:
    """Exact amounts that several frauds had, at most `KNOWN_MAX`; each has a slot, its input of the curves' regression.

    When all slots are taken the amount whose last fraud is longest ago gives way.

    Attributes
    ----------
    slots
        Amount in minor units to slot, the one with the latest fraud last.

    Examples
    --------
    >>> known = KnownAmounts()
    >>> [known.learn_fraud(100.0) for _ in range(4)]
    [None, None, 0, None]
    >>> known.slots
    {100.0: 0}
    """

    def __init__(self) -> None:
        self.slots: dict[float, int] = {}
        self._counts: dict[float, int] = {}

    def learn_fraud(self, amount: float) -> int | None:
        """A fraud had this amount; the slot that is its own from now on and must begin at nothing, if it is new."""
        slot = self.slots.pop(amount, None)
        if slot is not None:
            self.slots[amount] = slot
            return None
        count = self._counts.pop(amount, 0) + 1
        if amount <= 0.0:
            return None
        if count < KNOWN_FRAUDS:
            self._counts[amount] = count
            if len(self._counts) > COUNTED_MAX:
                del self._counts[next(iter(self._counts))]
            return None
        slot = len(self.slots) if len(self.slots) < KNOWN_MAX else self.slots.pop(next(iter(self.slots)))
        self.slots[amount] = slot
        return slot

    def compile(self, heights: Floats) -> tuple[Floats, Floats]:
        """Known amounts, rising, and what each adds; `heights` are by slot, shape (KNOWN_MAX,)."""
        amounts = sorted(self.slots)
        places = np.array([self.slots[amount] for amount in amounts], dtype=np.intp)
        return np.array(amounts, dtype=np.float64), heights.take(places)

    def dump(self) -> list[dict[float, int]]:
        """Plain values for the checkpoint; their order is part of them."""
        return [dict(self.slots), dict(self._counts)]

    def load(self, saved: list[dict[float, int]]) -> None:
        """Restore what `dump` wrote."""
        self.slots, self._counts = saved
