"""What adapters share: what was asked for, what was counted, what could not be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

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


class Labelled(NamedTuple):
    """A row as an event, with what is or will be known about it.

    `outcome` bears the time when it becomes known; None where nothing will be. `row_id` is the row's own id as the
    file has it, None for an outcome that comes by itself.
    """

    event: Event
    outcome: Outcome | None = None
    row_id: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What an adapter is asked to read.

    `sort` sorts a table that is not in time order instead of refusing it; `stem` is put before the ids of rows that
    have none of their own; without `labels` the column of the label may be missing.
    """

    path: Path
    mapping: Path | None
    from_ms: int | None
    until_ms: int | None
    label_delay_ms: int | None
    outcomes: bool
    tally: Tally
    sort: bool = False
    stem: str = ""
    labels: bool = True

    @property
    def since(self) -> int:
        """First event time wanted."""
        return self.from_ms or 0

    @property
    def before(self) -> int:
        """First event time no longer wanted."""
        return EVENT_TIME_MAX_MS + 1 if self.until_ms is None else self.until_ms

    def wants(self, at_ms: int | None) -> bool:
        """Whether a row of this time is counted; one without a time is."""
        return at_ms is None or self.since <= at_ms < self.before


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
