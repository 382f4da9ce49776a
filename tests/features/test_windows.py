"""Bucketed windows against brute force, and at their edges."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from features.windows import DAY, HOUR, MONTH, WEEK, Span, add, advance, count_of
from tests.features.oracle import WINDOWS, inside

SPANS = {"1h": HOUR, "1d": DAY, "7d": WEEK, "30d": MONTH}
STEPS = st.one_of(
    st.sampled_from([0, 1, 299_999, 300_000, 3_600_000, 86_400_000, 7 * 86_400_000, 30 * 86_400_000]),
    st.integers(0, 40 * 86_400_000),
    st.integers(0, 7_200_000),
)


def test_every_span_is_a_whole_number_of_buckets() -> None:
    for name, span in SPANS.items():
        assert (span.size_ms, span.bucket_ms) == WINDOWS[name]
        assert span.buckets_max * span.bucket_ms == span.size_ms


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    name=st.sampled_from(sorted(SPANS)),
    moves=st.lists(st.tuples(STEPS, st.integers(0, 86_400_000), st.integers(0, 10**13)), max_size=60),
)
def test_totals_equal_brute_force_with_ties_and_out_of_order(name: str, moves: list[tuple[int, int, int]]) -> None:
    span, window, seen = SPANS[name], [], []
    now = 1_500_000_000_000
    for step, behind, amount in moves:
        t = now - behind if behind % 3 == 0 else now + step
        now = max(now, t)
        seen.append((t, amount))
        add(window, t // span.bucket_ms, span.oldest(now), 1, amount)
        hits = [a for at, a in seen if inside(at, now, name)]
        assert (window[2:4] if window else [0, 0]) == [len(hits), sum(hits)]
        assert (len(window) - 4) / 3 <= span.buckets_max
        assert sum(window[5::3]) == len(hits)
        assert min(window[5::3], default=1) > 0, "an empty bucket is kept"
        if window:
            assert window[4] == 0
            assert sum(window[4::3]) == window[1] < span.buckets_max


def _counted(span: Span, t: int, now: int) -> int:
    window: list[int] = []
    add(window, t // span.bucket_ms, span.oldest(t), 1, 1)
    return count_of(window, span.oldest(now))


def test_event_exactly_window_old_is_excluded() -> None:
    for span in SPANS.values():
        for now in (1_500_000_000_000, 1_500_000_000_000 + span.bucket_ms - 1, 1_499_999_999_999):
            assert _counted(span, now - span.size_ms, now) == 0


def test_event_one_bucket_younger_than_the_window_is_included() -> None:
    for span in SPANS.values():
        for now in (1_500_000_000_000, 1_500_000_000_000 + span.bucket_ms - 1, 1_499_999_999_999):
            assert _counted(span, now - span.size_ms + span.bucket_ms, now) == 1


def test_event_now_is_included() -> None:
    assert all(_counted(span, 1_500_000_000_000, 1_500_000_000_000) == 1 for span in SPANS.values())


def test_out_of_order_event_whose_bucket_has_left_is_passed_over() -> None:
    window: list[int] = []
    now = 1_500_000_000_000
    add(window, now // HOUR.bucket_ms, HOUR.oldest(now), 1, 5)
    add(window, (now - HOUR.size_ms) // HOUR.bucket_ms, HOUR.oldest(now), 1, 7)
    assert window[2:4] == [1, 5]


def test_window_that_has_passed_is_empty_again() -> None:
    window: list[int] = []
    add(window, 10, 0, 1, 5)
    add(window, 12, 0, 1, 5)
    advance(window, 13)
    assert window == []
    assert count_of(window, 20) == 0


def test_full_month_is_small_when_packed() -> None:
    window: list[int] = []
    for day in range(100):
        add(window, 17_000 + day, 17_000 + day - 29, 1, 60_000)
    assert window[2:4] == [30, 30 * 60_000]
    assert len(msgspec.msgpack.encode(window)) < 170
