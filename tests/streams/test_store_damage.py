"""A damaged store gives the rows of one of its commits, or is thrown away, or is refused: never a wrong row.

RISKSHIFT_SEEDS raises how many damages are tried.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from rocksdict import Cache

from features.errors import RowError
from streams import rocks
from streams.errors import StateError
from streams.rows import META_KEY, pack, unpack
from streams.store import LocalRows
from streams.store_record import StoreRecord, seal, unseal
from tests.streams.store_model import BINDING, History, due_of, held, keep_files, replay, written

SEEDS = int(os.environ.get("RISKSHIFT_SEEDS", "200"))
STORES = 4
ALL_MS = 10**15
# The store whose write-ahead log holds something.
LONG_LOG = 0


class Spoiled:
    """Copies of a few stores, closed or as a kill leaves them, each with something done to its files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.histories: list[History] = []
        for number in range(STORES):
            rows, history = written(folder / f"whole-{number}", seed=number)
            shutil.copytree(rows.path, folder / f"killed-{number}")
            rows.close()
            self.histories.append(history)

    def copy(self, rng: random.Random) -> tuple[Path, History]:
        number = rng.randrange(STORES)
        path = self.folder / "copy"
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(self.folder / f"{rng.choice(('whole', 'killed'))}-{number}", path)
        return path, self.histories[number]


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spoiled]:
    # In memory where that is possible: thousands of openings, each with its fsyncs, otherwise wait for the disk.
    memory = Path("/dev/shm")  # noqa: S108
    where = memory if os.access(memory, os.W_OK) else tmp_path_factory.mktemp("stores")
    with tempfile.TemporaryDirectory(dir=where, prefix="riskshift-damage-") as folder:
        with pytest.MonkeyPatch.context() as patched:
            keep_files(patched)
            made = Spoiled(Path(folder))
        yield made


@pytest.fixture(autouse=True)
def _every_read_from_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """No cache, and files that stay what they are, so that what is done to an open store is met."""
    keep_files(monkeypatch)
    monkeypatch.setattr(rocks, "_blocks", lambda: Cache(1))


def spoil(rng: random.Random, path: Path) -> list[str]:
    """Truncate, flip bits of, overwrite or delete one to three files; what was done."""
    done = []
    files = sorted(file for file in path.iterdir() if file.name != "LOCK")
    for file in rng.sample(files, min(len(files), rng.choice((1, 1, 1, 2, 3)))):
        data = bytearray(file.read_bytes())
        how = rng.choice(("delete", "truncate", "flip", "flip", "flip", "zeros"))
        if how == "delete":
            file.unlink()
        elif how == "truncate":
            os.truncate(file, rng.randrange(len(data) + 1))
        elif data:
            spoil_bytes(rng, file, how)
        done.append(f"{how} {file.name} ({len(data)} bytes)")
    return done


def spoil_bytes(rng: random.Random, file: Path, how: str) -> None:
    """In place, as a disk does: whoever has the file open sees it."""
    size = file.stat().st_size
    with file.open("r+b") as out:
        for _ in range(rng.choice((1, 3, 20))):
            at = rng.randrange(size)
            out.seek(at)
            new = bytes([out.read(1)[0] ^ 1 << rng.randrange(8)]) if how == "flip" else bytes(rng.choice((8, 512)))
            out.seek(at)
            out.write(new[: size - at])


def outcome(path: Path, history: History) -> str:
    """Open a damaged store, hold it against its history, bring it to the end; what it did about the damage."""
    try:
        rows = LocalRows(path, BINDING, 4)
    except StateError as error:
        return "held" if "held by" in str(error) else "refused"
    try:
        at = rows.position
        assert at in history.states
        assert held(rows) == history.states[at]
        assert rows.due(ALL_MS) == due_of(history.states[at], ALL_MS)
        if rows.rebuilt is not None:
            assert at == 0
            assert len(rows.rebuilt) > 10
        said = "thrown away" if rows.rebuilt is not None else "whole" if at == history.end else "earlier commit"
        replay(rows, history)
        assert held(rows) == history.states[history.end]
        assert rows.due(ALL_MS) == due_of(history.states[history.end], ALL_MS)
    finally:
        rows.close()
    again = LocalRows(path, BINDING, 4)
    assert again.rebuilt is None
    assert held(again) == history.states[history.end]
    again.close()
    return said


def test_damage_to_a_closed_store_never_gives_a_wrong_row(spoiled: Spoiled) -> None:
    outcomes: Counter[str] = Counter()
    for seed in range(SEEDS):
        rng = random.Random(seed)
        path, history = spoiled.copy(rng)
        done = spoil(rng, path)
        try:
            outcomes[outcome(path, history)] += 1
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {done}: {error}") from error
    print(dict(outcomes))
    # The damages are worth something only where all of it happens.
    assert set(outcomes) - {"refused"} == {"thrown away", "whole", "earlier commit"}, outcomes
    assert outcomes["thrown away"] > SEEDS / 5


