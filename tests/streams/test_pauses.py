"""A late turn of the loop is told, with what the loop was at."""

from __future__ import annotations

import gc

from streams.pauses import Pauses


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.wall_s = self.cpu_s = 0.0

    def pauses(self) -> Pauses:
        return Pauses(0.25, lambda: self.wall_s, lambda: self.cpu_s)


def test_a_turn_on_time_says_nothing() -> None:
    clock = Clock()
    pauses = clock.pauses()
    with pauses.during("a batch"):
        clock.wall_s = 0.2
    assert pauses.turn(due_s=0.1) is None


def test_a_late_turn_names_the_longest_section_and_the_cpu() -> None:
    clock = Clock()
    pauses = clock.pauses()
    with pauses.during("short"):
        clock.wall_s += 0.1
    with pauses.during("long"):
        clock.wall_s += 0.6
        clock.cpu_s += 0.5
    assert pauses.turn(due_s=0.1) == ("the loop stood still for 600 ms: long took 600 ms; the thread had 500 ms of CPU")
    # What was said is forgotten.
    clock.wall_s += 1.0
    assert pauses.turn(due_s=0.9) == (
        "the loop stood still for 800 ms: nothing of ours took 0 ms; the thread had 0 ms of CPU"
    )


def test_a_garbage_collection_is_named() -> None:
    pauses = Pauses(over_s=-1.0)
    try:
        pauses.watch_collector()
        gc.collect()
    finally:
        gc.callbacks.remove(pauses._collected)
    said = pauses.turn(due_s=0.0)
    assert said is not None
    assert "garbage collection of generation 2 took" in said
