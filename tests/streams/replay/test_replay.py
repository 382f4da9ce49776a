"""A file replayed as new: the same bytes for every batch, number of processes and interruption; and what is written."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pytest

from features.events import Event, Outcome, Transaction, encode
from models.governance.rules import ModelRules
from models.learner import LearnerSettings
from streams.replay import Options, Replay, ReplayError, Run
from streams.replay.manifest import Chains
from streams.replay.source import entries_of, steps_of
from streams.replay.versions import Frames, ReplayLibrary
from streams.replay.work import DAY_MS, HOUR_MS, PARTITIONS, partition_of
from tests.streams.harness import riskshift

START_MS = 1_600_000_000_000 // DAY_MS * DAY_MS
EVERY_MS = 3 * HOUR_MS


def events(days: int = 8, customers: int = 40, a_day: int = 150) -> Iterator[Event]:
    """Purchases; those at one terminal are fraud from the second day on, told a day later."""
    rng = random.Random(3)
    told: list[Outcome] = []
    for number in range(days * a_day):
        at = START_MS + number * DAY_MS // a_day
        while told and told[0].event_time_ms <= at:
            yield told.pop(0)
        customer, terminal = f"c-{rng.randrange(customers)}", rng.randrange(12)
        yield Transaction(
            event_id=f"e-{number}", customer_id=customer, event_time_ms=at, schema_version=1,
            amount_minor=rng.randrange(100, 9_000), currency="EUR", direction="debit", channel="pos",
            type="purchase", terminal_id=f"t-{terminal}", card_id=f"k-{customer}",
        )  # fmt: skip
        if terminal == 0 and at > START_MS + DAY_MS:
            told.append(Outcome(
                event_id=f"o-{number}", customer_id=customer, event_time_ms=at + DAY_MS, schema_version=1,
                outcome="fraud_confirmed", about_event_id=f"e-{number}", typology="terminal",
            ))  # fmt: skip


def options(out: Path, **changes: Any) -> Options:
    out.mkdir(exist_ok=True)
    learner = LearnerSettings(
        epoch_ms=EVERY_MS, publish_every_ms=EVERY_MS, maturity_ms=DAY_MS, retain_ms=2 * DAY_MS, queue_max=1_000_000
    )
    made = {
        "policy_source": Path("policies/default.toml").read_text("utf-8"),
        "rules": ModelRules(),
        "learner": learner,
    }
    return Options(**({"out": out} | made | changes))


def replayed(out: Path, resume: bool = False, stop_after: int | None = None, **changes: Any) -> Run:
    steps = 0

    def show(_run: Run) -> bool:
        nonlocal steps
        steps += 1
        return stop_after is None or steps < stop_after

    return Replay(options(out, **changes), resume=resume).drive(steps_of(entries_of(events()), EVERY_MS), show)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    out = tmp_path_factory.mktemp("once")
    return out, replayed(out)


@pytest.mark.parametrize(("batch", "processes"), [(1, 1), (7, 2), (5_000, 4)])
def test_batches_and_processes_change_no_byte(
    once: tuple[Path, Run], tmp_path: Path, batch: int, processes: int
) -> None:
    folder, first = once
    run = replayed(tmp_path / "again", batch=batch, processes=processes)
    assert run.chains.output_hash == first.chains.output_hash
    assert run.chains.input_hash == first.chains.input_hash
    assert run.counts == first.counts
    # Not only the hashes: the files themselves.
    files = sorted(path.relative_to(folder) for path in folder.rglob("*.parquet"))
    assert [path for path in files if path.parent.name == "decisions"]
    for path in files:
        assert (tmp_path / "again" / path).read_bytes() == (folder / path).read_bytes(), path
    # Something was learned and alerted, else there is nothing to be equal about.
    assert first.model_version > 10
    assert first.counts["alerts"] > 0


@pytest.mark.parametrize("stop_after", [1, 2, 30])
def test_stopped_and_resumed_says_the_same(once: tuple[Path, Run], tmp_path: Path, stop_after: int) -> None:
    first = once[1]
    stopped = replayed(tmp_path / "out", stop_after=stop_after)
    assert not stopped.finished
    resumed = replayed(tmp_path / "out", resume=True, processes=2)
    assert resumed.finished
    assert resumed.chains.output_hash == first.chains.output_hash
    assert resumed.chains.input_hash == first.chains.input_hash
    assert resumed.counts == first.counts
    assert resumed.learner == first.learner
    lines = [pyarrow.dataset.dataset(folder / "decisions").count_rows() for folder in (once[0], tmp_path / "out")]
    assert lines[0] == lines[1] == first.counts["decisions"]


def test_killed_between_saves_is_resumed_from_the_last_one(once: tuple[Path, Run], tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    steps = 0

    def show(_run: Run) -> bool:
        nonlocal steps
        steps += 1
        if steps == 37:
            raise KilledError
        return True

    replay = Replay(options(tmp_path / "out", save_every_s=0.0))
    # Saved after every step up to the one in which it dies, whose files are on disk already.
    with pytest.raises(KilledError):
        replay.drive(steps_of(entries_of(events()), EVERY_MS), show)
    assert replayed(tmp_path / "out", resume=True).chains.output_hash == once[1].chains.output_hash


def test_resuming_with_other_options_is_refused(tmp_path: Path) -> None:
    replayed(tmp_path / "out", stop_after=3, asked={"policy": "a"})
    with pytest.raises(ReplayError, match="found other policy: give the same"):
        replayed(tmp_path / "out", resume=True, asked={"policy": "b"})


def test_learning_changes_what_is_said_and_without_it_the_prior_scores(once: tuple[Path, Run], tmp_path: Path) -> None:
    run = replayed(tmp_path / "out", rules=None)
    assert (run.model_version, run.learner) == (1, {})
    assert run.chains.output_hash != once[1].chains.output_hash
    assert run.chains.input_hash == once[1].chains.input_hash


def test_a_label_changes_nothing_before_it_is_known(tmp_path: Path) -> None:
    def told(flip: bool) -> Iterator[Event]:
        for event in events(days=5):
            if flip and isinstance(event, Outcome) and event.event_time_ms >= START_MS + 4 * DAY_MS:
                continue
            yield event

    scores = []
    for flip in (False, True):
        out = tmp_path / str(flip)
        Replay(options(out)).drive(steps_of(entries_of(told(flip)), EVERY_MS))
        table = pyarrow.dataset.dataset(out / "decisions").to_table()
        rows = [row for row in table.to_pylist() if row["fraud_probability"] is not None]
        scores.append({row["event_id"]: (row["event_time_ms"], row["fraud_probability"]) for row in rows})
    early = [key for key, (at, _score) in scores[0].items() if at < START_MS + 4 * DAY_MS]
    late = [key for key in scores[0] if key not in early]
    assert len(early) > 400
    assert all(scores[0][key] == scores[1][key] for key in early)
    assert any(scores[0][key] != scores[1][key] for key in late)


# --- steps ----------------------------------------------------------------------------------------------------


def one(number: int, at_ms: int, customer: str = "c-1") -> Transaction:
    return Transaction(
        event_id=f"e-{number}", customer_id=customer, event_time_ms=at_ms, schema_version=1, amount_minor=100,
        currency="EUR", direction="debit", channel="pos",
    )  # fmt: skip


def test_every_hour_ends_with_a_tick_and_silence_has_one_a_midnight() -> None:
    times = [START_MS + HOUR_MS // 2, START_MS + 2 * HOUR_MS, START_MS + 3 * DAY_MS + 4 * HOUR_MS]
    steps = list(steps_of(entries_of(one(n, at) for n, at in enumerate(times)), EVERY_MS))
    ticks = [[(hour.tick_ms - START_MS) / HOUR_MS for hour in step.hours] for step in steps]
    assert ticks == [[1, 2, 3], [24, 48, 72, 75], [76, 77, 78]]
    assert [step.events for step in steps] == [2, 0, 1]
    assert [step.number for step in steps] == [0, 1, 2]
    # An event exactly at a tick comes after it.
    partition = partition_of(b"c-1")
    assert [len(hour.records.get(partition, ())) for hour in steps[0].hours] == [1, 0, 1]


def test_a_late_event_counts_in_the_hour_that_was_reached() -> None:
    times = [START_MS + 2 * HOUR_MS, START_MS + 1, START_MS + 3 * HOUR_MS + 1, START_MS]
    steps = list(steps_of(entries_of(one(n, at) for n, at in enumerate(times)), EVERY_MS))
    assert [[len(records) for hour in step.hours for records in hour.records.values()] for step in steps] == [[2], [2]]


def test_offsets_count_within_the_partition_of_the_customers_asked_for() -> None:
    some = [one(n, START_MS + n, customer) for n, customer in enumerate(["c-1", "c-2", "c-1", "c-3", "c-1"])]
    entries = list(entries_of(some, {"c-1", "c-3"}))
    assert {record.key for _p, record, _at in entries} == {b"c-1", b"c-3"}
    for partition in range(PARTITIONS):
        offsets = [record.offset for p, record, _at in entries if p == partition]
        assert offsets == list(range(len(offsets)))


# --- versions and hashes ---------------------------------------------------------------------------------------


def test_frames_bring_every_version_as_it_was(once: tuple[Path, Run]) -> None:
    from streams.replay.past import FolderVersions

    versions = FolderVersions(once[0])
    model = versions.model(once[1].model_version)
    assert model.version == once[1].model_version
    assert "t-0" in model.shared.terminals
    # Written whole it is the same as by differences.
    from models.snapshot import Snapshot

    whole = Frames().frame(Snapshot(model.version, model.as_of_ms, model.fraud.arrays, model.shared))
    library = ReplayLibrary([])
    library.take(whole)
    assert library.model(model.version).shared.terminals == model.shared.terminals
    with pytest.raises(KeyError):
        versions.model(10_000)


def test_every_byte_and_every_order_counts_in_a_hash() -> None:
    def hash_of(*digests: bytes) -> str:
        chains = Chains(2)
        for digest in digests:
            chains.take_output({0: [digest] * 4, 1: [b"x"] * 4})
        return chains.output_hash

    assert len({hash_of(b"a", b"b"), hash_of(b"b", b"a"), hash_of(b"ab"), hash_of(b"a")}) == 4


# --- the command -----------------------------------------------------------------------------------------------


def test_command_writes_what_is_promised(tmp_path: Path) -> None:
    source = tmp_path / "events.jsonl"
    source.write_bytes(b"\n".join([*(encode(event) for event in events(days=3)), b"not json"]))
    arguments = ("replay", source, "--format", "events", "--out", tmp_path / "out", "--label-maturity", "1d")
    done = riskshift(*arguments, "--rejects", tmp_path / "bad.jsonl", "--json", "--name", "mine")
    assert done.status == 0, done.err
    manifest = done.objects()[-1]
    assert manifest == json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))
    for name in ("input_hash", "output_hash", "events", "events_per_second", "versions", "options", "partitions"):
        assert manifest[name], name
    assert (manifest["name"], manifest["rejected"]) == ("mine", 1)
    assert json.loads((tmp_path / "bad.jsonl").read_text())["code"] == "not_json"
    assert pyarrow.dataset.dataset(tmp_path / "out" / "decisions").count_rows() == manifest["decisions"]
    assert not (tmp_path / "out" / ".progress").exists()
    again = riskshift(*arguments, "--json", "--processes", "1", "--batch", "3", "--customers", "c-1,c-2")
    fewer = again.objects()[-1]
    assert 0 < fewer["events"] < manifest["events"]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to-grandmother.txt").write_text("dear")
    done = riskshift("replay", tmp_path / "x.jsonl", "--format", "events", "--out", tmp_path / "letters")
    assert done.status == 1
    assert "to be empty or a replay, found to-grandmother.txt" in done.err
