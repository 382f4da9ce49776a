"""Seeded worlds in which everything goes wrong: no promise is broken, and every broken protocol is caught.

A failure prints its seed and what happened last; `python -m benchmarks.simulation --seed N --trace` tells all of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest

from tests.simulation.broken import BROKEN
from tests.simulation.world import HISTORY_MAX, run

SEEDS = 500
CAUGHT_WITHIN = 200
# What a thousand events of a world are worth depends on what happened to them: each of these must have happened.
MUST_HAPPEN = (
    "deaths", "clean stops", "pauses", "cut", "broker", "rebalances", "compact", "fenced", "model", "policy", "world",
    "transactions committed", "transactions aborted", "transactions timed out", "stale offset commits refused",
    "disks damaged", "inputs", "alerts", "risk changes", "derived", "duplicate", "late", "dead letters", "ticks",
    "switches", "without transactions",
)  # fmt: skip


def test_no_seed_breaks_a_promise_and_everything_has_happened() -> None:
    happened: Counter[str] = Counter()
    for seed in range(SEEDS):
        verdict = run(seed)
        assert not verdict.violations, str(verdict)
        happened.update(verdict.counts)
    assert [what for what in MUST_HAPPEN if happened[what] < SEEDS / 50] == [], dict(happened)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_protocol_is_caught(name: str) -> None:
    protocol, kinds = BROKEN[name]
    for seed in range(CAUGHT_WITHIN):
        verdict = run(seed, protocol)
        if kinds & {violation.kind for violation in verdict.violations}:
            break
    else:
        pytest.fail(f"{name}: not caught within {CAUGHT_WITHIN} seeds")
    said = str(verdict)
    assert f"seed {seed}: " in said
    assert 0 < len(verdict.history) <= HISTORY_MAX
    assert verdict.history[-1] in said


def test_a_seed_is_a_world() -> None:
    one, again, other = run(7), run(7), run(8)
    assert (one.digest, one.history, one.counts) == (again.digest, again.history, again.counts)
    assert one.digest != other.digest


def test_a_seed_is_the_same_world_in_another_process() -> None:
    script = "from tests.simulation.world import run; print(run(7).digest)"
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONHASHSEED": "12345"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == run(7).digest, done.stderr


def test_every_line_of_history_can_be_had() -> None:
    lines: list[str] = []
    verdict = run(7, told=lines.append)
    assert len(lines) > HISTORY_MAX
    assert lines[-HISTORY_MAX:] == verdict.history
