"""Apache Kafka itself, from its own jars, as one process in KRaft mode: broker and controller in one.

`make test-kafka` fetches the jars with Maven into `build/kafka-libs`. Data lies in a temporary folder and
survives `kill()` and `start()` on the same object, so that tests can crash the broker.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path
from types import TracebackType
from typing import Self

from streams.broker.child import start_child, stop_child
from streams.broker.wire import answers, free_port

LIBS = Path(__file__).parents[2] / "build" / "kafka-libs"
_START_MAX_S = 60.0
_STOP_PATIENCE_S = 15.0
# A small heap and the first compiler only: the broker shares two cores with the tests.
_JVM = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"]


def why_missing() -> str | None:
    """What is missing to run Apache Kafka here, as one sentence, or None."""
    if not list(LIBS.glob("kafka_*.jar")):
        return "Apache Kafka's jars are not in build/kafka-libs: run make test-kafka"
    if shutil.which("java") is None:
        return "java is missing: apt install openjdk-17-jre-headless"
    return None


class ApacheKafka:
    """One Apache Kafka broker on 127.0.0.1; `overrides` are added to its server.properties."""

    def __init__(self, overrides: dict[str, str] | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="riskshift-kafka-"))
        self._overrides = overrides or {}
        self._process: subprocess.Popen[bytes] | None = None
        self._formatted = False
        self.port = free_port()

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Start, or start again on the same data, and return when it answers."""
        if not self._formatted:
            self._format()
        log = (self._folder / "server.log").open("ab")
        with log:
            self._process = start_child(self._java("kafka.Kafka", self._properties), log)
        deadline = time.monotonic() + _START_MAX_S
        while not answers(self.address):
            if self._process.poll() is not None:
                raise RuntimeError(f"Apache Kafka ended: {self._tail()}")
            if time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"Apache Kafka did not answer within {_START_MAX_S:.0f} s: {self._tail()}")
            time.sleep(0.1)
        return self

    def stop(self) -> None:
        """Shut down in order and remove its data."""
        if self._process is not None:
            self.resume()
            stop_child(self._process, _STOP_PATIENCE_S)
            self._process = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def kill(self) -> None:
        """As if the power went: kill -9. The data stays for `start`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Stop answering without closing a connection."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        self._signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _properties(self) -> str:
        return str(self._folder / "server.properties")

    def _java(self, *arguments: str) -> list[str]:
        # C1 only and a serial collector, see _JVM; the configuration turns the log to warnings.
        log = f"-Dlog4j2.configurationFile={self._folder / 'log4j2.properties'}"
        return ["java", *_JVM, log, "-cp", f"{LIBS}/*", *arguments]

    def _format(self) -> None:
        controller = free_port()
        properties = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self._folder / "data"),
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": "0",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "log.cleaner.dedupe.buffer.size": str(16 << 20),
            "log.cleaner.threads": "1",
            # A killed broker may register again as soon as its former self counts as gone.
            "broker.session.timeout.ms": "2000",
            "broker.heartbeat.interval.ms": "500",
        } | self._overrides
        Path(self._properties).write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        (self._folder / "log4j2.properties").write_text(
            "rootLogger.level=warn\nrootLogger.appenderRef.out.ref=out\n"
            "appender.out.type=Console\nappender.out.name=out\n"
            "appender.out.layout.type=PatternLayout\nappender.out.layout.pattern=%d %p %m%n\n"
        )
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # Kafka refuses ids that begin with a dash.
        cluster = "A" + cluster[1:]
        command = ["format", "--standalone", "-t", cluster, "-c", self._properties]
        done = subprocess.run(
            self._java("kafka.tools.StorageTool", *command), capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode:
            raise RuntimeError(f"formatting Apache Kafka's storage failed: {done.stdout[-500:]} {done.stderr[-500:]}")
        self._formatted = True

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def _tail(self) -> str:
        return (self._folder / "server.log").read_text(errors="replace")[-1500:]
