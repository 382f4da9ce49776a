"""A broker with our topics, and the real worker and learner as their own processes, for one measurement."""

from __future__ import annotations

import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from benchmarks.machine import process_cpu_s, process_rss_mib
from streams import topics
from streams.broker.embedded import EmbeddedBroker, broker_binary
from streams.cli.worker import child_arguments
from streams.settings import Settings, load
from streams.supervisor import Said, Supervisor
from tests.brokers.apache import LIBS, ApacheKafka, why_missing

RESULTS = Path(__file__).parent / "results"
BROKERS = ("tansu", "kafka")
PARTITIONS = 4
READY_MAX_S = 60.0
# The embedded broker waits the whole rebalance timeout in every group join; nothing else differs from the defaults.
_ENVIRONMENT = {"RISKSHIFT_SHUTDOWN_TIMEOUT_S": "5"}
_ENVIRONMENT_TANSU = {"RISKSHIFT_REBALANCE_TIMEOUT_S": "3"}


Figure = TypeVar("Figure", int, float)


class Stack:
    """A broker, its topics and, after `start`, one worker and one learner; a context manager.

    Parameters
    ----------
    broker
        `tansu` (embedded) or `kafka` (Apache Kafka from its own jars).
    environment
        Settings of the processes beside the defaults.
    workers
        How many worker processes.
    """

    def __init__(self, broker: str, environment: dict[str, str] | None = None, workers: int = 1) -> None:
        if broker == "kafka" and (reason := why_missing()):
            raise SystemExit(reason)
        self.kind = broker
        self.workers = workers
        self.said: list[tuple[float, Said]] = []
        # CPU seconds of each process when it said for the first time that it is ready: what went before is its start.
        self._ready_cpu_s: dict[int, float] = {}
        usual = _ENVIRONMENT | (_ENVIRONMENT_TANSU if broker == "tansu" else {})
        self._environment = usual | (environment or {})
        self._close = ExitStack()
        self._supervisor: Supervisor | None = None
        self.settings: Settings

    def __enter__(self) -> Self:
        with self._close:
            broker = self._close.enter_context(ApacheKafka() if self.kind == "kafka" else EmbeddedBroker())
            home = self._close.enter_context(tempfile.TemporaryDirectory(prefix="riskshift-benchmark-"))
            self.settings, _ = load(environ=self._environment, broker=broker.address, home=home)
            topics.declare(broker.address, PARTITIONS)
            self._close = self._close.pop_all()
        return self

    def start(self) -> None:
        """Start worker and learner; returns when both are ready."""
        supervisor = self._supervisor = Supervisor(
            [(_name(n), child_arguments(self.settings, "worker", n + 1)) for n in range(self.workers)]
            + [("learner", child_arguments(self.settings, "learner"))],
            self._environment,
            self._hear,
        )
        self._close.callback(supervisor.stop, 8.0)
        supervisor.start()
        deadline = time.monotonic() + READY_MAX_S
        while not supervisor.ready:
            self.check()
            if time.monotonic() > deadline:
                raise SystemExit(f"worker and learner were not ready within {READY_MAX_S:.0f} s: {self.said[-3:]}")
            time.sleep(0.02)

    def _hear(self, said: Said) -> None:
        self.said.append((time.monotonic(), said))
        pid = said.get("pid")
        if said["worker"] in ("ready", "learner ready") and pid is not None and pid not in self._ready_cpu_s:
            self._ready_cpu_s[pid] = process_cpu_s(pid)

    def check(self) -> None:
        """End the measurement when a process ended: a figure with a restart in it says nothing."""
        assert self._supervisor is not None
        problem = self._supervisor.watch()
        if problem is not None or self._supervisor.restarts:
            raise SystemExit(f"a process ended during the measurement: {problem or self.said[-3:]}")

    def when(self, what: str) -> float:
        """Monotonic time at which a child first said `what`."""
        return next(at for at, said in self.said if said["worker"] == what)

    def pids(self) -> dict[str, int]:
        """Process ids by role."""
        assert self._supervisor is not None
        return {child.name: child.process.pid for child in self._supervisor.children if child.process is not None}

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds by role since each process was ready; of all workers together."""
        return _by_role(
            {name: process_cpu_s(pid) - self._ready_cpu_s.get(pid, 0.0) for name, pid in self.pids().items()}
        )

    def rss_mib(self) -> dict[str, int]:
        """Resident memory by role; of all workers together."""
        return _by_role({name: process_rss_mib(pid) for name, pid in self.pids().items()})

    def version(self) -> str:
        """Name and version of the broker."""
        if self.kind == "kafka":
            jar = next(iter(sorted(LIBS.glob("kafka-clients-*.jar"))))
            return f"Apache Kafka {jar.stem.removeprefix('kafka-clients-')}, one node, client compiler only"
        done = subprocess.run([broker_binary(), "--version"], capture_output=True, text=True, check=False, timeout=10)
        return done.stdout.strip() or "Tansu"

    def snapshots(self) -> int:
        """Model snapshots the learner published so far."""
        return sum(said["worker"] == "snapshot" for _at, said in self.said)

    def pauses(self, since_s: float) -> list[str]:
        """What workers said of their loop standing still, after a monotonic time."""
        return [
            said["text"]
            for at, said in self.said
            if at >= since_s and said["worker"] == "note" and "stood still" in said["text"]
        ]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close.close()


def _name(number: int) -> str:
    return f"worker-{number + 1}"


def _by_role(figures: dict[str, Figure]) -> dict[str, Figure]:
    together: dict[str, Figure] = {}
    for name, figure in figures.items():
        role = name.partition("-")[0]
        together[role] = together[role] + figure if role in together else figure
    return together
