"""What will happen and when: the ordinary things of one day, and a heap of what is due later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import Any

Action = Callable[..., object]
Entry = tuple[int, int, Action, tuple[Any, ...]]


class Agenda:
    """Runs actions in time order; of equal times, the one entered first.

    An action is called as `action(time_ms, *args)` and may enter others at its own time or later.

    Examples
    --------
    >>> seen = []
    >>> agenda = Agenda()
    >>> agenda.at(20, lambda t: seen.append(t))
    >>> agenda.today(10, lambda t: agenda.at(15, lambda u: seen.append(u)))
    >>> for _ in agenda.run(until_ms=20): pass
    >>> seen, len(agenda)
    ([15], 1)
    """

    def __init__(self) -> None:
        self.now_ms = 0
        self._count = 0
        self._today: list[Entry] = []
        self._later: list[Entry] = []

    def __len__(self) -> int:
        return len(self._today) + len(self._later)

    def today(self, time_ms: int, action: Action, *args: Any) -> None:
        """Enter what happens before the end of the next `run`; cheaper than `at`, for the bulk of a day."""
        self._count += 1
        self._today.append((time_ms, self._count, action, args))

    def at(self, time_ms: int, action: Action, *args: Any) -> None:
        """Enter what happens at `time_ms`, or now if that is past."""
        self._count += 1
        heappush(self._later, (max(time_ms, self.now_ms), self._count, action, args))

    def run(self, until_ms: int) -> Iterator[None]:
        """Run everything before `until_ms`, pausing after each action so that its events can be handed on."""
        entries, self._today = self._today, []
        # Popping from the end is O(1) and lets the memory of what has happened go.
        entries.sort(reverse=True)
        later = self._later
        while True:
            if entries and (not later or entries[-1] < later[0]):
                time_ms, _, action, args = entries.pop()
            elif later and later[0][0] < until_ms:
                time_ms, _, action, args = heappop(later)
            else:
                break
            self.now_ms = time_ms
            action(time_ms, *args)
            yield
        self.now_ms = until_ms
