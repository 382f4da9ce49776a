"""Rows on disk are the rows in memory: whatever is asked in whatever order, across closings, kills and evictions."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from features.events import Event
from streams import rocks
from streams.engine import Engine
from streams.rows import META_KEY, CustomerRow, pack, unpack
from streams.store import LocalRows
from tests.streams.driver import (
    HOUR_MS,
    HOUSE_POLICY,
    TOPIC,
    Entry,
    Transcript,
    engine,
    feed,
    library,
    mixed,
    recorded,
    tick,
    town,
)
from tests.streams.store_model import (
    BINDING,
    History,
    change,
    due_of,
    held,
    keep_files,
    meta_row,
    replay,
    some_row,
)

CUSTOMERS = 25


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


# --- any order of calls ---------------------------------------------------------------------------------


class Walk:
    """Random calls on a store and on dictionaries; every answer is compared."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        self.folder = folder
        self.copies = 0
        self.cached_max = self.rng.choice((0, 1, 4))
        self.rows = LocalRows(folder / "0", BINDING, self.cached_max)
        self.history = History()
        self.offset = 0
        self.begin()

    def begin(self) -> None:
        """As after opening: nothing was worked on yet."""
        self.working = {
            key.decode(): packed for key, packed in self.history.states[self.history.end].items() if key != META_KEY
        }
        self.touched: dict[str, CustomerRow] = {}

    def work(self) -> None:
        """One event of a customer: the row is got or made, changed in place, its timer moves."""
        customer, self.offset = f"ü{self.rng.randrange(CUSTOMERS)}", self.offset + 1
        row = self.rows.get(customer)
        assert (None if row is None else pack(row)) == self.working.get(customer)
        row = self.rows.create(customer) if row is None else row
        due_ms = row.due_ms
        change(self.rng, row, self.offset)
        if row.due_ms != due_ms:
            self.rows.due_changed(customer, row)
        self.working[customer] = pack(row)
        self.touched[customer] = row

    def look(self) -> None:
        """Ask without changing."""
        customer = f"ü{self.rng.randrange(CUSTOMERS)}"
        row = self.rows.get(customer)
        assert (None if row is None else pack(row)) == self.working.get(customer)
        until_ms = self.rng.choice((-1, 0, 300, 999, 10**15))
        state = {key.encode(): packed for key, packed in self.working.items()}
        assert self.rows.due(until_ms) == due_of(state, until_ms)
        assert len(self.rows) == len(self.working)

    def commit(self) -> None:
        """Everything worked on since the last commit; sometimes a removal among it."""
        changes: dict[bytes, bytes | None] = {key.encode(): pack(row) for key, row in self.touched.items()}
        if self.working and self.rng.random() < 0.3:
            gone = self.rng.choice(sorted(self.working))
            changes[gone.encode()] = None
            del self.working[gone]
        changes[META_KEY] = meta_row(self.offset)
        self.rows.commit(changes.items(), self.history.add(changes.items()))
        self.touched = {}
        self.check()
        if self.rng.random() < 0.2:
            self.rows._db.flush()

    def reopen(self) -> None:
        """Close, or leave it as a kill does; what was not committed is gone."""
        if self.rng.random() < 0.5:
            self.rows.close()
            path = self.rows.path
        else:
            self.copies += 1
            path = self.folder / str(self.copies)
            shutil.copytree(self.rows.path, path)
            self.rows.close()
        self.rows = LocalRows(path, BINDING, self.cached_max)
        assert self.rows.rebuilt is None
        self.begin()
        self.check()

    def restore(self) -> None:
        """Rows that another owner wrote, read after opening; without a fence the highest applied offset wins."""
        self.reopen()
        newest_wins = self.rng.random() < 0.5
        state = self.history.states[self.history.end]
        applied = {key: unpack(packed).applied_offset for key, packed in state.items() if key != META_KEY}
        changes: list[tuple[bytes, bytes | None]] = []
        expected = dict(state)
        for _ in range(self.rng.randrange(1, 12)):
            key = f"ü{self.rng.randrange(CUSTOMERS)}".encode()
            offset = self.offset + self.rng.randrange(-9, 9)
            packed = None if self.rng.random() < 0.1 else pack(some_row(self.rng, offset))
            changes.append((key, packed))
            if packed is None:
                expected.pop(key, None)
                applied.pop(key, None)
            elif newest_wins or key not in applied or offset >= applied[key]:
                expected[key], applied[key] = packed, offset
        self.offset += 9
        self.history.add(changes)
        self.history.states[self.history.end] = expected
        self.rows.commit(changes, self.history.end, newest_wins=newest_wins)
        self.begin()
        self.check()

    def check(self) -> None:
        assert held(self.rows) == self.history.states[self.history.end]
        assert self.rows.position == self.history.end
        assert len(self.rows) == len(self.working)
        assert len(self.rows._cache) <= self.cached_max


