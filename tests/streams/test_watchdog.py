"""The watchdog ends what has work and does none, and nothing else."""

from __future__ import annotations

from streams.watchdog import Progress, Watchdog

STALL_S = 60.0


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def watch(progress: list[Progress]) -> tuple[Watchdog, Clock]:
    clock = Clock()
    dog = Watchdog(STALL_S, lambda: progress, lambda _reason: None, clock)
    assert dog.check() is None
    return dog, clock


def test_work_that_does_not_move_is_a_stall() -> None:
    dog, clock = watch([Progress(3, position=10, end=50, yielded=9, applied=9)])
    clock.now_s += STALL_S + 1
    dog.beat()
    reason = dog.check()
    assert reason is not None
    assert "partition 3" in reason
    assert "10 of 50" in reason


def test_fetched_and_never_applied_is_a_stall() -> None:
    dog, clock = watch([Progress(0, position=50, end=50, yielded=49, applied=20)])
    clock.now_s += STALL_S + 1
    dog.beat()
    assert dog.check() is not None


def test_an_idle_partition_is_no_stall() -> None:
    dog, clock = watch([Progress(0, position=50, end=50, yielded=49, applied=49)])
    clock.now_s += 100 * STALL_S
    dog.beat()
    assert dog.check() is None


def test_slow_progress_is_progress() -> None:
    progress = [Progress(0, 10, 1000, 9, 9)]
    dog, clock = watch(progress)
    for step in range(10):
        clock.now_s += STALL_S - 1
        progress[0] = Progress(0, 11 + step, 1000, 10 + step, 10 + step)
        dog.beat()
        assert dog.check() is None


def test_patience_begins_again_after_a_rebalance() -> None:
    progress = [Progress(0, 10, 50, 9, 9)]
    dog, clock = watch(progress)
    clock.now_s += STALL_S - 1
    kept = progress.pop()
    dog.beat()
    assert dog.check() is None
    progress.append(kept)
    clock.now_s += STALL_S - 1
    dog.beat()
    assert dog.check() is None


def test_an_event_loop_that_hangs_is_a_stall() -> None:
    dog, clock = watch([])
    clock.now_s += STALL_S + 1
    reason = dog.check()
    assert reason is not None
    assert "event loop" in reason
