"""The real `riskshift` as processes: worker, send, tail and the rest, on a broker, with topics of their own.

::

    with Deployment(any_broker, prefix, tmp_path, partitions=2) as deployment:
        deployment.declare()
        with deployment.worker(workers=2) as worker:          # returns when it says ready
            deployment.send_raw([(b"c-1", b'{"kind": ...}', ())])
            account = deployment.drain()                      # every input offset has a disposition
            assert worker.restarts == []
        assert worker.stop() == 0                             # SIGTERM, exit status; again is harmless
        alerts = deployment.read("alerts")                    # committed records of a whole topic

`riskshift(...)` runs one command to its end, `Running` one until it is stopped. Every process carries a mark in
its environment which its children inherit, so that `left_over()` finds what outlives it (Linux: /proc).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from streams import topics
from streams.send import Raw, SendSummary, send_raw
from streams.tail import Record, tail
from tests.streams.account import Account

HOME = Path(__file__).resolve().parents[2]
MARK = "RISKSHIFT_TEST_MARK"
READY_MAX_S = 90.0
# The embedded broker waits the whole rebalance timeout in every group join.
QUICK = {"RISKSHIFT_REBALANCE_TIMEOUT_S": "3", "RISKSHIFT_SESSION_TIMEOUT_S": "6", "RISKSHIFT_HEARTBEAT_S": "1"}


@dataclass(frozen=True, slots=True)
class Done:
    """What one command left: exit status, standard output, standard error."""

    status: int
    out: str
    err: str

    def objects(self) -> list[dict[str, Any]]:
        """Standard output of `--json`: one object a line."""
        return [json.loads(line) for line in self.out.splitlines()]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without any `RISKSHIFT_` setting, plus `extra`."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("RISKSHIFT_")}
    return {**ours, "PYTHONPATH": str(HOME), "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", **(extra or {})}


def riskshift(
    *arguments: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None, timeout_s: float = 60.0
) -> Done:
    """Run `riskshift ARGUMENTS` to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "streams", *map(str, arguments)], env=environment(env), cwd=cwd, timeout=timeout_s,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


def marked(mark: str) -> list[int]:
    """Living processes whose environment carries `mark`, ours excepted."""
    found = []
    needle = f"{MARK}={mark}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if needle in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue  # it ended meanwhile, or is not ours
    return found


