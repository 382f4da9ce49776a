"""Engines spread over processes: partition p belongs to process p modulo their number; all answer before they meet."""

from __future__ import annotations

import multiprocessing
import signal
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

import msgspec

from features.errors import RiskshiftError
from streams.replay.engines import Engines, EngineSettings
from streams.replay.errors import ReplayError
from streams.replay.work import Said, Step

_encoder = msgspec.msgpack.Encoder()
_step = msgspec.msgpack.Decoder(Step)
_said = msgspec.msgpack.Decoder(Said)
_STEP, _SAVE, _RESTORE, _CLOSE = b"w", b"s", b"r", b"c"
_DONE, _FAILED = b"d", b"f"


class Crew(Protocol):
    """Engines of all partitions, wherever they are. `give` and `take` alternate."""

    def give(self, step: Step) -> None:
        """Begin a step."""

    def take(self) -> list[Said]:
        """What came of it."""

    def save(self, folder: Path) -> None:
        """Rows of all, into files of this folder."""

    def restore(self, folder: Path, frames: list[bytes]) -> None:
        """Take over the rows of `save`, whatever the number of processes was."""

    def close(self) -> None:
        """Finish."""


class OneProcess:
    """All engines here."""

    def __init__(self, settings: EngineSettings) -> None:
        self._engines = Engines(settings, range(settings.partitions))
        self._step: Step | None = None

    def give(self, step: Step) -> None:
        """Keep it; the work is done by `take`."""
        self._step = step

    def take(self) -> list[Said]:
        """Do the work."""
        assert self._step is not None  # noqa: S101  # `give` comes first
        return [self._engines.work(self._step)]

    def save(self, folder: Path) -> None:
        """Rows of all."""
        self._engines.save(folder / "rows-0.bin")

    def restore(self, folder: Path, frames: list[bytes]) -> None:
        """Take over the rows of `save`."""
        self._engines.restore(_joined(folder), frames)

    def close(self) -> None:
        """Finish the files."""
        self._engines.close()


class ManyProcesses:
    """Engines in child processes that talk over pipes.

    Parameters
    ----------
    settings
        As for `Engines`.
    processes
        How many; none gets nothing to do.
    """

    def __init__(self, settings: EngineSettings, processes: int) -> None:
        # Not forked: threads of the libraries would be lost in the middle of what they do.
        context = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._children: list[BaseProcess] = []
        packed = _encoder.encode(settings)
        for number in range(processes):
            ours, theirs = context.Pipe()
            owned = list(range(number, settings.partitions, processes))
            child = context.Process(target=_serve, args=(theirs, packed, owned, number), daemon=True)
            child.start()
            theirs.close()
            self._pipes.append(ours)
            self._children.append(child)

    def give(self, step: Step) -> None:
        """Send everybody the step, with the records of their own partitions only."""
        for number, pipe in enumerate(self._pipes):
            hours = [
                msgspec.structs.replace(
                    hour,
                    records={p: rows for p, rows in hour.records.items() if p % len(self._pipes) == number},
                )
                for hour in step.hours
            ]
            self._send(pipe, _STEP + _encoder.encode(msgspec.structs.replace(step, hours=hours)))

    def take(self) -> list[Said]:
        """Wait for all."""
        return [_said.decode(self._receive(pipe)) for pipe in self._pipes]

    def save(self, folder: Path) -> None:
        """Rows of all, each process a file."""
        self._ask(_SAVE + str(folder).encode())

    def restore(self, folder: Path, frames: list[bytes]) -> None:
        """Take over the rows of `save`."""
        self._ask(_RESTORE + _encoder.encode((str(_joined(folder)), frames)))

    def close(self) -> None:
        """Let them finish their files, and wait for their end."""
        try:
            self._ask(_CLOSE)
        finally:
            for child in self._children:
                child.join(10)
                if child.is_alive():
                    child.terminate()

    def _ask(self, message: bytes) -> None:
        for pipe in self._pipes:
            self._send(pipe, message)
        for pipe in self._pipes:
            self._receive(pipe)

    def _send(self, pipe: Connection, data: bytes) -> None:
        try:
            pipe.send_bytes(data)
        except OSError:
            raise self._ended() from None

    def _receive(self, pipe: Connection) -> bytes:
        try:
            data = pipe.recv_bytes()
        except (EOFError, OSError):
            raise self._ended() from None
        if data[:1] == _FAILED:
            raise ReplayError(data[1:].decode())
        return data[1:]

    def _ended(self) -> ReplayError:
        ends = ", ".join(str(child.exitcode) for child in self._children)
        return ReplayError(
            f"expected {len(self._children)} engine processes, found one ended (exit codes: {ends}): look for a lack "
            "of memory, then go on with --resume"
        )


def crew(settings: EngineSettings, processes: int) -> Crew:
    """Engines in `processes` processes; one: in this one."""
    processes = min(processes, settings.partitions)
    return OneProcess(settings) if processes == 1 else ManyProcesses(settings, processes)


def _joined(folder: Path) -> Path:
    """The rows of all processes in one file, whoever had them."""
    parts = sorted(folder.glob("rows-*.bin"))
    whole = folder / "rows.bin"
    with whole.open("wb") as file:
        for part in parts:
            with part.open("rb") as source:
                while data := source.read(1 << 20):
                    file.write(data)
    return whole


def _serve(pipe: Connection, packed: bytes, owned: list[int], number: int) -> None:
    # Ctrl-C is the reader's business: it tells us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answer: dict[bytes, Any] = {}
    try:
        engines = Engines(msgspec.msgpack.decode(packed, type=EngineSettings), owned)
        answer[_STEP] = lambda data: _encoder.encode(engines.work(_step.decode(data)))
        answer[_SAVE] = lambda data: engines.save(Path(data.decode()) / f"rows-{number}.bin")
        answer[_RESTORE] = lambda data: _restored(engines, data)
        answer[_CLOSE] = lambda _data: engines.close()
        while True:
            message = pipe.recv_bytes()
            pipe.send_bytes(_DONE + (answer[message[:1]](message[1:]) or b""))
            if message[:1] == _CLOSE:
                return
    except EOFError:
        return  # the reader ended
    except (RiskshiftError, OSError) as error:
        pipe.send_bytes(_FAILED + str(error).encode())


def _restored(engines: Engines, data: bytes) -> None:
    path, frames = msgspec.msgpack.decode(data, type=tuple[str, list[bytes]])
    engines.restore(Path(path), frames)
