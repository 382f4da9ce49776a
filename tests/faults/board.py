"""A few bytes shared between a test and one worker slot: what the worker is doing, and where it shall stop.

The bytes are a file mapped into both processes, so that they outlive a kill -9: after it the test reads what was
under way. The worker writes `in_flight` and `struck`, the test everything else.
"""

from __future__ import annotations

import mmap
import signal
from pathlib import Path
from typing import Final

# In the order of a takeover and then of a batch. Each is a place where the worker waits for something, or has just
# waited: between any two of them the protocol has changed something outside the process.
POINTS: Final = (
    "fenced",  # takeover: the log is open, whoever owned the partition before is fenced
    "in_restore",  # takeover: some of the changelog is in the local rows, not all
    "restored",  # takeover done, nothing worked on yet
    "before_begin",  # the engine has spoken, nothing is sent
    "after_begin",
    "rows_sent",  # handed to the client, not acknowledged; alerts and decisions not even that
    "said_sent",  # everything handed to the client
    "all_acknowledged",  # the broker has all records, nothing is committed
    "commit_under_way",  # the commit is asked for, its answer not awaited
    "committed_not_local",  # durable, the local rows do not know
    "local_not_acked",  # durable everywhere, Faust has not been told
)
BATCH_POINTS: Final = POINTS[3:]
_IN_FLIGHT, _POINT, _PASSES, _STOP, _STRUCK, _SIZE = 0, 1, 2, 3, 4, 8


class Board:
    """The shared bytes of one slot; made if the file is missing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            path.write_bytes(bytes(_SIZE))
        with path.open("r+b") as file:
            self._bytes = mmap.mmap(file.fileno(), _SIZE)

    # --- the test's side ----------------------------------------------------------------------------------

    def arm(self, point: str, passes: int = 1, number: signal.Signals = signal.SIGKILL) -> None:
        """From now on, at the `passes`-th pass through `point`, the worker sends itself SIGKILL or SIGSTOP."""
        self._bytes[_STRUCK] = 0
        self._bytes[_PASSES] = passes
        self._bytes[_STOP] = number == signal.SIGSTOP
        # Last: from here on it counts.
        self._bytes[_POINT] = POINTS.index(point) + 1

    def disarm(self) -> None:
        """Nothing is to happen."""
        self._bytes[_POINT] = 0

    def begin(self) -> None:
        """Forget the former process of this slot; what is armed stays."""
        self._bytes[_IN_FLIGHT] = self._bytes[_STRUCK] = 0

    @property
    def in_flight(self) -> bool:
        """Whether a batch with records is (or, of a dead process, was) between its arrival and its acknowledgement."""
        return self._bytes[_IN_FLIGHT] > 0

    @property
    def struck(self) -> str | None:
        """The point at which the worker stopped itself, or None."""
        place = self._bytes[_STRUCK]
        return POINTS[place - 1] if place else None

    # --- the worker's side --------------------------------------------------------------------------------

    def enter(self) -> None:
        """A batch has come."""
        self._bytes[_IN_FLIGHT] += 1

    def leave(self) -> None:
        """A batch is done."""
        self._bytes[_IN_FLIGHT] -= 1

    def strike(self, point: str) -> signal.Signals | None:
        """Whether the worker shall stop here, and how."""
        place = POINTS.index(point) + 1
        if self._bytes[_POINT] != place:
            return None
        self._bytes[_PASSES] -= 1
        if self._bytes[_PASSES]:
            return None
        self._bytes[_POINT], self._bytes[_STRUCK] = 0, place
        return signal.SIGSTOP if self._bytes[_STOP] else signal.SIGKILL
