"""What adapters share: what was asked for, what was counted, what could not be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from features.errors import RiskshiftError
from features.events import EVENT_TIME_MAX_MS, Event, Outcome


class SourceError(RiskshiftError):
    """A file, column or mapping that cannot be used; names it and says what was expected."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A line or row that could not become an event.

    `line` counts from 1: lines of a JSON file, data rows of a table. `code` is one of
    `features.events.REJECT_CODES`; `text` is the line itself, as far as it is text.
    """

    file: str
    line: int
    code: str
    reason: str
    text: str = ""


class Tally:
    """Counts of one reading; grows while the source is read."""

    __slots__ = ("on_reject", "rejected", "rows")

    def __init__(self, on_reject: Callable[[Reject], None] | None = None) -> None:
        self.rows = 0
        self.rejected = 0
        self.on_reject = on_reject

    def reject(self, reject: Reject) -> None:
        """Count a rejected row and tell who asked to know."""
        self.rejected += 1
        if self.on_reject is not None:
            self.on_reject(reject)


@dataclass(frozen=True, slots=True)
class Request:
    """What an adapter is asked to read."""

    path: Path
    mapping: Path | None
    from_ms: int | None
    until_ms: int | None
    label_delay_ms: int | None
    outcomes: bool
    tally: Tally

    @property
    def since(self) -> int:
        """First event time wanted."""
        return self.from_ms or 0

    @property
    def before(self) -> int:
        """First event time no longer wanted."""
        return EVENT_TIME_MAX_MS + 1 if self.until_ms is None else self.until_ms


class Source(Iterator[Event]):
    """An iterator of events that says how far it has come.

    `rows` are the rows in range that were read, good or bad; `rejected` those that became no event;
    `outcomes` the outcome events given out.
    """

    __slots__ = ("_events", "_tally", "outcomes")

    def __init__(self, events: Iterator[Event], tally: Tally) -> None:
        self._events = events
        self._tally = tally
        self.outcomes = 0

    @property
    def rows(self) -> int:
        """Rows or lines read, within the time range asked for."""
        return self._tally.rows

    @property
    def rejected(self) -> int:
        """Rows or lines that could not become an event."""
        return self._tally.rejected

    def __iter__(self) -> Source:
        return self

    def __next__(self) -> Event:
        event = next(self._events)
        if type(event) is Outcome:
            self.outcomes += 1
        return event
