"""Starts worker and learner processes, restarts those that end, stops all of them in order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from streams.broker.child import start_child

HOME = Path(__file__).resolve().parent.parent
# A process that keeps failing has a cause that a restart does not mend.
RESTARTS_MAX, RESTARTS_WITHIN_S = 5, 60.0
_BACKOFF_S = (0.2, 1.0, 2.0, 4.0, 8.0)
_POLL_S = 0.05
_WAIT_S = 1.0

Said = dict[str, object]


@dataclass(slots=True)
class Child:
    """One supervised process."""

    name: str
    command: list[str]
    env: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    ready: bool = False
    starts: deque[float] = field(default_factory=lambda: deque(maxlen=RESTARTS_MAX + 1))
    start_at: float = 0.0
    waiting: bool = False
    last_words: str = ""


class Supervisor:
    """Runs children until stopped.

    Parameters
    ----------
    children
        (name, arguments of `riskshift`) of each process.
    env
        Environment for all of them.
    on_said
        Called with every JSON line a child says (fields `worker` and `name`), in the child's reader thread.
    why_wait
        Asked before a child is started again: why that would be in vain now (no broker answers), or None. However long
        it lasts, it is not a reason to give up.
    """

    def __init__(
        self,
        children: Sequence[tuple[str, Sequence[str]]],
        env: Mapping[str, str] | None = None,
        on_said: Callable[[Said], None] | None = None,
        why_wait: Callable[[], str | None] | None = None,
    ) -> None:
        environment = {**os.environ, **(env or {}), "PYTHONPATH": str(HOME), "PYTHONUNBUFFERED": "1"}
        self.children = [
            Child(name, [sys.executable, "-m", "streams", *arguments], environment) for name, arguments in children
        ]
        self.on_said = on_said or (lambda _said: None)
        self.why_wait = why_wait or (lambda: None)
        self.stopping = threading.Event()
        self.restarts = 0

    @property
    def ready(self) -> bool:
        """Whether every child has said that it is ready."""
        return all(child.ready for child in self.children)

    def start(self) -> None:
        """Start every child, from the calling thread (which must live as long as they do)."""
        for child in self.children:
            self._start(child)

    def watch(self) -> str | None:
        """Look once at every child: restart what ended. Returns why it gives up, or None."""
        now = time.monotonic()
        for child in self.children:
            if child.process is None:
                if now >= child.start_at:
                    self._start_again(child, now)
                continue
            status = child.process.poll()
            if status is None:
                continue
            child.process, child.ready = None, False
            if self.stopping.is_set():
                continue
            said = child.last_words or "it said nothing"
            if len(child.starts) > RESTARTS_MAX and now - child.starts[0] < RESTARTS_WITHIN_S:
                return f"{child.name} ended {RESTARTS_MAX + 1} times within {RESTARTS_WITHIN_S:.0f} s, last: {said}"
            child.start_at = now + _BACKOFF_S[min(len(child.starts) - 1, len(_BACKOFF_S) - 1)]
            self.restarts += 1
            self.on_said({"worker": "restarting", "name": child.name, "status": status, "reason": said})
        return None

    def stop(self, patience_s: float) -> int:
        """Ask every child to end, kill what has not after `patience_s`; the number that had to be killed."""
        self.stopping.set()
        running = [child.process for child in self.children if child.process is not None]
        for process in running:
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + patience_s
        killed = 0
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                killed += 1
        return killed

    def run(self, until: Callable[[], bool]) -> str | None:
        """Watch until `until()`; returns why it gave up, or None."""
        while not until():
            problem = self.watch()
            if problem is not None:
                return problem
            time.sleep(_POLL_S)
        return None

    def _start_again(self, child: Child, now: float) -> None:
        reason = self.why_wait()
        if reason is None:
            child.waiting = False
            self._start(child)
            return
        if not child.waiting:
            self.on_said({"worker": "waiting", "name": child.name, "reason": reason})
        child.waiting, child.start_at = True, now + _WAIT_S

    def _start(self, child: Child) -> None:
        child.starts.append(time.monotonic())
        child.process = start_child(child.command, subprocess.PIPE, child.env)
        reader = threading.Thread(
            target=self._read, args=(child, child.process), name=f"read-{child.name}", daemon=True
        )
        reader.start()

    def _read(self, child: Child, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # noqa: S101  # asked for above
        with process.stdout as out:
            for raw in out:
                line = raw.decode(errors="replace").rstrip()
                said: object = None
                if line.startswith('{"worker"'):
                    try:
                        said = json.loads(line)
                    except ValueError:
                        said = None
                if isinstance(said, dict):
                    if said["worker"] in ("ready", "learner ready", "learner standing by"):
                        child.ready = True
                    if said["worker"] == "failed":
                        child.last_words = str(said.get("reason"))
                    self.on_said({**said, "name": child.name})
                elif line:
                    child.last_words = line
                    self.on_said({"worker": "log", "name": child.name, "line": line})
