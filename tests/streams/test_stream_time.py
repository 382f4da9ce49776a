"""Stream time: the lowest watermark of the active partitions, and the wall clock only where it cannot run ahead."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.bulletin import StreamTime
from streams.settings import Settings

IDLE_S, LIVE_S = 10.0, 300.0
WALL_S = 1_735_689_600.0
WALL_MS = 1_735_689_600_000
OLD_MS = 1_533_081_600_000


def clock() -> StreamTime:
    return StreamTime(Settings(idle_after_s=IDLE_S, live_within_s=LIVE_S))


def test_nothing_known_is_no_time() -> None:
    assert clock().now_ms(WALL_S) == -1


def test_a_partition_without_events_says_nothing() -> None:
    time = clock()
    time.advance(0, -1, WALL_S)
    assert time.now_ms(WALL_S) == -1
    time.advance(1, OLD_MS, WALL_S)
    assert time.now_ms(WALL_S) == OLD_MS


def test_the_lowest_active_partition_counts() -> None:
    time = clock()
    time.advance(0, OLD_MS + 500, WALL_S)
    time.advance(1, OLD_MS, WALL_S)
    assert time.now_ms(WALL_S) == OLD_MS
    time.advance(1, OLD_MS + 900, WALL_S)
    assert time.now_ms(WALL_S) == OLD_MS + 500


def test_a_watermark_never_goes_back() -> None:
    time = clock()
    time.advance(0, OLD_MS, WALL_S)
    time.advance(0, OLD_MS - 1, WALL_S)
    assert time.now_ms(WALL_S) == OLD_MS


def test_a_partition_idle_for_too_long_holds_nobody_back() -> None:
    time = clock()
    time.advance(0, OLD_MS, WALL_S)
    time.advance(1, OLD_MS + 500, WALL_S + 5)
    assert time.now_ms(WALL_S + IDLE_S) == OLD_MS
    assert time.now_ms(WALL_S + IDLE_S + 0.1) == OLD_MS + 500


def test_the_same_watermark_again_is_no_progress() -> None:
    time = clock()
    time.advance(0, OLD_MS, WALL_S)
    time.advance(1, OLD_MS + 500, WALL_S + 9)
    time.advance(0, OLD_MS, WALL_S + 9)
    assert time.now_ms(WALL_S + 11) == OLD_MS + 500


def test_a_live_stream_that_falls_quiet_is_driven_by_the_wall_clock() -> None:
    time = clock()
    time.advance(0, WALL_MS, WALL_S)
    assert time.now_ms(WALL_S + 1) == WALL_MS
    assert time.now_ms(WALL_S + 60) == WALL_MS + 60_000 - int(IDLE_S * 1000)


def test_the_wall_clock_stops_five_minutes_after_the_input() -> None:
    time = clock()
    time.advance(0, WALL_MS, WALL_S)
    last = WALL_S + LIVE_S + IDLE_S
    assert time.now_ms(last) == WALL_MS + int(LIVE_S * 1000)
    assert time.now_ms(last + 0.001) == -1


def test_a_replay_of_old_data_never_meets_todays_clock() -> None:
    time = clock()
    time.advance(0, OLD_MS, WALL_S)
    assert time.now_ms(WALL_S) == OLD_MS
    # All quiet, and far from the clock: no time to be sure of, so no tick.
    assert time.now_ms(WALL_S + 60) == -1


def test_events_ahead_of_the_wall_clock_do_not_bring_it_in() -> None:
    time = clock()
    time.advance(0, WALL_MS + 600_000, WALL_S)
    assert time.now_ms(WALL_S + 1) == WALL_MS + 600_000
    time.advance(1, WALL_MS - 1_000, WALL_S + 1)
    assert time.now_ms(WALL_S + 1) == WALL_MS - 1_000


def test_a_partition_that_catches_up_is_not_overtaken_by_the_wall_clock() -> None:
    """Its events are hours behind and still coming: a tick of now would find their money missing."""
    time = clock()
    time.advance(0, WALL_MS, WALL_S)
    behind_ms = WALL_MS - 3 * 3_600_000
    for second in range(60):
        time.advance(1, behind_ms + second * 1000, WALL_S + second)
    assert time.now_ms(WALL_S + 60) == behind_ms + 59_000
    # Once it is idle nothing more is expected of it.
    assert time.now_ms(WALL_S + 70) == WALL_MS + 60_000


@settings(max_examples=200, deadline=None, print_blob=True)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-400_000, 400_000), st.integers(0, 30)), min_size=1, max_size=20)
)
def test_no_tick_is_further_ahead_of_an_active_partition_than_the_allowance(steps: list[tuple[int, int, int]]) -> None:
    time, now_s = clock(), WALL_S
    marks: dict[int, tuple[int, float]] = {}
    for partition, lag_ms, passed_s in steps:
        now_s += passed_s
        mark_ms = int(now_s * 1000) - lag_ms
        if partition not in marks or mark_ms > marks[partition][0]:
            marks[partition] = mark_ms, now_s
        time.advance(partition, mark_ms, now_s)
        reached = time.now_ms(now_s)
        active = [mark for mark, since in marks.values() if now_s - since <= IDLE_S]
        lowest = min(active, default=max(mark for mark, _ in marks.values()))
        assert reached <= lowest + LIVE_S * 1000
        assert reached <= max(lowest, int((now_s - IDLE_S) * 1000))
        assert reached >= 0 or not active