@pytest.mark.parametrize("seed", range(12))
def test_any_calls_in_any_order_give_what_dictionaries_give(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_files(monkeypatch)
    walk = Walk(tmp_path, seed)
    calls = (walk.work, walk.look, walk.commit, walk.reopen, walk.restore)
    for _ in range(250):
        walk.rng.choices(calls, (60, 20, 10, 3, 3))[0]()
    walk.commit()
    walk.rows.close()
    assert walk.history.end > 50


def test_a_batch_larger_than_the_cache_is_kept_until_it_is_committed(stores: Callable[..., LocalRows]) -> None:
    rows = stores(cached_max=2)
    made = {f"c{number}": rows.create(f"c{number}") for number in range(50)}
    for number, row in enumerate(made.values()):
        row.applied_offset = number
    assert all(rows.get(customer) is row for customer, row in made.items())
    rows.commit([(customer.encode(), pack(row)) for customer, row in made.items()], 50)
    assert len(rows) == 50
    assert len(rows._cache) == 2
    assert {customer: rows.get(customer) for customer in made} == made


def test_all_stores_of_a_process_share_one_bounded_cache(stores: Callable[..., LocalRows]) -> None:
    stores("a").close()
    # An existing store must not bring the options, and with them a cache, that it was made with.
    for rows in (stores("a"), stores("b")):
        rows.commit([(b"c", pack(CustomerRow()))], 1)
        assert rows._db.property_value("rocksdb.block-cache-capacity") == str(64 << 20)
    assert rocks._blocks() is rocks._blocks()


def test_uncommitted_timers_are_due_and_moved_ones_are_not(stores: Callable[..., LocalRows]) -> None:
    rows = stores()
    for customer, due_ms in (("a", 30), ("b", 10), ("c", 20)):
        row = rows.create(customer)
        row.due_ms = due_ms
        rows.due_changed(customer, row)
    assert rows.due(20) == [(10, "b"), (20, "c")]
    rows.commit([(customer.encode(), pack(rows.get(customer) or CustomerRow())) for customer in "abc"], 3)
    moved = rows.get("b")
    assert moved is not None
    moved.due_ms = 40
    rows.due_changed("b", moved)
    assert rows.due(35) == [(20, "c"), (30, "a")]
    moved.due_ms = -1
    rows.due_changed("b", moved)
    assert rows.due(99) == [(20, "c"), (30, "a")]


def test_a_restore_may_bring_one_customer_many_times(stores: Callable[..., LocalRows]) -> None:
    rng, history = random.Random(1), History()
    for number in range(40):
        history.add([(f"c{number % 3}".encode(), pack(some_row(rng, number)))])
    rows = stores()
    replay(rows, history, size=40)
    assert held(rows) == history.states[40]
    assert rows.due(10**6) == due_of(history.states[40], 10**6)


def test_without_a_fence_a_late_word_of_a_former_owner_is_passed_over(stores: Callable[..., LocalRows]) -> None:
    rng = random.Random(2)
    mine, stale = pack(some_row(rng, 9)), pack(some_row(rng, 4))
    rows = stores()
    rows.commit([(b"c", mine), (META_KEY, meta_row(9))], 2, newest_wins=False)
    rows.commit([(b"c", stale), (META_KEY, meta_row(4))], 4, newest_wins=False)
    assert held(rows) == {b"c": mine, META_KEY: meta_row(9)}
    rows.commit([(b"c", None), (b"c", stale)], 6, newest_wins=False)
    assert held(rows)[b"c"] == stale


def test_the_partitions_own_row_can_be_removed(stores: Callable[..., LocalRows]) -> None:
    rows = stores()
    rows.commit([(META_KEY, meta_row(1))], 1)
    rows.commit([(META_KEY, None)], 2)
    rows.close()
    assert stores().meta is None


# --- the real engine ------------------------------------------------------------------------------------


def with_ticks(events: tuple[Event, ...]) -> list[Entry]:
    entries: list[Entry] = []
    next_ms = events[0].event_time_ms + 12 * HOUR_MS
    for event in events:
        while event.event_time_ms >= next_ms:
            entries.append(tick(next_ms))
            next_ms += 12 * HOUR_MS
        entries.append(event)
    entries.append(tick(next_ms + 40 * 24 * HOUR_MS))
    return entries


def streams_of_events() -> list[object]:
    return [
        pytest.param(lambda: with_ticks(town(100, 12, seed=4)), id="town"),
        pytest.param(lambda: list(mixed(0, 700)), id="mixed-0"),
        pytest.param(lambda: list(mixed(1, 700)), id="mixed-1"),
    ]


@pytest.mark.parametrize("entries", streams_of_events())
def test_the_engine_says_and_keeps_the_same_on_disk_as_in_memory(
    entries: Callable[[], list[Entry]], stores: Callable[..., LocalRows]
) -> None:
    records = recorded(entries())
    memory = engine()
    expected = feed(memory, records, 41)
    transcript, position = Transcript(), 0
    local: LocalRows | None = None
    target = engine()
    woken = 0
    for number, first in enumerate(range(0, len(records), 41)):
        if local is None or number % 20 == 19:
            if local is not None:
                local.close()
            local = stores(cached_max=5)
            # Another version than any row's own: what is in force must come from the rows.
            target = Engine(0, 1, TOPIC, library(), model_version=1, policy_version=HOUSE_POLICY, rows=local)
            if local.meta is not None:
                target.resume(local.meta)
        out = target.process(records[first : first + 41])
        transcript.add(out)
        position += len(out.rows)
        local.commit(list(out.rows.items()), position)
        woken += b'"parent"' in b"".join(value for _key, value in out.decisions)
    assert transcript == expected
    assert target.snapshot() == memory.snapshot()
    assert woken > 0
