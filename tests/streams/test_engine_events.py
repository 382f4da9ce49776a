"""Which events are applied: once, in whatever order they come, unless they come too late."""

from __future__ import annotations

import pytest

from features.catalogue import NAMES
from features.events import Event, Transaction
from streams.rows import META_KEY
from tests.streams.driver import HOUR_MS, MINUTE_MS, STRICT_POLICY, Entry, engine, feed, recorded, rows_of, run, switch

START_MS = 1_735_689_600_000
# The numbers of the contract (docs/architecture.md), not of the code.
EVENT_IDS_MAX, LATE_MAX_MS = 32, 86_400_000


def spend(event_id: str, at_ms: int = START_MS, customer: str = "c-1", amount: int = 1_000) -> Event:
    return Transaction(
        event_id=event_id,
        customer_id=customer,
        event_time_ms=at_ms,
        schema_version=1,
        amount_minor=amount,
        currency="EUR",
        direction="debit",
        channel="pos",
    )


def numbered(count: int) -> list[Event]:
    return [spend(f"n-{n}", START_MS + (n + 1) * MINUTE_MS) for n in range(count)]


def dispositions(entries: list[Entry], batch: int | None = None) -> list[str]:
    return [decision["disposition"] for decision in run(entries, batch)[1].said()]


@pytest.mark.parametrize("batch", [1, None])
@pytest.mark.parametrize("between", [0, 1, EVENT_IDS_MAX - 1])
def test_an_id_among_the_last_32_is_a_duplicate(between: int, batch: int | None) -> None:
    entries = [spend("e"), *numbered(between), spend("e", START_MS + HOUR_MS)]
    assert dispositions(entries, batch)[-1] == "duplicate"


@pytest.mark.parametrize("batch", [1, None])
def test_an_id_beyond_the_last_32_is_applied_again(batch: int | None) -> None:
    entries = [spend("e"), *numbered(EVENT_IDS_MAX), spend("e", START_MS + HOUR_MS)]
    assert dispositions(entries, batch) == ["decision"] * len(entries)


def test_a_duplicate_is_not_remembered_as_newer() -> None:
    entries = [spend("e"), *numbered(EVENT_IDS_MAX - 1), spend("e"), spend("last", START_MS + HOUR_MS), spend("e")]
    assert dispositions(entries)[-3:] == ["duplicate", "decision", "decision"]


def test_the_same_id_of_another_customer_is_another_event() -> None:
    assert dispositions([spend("e"), spend("e", customer="c-2")]) == ["decision", "decision"]


def test_a_duplicate_leaves_the_row_and_its_alerts_as_they_are() -> None:
    target = engine(policy=STRICT_POLICY)
    feed(target, recorded([spend("a"), spend("b", START_MS + HOUR_MS, amount=900_000)]))
    row = target.snapshot()[b"c-1"]
    out = target.process(recorded([spend("b", START_MS + HOUR_MS, amount=900_000)], first=2))
    assert (out.alerts, out.risk_changes, set(out.rows)) == ([], [], {META_KEY})
    assert target.snapshot()[b"c-1"] == row


@pytest.mark.parametrize("batch", [1, None])
def test_exactly_24_hours_behind_is_applied_and_a_millisecond_more_is_late(batch: int | None) -> None:
    now_ms = START_MS + 3 * LATE_MAX_MS
    entries = [spend("now", now_ms), spend("edge", now_ms - LATE_MAX_MS), spend("late", now_ms - LATE_MAX_MS - 1)]
    assert dispositions(entries, batch) == ["decision", "decision", "late"]


def test_late_is_judged_by_the_customers_own_time() -> None:
    entries = [spend("now", START_MS + 90 * LATE_MAX_MS), spend("then", START_MS, customer="c-2")]
    assert dispositions(entries) == ["decision", "decision"]


def test_a_late_event_leaves_the_row_as_it_is_and_its_id_unknown() -> None:
    now_ms = START_MS + 3 * LATE_MAX_MS
    target = engine()
    feed(target, recorded([spend("now", now_ms)]))
    row = target.snapshot()[b"c-1"]
    out = target.process(recorded([spend("e", START_MS)], first=1))
    assert set(out.rows) == {META_KEY}
    assert target.snapshot()[b"c-1"] == row
    transcript = feed(target, recorded([spend("e", now_ms)], first=2))
    assert transcript.said()[0]["disposition"] == "decision"


def test_an_event_out_of_order_is_applied_and_time_does_not_go_back() -> None:
    earlier, latest = spend("earlier", START_MS), spend("latest", START_MS + 3 * HOUR_MS)
    target, transcript = run([latest, earlier, spend("next", START_MS + 3 * HOUR_MS)])
    assert [d["disposition"] for d in transcript.said()] == ["decision"] * 3
    counts = [d["features"][NAMES.index("tx_count_1d")] for d in transcript.said()]
    assert counts == [1.0, 2.0, 3.0]
    assert target.meta.watermark_ms == START_MS + 3 * HOUR_MS
    assert rows_of(target)["c-1"].hot.latest_ms == START_MS + 3 * HOUR_MS


def test_a_duplicate_is_a_duplicate_across_a_switch() -> None:
    entries = [spend("e"), switch(START_MS, 2, STRICT_POLICY), spend("e")]
    assert dispositions(entries) == ["decision", "control", "duplicate"]
