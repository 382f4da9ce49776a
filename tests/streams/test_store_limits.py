"""Where the machine ends: a full disk is said and loses nothing, memory does not follow the customers."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.errors import StateError
from streams.rows import pack
from streams.store import LocalRows
from tests.streams.store_model import BINDING, History, held, replay, some_row

HOME = Path(__file__).resolve().parents[2]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 4 MiB."""
    path = tmp_path / "small"
    path.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(path)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"cannot mount a small file system here (needs root): {made.stderr.strip()}")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


def fill(rows: LocalRows) -> tuple[str, History]:
    """Commit until the disk refuses; what was said, and the history with the refused commit as its last."""
    rng, history = random.Random(8), History()
    for number in range(5_000):
        changes = [(f"c-{number}-{place}".encode(), pack(some_row(rng, number))) for place in range(9)]
        before = rows.position
        try:
            rows.commit(changes, history.add(changes))
        except StateError as error:
            assert rows.position == before
            return str(error), history
    raise AssertionError("the disk was never full")


SENTENCE = "free or mount the disk; nothing is lost, the changelog has every row"


def test_a_full_disk_ends_the_commit_with_a_sentence_and_loses_nothing(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2 << 20))
    rows = LocalRows(small_disk / "s", BINDING, 4)
    acknowledged, history = fill_checked(rows)
    rows.close()
    # Still full: it opens, or says so; it is not thrown away for that.
    try:
        LocalRows(small_disk / "s", BINDING, 4).close()
    except StateError as error:
        said = str(error)
    else:
        said = "No space left was needed"
    assert "No space left" in said
    ballast.unlink()
    rows = LocalRows(small_disk / "s", BINDING, 4)
    assert rows.rebuilt is None
    assert rows.position in (acknowledged, history.end)
    assert held(rows) == history.states[rows.position]
    replay(rows, history)
    assert held(rows) == history.states[history.end]
    rows.close()


def fill_checked(rows: LocalRows) -> tuple[int, History]:
    said, history = fill(rows)
    assert SENTENCE in said
    assert "No space left" in said or "File too large" in said
    assert rows.position > 0
    return rows.position, history


def test_a_limit_of_file_sizes_is_a_full_disk_too(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from tests.streams.test_store_limits import fill_checked; from streams.store import LocalRows\n"
        "rows = LocalRows(Path(sys.argv[1]), 'b', 4)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))\n"
        "print(fill_checked(rows)[0])\n"
        "import os; os._exit(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "s")], cwd=HOME, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = LocalRows(tmp_path / "s", "b", 4)
    assert rows.rebuilt is None
    assert rows.position in (int(done.stdout), int(done.stdout) + 9)
    assert len(rows) == rows.position
    rows.close()


# --- memory ---------------------------------------------------------------------------------------------

_MANY = """
import random, resource, sys
from pathlib import Path
from streams.rows import pack
from streams.store import LocalRows
from tests.streams.store_model import some_row
customers, rng = int(sys.argv[2]), random.Random(1)
bodies = [pack(some_row(rng, 1)) for _ in range(500)]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = LocalRows(Path(sys.argv[1]), "b", 1_000)
for first in range(0, customers, 1_000):
    chunk = [(b"customer-%d" % number, bodies[number % 500]) for number in range(first, first + 1_000)]
    rows.commit(chunk, first + 1_000)
for batch in range(30):
    touched = []
    for _ in range(1_000):
        customer = f"customer-{rng.randrange(customers)}"
        row = rows.get(customer)
        row.applied_offset += 1
        touched.append((customer.encode(), pack(row)))
    rows.commit(touched, customers + batch + 1)
assert len(rows) == customers
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_does_not_grow_with_customers(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _MANY, str(tmp_path / "s"), "200000"], cwd=HOME, capture_output=True, text=True,
        timeout=240, check=True,
    )  # fmt: skip
    grown_mib = int(done.stdout) >> 10
    # Block cache and write buffers are 64 MiB each; the rows as objects would be several hundred.
    assert grown_mib < 250, grown_mib
