"""Worker and learner processes without a supervisor: the test starts, kills, stops and restarts each by its slot."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from streams.broker.child import start_child
from streams.cli.worker import child_arguments
from streams.settings import Settings
from tests.faults.board import Board
from tests.faults.crashing import BOARD
from tests.streams.harness import environment

LEARNER = "learner"
_POLL_S = 0.001
# About as long as a batch takes at the pace of these tests.
_INTO_A_BATCH_S = 0.01


@dataclass(slots=True)
class Death:
    """One kill: when, of whom, where, whether a batch was in flight, and which partitions it owned."""

    at_s: float
    slot: str
    where: str
    in_flight: bool
    owned: list[int]


@dataclass(slots=True)
class Slot:
    """One process and what it said since it was started."""

    name: str
    board: Board
    process: subprocess.Popen[bytes] | None = None
    said: list[dict[str, Any]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    @property
    def running(self) -> bool:
        """Whether the process is there (a stopped one is)."""
        return self.process is not None and self.process.poll() is None

    @property
    def owned(self) -> list[int]:
        """Partitions of its last assignment."""
        return next((line["partitions"] for line in reversed(self.said) if line.get("worker") == "ready"), [])

    @property
    def ready(self) -> bool:
        """Whether it has its partitions, or has become the learner."""
        return any(line.get("worker") in ("ready", "learner ready") for line in self.said)

    @property
    def taught(self) -> bool:
        """Whether it, a learner, has published since its start."""
        return any(line.get("worker") == "snapshot" for line in self.said)


class Fleet:
    """Slots of one deployment; a context manager that leaves no process behind.

    Parameters
    ----------
    settings
        Broker, topics and state folder; the rest travels by `env`.
    folder
        Where the boards lie.
    env
        `RISKSHIFT_` settings of all processes.
    workers
        How many worker slots.

    Attributes
    ----------
    deaths
        Every kill, in order.
    endings
        What processes said that ended by themselves, and were started again: (slot, status, last words).
    """

    def __init__(self, settings: Settings, folder: Path, env: Mapping[str, str], workers: int = 2) -> None:
        self.settings, self.env = settings, dict(env)
        self.slots = {str(n + 1): Slot(str(n + 1), Board(folder / f"board-{n + 1}")) for n in range(workers)}
        self.slots[LEARNER] = Slot(LEARNER, Board(folder / "board-learner"))
        self.deaths: list[Death] = []
        self.endings: list[tuple[str, int, str]] = []

    @property
    def workers(self) -> list[Slot]:
        """The worker slots."""
        return [slot for slot in self.slots.values() if slot.name != LEARNER]

    def start(self, name: str) -> Slot:
        """Start the process of a slot; call from a thread that lives as long as the process (see `start_child`)."""
        slot = self.slots[name]
        learner = name == LEARNER
        arguments = child_arguments(self.settings, "learner" if learner else "worker", 0 if learner else int(name))
        slot.said, slot.words = [], []
        slot.board.begin()
        env = environment({**self.env, BOARD: str(slot.board.path)})
        slot.process = start_child([sys.executable, "-m", "tests.faults.crashing", *arguments], subprocess.PIPE, env)
        threading.Thread(target=_read, args=(slot.process, slot.said, slot.words), daemon=True).start()
        return slot

    def mend(self) -> None:
        """Start what has ended by itself again, as a supervisor would, and remember what it said."""
        for slot in self.slots.values():
            if slot.process is not None and (status := slot.process.poll()) is not None:
                struck = slot.board.struck
                if struck is None:
                    self.endings.append((slot.name, status, " | ".join(slot.words[-2:])))
                else:
                    self._died(slot, struck)
                self.start(slot.name)

    def kill(self, name: str) -> None:
        """kill -9 and remember what was under way; not started again."""
        slot = self.slots[name]
        assert slot.process is not None
        slot.process.kill()
        slot.process.wait(10)
        self._died(slot, "random")
        slot.process = None

    def kill_in_flight(self, name: str, rng: random.Random, patience_s: float = 3.0) -> None:
        """kill -9 some milliseconds into a batch, if one comes in time."""
        slot = self.slots[name]
        deadline = time.monotonic() + patience_s
        while slot.running and time.monotonic() < deadline:
            if slot.board.in_flight:
                time.sleep(rng.uniform(0.0, _INTO_A_BATCH_S))
                if slot.board.in_flight:
                    break
            time.sleep(_POLL_S)
        self.kill(name)

    def _died(self, slot: Slot, where: str) -> None:
        self.deaths.append(Death(time.time(), slot.name, where, slot.board.in_flight, slot.owned))

    def wait(self, condition: Callable[[], bool], timeout_s: float, what: str, *, mend: bool = True) -> None:
        """Wait, starting again what ends meanwhile; AssertionError with the last words of all when it does not come."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s in vain for {what}: {self.last_words()}"
            if mend:
                self.mend()
            time.sleep(0.05)

    def last_words(self) -> dict[str, list[str]]:
        """The end of what every process said."""
        return {name: slot.words[-4:] for name, slot in self.slots.items()} | {
            "endings": [f"{name} ({status}): {words}" for name, status, words in self.endings[-5:]]
        }

    def all_owned(self, partitions: int) -> bool:
        """Whether every worker runs and has said so, and every partition has one owner among them."""
        owned = sorted(p for slot in self.workers for p in slot.owned)
        return all(slot.running and slot.ready for slot in self.workers) and owned == list(range(partitions))

    def retire(self, name: str, timeout_s: float = 25.0) -> int:
        """SIGTERM to one for good; its exit status."""
        slot = self.slots[name]
        assert slot.process is not None
        slot.process.terminate()
        status = slot.process.wait(timeout_s)
        slot.process = None
        return status

    def stop(self, timeout_s: float = 25.0) -> list[int]:
        """SIGTERM to all; their exit statuses."""
        running = [slot.process for slot in self.slots.values() if slot.process is not None]
        for process in running:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        return [process.wait(timeout_s) for process in running]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for slot in self.slots.values():
            if slot.process is not None:
                slot.process.kill()
                slot.process.wait(10)


def _read(process: subprocess.Popen[bytes], said: list[dict[str, Any]], words: list[str]) -> None:
    assert process.stdout is not None
    with process.stdout as out:
        for raw in out:
            line = raw.decode(errors="replace").rstrip()
            words.append(line)
            if line.startswith('{"worker"'):
                try:
                    said.append(json.loads(line))
                except ValueError:
                    continue  # cut off by a kill
