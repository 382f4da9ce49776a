"""An event loop whose time is virtual, and processes that can be stopped between any two steps.

Nothing sleeps: when no callback is ready the clock jumps to the next timer. Product code (`wait_for`, `gather`, locks)
runs on it unchanged. Every callback belongs to the process in whose context it was made; while that process is stopped
(SIGSTOP) or dead (SIGKILL) its callbacks, timeouts included, are held back: that is exactly what the real signals do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from heapq import heappop, heappush
from typing import Any

PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)
# Broker, network and chaos: nobody stops them.
OUTSIDE = copy_context()


class StuckError(Exception):
    """Nothing is ready and no timer is left: everybody waits for somebody."""


class Process:
    """What can be stopped and killed as one.

    Attributes
    ----------
    stopped, dead
        Held back for a while, or for good.
    ghost
        Only being cleared away after the end of the world: it must not touch anything.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.stopped = self.dead = self.ghost = False
        self.held: list[asyncio.Handle] = []
        self.tasks: list[asyncio.Task[Any]] = []

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Start a task of this process; what it starts belongs to the process too."""
        context = copy_context()
        context.run(PROCESS.set, self)
        self.tasks.append(asyncio.get_running_loop().create_task(work, context=context))


class VirtualLoop(asyncio.BaseEventLoop):
    """See the module. One thread, no sockets.

    Attributes
    ----------
    faults
        What callbacks of the model raised.
    """

    def __init__(self) -> None:
        super().__init__()
        self._virtual_s = 0.0
        self._timers = 0
        self.faults: list[BaseException] = []
        self.set_exception_handler(self._complain)

    def time(self) -> float:
        """Virtual seconds since the beginning."""
        return self._virtual_s

    def call_at(
        self, when: float, callback: Callable[..., object], *arguments: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As always, but tuples in the heap: they compare faster than handles, and equal times keep their order."""
        handle = asyncio.TimerHandle(when, callback, arguments, self, context)
        self._timers += 1
        heappush(self._scheduled, (when, self._timers, handle))
        return handle

    def resume(self, process: Process) -> None:
        """Let a stopped process go on: all that came due meanwhile happens now, in order."""
        process.stopped = False
        self._ready.extend(process.held)
        process.held.clear()

    def _complain(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # Futures of the dead end with exceptions that nobody asks for; a callback that raises is a fault of the model.
        if "handle" in context:
            self.faults.append(context["exception"])

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled
        while scheduled and scheduled[0][2]._cancelled:
            heappop(scheduled)
        if not ready:
            if not scheduled:
                raise StuckError
            self._virtual_s = max(self._virtual_s, scheduled[0][0])
        while scheduled and scheduled[0][0] <= self._virtual_s:
            ready.append(heappop(scheduled)[2])
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            process = handle._context.get(PROCESS)
            if process is not None and process.stopped:
                process.held.append(handle)
            else:
                handle._run()

    def _write_to_self(self) -> None:
        """No other thread wakes this loop."""


async def clear_away(processes: list[Process]) -> None:
    """End every task of every process, so that nothing is left for the garbage collector to complain about."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    left: list[asyncio.Task[Any]] = []
    for process in processes:
        process.ghost = True
        loop.resume(process)
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    while left:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=60)
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    await loop.shutdown_asyncgens()
