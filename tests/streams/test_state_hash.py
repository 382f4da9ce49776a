"""One hash over all rows: the same wherever they lie and however they are spread, another when a row differs."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from features.errors import RowError
from features.events import Event
from streams import topics
from streams.cli import main
from streams.engine import Engine
from streams.errors import StateError
from streams.rows import META_KEY, CustomerRow, PartitionMeta, pack, unpack
from streams.send import partition_of, send_raw
from streams.settings import Settings, load
from streams.state_hash import CollectedState, from_changelog, from_stores
from streams.store import LocalRows
from tests.streams.driver import engine, recorded, town
from tests.streams.harness import HOME, Deployment, environment

BINDING = "cluster/topic/1"
Changelog = dict[int, list[tuple[bytes, bytes | None]]]


def events() -> list[Event]:
    return list(town(people=20, days=30)[:1500])


def changelogs(partitions: int) -> tuple[Changelog, list[Engine]]:
    """Rows as the engines of `partitions` write them, superseded ones included."""
    parts: list[list[Event]] = [[] for _ in range(partitions)]
    for event in events():
        parts[partition_of(event.customer_id.encode(), partitions)].append(event)
    logs: Changelog = {}
    engines = []
    for number, part in enumerate(parts):
        target = engine(number, partitions)
        records = recorded(part)
        logs[number] = []
        for first in range(0, len(records), 100):
            logs[number] += target.process(records[first : first + 100]).rows.items()
        engines.append(target)
    return logs, engines


def expected(engines: Sequence[Engine]) -> tuple[str, int]:
    """The hash by its definition, from the engines' memory."""
    total = hashlib.sha256()
    rows = sorted((c.encode(), state) for target in engines for c, state in target.state())
    for customer, state in rows:
        total.update(len(customer).to_bytes(4, "big") + customer + hashlib.sha256(state).digest())
    return total.hexdigest(), len(rows)


def written(broker: str, prefix: str, logs: Changelog) -> Settings:
    """Declare topics and write the rows."""
    topics.declare(broker, len(logs), prefix=prefix)
    for number, rows in logs.items():
        send(broker, prefix, number, rows)
    return load(environ={}, broker=broker, topic_prefix=prefix)[0]


def send(broker: str, prefix: str, partition: int, rows: Sequence[tuple[bytes, bytes | None]]) -> None:
    asyncio.run(send_raw(broker, f"{prefix}.rows", [(key, value, ()) for key, value in rows], partition))


def hash_of(state: CollectedState) -> tuple[str, int]:
    with state:
        return state.hash()


def stored(folder: Path, logs: Changelog, slot: str = "0", binding: str = BINDING) -> Path:
    """The same rows as local stores."""
    for number, rows in logs.items():
        store = LocalRows(folder / "rows" / slot / str(number), binding, cached_max=10)
        for first in range(0, len(rows), 50):
            store.commit(rows[first : first + 50], first + 50)
        store.close()
    return folder


def meta_of(rows: Sequence[tuple[bytes, bytes | None]]) -> bytes:
    return next(value for key, value in reversed(rows) if key == META_KEY and value is not None)


# --- the same -----------------------------------------------------------------------------------------------


