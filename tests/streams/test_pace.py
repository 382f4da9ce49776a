"""A fetch waits for company only where company can be expected."""

from __future__ import annotations

import pytest

from streams.faust_batches import FETCH_WAIT_MS, Pace

PACE_MS = 15
AT_ONCE = (1, FETCH_WAIT_MS)


def asked(pace: Pace, records: int, every_s: float, fetches: int, began_s: float = 1000.0) -> list[tuple[int, int]]:
    return [pace.fetched(records, began_s + number * every_s) for number in range(fetches)]


@pytest.mark.parametrize(("records", "every_s"), [(1, 0.05), (1, 0.01), (0, 0.1), (4, 0.1)])
def test_quiet_events_are_fetched_at_once(records: int, every_s: float) -> None:
    assert set(asked(Pace(PACE_MS), records, every_s, 500)) == {AT_ONCE}


def test_a_first_batch_alone_is_no_load() -> None:
    assert asked(Pace(PACE_MS), 20, 1.0, 50) == [AT_ONCE] * 50


def test_under_load_a_fetch_waits_as_long_as_the_setting_says_and_no_longer_once_it_is_over() -> None:
    pace = Pace(PACE_MS)
    waits = asked(pace, 8, 0.002, 1000)
    assert waits[0] == AT_ONCE
    least_bytes, wait_ms = waits[-1]
    assert wait_ms == PACE_MS
    assert least_bytes > 100_000, "a fetch would end before its time"
    after = asked(pace, 0, 0.1, 60, began_s=1002.1)
    assert after[-1] == AT_ONCE


def test_zero_never_waits() -> None:
    assert set(asked(Pace(0), 1000, 0.001, 100)) == {AT_ONCE}
