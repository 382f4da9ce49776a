"""Labelled rows → events in the order in which things become known: a row, and its outcome when its time has come."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

from features.events import Event, Outcome
from streams.sources.source import Labelled, Request


def known_in_time(rows: Iterable[Labelled], *, to_the_end: bool = True) -> Iterator[Labelled]:
    """The rows, and between them the outcomes, each before the first row that is not earlier than it.

    An outcome comes as a row of its own without outcome and id. Outcomes of the same moment keep the order of
    their rows. Those known after the last row follow it, `to_the_end`. Memory: the outcomes that are not known yet.
    """
    waiting: list[tuple[int, int, Outcome]] = []
    for number, row in enumerate(rows):
        at = row.event.event_time_ms
        while waiting and waiting[0][0] <= at:
            yield Labelled(heapq.heappop(waiting)[2])
        yield row
        if row.outcome is not None:
            heapq.heappush(waiting, (row.outcome.event_time_ms, number, row.outcome))
    while waiting and to_the_end:
        yield Labelled(heapq.heappop(waiting)[2])


def events_in_range(rows: Iterable[Labelled], request: Request) -> Iterator[Event]:
    """Events with their outcomes within the range asked for, counted; rows before it still bring their outcomes."""
    since, before, tally = request.since, request.before, request.tally
    for row in known_in_time(rows):
        event = row.event
        if since <= event.event_time_ms < before:
            tally.rows += row.row_id is not None
            yield event
