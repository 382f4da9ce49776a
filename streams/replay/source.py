"""Any file as steps: events in their order, dealt out to partitions, cut by the grid on which processes meet."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import count

from features.events import Event, encode
from streams.replay.errors import ReplayError
from streams.replay.work import DAY_MS, HOUR_MS, STEP_EVENTS_MAX, Hour, Record, Step, partition_of

# Partition, record and the event time at which it counts.
Entry = tuple[int, Record, int]


def entries_of(events: Iterable[Event], customers: Collection[str] = ()) -> Iterator[Entry]:
    """Records of events, numbered within their partition; of these customers only, if any are named."""
    offsets: dict[int, count[int]] = {}
    for event in events:
        if customers and event.customer_id not in customers:
            continue
        key = event.customer_id.encode()
        partition = partition_of(key)
        offset = next(offsets.setdefault(partition, count()))
        yield partition, Record(offset, key, encode(event)), event.event_time_ms


def steps_of(entries: Iterable[Entry], every_ms: int) -> Iterator[Step]:
    """Steps in order; a late record counts in the hour that was reached when it came.

    Parameters
    ----------
    entries
        In the order of each partition.
    every_ms
        Event time between two meetings: a divisor or a multiple of an hour.

    Returns
    -------
    Steps with a tick at the end of every hour. Between two steps with records lies at most one without: it has a
    tick at each midnight, so that silence is noticed and years of it are not thousands of meetings.

    Raises
    ------
    ReplayError
        More than `STEP_EVENTS_MAX` records in a step.
    """
    tick_every_ms = min(HOUR_MS, every_ms)
    number = size = 0
    start = reached = -1
    hours: dict[int, dict[int, list[Record]]] = {}
    for partition, record, at_ms in entries:
        reached = max(reached, at_ms)
        if start < 0 or reached >= start + every_ms:
            before, start = start, reached // every_ms * every_ms
            if before >= 0:
                yield _step(number, before, every_ms, tick_every_ms, hours)
                number, hours, size = number + 1, {}, 0
                if start > before + every_ms:
                    yield _silence(number, before + every_ms, start)
                    number += 1
        size += 1
        if size > STEP_EVENTS_MAX:
            raise ReplayError(
                f"expected at most {STEP_EVENTS_MAX:,} events in {every_ms // 60_000} minutes of event time, found "
                "more: let models come more often (--publish-every)"
            )
        hours.setdefault(reached // tick_every_ms, {}).setdefault(partition, []).append(record)
    if start >= 0:
        yield _step(number, start, every_ms, tick_every_ms, hours)


def _step(
    number: int, start: int, every_ms: int, tick_every_ms: int, hours: dict[int, dict[int, list[Record]]]
) -> Step:
    ticks = range(start + tick_every_ms, start + every_ms + 1, tick_every_ms)
    return Step(number, [Hour(tick, hours.get(tick // tick_every_ms - 1, {})) for tick in ticks])


def _silence(number: int, start: int, end: int) -> Step:
    midnights = range((start // DAY_MS + 1) * DAY_MS, end, DAY_MS)
    return Step(number, [Hour(tick) for tick in (*midnights, end)])
