"""The supervisor: starts again what ended, gives up on what keeps failing, waits for what it cannot mend."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from streams import supervisor as module
from streams.supervisor import RESTARTS_MAX, Said, Supervisor

# Ends at once, and well: for a supervisor any end is one too many.
ENDS = ("child", ["--version"])


def watch_until(supervisor: Supervisor, done: Callable[[], bool]) -> str | None:
    """Watch as the command does, for a minute at most."""
    deadline = time.monotonic() + 60
    return supervisor.run(lambda: done() or time.monotonic() > deadline)


def test_gives_up_on_a_child_that_keeps_ending_and_says_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BACKOFF_S", (0.0,))
    said: list[Said] = []
    supervisor = Supervisor([ENDS], on_said=said.append)
    supervisor.start()
    problem = watch_until(supervisor, lambda: False)
    assert problem is not None
    assert f"child ended {RESTARTS_MAX + 1} times" in problem
    assert "riskshift" in problem
    assert supervisor.restarts == RESTARTS_MAX


def test_waits_while_a_start_would_be_in_vain_and_does_not_count_it() -> None:
    said: list[Said] = []
    why: list[str | None] = ["nobody answers"]
    supervisor = Supervisor([ENDS], on_said=said.append, why_wait=lambda: why[0])
    supervisor.start()
    child = supervisor.children[0]
    began = time.monotonic()
    # Several of its pauses.
    assert watch_until(supervisor, lambda: child.waiting and time.monotonic() - began > 3.0) is None
    assert len(child.starts) == 1
    assert [line for line in said if line["worker"] == "waiting"] == [
        {"worker": "waiting", "name": "child", "reason": "nobody answers"}
    ]
    why[0] = None
    assert watch_until(supervisor, lambda: len(child.starts) == 2) is None
    assert len(child.starts) == 2
    assert not child.waiting
    assert supervisor.stop(5.0) == 0
