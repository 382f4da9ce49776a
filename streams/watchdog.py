"""Ends a process that has work and does none.

A consumer can stall without an error, and Faust's own heartbeat goes on from its thread, so the group would
wait for ever. This is a thread of its own, because the event loop may be what hangs. It holds three figures of
each partition against each other: the end of the log, how far was fetched, how far was applied.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

_LOOK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Of one partition: next offset to fetch, first offset after the log's end, last offset yielded and applied."""

    partition: int
    position: int
    end: int
    yielded: int
    applied: int

    @property
    def has_work(self) -> bool:
        """Whether something is to be fetched or applied."""
        return self.position < self.end or self.yielded > self.applied


class Watchdog:
    """Calls `on_stall` with a sentence when a partition has work and does not move for `stall_s`.

    Parameters
    ----------
    stall_s
        Patience, seconds.
    look
        Progress of every owned partition now; empty while a rebalance is under way, which is no stall.
    on_stall
        Called once, from the watchdog's thread, with the reason.
    now_s
        A steady clock.
    """

    def __init__(
        self,
        stall_s: float,
        look: Callable[[], Iterable[Progress]],
        on_stall: Callable[[str], None],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stall_s = stall_s
        self._look = look
        self._on_stall = on_stall
        self._now_s = now_s
        self._moved: dict[int, tuple[Progress, float]] = {}
        self._beat_s = now_s()
        self._stop = threading.Event()

    def beat(self) -> None:
        """The event loop is alive; to be called from it, often."""
        self._beat_s = self._now_s()

    def start(self) -> None:
        """Watch from a thread until `stop`."""
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """Stop watching."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_EVERY_S):
            reason = self.check()
            if reason is not None:
                self._on_stall(reason)
                return

    def check(self) -> str | None:
        """Look once; the reason to end, or None."""
        now_s = self._now_s()
        if now_s - self._beat_s > self._stall_s:
            return f"the event loop has not moved for {now_s - self._beat_s:.0f} s"
        seen = {progress.partition: progress for progress in self._look()}
        for partition in [partition for partition in self._moved if partition not in seen]:
            del self._moved[partition]
        for partition, progress in seen.items():
            before = self._moved.get(partition)
            if before is None or not progress.has_work or _moves(before[0], progress):
                self._moved[partition] = (progress, now_s)
            elif now_s - before[1] > self._stall_s:
                return (
                    f"partition {partition} has work and has not moved for {now_s - before[1]:.0f} s: "
                    f"fetched to {progress.position} of {progress.end}, "
                    f"handed over to {progress.yielded}, applied to {progress.applied}"
                )
        return None


def _moves(before: Progress, now: Progress) -> bool:
    return (before.position, before.yielded, before.applied) != (now.position, now.yielded, now.applied)
