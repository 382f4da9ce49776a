"""Whose a store is: one process at a time, one deployment, until it is killed or the store forgotten."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.errors import StateError
from streams.rocks import forget
from streams.rows import META_KEY, pack
from streams.store import LocalRows
from tests.streams.store_model import BINDING, History, held, meta_row, some_row, written

HOME = Path(__file__).resolve().parents[2]


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Callable[..., LocalRows]]:
    """Opens stores, and closes what is open at the end."""
    opened: list[LocalRows] = []

    def store(name: str = "s", cached_max: int = 3, binding: str = BINDING) -> LocalRows:
        opened.append(LocalRows(tmp_path / name, binding, cached_max))
        return opened[-1]

    yield store
    for rows in opened:
        rows.close()


_WRITER = """
import random, sys
from pathlib import Path
from streams.rows import META_KEY
from streams.store import LocalRows
from tests.streams.store_model import BINDING, meta_row, some_row
from streams.rows import pack
rows, rng = LocalRows(Path(sys.argv[1]), BINDING, 5), random.Random(3)
for number in range(1_000_000):
    changes = [(f"c-{rng.randrange(50)}".encode(), pack(some_row(rng, number))) for _ in range(9)]
    rows.commit([*changes, (META_KEY, meta_row(number))], 10 * number + 10)
    print(number, flush=True)
"""


def test_a_killed_process_loses_no_commit(tmp_path: Path) -> None:
    for kill_after in (1, 40, 300):
        path = tmp_path / str(kill_after)
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path)], cwd=HOME, stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            said = [int(next(writer.stdout)) for _ in range(kill_after)]
            writer.kill()
            said += [int(line) for line in writer.stdout if line.endswith("\n")]
        history, rng = History(), random.Random(3)
        for number in range(said[-1] + 2):
            changes: list[tuple[bytes, bytes | None]] = [
                (f"c-{rng.randrange(50)}".encode(), pack(some_row(rng, number))) for _ in range(9)
            ]
            history.add([*changes, (META_KEY, meta_row(number))])
        rows = LocalRows(path, BINDING, 5)
        assert rows.rebuilt is None
        assert rows.position in (10 * said[-1] + 10, 10 * said[-1] + 20)
        assert held(rows) == history.states[rows.position]
        rows.close()


def test_rows_of_another_cluster_are_refused_and_kept(tmp_path: Path, stores: Callable[..., LocalRows]) -> None:
    rows, history = written(tmp_path / "s", seed=1)
    rows.close()
    with pytest.raises(StateError, match=f"belong to {BINDING}, this is elsewhere.*use the right broker, or remove"):
        stores(binding="elsewhere")
    again = stores()
    assert again.rebuilt is None
    assert held(again) == history.states[history.end]


def test_an_empty_store_is_bound_too(stores: Callable[..., LocalRows]) -> None:
    stores().close()
    with pytest.raises(StateError, match="this is elsewhere"):
        stores(binding="elsewhere")


def test_a_store_that_another_process_holds_is_refused(tmp_path: Path, stores: Callable[..., LocalRows]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(tmp_path / "rows/1/0")], cwd=HOME, stdout=subprocess.PIPE, text=True
    ) as writer:
        try:
            assert writer.stdout is not None
            next(writer.stdout)
            with pytest.raises(StateError, match="held by another process: give every worker its own --state"):
                stores("rows/1/0")
            with pytest.raises(StateError, match="held by a running worker: stop it first"):
                forget(tmp_path)
        finally:
            writer.kill()
    rows = stores("rows/1/0")
    assert rows.rebuilt is None
    assert rows.position > 0


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path, stores: Callable[..., LocalRows]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match=r"cannot make rows in .*: name another folder with --state"):
        stores("file/0")


# --- forgetting -----------------------------------------------------------------------------------------


def test_forgetting_removes_the_stores_and_nothing_else(tmp_path: Path, stores: Callable[..., LocalRows]) -> None:
    for name in ("rows/1/0", "rows/1/3", "rows/2/1"):
        written(tmp_path / name, seed=1, commits=2)[0].close()
    (tmp_path / "signing.key").write_text("k")
    (tmp_path / "rows/1/notes").mkdir()
    assert forget(tmp_path) == 3
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if not path.name.isdigit())
    assert left == ["rows", "rows/1/notes", "signing.key"]
    rows = stores("rows/1/0")
    assert (rows.rebuilt, rows.position, len(rows)) == (None, 0, 0)
    assert forget(tmp_path / "nothing") == 0


def test_forgetting_removes_none_while_one_is_held(tmp_path: Path) -> None:
    written(tmp_path / "rows/1/0", seed=1, commits=2)[0].close()
    holder = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(tmp_path / "rows/2/0")], cwd=HOME, stdout=subprocess.PIPE, text=True
    )
    with holder:
        try:
            assert holder.stdout is not None
            next(holder.stdout)
            with pytest.raises(StateError, match="rows/2/0 is held"):
                forget(tmp_path)
        finally:
            holder.kill()
    assert (tmp_path / "rows/1/0/CURRENT").exists()
