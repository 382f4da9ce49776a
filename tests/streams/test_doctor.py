"""The doctor names what is wrong and what to do, and fails only for what would stop a worker."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from pathlib import Path

import pytest

from streams import topics
from streams.cli import doctor, main
from tests.brokers.apache import ApacheKafka

pytestmark = pytest.mark.timeout(60)


def _run(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, dict[str, dict[str, str]]]:
    status = main(["doctor", "--json", *options])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return status, {line["check"]: line for line in lines}


def test_absent_broker_fails_and_ends_the_list(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, found = _run(capsys, "--broker", "127.0.0.1:1", "--state", str(tmp_path / "new"))
    assert status == 1
    assert found["broker"]["level"] == "fail"
    assert "riskshift broker" in found["broker"]["do"]
    assert list(found) == ["python", "packages", "state", "broker"]


def test_embedded_broker_is_a_warning_and_missing_topics_a_failure(
    tansu: str, prefix: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options = ("--broker", tansu, "--topic-prefix", prefix, "--state", str(tmp_path / "new"))
    status, found = _run(capsys, *options)
    assert (status, found["commits"]["level"], found["topics"]["level"]) == (1, "warn", "fail")
    topics.declare(tansu, 2, prefix=prefix)
    status, found = _run(capsys, *options)
    assert (status, found["topics"]["level"]) == (0, "ok")
    assert found["packages"]["level"] == "ok"


def test_apache_kafka_is_all_ok_and_the_clock_record_is_never_committed(
    kafka: ApacheKafka, prefix: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    topics.declare(kafka.address, 2, prefix=prefix)
    status, found = _run(capsys, "--broker", kafka.address, "--topic-prefix", prefix, "--state", str(tmp_path / "new"))
    assert (status, {line["level"] for line in found.values()}) == (0, {"ok"})
    assert "clock" in found

    async def committed() -> object:
        from aiokafka import AIOKafkaConsumer, TopicPartition

        consumer = AIOKafkaConsumer(bootstrap_servers=kafka.address, isolation_level="read_committed")
        await consumer.start()
        consumer.assign([TopicPartition(f"{prefix}.world", 0)])
        await consumer.seek_to_beginning()
        records = await consumer.getmany(timeout_ms=1000)
        await consumer.stop()
        return records

    assert asyncio.run(committed()) == {}


def test_missing_and_wrong_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        doctor, "requirements", lambda: [("no-such-package", ">=1"), ("pytest", "<1"), ("pytest", ">=1")]
    )
    finding = doctor.packages()
    assert finding.level == "fail"
    assert finding.found.startswith("no-such-package is missing; pytest ")
    assert finding.found.count("is not <1") == 1


def test_every_dependency_of_the_project_is_looked_at() -> None:
    assert {"faust-streaming", "aiokafka", "river", "msgspec"} <= {name for name, _ in doctor.requirements()}


@pytest.mark.parametrize(
    ("version", "ranges", "inside"),
    [
        ("0.15.3", ">=0.15.3,<0.16", True),
        ("0.16", ">=0.15.3,<0.16", False),
        ("0.9", ">=0.14", False),
        ("3.0.0", "<3", False),
        ("2.9", ">=2,<3", True),
        ("1.0", "", True),
        ("1.0.1", "==1.0", False),
    ],
)
def test_ranges_compare_numbers_and_not_text(version: str, ranges: str, inside: bool) -> None:
    assert doctor.in_range(version, ranges) is inside


def test_full_disk_is_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    assert doctor.state(tmp_path).level == "fail"


def test_folder_that_others_can_read_is_a_warning(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    finding = doctor.state(tmp_path)
    assert (finding.level, finding.do) == ("warn", f"chmod 700 {tmp_path}")
    tmp_path.chmod(0o700)
    assert doctor.state(tmp_path).level == "ok"


def test_state_that_is_a_file_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert doctor.state(tmp_path / "file").level == "fail"


def test_old_python_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 2, "final", 0))
    assert doctor.python() == doctor.Finding("python", "fail", "Python 3.10.2", "install Python 3.11 or newer")


@pytest.mark.parametrize(
    ("ahead_ms", "level", "words"),
    [
        (500, "ok", "within 500 ms"),
        (-2_000, "ok", "within 2000 ms"),
        (5_000, "warn", "5.0 s ahead of"),
        (-61_000, "fail", "61.0 s behind"),
        (None, "warn", "does not stamp"),
    ],
)
def test_clock_is_judged_by_its_distance(
    ahead_ms: int | None, level: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(_settings: object) -> int | None:
        return ahead_ms

    monkeypatch.setattr(doctor, "_clock_ahead_ms", answer)
    finding = doctor.clock(doctor.load({})[0])
    assert finding.level == level
    assert words in finding.found
