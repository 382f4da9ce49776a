"""A batch seen as runs: the events of one customer (or terminal) behind one another, in order.

Faded counts obey ``y[k] = fade[k] * y[k - 1] + gain[k]`` within a run. `Runs.recur` solves all runs of a batch
together by doubling: after step s each place holds what its last 2**s events make of it. Only products of fades
and sums: nothing is divided or taken away, so no digits are lost, and what is zero stays zero.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Kind = TypeVar("Kind", bound=np.generic)
# Times are below 2**41 ms until 2039; runs in a batch are fewer than 2**20.
_APART = 1 << 42


class Runs:
    """Events sorted by whose they are, order kept.

    Parameters
    ----------
    slots
        Whose each event is; shape (n,), n at least 1.
    """

    def __init__(self, slots: Ints) -> None:
        self.order = np.argsort(slots, kind="stable")
        self._sorted = slots.take(self.order)
        n = len(slots)
        starts = np.empty(n, dtype=bool)
        starts[0] = True
        np.not_equal(self._sorted[1:], self._sorted[:-1], out=starts[1:])
        self.first = np.flatnonzero(starts)
        self.last = np.append(self.first[1:], n) - 1
        # Whose each run is, and the run of each event.
        self.slots = self._sorted.take(self.first)
        self.run = np.repeat(np.arange(len(self.first)), self.last - self.first + 1)
        self.position = np.arange(n) - self.first.take(self.run)
        self._steps: list[tuple[Ints, Ints]] = []
        step, rest = 1, np.flatnonzero(self.position >= 1)
        while len(rest):
            self._steps.append((rest, rest - step))
            step *= 2
            rest = rest[self.position.take(rest) >= step]

    def before(self, values: NDArray[Kind], initial: NDArray[Kind]) -> NDArray[Kind]:
        """Each event's value of the event before it in its run, `initial` (one a run) for the first; last axis."""
        shifted = np.empty_like(values)
        shifted[..., 1:] = values[..., :-1]
        shifted[..., self.first] = initial
        return shifted

    def recur(self, fade: Floats, *gains: Floats) -> None:
        """Solve the recurrence in place in each of `gains`, whose first of every run holds what came before it too.

        Parameters
        ----------
        fade
            What the value before is multiplied by, 0..1; shape as `gains`; spoilt. The first of a run does not matter.
        """
        for at, source in self._steps:
            factor = fade.take(at, axis=-1)
            for gain in gains:
                gain[..., at] += factor * gain.take(source, axis=-1)
            fade[..., at] = factor * fade.take(source, axis=-1)

    def sum(self, values: Floats) -> None:
        """Running sum in each run, in place."""
        for at, source in self._steps:
            values[at] += values.take(source)

    def newest(self, times: Ints, initial: Ints) -> Ints:
        """Running maximum in each run, at least `initial` (one a run)."""
        lifted = times + self.run * _APART
        starting = initial + np.arange(len(initial)) * _APART
        lifted[self.first] = np.maximum(lifted.take(self.first), starting)
        return np.maximum.accumulate(lifted) - self.run * _APART
