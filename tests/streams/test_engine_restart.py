"""Stop anywhere, restore, go on: nothing of what follows may tell that there was a stop."""

from __future__ import annotations

import random

import pytest

from alerts.state import next_due
from features import credit
from features.errors import RowError
from streams.engine import Engine
from streams.rows import META_KEY
from tests.streams.driver import DAY_MS, Raw, Transcript, engine, feed, mixed, recorded, rows_of, tick


def resumed(rows: dict[bytes, bytes]) -> Engine:
    # Another version than any row's own: what is in force must come from the rows.
    target = engine(model=2)
    target.restore(rows)
    return target


def pending(target: Engine) -> tuple[int, int]:
    """How many customers have a credit timer and an expiry to come."""
    timers = sum(credit.next_due(row.credit) is not None for row in rows_of(target).values())
    return timers, sum(next_due(row.risk) is not None for row in rows_of(target).values())


def tail(transcript: Transcript, rest: Transcript) -> Transcript:
    return Transcript(
        transcript.decisions + rest.decisions,
        transcript.alerts + rest.alerts,
        transcript.risk_changes + rest.risk_changes,
        transcript.dead_letters + rest.dead_letters,
        transcript.rows | rest.rows,
        transcript.events + rest.events,
    )


def places(records: list[Raw], seed: int) -> list[int]:
    rng = random.Random(seed)
    return sorted(rng.sample(range(1, len(records)), 6))


@pytest.mark.parametrize("seed", range(3))
def test_restart_anywhere_equals_uninterrupted(seed: int) -> None:
    records = recorded(mixed(seed, 800))
    whole = engine()
    uninterrupted = feed(whole, records, 100)
    timers = expiries = 0
    for k in places(records, seed):
        first = engine()
        transcript = feed(first, records[:k], 37)
        timers, expiries = timers + pending(first)[0], expiries + pending(first)[1]
        second = resumed(first.snapshot())
        assert second.meta == first.meta
        assert tail(transcript, feed(second, records[k:], 50)) == uninterrupted, f"seed {seed}, stopped after {k}"
        assert second.snapshot() == whole.snapshot(), f"seed {seed}, stopped after {k}"
    # The stops are worth something only where timers and expiries were waiting.
    assert timers > 0
    assert expiries > 0


@pytest.mark.parametrize("seed", range(3))
def test_many_restarts_in_one_stream_equal_none(seed: int) -> None:
    records = recorded(mixed(seed, 800))
    whole = engine()
    uninterrupted = feed(whole, records)
    target, transcript = engine(), Transcript()
    for first in range(0, len(records), 50):
        target = resumed(target.snapshot())
        transcript = tail(transcript, feed(target, records[first : first + 50]))
    assert transcript == uninterrupted
    assert target.snapshot() == whole.snapshot()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("batch", [1, 90])
def test_the_changelog_is_the_snapshot(seed: int, batch: int) -> None:
    records = recorded(mixed(seed, 500))
    target, changelog = engine(), {}
    for first in range(0, len(records), batch):
        changelog |= target.process(records[first : first + batch]).rows
        if first % (batch * 40) == 0:
            assert changelog == target.snapshot()
    assert changelog == target.snapshot()
    assert resumed(changelog).snapshot() == changelog


def test_restore_takes_the_place_of_everything_known() -> None:
    one, two = recorded(mixed(0, 400)), recorded(mixed(1, 400))
    target = engine()
    feed(target, two)
    other = engine()
    feed(other, one[:300])
    target.restore(other.snapshot())
    assert feed(target, one[300:]) == feed(other, one[300:])
    assert target.snapshot() == other.snapshot()


def test_rows_of_silent_customers_survive_and_wake_after_a_restart() -> None:
    records = recorded(mixed(2, 500)[:-1])
    first = engine()
    feed(first, records)
    late = [tick(first.meta.watermark_ms + 60 * DAY_MS)]
    second = resumed(first.snapshot())
    told = second.process((), late)
    assert told.decisions == first.process((), late).decisions
    assert len(told.decisions) > 3


def test_an_altered_row_stops_the_restore_and_names_the_customer() -> None:
    target = engine()
    feed(target, recorded(mixed(0, 100)))
    rows = target.snapshot()
    key = next(key for key in rows if key != META_KEY)
    rows[key] = rows[key][:-1] + bytes([rows[key][-1] ^ 1])
    with pytest.raises(RowError, match=key.decode()):
        engine().restore(rows)


def test_versions_in_force_that_the_library_lacks_stop_the_restore() -> None:
    target = engine()
    target.meta.model_version = 99
    with pytest.raises(KeyError):
        engine().restore(target.snapshot())
