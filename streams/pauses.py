"""How long the event loop stood still, and why: what it was at, or that the machine gave it no CPU.

Everything of a worker runs on one loop, so a pause delays every event. The worker asks at a steady pace; when its
turn comes late, the longest section since the last turn is named, with the CPU that the thread had meanwhile.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Pauses:
    """Watches one thread's loop; all methods are called from it.

    Parameters
    ----------
    over_s
        Pauses longer than this are told.
    now_s, cpu_s
        A steady clock, and the thread's CPU time.

    Examples
    --------
    >>> at = iter([1.0, 1.4, 2.0])
    >>> pauses = Pauses(0.25, lambda: next(at), lambda: 0.0)
    >>> with pauses.during("a batch"):
    ...     pass
    >>> pauses.turn(due_s=1.5)
    'the loop stood still for 500 ms: a batch took 400 ms; the thread had 0 ms of CPU'
    """

    def __init__(
        self, over_s: float = 0.25, now_s: Callable[[], float] = time.monotonic,
        cpu_s: Callable[[], float] = time.thread_time,
    ) -> None:  # fmt: skip
        self._over_s = over_s
        self._now_s, self._cpu_s = now_s, cpu_s
        self._longest_s, self._what = 0.0, "nothing of ours"
        self._gc_began_s = 0.0
        self._turn_cpu_s = cpu_s()

    def watch_collector(self) -> None:
        """Name garbage collections too."""
        if self._collected not in gc.callbacks:
            gc.callbacks.append(self._collected)

    @contextmanager
    def during(self, what: str) -> Iterator[None]:
        """A section without an await; the longest is named when a turn comes late."""
        began_s = self._now_s()
        try:
            yield
        finally:
            self.took(what, self._now_s() - began_s)

    def took(self, what: str, seconds: float) -> None:
        """A section that was timed elsewhere."""
        if seconds > self._longest_s:
            self._longest_s, self._what = seconds, what

    def turn(self, due_s: float) -> str | None:
        """The loop's turn, which was due at `due_s`; a sentence when it came too late."""
        now_s, cpu_s = self._now_s(), self._cpu_s()
        late_s, had_s = now_s - due_s, cpu_s - self._turn_cpu_s
        what, longest_s = self._what, self._longest_s
        self._longest_s, self._what, self._turn_cpu_s = 0.0, "nothing of ours", cpu_s
        if late_s <= self._over_s:
            return None
        return (
            f"the loop stood still for {late_s * 1000:.0f} ms: {what} took {longest_s * 1000:.0f} ms; "
            f"the thread had {had_s * 1000:.0f} ms of CPU"
        )

    def _collected(self, phase: str, info: dict[str, int]) -> None:
        now_s = time.monotonic()
        if phase == "start":
            self._gc_began_s = now_s
        else:
            self.took(f"garbage collection of generation {info['generation']}", now_s - self._gc_began_s)
