"""Figures of the world against their own past."""

from __future__ import annotations

from features.environment import FIGURES_MAX, STRESS_MAX, Environment


def fed(name: str, values: list[float], scope: str = "industry", scope_id: str = "steel") -> Environment:
    world = Environment({})
    for month, value in enumerate(values):
        world.observe(scope, scope_id, name, month, value)
    return world


def test_calm_figures_say_nothing_and_a_jump_does() -> None:
    assert fed("default_ratio", [2.0, 2.1, 1.9, 2.0, 2.05, 2.0]).stress("industry", "steel") < 1
    assert fed("default_ratio", [2.0, 2.1, 1.9, 2.0, 2.05, 4.0]).stress("industry", "steel") == STRESS_MAX


def test_which_way_is_bad_lies_in_the_name() -> None:
    falling = [100.0, 101.0, 99.0, 100.0, 100.0, 90.0]
    assert fed("output", falling).stress("industry", "steel") > 1
    assert fed("default_ratio", falling).stress("industry", "steel") == 0
    assert fed("rainfall", falling).stress("industry", "steel") == 0


def test_a_short_past_judges_nothing() -> None:
    assert fed("default_ratio", [2.0, 2.1, 9.0]).stress("industry", "steel") == 0


def test_another_scope_is_not_meant() -> None:
    world = fed("unemployment", [2.0, 2.1, 1.9, 2.0, 2.0, 9.0], "district", "north")
    assert world.stress("district", "north") > 1
    assert world.stress("industry", "north") == world.stress("district", "nor") == 0


def test_a_lasting_change_becomes_the_usual() -> None:
    assert fed("default_ratio", [2.0] * 12 + [3.0] * 60).stress("industry", "steel") < 1


def test_an_older_reading_is_passed_over() -> None:
    world = fed("output", [1.0, 2.0, 3.0])
    before = repr(world)
    world.observe("industry", "steel", "output", 0, 99.0)
    assert repr(world) == before


def test_figures_are_bounded_and_the_quietest_goes() -> None:
    world = Environment({})
    for n in range(FIGURES_MAX + 5):
        world.observe("industry", f"i{n}", "output", n, 1.0)
    assert len(world.figures) == FIGURES_MAX
    assert "industry/i4/output" not in world.figures
    assert "industry/i5/output" in world.figures