def test_one_and_four_partitions_changelog_and_stores_have_one_hash(
    any_broker: str, prefix: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found = set()
    for count in (1, 4):
        logs, engines = changelogs(count)
        settings = written(any_broker, f"{prefix}-{count}", logs)
        found |= {expected(engines), hash_of(from_changelog(settings))}
        found.add(hash_of(from_stores([stored(tmp_path / str(count), logs)])))
        command = ["state", "hash", "--json", "--broker", any_broker, "--topic-prefix", settings.topic_prefix]
        assert main(command) == 0
        said = json.loads(capfd.readouterr().out)
        assert list(said) == ["hash", "customers"]
        found.add((said["hash"], said["customers"]))
    ((_digest, customers),) = found
    assert customers == len({event.customer_id for event in events()})


def test_offsets_and_versions_do_not_count_and_everything_else_does(tmp_path: Path) -> None:
    logs, engines = changelogs(1)
    key = next(key for key, _value in logs[0] if key != META_KEY)
    row = unpack(dict(logs[0])[key] or b"")
    moved = replace(row, applied_offset=row.applied_offset + 7)
    meta = pack(PartitionMeta(0, 1, 99_999, model_version=77, policy_version="other"))
    other = {0: [*logs[0], (key, pack(moved)), (META_KEY, meta)]}
    assert hash_of(from_stores([stored(tmp_path / "same", other)])) == expected(engines)

    moved.risk.sequence += 1
    other = {0: [*logs[0], (key, pack(moved))]}
    digest, customers = hash_of(from_stores([stored(tmp_path / "other", other)]))
    assert (digest, customers) != expected(engines)
    assert customers == expected(engines)[1]


@pytest.mark.timeout(180)
def test_workers_changelog_and_folder_have_one_hash(any_broker: str, prefix: str, tmp_path: Path) -> None:
    with Deployment(any_broker, prefix, tmp_path, partitions=3) as deployment:
        deployment.declare()
        with deployment.worker(workers=2) as worker:
            deployment.send_raw([(e.customer_id.encode(), _json(e), ()) for e in events()])
            deployment.drain()
            refused = deployment.run("state", "hash", "--state", deployment.state)
            assert refused.status == 1
            assert "held by a running worker" in refused.err
            assert worker.stop() == 0
        from_log = deployment.run("state", "hash", "--json")
        from_disk = deployment.run("state", "hash", "--json", "--state", deployment.state)
        assert from_log.status == from_disk.status == 0, (from_log, from_disk)
        assert from_log.objects() == from_disk.objects()
        assert from_log.objects()[0]["customers"] == len({event.customer_id for event in events()})
        for options in ((), ("--state", deployment.state)):
            info = deployment.run("state", "info", "--json", *options).objects()[0]
            assert [p["partition"] for p in info["partitions"]] == [0, 1, 2]
            assert sum(p["rows"] for p in info["partitions"]) == info["customers"]
            assert sum(p["applied_offset"] + 1 for p in info["partitions"]) >= len(events())
            assert all(p["partitions"] == 3 and p["model_version"] and p["policy_version"] for p in info["partitions"])
            assert all(p["binding"] and p["binding"] == info["partitions"][0]["binding"] for p in info["partitions"])


def _json(event: Event) -> bytes:
    from features.events import encode

    return encode(event)


# --- which row counts ---------------------------------------------------------------------------------------


def test_former_owners_late_row_counts_only_where_it_was_fenced(any_broker: str, prefix: str) -> None:
    logs, engines = changelogs(1)
    settings = written(any_broker, prefix, logs)
    right = expected(engines)
    key = next(key for key, _value in logs[0] if key != META_KEY)
    old = pack(CustomerRow(applied_offset=0))
    send(any_broker, prefix, 0, [(key, old)])
    found = hash_of(from_changelog(settings))
    # With transactions nobody else can write, so that the newest is right; without, the highest offset is.
    from streams.reconcile import has_transactions

    assert (found == right) is not has_transactions(any_broker)


def test_removed_row_is_gone(any_broker: str, prefix: str) -> None:
    logs, engines = changelogs(1)
    settings = written(any_broker, prefix, logs)
    send(any_broker, prefix, 0, [(b"c-new", pack(CustomerRow(applied_offset=9))), (b"c-new", None)])
    assert hash_of(from_changelog(settings)) == expected(engines)


def test_of_several_copies_of_a_partition_the_furthest_counts(tmp_path: Path) -> None:
    logs, engines = changelogs(2)
    # The first worker held both partitions for a while, then the second took over partition 1.
    stored(tmp_path, {0: logs[0], 1: logs[1][:90]}, slot="0")
    stored(tmp_path, {1: logs[1]}, slot="1")
    assert hash_of(from_stores([tmp_path])) == expected(engines)
    # On two machines.
    stored(tmp_path / "a", {0: logs[0], 1: logs[1][:90]})
    stored(tmp_path / "b", {1: logs[1]})
    assert hash_of(from_stores([tmp_path / "b", tmp_path / "a"])) == expected(engines)


# --- refused ------------------------------------------------------------------------------------------------


def test_altered_row_in_the_changelog_is_refused(tansu: str, prefix: str, capfd: pytest.CaptureFixture[str]) -> None:
    logs, _engines = changelogs(1)
    written(tansu, prefix, logs)
    packed = bytearray(pack(CustomerRow(applied_offset=10**9)))
    packed[-1] ^= 1
    send(tansu, prefix, 0, [(b"c-altered", bytes(packed))])
    assert main(["state", "hash", "--broker", tansu, "--topic-prefix", prefix]) == 1
    assert "c-altered: checksum does not match" in capfd.readouterr().err


def test_customer_in_two_partitions_is_refused(tmp_path: Path) -> None:
    logs, _engines = changelogs(2)
    key = next(key for key, _value in logs[0] if key != META_KEY)
    logs[1].append((key, pack(CustomerRow(applied_offset=3))))
    with pytest.raises(StateError, match="rows in two partitions"):
        hash_of(from_stores([stored(tmp_path, logs)]))


def test_missing_partition_is_refused(tmp_path: Path) -> None:
    logs, _engines = changelogs(4)
    del logs[2]
    with pytest.raises(StateError, match=r"stores of 4 partitions, found none of 2:"):
        from_stores([stored(tmp_path, logs)])


def test_stores_of_two_deployments_are_refused(tmp_path: Path) -> None:
    logs, _engines = changelogs(2)
    stored(tmp_path / "a", {0: logs[0]}, binding="one")
    stored(tmp_path / "b", {1: logs[1]}, binding="two")
    with pytest.raises(StateError, match="one; two"):
        from_stores([tmp_path / "a", tmp_path / "b"])


def test_folder_without_stores_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="found none: name the folder"):
        from_stores([tmp_path])


