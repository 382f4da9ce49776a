"""`python -m tests.faults.crashing ...`: the command line of Riskshift, with places in it where it may stop itself.

The product has no hooks for this. At import the methods that a takeover and a batch go through are wrapped: each
`POINTS` of `tests.faults.board` asks the board whether this is the moment, and if so the process sends SIGKILL or
SIGSTOP to itself, in the middle of an await or between two. Everything else is the product as it is.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Any

import streams.worker as worker_module
from streams.commit import PartitionLog
from streams.owner import Owner
from streams.store import LocalRows
from streams.worker import Worker
from tests.faults.board import Board

BOARD = "RISKSHIFT_TEST_BOARD"
# Long enough for the request to leave, short enough for the answer not to have been read.
_UNDER_WAY_S = 0.001


def _pass(point: str) -> None:
    number = board.strike(point)
    if number is not None:
        os.kill(os.getpid(), number)


def _before(owner: Any, name: str, point: str) -> None:
    original: Callable[..., Awaitable[Any]] = getattr(owner, name)

    @wraps(original)
    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        _pass(point)
        return await original(*args, **kwargs)

    setattr(owner, name, wrapped)


def _after(owner: Any, name: str, point: str) -> None:
    original: Callable[..., Awaitable[Any]] = getattr(owner, name)

    @wraps(original)
    async def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = await original(*args, **kwargs)
        _pass(point)
        return result

    setattr(owner, name, wrapped)


def _patch_log() -> None:
    """Points of one transaction: on the producer of each partition's log, and on what hands records to it."""
    make, send, send_said = PartitionLog.__init__, PartitionLog._send, PartitionLog._send_said

    @wraps(make)
    def made(self: PartitionLog, settings: Any, name: str, transactional: bool) -> None:
        make(self, settings, name, transactional)
        if not (transactional and name.isdigit()):
            return
        producer = self._producer
        _before(producer, "begin_transaction", "before_begin")
        _after(producer, "begin_transaction", "after_begin")
        commit = producer.commit_transaction

        async def committed() -> None:
            _pass("all_acknowledged")
            asked = asyncio.ensure_future(commit())
            await asyncio.sleep(_UNDER_WAY_S)
            _pass("commit_under_way")
            await asked

        producer.commit_transaction = committed

    @wraps(send)
    async def sent(self: PartitionLog, topic: str, partition: int, items: Any) -> Any:
        pending = await send(self, topic, partition, items)
        if topic == self.settings.topic_rows:
            _pass("rows_sent")
        return pending

    @wraps(send_said)
    async def said(self: PartitionLog, partition: int, output: Any) -> Any:
        pending = await send_said(self, partition, output)
        _pass("said_sent")
        return pending

    PartitionLog.__init__, PartitionLog._send = made, sent  # type: ignore[method-assign]
    PartitionLog._send_said = said  # type: ignore[method-assign]


def _patch_owner() -> None:
    """Points of a takeover, and the two after a commit."""
    start, read = PartitionLog.start, worker_module.read_changelog
    take_over: Any = Owner.take_over.__func__  # type: ignore[attr-defined]
    commit_rows, handle = LocalRows.commit, Worker.handle

    @wraps(start)
    async def started(self: PartitionLog) -> None:
        await start(self)
        if self.transactional:
            _pass("fenced")

    async def read_some(settings: Any, partition: int, position: int) -> AsyncIterator[Any]:
        async for changes, end in read(settings, partition, position):
            yield changes, end
            _pass("in_restore")

    async def taken_over(cls: type[Owner], *args: Any) -> Owner:
        owner: Owner = await take_over(cls, *args)
        _pass("restored")
        return owner

    @wraps(commit_rows)
    def commit(self: LocalRows, *args: Any, **kwargs: Any) -> None:
        # Only a takeover says which of two rows wins.
        if not kwargs:
            _pass("committed_not_local")
        commit_rows(self, *args, **kwargs)

    @wraps(handle)
    async def handled(self: Worker, partition: int, chunk: Any) -> None:
        board.enter()
        await handle(self, partition, chunk)
        _pass("local_not_acked")
        board.leave()

    PartitionLog.start = started  # type: ignore[method-assign]
    worker_module.read_changelog = read_some
    Owner.take_over = classmethod(taken_over)  # type: ignore[method-assign,assignment]
    LocalRows.commit = commit  # type: ignore[method-assign]
    Worker.handle = handled  # type: ignore[method-assign]


if __name__ == "__main__":
    from streams.cli import main

    board = Board(Path(os.environ[BOARD]))
    _patch_log()
    _patch_owner()
    sys.exit(main())
