"""Rolling counts and sums over event time, in buckets: exact integers, O(1) amortised, a flat list each.

The rule, which the oracle of the tests uses too. A window of size S in buckets of width b (S a multiple
of b) keeps, at time T, the buckets whose *start* lies in ``(T - S, T]``; an event at t lies in the bucket
``t // b``. So the newest S / b buckets count, the current one included: every event of the last S - b
is inside, an event exactly S old is outside, and nothing after T can be inside because T, the customer's
latest event time, never moves back. An out-of-order event is added to its own bucket while that is inside.

A window is ``[first, length, count, amount, gap, count, amount, gap, count, amount, ...]``: the number of the first
bucket and how far the last lies after it, running totals, then per bucket that is not empty the gap to the
one before (0 for the first), its count and its sum; ``[]`` when nothing is inside. Gaps instead of
bucket numbers take one byte each in the stored row.
"""

from __future__ import annotations

from dataclasses import dataclass

_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS
_DAY_MS = 24 * _HOUR_MS

_HEAD = 4


@dataclass(frozen=True, slots=True)
class Span:
    """A window's size and the width of its buckets; `buckets_max` bounds the list."""

    size_ms: int
    bucket_ms: int

    @property
    def buckets_max(self) -> int:
        """How many buckets can be inside at once."""
        return self.size_ms // self.bucket_ms

    def oldest(self, at_ms: int) -> int:
        """Number of the oldest bucket that is inside at `at_ms`.

        Examples
        --------
        >>> Span(3_600_000, 300_000).oldest(3_600_000)
        1
        """
        return at_ms // self.bucket_ms - self.buckets_max + 1


HOUR = Span(_HOUR_MS, 5 * _MINUTE_MS)
DAY = Span(_DAY_MS, _HOUR_MS)
WEEK = Span(7 * _DAY_MS, _DAY_MS)
MONTH = Span(30 * _DAY_MS, _DAY_MS)


def add(window: list[int], bucket: int, oldest: int, count: int, amount: int) -> None:
    """Add to one bucket and drop what has left the window; a bucket before `oldest` is passed over.

    Parameters
    ----------
    window
        As described in the module; changed in place.
    bucket
        ``t // bucket_ms`` of the event; it may lie before the newest bucket.
    oldest
        `Span.oldest` at the customer's latest event time.
    count, amount
        What to add.

    Examples
    --------
    >>> window: list[int] = []
    >>> add(window, bucket=7, oldest=0, count=1, amount=500)
    >>> add(window, bucket=5, oldest=0, count=1, amount=20)
    >>> window[2:4], window[4:]
    ([2, 520], [0, 1, 20, 2, 1, 500])
    """
    if window and window[0] < oldest:
        _drop(window, oldest)
    if not window:
        if bucket >= oldest:
            window += (bucket, 0, count, amount, 0, count, amount)
        return
    ahead = bucket - window[0] - window[1]
    if ahead == 0:
        window[2] += count
        window[3] += amount
        window[-2] += count
        window[-1] += amount
    elif ahead > 0:
        window[1] += ahead
        window[2] += count
        window[3] += amount
        window += (ahead, count, amount)
    elif bucket >= oldest:
        window[2] += count
        window[3] += amount
        _insert(window, bucket, count, amount)


def advance(window: list[int], oldest: int) -> None:
    """Drop the buckets before `oldest`; O(dropped)."""
    if window and window[0] < oldest:
        _drop(window, oldest)


def count_of(window: list[int], oldest: int) -> int:
    """Count inside the window from bucket `oldest` on; 0 when it is empty. Drops what has left.

    Examples
    --------
    >>> count_of([3, 6, 5, 0, 0, 2, 0, 6, 3, 0], oldest=4)
    3
    """
    if window and window[0] < oldest:
        _drop(window, oldest)
    return window[2] if window else 0


def since(window: list[int], oldest: int) -> tuple[int, int]:
    """(count, amount) of the buckets from `oldest` on, of a window that keeps older ones too; O(their number).

    Examples
    --------
    >>> since([3, 6, 7, 28, 0, 2, 8, 2, 1, 9, 4, 4, 11], oldest=5)
    (5, 20)
    """
    count = amount = 0
    if window:
        here, place = window[0] + window[1], len(window) - 3
        while here >= oldest and place >= _HEAD:
            count += window[place + 1]
            amount += window[place + 2]
            here -= window[place]
            place -= 3
    return count, amount


def _drop(window: list[int], oldest: int) -> None:
    if window[0] + window[1] < oldest:
        window.clear()
        return
    # The last bucket stays, so the walk ends before the list does.
    place = _HEAD
    first = window[0]
    while first < oldest:
        window[2] -= window[place + 1]
        window[3] -= window[place + 2]
        place += 3
        first += window[place]
    window[1] -= first - window[0]
    window[0] = first
    del window[_HEAD:place]
    window[_HEAD] = 0


def _insert(window: list[int], bucket: int, count: int, amount: int) -> None:
    # Out of order is mostly a little out of order, so the walk starts at the new end.
    place = len(window) - 3
    here = window[0] + window[1]
    while here > bucket and place > _HEAD:
        here -= window[place]
        place -= 3
    if here == bucket:
        window[place + 1] += count
        window[place + 2] += amount
    elif here < bucket:
        window[place + 3] -= bucket - here
        window[place + 3 : place + 3] = (bucket - here, count, amount)
    else:
        window[0] = bucket
        window[1] += here - bucket
        window[_HEAD] = here - bucket
        window[_HEAD:_HEAD] = (0, count, amount)
