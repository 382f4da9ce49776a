"""A batch of N is N batches of one, to the byte: for every topic in its order, and for the rows."""

from __future__ import annotations

import itertools
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.engine import Engine
from streams.rows import META_KEY
from tests.streams.driver import (
    HOUR_MS,
    STRICT_POLICY,
    Entry,
    Transcript,
    engine,
    feed,
    mixed,
    recorded,
    run,
    switch,
    tick,
    town,
)


@cache
def at_once(seed: int) -> tuple[Engine, Transcript]:
    return run(mixed(seed))


def test_the_stream_of_these_tests_has_everything_in_it() -> None:
    for seed in range(3):
        _, transcript = at_once(seed)
        met = {decision["disposition"] for decision in transcript.said()}
        assert met == {"decision", "duplicate", "late", "control", "derived"}
        assert {d["kind"] for d in transcript.said() if d["disposition"] == "control"} == {
            "tick",
            "switch",
            "indicator",
        }
        assert {d["model_version"] for d in transcript.said()} == {1, 2, 3}
        assert any(d.get("anomaly_score") for d in transcript.said())
        assert len(transcript.dead_letters) > 5
        assert len(transcript.alerts) > 10
        assert {change["cause"]["kind"] for change in transcript.changed()} >= {"transaction", "signal", "expiry"}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("batch", [1, 2, 3, 7, 64, 1000])
def test_a_batch_of_n_is_n_batches_of_one(seed: int, batch: int) -> None:
    whole, all_at_once = at_once(seed)
    parts, in_batches = run(mixed(seed), batch)
    assert in_batches == all_at_once
    assert parts.snapshot() == whole.snapshot()


@settings(max_examples=15, deadline=None, print_blob=True)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=12), st.integers(0, 2))
def test_batches_of_any_uneven_sizes_say_the_same(sizes: list[int], seed: int) -> None:
    records = recorded(mixed(seed, 300))
    target, transcript = engine(), Transcript()
    at = 0
    for size in itertools.cycle([*sizes, 1]):
        transcript.add(target.process(records[at : at + size]))
        at += size
        if at >= len(records):
            break
    whole = engine()
    assert transcript == feed(whole, records)
    assert target.snapshot() == whole.snapshot()


@pytest.mark.parametrize("batch", [1, 5, 50])
def test_controls_of_the_owner_act_where_they_are_put_whatever_the_batches(batch: int) -> None:
    records = recorded(town()[:1000])
    at_ms = town()[500].event_time_ms
    controls = [tick(at_ms - at_ms % HOUR_MS), switch(at_ms, 2, STRICT_POLICY), tick(at_ms + HOUR_MS)]
    expected = None
    for size in (batch, None):
        target = engine()
        transcript = feed(target, records[:500], size)
        transcript.add(target.process((), controls))
        rest = feed(target, records[500:], size)
        for name in ("decisions", "alerts", "risk_changes", "dead_letters"):
            setattr(transcript, name, getattr(transcript, name) + getattr(rest, name))
        transcript.rows |= rest.rows
        if expected is None:
            expected = transcript.decisions, transcript.alerts, transcript.risk_changes, transcript.rows
    assert (transcript.decisions, transcript.alerts, transcript.risk_changes, transcript.rows) == expected


def test_controls_with_a_batch_are_controls_before_it() -> None:
    records = recorded(town()[:400])
    controls = [switch(town()[200].event_time_ms, 3), tick(town()[200].event_time_ms)]
    together, apart = engine(), engine()
    one, two = feed(together, records[:200]), feed(apart, records[:200])
    one.add(together.process(records[200:], controls))
    two.add(apart.process((), controls))
    two.add(apart.process(records[200:]))
    assert one == two
    assert together.snapshot() == apart.snapshot()


def test_records_at_or_below_the_applied_offset_are_passed_over() -> None:
    records = recorded(mixed(0, 300))
    target, other = engine(), engine()
    transcript = feed(target, records[:200])
    transcript.add(target.process(records[100:]))
    assert transcript == feed(other, records)
    again = target.process(records)
    assert (again.events, again.decisions, again.rows) == (0, [], {})


def test_an_empty_batch_says_nothing() -> None:
    out = engine().process(())
    assert (out.events, out.decisions, out.alerts, out.risk_changes, out.dead_letters, out.rows) == (
        0,
        [],
        [],
        [],
        [],
        {},
    )


def test_a_batch_writes_the_rows_it_touched_and_no_others() -> None:
    events = [event for event in town() if event.customer_id in {"c-00001", town()[0].customer_id}]
    target = engine()
    entries: list[Entry] = list(town()[:200])
    feed(target, recorded(entries))
    last = events[-1]
    out = target.process(recorded([last], first=200))
    assert set(out.rows) == {last.customer_id.encode(), META_KEY}
