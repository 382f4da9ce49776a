"""What the drift benchmark says of a run: recall of the new typology by day, and when it is caught."""

from __future__ import annotations

from benchmarks.detection_run import Run, Scored
from benchmarks.drift import DAY_MS, FROM_DAY, MARK, figures, recall_by_day


def scored(caught_from: int, days: int) -> list[Scored]:
    """Two hundred events and two new frauds a day; one fraud is among the highest from a day on."""
    events = []
    for day in range(FROM_DAY + days):
        at_ms = day * DAY_MS
        events += [Scored(f"e-{day}-{number}", "c", at_ms, 0.01) for number in range(200)]
        if day >= FROM_DAY:
            high = 0.9 if day - FROM_DAY >= caught_from else 0.001
            events += [Scored(f"{MARK}{day}-0", "c", at_ms, high), Scored(f"{MARK}{day}-1", "c", at_ms, 0.001)]
    return events


def test_only_the_days_budget_of_the_highest_counts_as_caught() -> None:
    days = recall_by_day(scored(3, 10), 0)
    assert sorted(days) == list(range(FROM_DAY, FROM_DAY + 10))
    assert days[FROM_DAY + 2] == (0, 2)
    assert days[FROM_DAY + 3] == (1, 2)


def test_the_second_week_is_what_handling_can_change() -> None:
    early, late = (figures(Run(scored=scored(day, 40)), 0) for day in (7, 13))
    assert early["second_week_recall"] == 0.5
    assert late["second_week_recall"] == round(1 / 14, 3)
    assert early["steady_recall"] == late["steady_recall"] == 0.5
    assert late["days_until_half"] > early["days_until_half"] >= 7