def until(condition: Callable[[], bool], timeout_s: float, what: str, every_s: float = 0.1) -> None:
    """Wait for `condition`; AssertionError naming `what` when it does not come."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s in vain for {what}"
        time.sleep(every_s)


class Running:
    """One `riskshift` command that runs until stopped; its output is collected as it comes.

    Attributes
    ----------
    lines
        Standard output so far; `said` are those of them that are JSON objects.
    """

    def __init__(self, *arguments: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
        self.mark = uuid.uuid4().hex
        self.lines: list[str] = []
        self.errors: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "streams", *map(str, arguments)],
            env=environment({**(env or {}), MARK: self.mark}), cwd=cwd, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._readers = [
            threading.Thread(target=self._collect, args=pair, daemon=True)
            for pair in ((self.process.stdout, self.lines), (self.process.stderr, self.errors))
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _collect(stream: Any, lines: list[str]) -> None:
        with stream:
            lines.extend(line.rstrip("\n") for line in stream)

    @property
    def said(self) -> list[dict[str, Any]]:
        """JSON objects of standard output so far."""
        return [json.loads(line) for line in list(self.lines) if line.startswith("{")]

    @property
    def restarts(self) -> list[str]:
        """Why supervised processes were started again, one entry for each time; empty is well."""
        return [f"{line['name']}: {line['reason']}" for line in self.said if line.get("worker") == "restarting"]

    def pids(self) -> list[int]:
        """Its process and all below it, also when their parent is gone."""
        return marked(self.mark)

    def wait_until(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Wait for `condition`; fails at once, with the last output, when the process ends before."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            ended = self.process.poll()
            if ended is not None or time.monotonic() > deadline:
                raise AssertionError(f"no {what} (status {ended}): {self.lines[-15:]} {self.errors[-15:]}")
            time.sleep(0.05)

    def wait_ready(self, timeout_s: float = READY_MAX_S) -> None:
        """Until a JSON line has `ready` in it."""
        self.wait_until(lambda: any("ready" in said for said in self.said), timeout_s, "ready")

    def wait(self, timeout_s: float) -> int:
        """The exit status once it ended by itself, all of its output read."""
        status = self.process.wait(timeout_s)
        for reader in self._readers:
            reader.join(5)
        return status

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout_s: float = 30.0) -> int:
        """Ask it to end and return its status; killed, and TimeoutExpired raised, when it does not."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """kill -9, children included (each is tied to its parent's life)."""
        self.process.kill()
        self.wait(10)

    def left_over(self, within_s: float = 2.0) -> list[int]:
        """Processes that still run though it ended; a dying one is given a moment."""
        deadline = time.monotonic() + within_s
        while (left := self.pids()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                if kind is None:
                    raise


class Deployment:
    """Topics under one prefix on one broker, a state folder, and the commands that work on them.

    Parameters
    ----------
    broker
        HOST:PORT.
    prefix
        Of the topics; the fixture `prefix` is unique.
    folder
        Temporary; the state folder lies in it.
    partitions
        Of the events.
    """

    def __init__(self, broker: str, prefix: str, folder: Path, partitions: int = 2) -> None:
        self.broker, self.prefix, self.partitions = broker, prefix, partitions
        self.state = folder / "state"
        self._running: list[Running] = []

    def declare(self) -> None:
        """Create the topics."""
        topics.declare(self.broker, self.partitions, prefix=self.prefix)

    def run(self, command: str, *arguments: str | Path, timeout_s: float = 60.0) -> Done:
        """One command to its end, on this broker."""
        return riskshift(command, *arguments, *self._place(command), timeout_s=timeout_s)

    def start(self, command: str, *arguments: str | Path, env: Mapping[str, str] | None = None) -> Running:
        """One command in the background; stopped with the deployment."""
        running = Running(command, *arguments, *self._place(command), env={**QUICK, **(env or {})})
        self._running.append(running)
        return running

    def _place(self, command: str) -> list[str]:
        place = ["--broker", self.broker]
        if command == "simulate":
            return [*place, "--topic", f"{self.prefix}.events"]
        return [*place, "--topic-prefix", self.prefix]

    @contextmanager
    def worker(
        self, workers: int = 1, *, learner: bool = False, env: Mapping[str, str] | None = None
    ) -> Iterator[Running]:
        """`riskshift worker`, ready; stopped by SIGTERM at the end."""
        options = [] if learner else ["--no-learner"]
        arguments = ("--workers", str(workers), "--state", self.state, "--json", *options)
        with self.start("worker", *arguments, env=env) as running:
            running.wait_ready()
            yield running

    def send_raw(self, records: Sequence[Raw], partition: int | None = None, topic: str = "events") -> SendSummary:
        """Send (key, value, headers) as they are; keyless ones to `partition`, else 0."""
        return asyncio.run(send_raw(self.broker, f"{self.prefix}.{topic}", records, partition))

    def read(self, topic: str) -> list[Record]:
        """Every committed record of PREFIX.`topic`, in order within each partition."""

        async def collect() -> list[Record]:
            name = f"{self.prefix}.{topic}"
            return [r async for r in tail(self.broker, name, from_beginning=True, until_end=True)]

        return asyncio.run(collect())

    def values(self, topic: str) -> list[dict[str, Any]]:
        """JSON values of a topic."""
        return [json.loads(record.value) for record in self.read(topic) if record.value]

    def account(self) -> Account:
        """What became of every input offset so far."""
        account = Account({(r.partition, r.offset): r for r in self.read("events")})
        for record in self.read("decisions"):
            value = json.loads(record.value or b"{}")
            # What a tick derived, and controls the owner put in, are not dispositions of an input offset.
            if value["disposition"] != "derived" and "offset" in value:
                place = (value["partition"], value["offset"])
                account.said.setdefault(place, []).append((value["disposition"], record.value))
        for record in self.read("dead-letters"):
            headers = dict(record.headers)
            place = (
                int(headers["__connect.errors.partition"] or b"-1"),
                int(headers["__connect.errors.offset"] or b"-1"),
            )
            account.said.setdefault(place, []).append(("dead_letter", record.value))
        return account

    def drain(self, timeout_s: float = 60.0) -> Account:
        """Wait until every input offset has a disposition; AssertionError when that does not come."""
        deadline = time.monotonic() + timeout_s
        while True:
            account = self.account()
            missing = account.unaccounted()
            if not missing:
                return account
            assert time.monotonic() < deadline, f"{len(missing)} offsets without a disposition: {missing[:10]}"
            time.sleep(0.3)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for running in self._running:
            if running.process.poll() is None:
                running.kill()
