"""Requests on their way: late, lost before or after they were done, repeated; and where processes die and stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from aiokafka.errors import KafkaError, KafkaTimeoutError

from tests.simulation.broker import BusyError
from tests.simulation.loop import OUTSIDE, PROCESS, Process

if TYPE_CHECKING:
    from tests.simulation.world import World

T = TypeVar("T")
_LOST = object()


@dataclass
class Trouble:
    """Chances per request, that of a rebalance per batch; which a seed has is drawn (`tests.simulation.chaos`)."""

    kill: float = 0.0
    pause: float = 0.0
    request_lost: float = 0.0
    answer_lost: float = 0.0
    refused: float = 0.0
    slow: float = 0.0
    rebalance: float = 0.0


class Network:
    """Between the processes and the broker."""

    def __init__(self, world: World) -> None:
        self.world, self.loop, self.rng = world, world.loop, world.rng
        self.trouble = Trouble()

    async def ask(self, what: str, answer: Callable[[], T]) -> T:
        """Have a request applied at the broker and wait for the answer, asking again as clients do.

        Raises
        ------
        KafkaError
            What the broker says, or that the client gave up: then it may have been done or not.
        """
        process = PROCESS.get()
        assert process is not None
        trouble, rng = self.trouble, self.rng
        while True:
            await self.point(what)
            dice = rng.random()
            lost = dice < trouble.request_lost
            answer_lost = not lost and dice < trouble.request_lost + trouble.answer_lost
            gives_up = (lost or answer_lost) and rng.random() < trouble.refused
            future: asyncio.Future[Any] = self.loop.create_future()
            self.loop.call_later(
                self._travel_s(), self._arrive, process, answer, future, lost, answer_lost, context=OUTSIDE
            )
            result = await future
            if result is _LOST:
                self.world.note(process, "has no answer to", what)
                if gives_up:
                    raise KafkaTimeoutError
            elif isinstance(result, BusyError):
                await asyncio.sleep(0.005)
            elif isinstance(result, BaseException):
                self.world.note(process, "is refused:", what, repr(result))
                raise result
            else:
                await self.point(what + " answered")
                return result  # type: ignore[no-any-return]

    async def point(self, what: str) -> None:
        """Where the process may be killed or stopped."""
        process = PROCESS.get()
        assert process is not None
        if process.ghost:
            raise asyncio.CancelledError
        trouble = self.trouble
        dice = self.rng.random()
        if dice < trouble.kill:
            self.world.kill(process, f"at {what}")
            await asyncio.sleep(0)
        elif dice < trouble.kill + trouble.pause:
            self.world.pause(process, f"at {what}")
            await asyncio.sleep(0)

    def unrest(self) -> None:
        """Where a rebalance may come while its partitions are being worked."""
        if self.rng.random() < self.trouble.rebalance:
            self.world.group.rebalance()

    def _travel_s(self) -> float:
        if self.rng.random() < self.trouble.slow:
            return self.rng.choice((0.1, 1.0, 5.0, 20.0)) * self.rng.random()
        return 0.0005 + 0.003 * self.rng.random()

    def _arrive(
        self, process: Process, answer: Callable[[], Any], future: asyncio.Future[Any], lost: bool, answer_lost: bool
    ) -> None:
        world, broker = self.world, self.world.broker
        # Without a fence a dead owner's last words can come after its successor's first: said in docs/guarantees.md.
        unheard = process.dead and not world.fenced
        if lost or broker.down or process.name in world.cut or unheard:
            self._settle_later(future, _LOST, self.rng.choice((0.05, 0.5, 2.0)))
            return
        try:
            result = answer()
        except (KafkaError, BusyError) as error:
            result = error
        if answer_lost:
            self._settle_later(future, _LOST, self.rng.choice((0.05, 0.5, 2.0, 31.0)))
            return
        incarnation = broker.incarnation

        def deliver() -> None:
            gone = broker.incarnation != incarnation or process.name in world.cut
            if not future.done():
                future.set_result(_LOST if gone else result)

        self.loop.call_later(self._travel_s(), deliver, context=OUTSIDE)

    def _settle_later(self, future: asyncio.Future[Any], result: object, delay_s: float) -> None:
        def settle() -> None:
            if not future.done():
                future.set_result(result)

        self.loop.call_later(delay_s, settle, context=OUTSIDE)
