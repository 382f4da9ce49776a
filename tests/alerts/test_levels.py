from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.levels import Standing, Thresholds, reached, step

T = Thresholds((0.0, 0.15, 0.4, 0.75), (0.0, 0.08, 0.2, 0.4), calm_events=3, calm_ms=100)


def run(start: Standing, steps: list[tuple[float, int]], floor: int = 0) -> list[int]:
    levels, standing = [], start
    for probability, at_ms in steps:
        standing = step(standing, probability, floor, at_ms, T)
        levels.append(standing.level)
    return levels


def test_up_at_once_over_several_levels():
    assert run(Standing(0), [(0.75, 0)]) == [3]
    assert run(Standing(0), [(0.15, 0), (0.4, 1), (0.75, 2)]) == [1, 2, 3]


def test_a_probability_just_below_enter_does_not_raise():
    assert run(Standing(0), [(math.nextafter(0.15, 0), 0)]) == [0]


def test_flapping_around_enter_makes_one_shift():
    assert run(Standing(0), [(0.41, 0), (0.39, 50), (0.41, 500), (0.39, 900), (0.41, 2000)]) == [2] * 5


def test_flapping_around_exit_resets_the_calm():
    calm_twice_then_not = [(0.19, 0), (0.19, 200), (0.2, 400)] * 4
    assert run(Standing(2), calm_twice_then_not) == [2] * 12


def test_down_needs_both_count_and_time():
    assert run(Standing(2), [(0.1, 0), (0.1, 1), (0.1, 99)]) == [2, 2, 2]
    assert run(Standing(2), [(0.1, 0), (0.1, 500)]) == [2, 2]
    assert run(Standing(2), [(0.1, 0), (0.1, 50), (0.1, 100)]) == [2, 2, 1]


def test_down_one_level_at_a_time():
    calm = [(0.0, at * 50) for at in range(12)]
    assert run(Standing(3), calm) == [3, 3, 2, 2, 2, 1, 1, 1, 0, 0, 0, 0]


def test_a_rule_floor_raises_and_is_not_calm():
    assert run(Standing(0), [(0.0, 0)], floor=2) == [2]
    assert run(Standing(2), [(0.0, at * 100) for at in range(9)], floor=2) == [2] * 9


def test_not_a_number_is_neither_alarm_nor_calm():
    assert reached(math.nan, T) == 0
    assert run(Standing(2), [(math.nan, at * 100) for at in range(9)]) == [2] * 9


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 10_000)), max_size=40))
@settings(max_examples=200, deadline=None)
def test_level_is_never_below_what_the_present_probability_reaches(steps: list[tuple[float, int]]):
    standing = Standing(0)
    for probability, at_ms in steps:
        before = standing
        standing = step(standing, probability, 0, at_ms, T)
        assert standing.level >= reached(probability, T)
        assert standing.level >= before.level - 1
        assert probability < T.exit[before.level] or standing.level >= before.level