def test_store_that_another_process_holds_is_refused_and_left_alone(tmp_path: Path) -> None:
    logs, engines = changelogs(1)
    stored(tmp_path, logs)
    holder = subprocess.Popen(
        [sys.executable, "-c",
         "import sys; from pathlib import Path; from streams.store import LocalRows\n"
         f"s = LocalRows(Path(sys.argv[1]), {BINDING!r}, 10); print('open', flush=True); sys.stdin.read(); s.close()",
         str(tmp_path / "rows" / "0" / "0")],
        cwd=HOME, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(StateError, match="held by a running worker: stop it first"):
            from_stores([tmp_path])
    finally:
        holder.communicate(timeout=20)
    assert holder.returncode == 0
    assert hash_of(from_stores([tmp_path])) == expected(engines)


def test_reading_a_store_changes_nothing(tmp_path: Path) -> None:
    logs, _engines = changelogs(1)
    stored(tmp_path, logs)

    def contents() -> dict[str, bytes]:
        # RocksDB keeps a diary of every opening; it is not data.
        files = (path for path in tmp_path.rglob("*") if path.is_file() and not path.name.startswith("LOG"))
        return {str(path): path.read_bytes() for path in files}

    before = contents()
    hash_of(from_stores([tmp_path]))
    assert contents() == before


def test_damaged_store_is_refused_or_its_hash_is_right(tmp_path: Path) -> None:
    logs, engines = changelogs(1)
    right = expected(engines)
    stored(tmp_path, logs)
    refused = 0
    files = [f for f in sorted((tmp_path / "rows/0/0").iterdir()) if not f.name.startswith(("LOG", "LOCK", "OPTIONS"))]
    data = [file for file in files if file.suffix in (".sst", ".log") or file.name.startswith(("MANIFEST", "CURRENT"))]
    assert any(file.suffix == ".sst" for file in data)
    for file in data:
        whole = file.read_bytes()
        if not whole:
            continue
        flipped = [bytearray(whole) for _ in range(4)]
        for n, copy in enumerate(flipped):
            copy[len(whole) * (2 * n + 1) // 8] ^= 0x10
        for damaged in (b"", whole[: len(whole) // 2], *map(bytes, flipped)):
            file.write_bytes(damaged)
            try:
                assert hash_of(from_stores([tmp_path])) == right, (file.name, len(damaged))
            except (StateError, RowError) as error:
                refused += str(tmp_path) in str(error)
        file.write_bytes(whole)
    assert refused >= len(data)
    assert hash_of(from_stores([tmp_path])) == right


def test_rebuild_removes_local_stores_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    LocalRows(tmp_path / "rows" / "1" / "0", BINDING, cached_max=100).close()
    (tmp_path / "signing.key").write_text("kept")
    assert main(["state", "rebuild", "--broker", "127.0.0.1:1", "--state", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"removed": {str(tmp_path): 1}}
    assert not (tmp_path / "rows" / "1" / "0").exists()
    assert (tmp_path / "signing.key").read_text() == "kept"
