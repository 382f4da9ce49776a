"""Customers know nothing of partitions: any number of them leaves every customer the same row and the same records.

What must hold, and does: a customer's row is a function of the order of that customer's own events *and the ticks and
switches between them*. Same ticks at the same places, any number of partitions: the same bytes. Other ticks: the same
bytes too, as long as none is ahead of an event still to come. What does not hold, by design: a tick that runs ahead of
a customer's event (a partition that lags) finds the money missing that the event would have brought.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from features.events import Event, Indicator, InstalmentDue, Repayment, Tick
from streams.engine import Engine
from streams.send import partition_of
from tests.streams.driver import DAY_MS, HOUR_MS, Entry, Transcript, engine, feed, mixed, recorded, run, tick, town

Told = dict[bytes, list[bytes]]


def split(entries: Sequence[Entry], partitions: int) -> list[list[Entry]]:
    """Events to the partition Kafka would choose, controls to all."""
    parts: list[list[Entry]] = [[] for _ in range(partitions)]
    for entry in entries:
        if isinstance(entry, Event):
            parts[partition_of(entry.customer_id.encode(), partitions)].append(entry)
        elif isinstance(entry, Indicator):
            for part in parts:
                part.append(entry)
        elif isinstance(entry, tuple):
            parts[partition_of(entry[0], partitions) if entry[0] else 0].append(entry)
        else:
            for number, part in enumerate(parts):
                part.append(replace(entry, partition=number))
    return parts


def told(transcripts: list[Transcript]) -> tuple[Told, Told]:
    """Alerts and risk changes of every customer, in the customer's order."""
    alerts, changes = defaultdict(list), defaultdict(list)
    for transcript in transcripts:
        for key, value, _headers in transcript.alerts:
            alerts[key].append(value)
        for key, value, _headers in transcript.risk_changes:
            changes[key].append(value)
    return alerts, changes


def run_parts(parts: list[list[Entry]]) -> tuple[list[tuple[str, bytes]], tuple[Told, Told]]:
    engines: list[Engine] = []
    transcripts = []
    for number, part in enumerate(parts):
        target = engine(number, len(parts))
        transcripts.append(feed(target, recorded(part), 100))
        engines.append(target)
    state = sorted(pair for target in engines for pair in target.state())
    return state, told(transcripts)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("partitions", [2, 4])
def test_same_ticks_and_any_number_of_partitions_give_the_same_customers(seed: int, partitions: int) -> None:
    entries = [entry for entry in mixed(seed, 2_500) if not (isinstance(entry, tuple) and entry[0] is None)]
    parts = split(entries, partitions)
    assert sum(any(isinstance(entry, Event) for entry in part) for part in parts) > 1
    whole, apart = run_parts([entries]), run_parts(parts)
    assert len(whole[1][0]) > 5
    assert apart == whole, f"seed {seed}"


def with_ticks(events: list[Entry], rng: random.Random, last_ms: int) -> list[Entry]:
    """Ticks of a grid and lag of this partition's own, none ahead of its events."""
    every_ms, lag_ms = rng.choice((4 * HOUR_MS, 12 * HOUR_MS, 3 * DAY_MS)), rng.choice((0, HOUR_MS, 2 * DAY_MS))
    entries: list[Entry] = []
    said_ms = -1
    for entry in events:
        assert isinstance(entry, Event)
        now_ms = (entry.event_time_ms - lag_ms) // every_ms * every_ms
        if now_ms > said_ms:
            said_ms = now_ms
            entries.append(tick(now_ms))
        entries.append(entry)
    return [*entries, tick(last_ms)]


@pytest.mark.parametrize("seed", range(3))
def test_ticks_of_each_partitions_own_that_run_ahead_of_nobody_give_the_same_customers(seed: int) -> None:
    events: list[Entry] = list(town(seed=11 + seed))
    last_ms = max(event.event_time_ms for event in town(seed=11 + seed)) + 40 * DAY_MS
    results = []
    for partitions in (1, 2, 4):
        rng = random.Random(f"{seed}/{partitions}")
        parts = [with_ticks(part, rng, last_ms) for part in split(events, partitions)]
        for number, part in enumerate(parts):
            parts[number] = [replace(e, partition=number) if isinstance(e, Tick) else e for e in part]
        results.append(run_parts(parts))
    assert results[0] == results[1], f"seed {seed}"
    assert results[0] == results[2], f"seed {seed}"


def test_a_tick_ahead_of_a_payment_still_to_come_is_heard_and_stays_heard() -> None:
    """The limit of the promise: the log's order counts, and a lagging partition has another one."""
    due_ms = 1_735_689_600_000
    common = {"customer_id": "c-1", "schema_version": 1, "facility_id": "f-1", "amount_minor": 5_000}
    owed = InstalmentDue(event_id="due", event_time_ms=due_ms - DAY_MS, due_time_ms=due_ms, **common)  # type: ignore[arg-type]
    paid = Repayment(event_id="paid", event_time_ms=due_ms + HOUR_MS, **common)  # type: ignore[arg-type]
    ahead, behind = run([owed, tick(due_ms + 2 * DAY_MS), paid]), run([owed, paid, tick(due_ms + 2 * DAY_MS)])
    assert [alert["rule"] for alert in ahead[1].alerted()] == ["instalment_missed"]
    assert behind[1].alerted() == []
    assert list(ahead[0].state()) != list(behind[0].state())
    # The payment ends the arrears all the same: what differs is the history.
    facilities = ahead[1].changed()[-1]["state"]["facilities"]
    assert {facility["dpd_class"] for facility in facilities} <= {"current"}