def test_damage_under_an_open_store_is_said_and_never_gives_a_wrong_row(spoiled: Spoiled) -> None:
    said: Counter[str] = Counter()
    for seed in range(SEEDS // 4):
        rng = random.Random(1_000_000 + seed)
        path, history = spoiled.copy(rng)
        rows = LocalRows(path, BINDING, 0)
        truth = history.states[rows.position]
        files = sorted(path.glob("*.sst"))
        for file in rng.sample(files, min(len(files), 2)):
            spoil_bytes(rng, file, "flip")
        for key in truth:
            if key != META_KEY:
                said[check(partial(rows._read, key), truth[key])] += 1
        said[check(partial(rows.due, ALL_MS), due_of(truth, ALL_MS))] += 1
        said[check(partial(held, rows), truth)] += 1
        rows.close()
        assert outcome(path, history) in ("whole", "thrown away"), f"seed {seed}"
    assert said["refused"] > 0 < said["right"], said


def check(ask: Callable[[], object], truth: object) -> str:
    try:
        found = ask()
    except (StateError, RowError):
        return "refused"
    assert found == truth
    return "right"


def blocks_of(file: Path) -> Iterator[int]:
    yield from range(0, file.stat().st_size, 512)


def test_an_index_that_ends_early_is_no_short_answer(tmp_path: Path) -> None:
    rows, history = written(tmp_path / "s", seed=9)
    rows._db.flush()
    truth = due_of(history.states[history.end], ALL_MS)
    assert rows.due(ALL_MS) == truth
    refused = 0
    for file in sorted(rows.path.glob("*.sst")):
        whole = file.read_bytes()
        for at in blocks_of(file):
            altered = bytearray(whole)
            altered[at] ^= 1
            with file.open("r+b") as out:
                out.write(altered)
            refused += check(partial(rows.due, ALL_MS), truth) == "refused"
            with file.open("r+b") as out:
                out.write(whole)
    rows.close()
    assert refused > 0


def test_a_damaged_block_is_not_taken_for_a_lock(tmp_path: Path, spoiled: Spoiled) -> None:
    # RocksDB says "block checksum mismatch", and a block is no lock.
    path, history = spoiled.copy(random.Random(0))
    rows = LocalRows(path, BINDING, 4)
    replay(rows, history)
    rows._db.flush()
    rows.close()
    said = Counter[str]()
    for file in [*sorted(path.glob("*.sst")), *path.glob("MANIFEST-*")]:
        for place in (0.2, 0.6, 0.97):
            copy = tmp_path / "copy"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(path, copy)
            with (copy / file.name).open("r+b") as out:
                out.seek(int(file.stat().st_size * place))
                out.write(b"\xaa\x55\xaa\x55")
            said[outcome(copy, history)] += 1
    assert said["held"] == said["refused"] == 0
    assert said["thrown away"] > 3


@pytest.mark.parametrize("name", ["MANIFEST-*", "*.log"])
@pytest.mark.parametrize("kind", [5, 6, 7, 8, 11])
def test_a_record_that_rocksdb_reads_for_ever_is_not_given_to_it(
    name: str, kind: int, tmp_path: Path, spoiled: Spoiled
) -> None:
    path = tmp_path / "copy"
    shutil.copytree(spoiled.folder / f"killed-{LONG_LOG}", path)
    (file,) = path.glob(name)
    data = bytearray(file.read_bytes())
    at = last = 0
    while at + 7 <= len(data):
        last, at = at, at + 7 + int.from_bytes(data[at + 4 : at + 6], "little")
    data[last + 6] = kind
    file.write_bytes(data)
    rows = LocalRows(path, BINDING, 4)
    assert f"{file.name} has a record of kind {kind} at {last}" in (rows.rebuilt or "")
    rows.close()


def test_a_store_without_its_own_record_is_thrown_away(tmp_path: Path) -> None:
    rows, _history = written(tmp_path / "s", seed=5)
    rows._db.delete(b"m")
    rows.close()
    again = LocalRows(tmp_path / "s", BINDING, 4)
    assert again.rebuilt == "the store's own record is missing"
    assert len(again) == again.position == 0
    again.close()


@pytest.mark.parametrize("what", ["row lost", "row back", "row of another", "due lost", "due foreign", "foreign key"])
def test_what_no_checksum_shows_the_sums_do(what: str, tmp_path: Path) -> None:
    rows, _history = written(tmp_path / "s", seed=6)
    db, old = rows._db, dict(rows.packed())
    customer, other = sorted(old)[:2]
    dues = [key for key, _nothing in db.items() if key[:1] == b"d"]
    if what == "row lost":
        db.delete(b"r" + customer)
    elif what == "row back":
        earlier = unpack(old[customer])
        earlier.applied_offset -= 1
        db.put(b"r" + customer, pack(earlier))
    elif what == "row of another":
        db.put(b"r" + customer, old[other])
    elif what == "due lost":
        db.delete(dues[0])
    elif what == "due foreign":
        db.delete(dues[0])
        db.put(dues[0] + b"x", b"")
    else:
        db.put(b"x", b"")
    rows.close()
    again = LocalRows(tmp_path / "s", BINDING, 4)
    assert again.rebuilt is not None
    assert "expected" in again.rebuilt or "does not belong" in again.rebuilt
    again.close()


def test_every_bit_of_a_stores_own_record_counts() -> None:
    sealed = seal(StoreRecord(BINDING, 7, 3, 1 << 63, 2, 99, b"meta"))
    assert unseal(sealed) == StoreRecord(BINDING, 7, 3, 1 << 63, 2, 99, b"meta")
    for bit in range(len(sealed) * 8):
        altered = bytearray(sealed)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError, match=r"expected a store of version|was altered"):
            unseal(bytes(altered))
    for length in range(len(sealed)):
        with pytest.raises(ValueError):
            unseal(sealed[:length])
