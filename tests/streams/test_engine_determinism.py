"""The same records give the same bytes in any process: no hash order, clock, id or thread leaks into what is said."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.streams.driver import mixed, run

ROOT = Path(__file__).resolve().parents[2]
SEED = 1
PROGRAM = f"""
from tests.streams.driver import mixed, run
target, transcript = run(mixed({SEED}), 64)
print(transcript.digest(), len(transcript.decisions), len(transcript.alerts))
"""


def _start(hash_seed: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_with_other_hash_seeds_say_the_same_bytes() -> None:
    running = [_start(hash_seed) for hash_seed in ("0", "4711")]
    told = []
    for process in running:
        out, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        told.append(out.strip())
    _, here = run(mixed(SEED))
    assert len(here.alerts) > 10
    assert told == [f"{here.digest()} {len(here.decisions)} {len(here.alerts)}"] * 2


def test_a_digest_sees_one_changed_byte() -> None:
    _, one = run(mixed(SEED, 200))
    _, two = run(mixed(SEED, 200))
    assert one.digest() == two.digest()
    key, value = two.decisions[7]
    two.decisions[7] = key, value.replace(b"1", b"2", 1)
    assert one.digest() != two.digest()
