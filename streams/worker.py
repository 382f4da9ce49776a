"""One worker process: Faust's batches through the engine, made durable by group commit.

Reading order: `Worker.restore` (an assignment), `Worker.handle` (a batch), `Worker.keep_time` (what happens
without one). Any failure ends the process, never raises: Faust acks what an agent raised on, and memory
that is ahead of the log must not live on. A supervisor starts it again; the log says where it was.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import faust

from features.errors import EventError
from features.events import Switch, decode
from streams.bulletin import POLICY_KEY, Bulletin
from streams.commit import PartitionLog
from streams.errors import StateError
from streams.faust_batches import BatchApp, Chunk, build_app, fetched_of
from streams.fetched import make_records_light
from streams.library import VersionLibrary
from streams.memory import avoid_long_pauses
from streams.owner import VERSION_WAIT_S, Estate, Owner
from streams.pauses import Pauses
from streams.restore import committed_offset, read_changelog
from streams.settings import Settings
from streams.store import LocalRows
from streams.watchdog import Progress, Watchdog

log = logging.getLogger(__name__)

EXIT_FAILED = 70
_TIME_EVERY_S = 0.25


class Worker:
    """Owns partitions as Faust assigns them.

    Parameters
    ----------
    settings
        In force for this process.
    partitions
        Of the input topic.
    transactional
        Whether the broker has transactions.
    library
        Models and policies.
    binding
        Cluster, input topic and partition count that state belongs to.
    slot
        Name of this process's own folder of local rows.
    """

    def __init__(
        self,
        settings: Settings,
        partitions: int,
        transactional: bool,
        library: VersionLibrary,
        binding: str,
        slot: str,
    ) -> None:
        self.settings = settings
        self.library = library
        self.bulletin = Bulletin(settings, library, partitions)
        self.owned: dict[int, Owner] = {}
        self.pauses = Pauses()
        rows_home = Path(settings.home) / "rows" / slot
        self.estate = Estate(
            settings=settings,
            partitions=partitions,
            library=library,
            outside=self.bulletin,
            binding=binding,
            fenced=transactional,
            open_log=lambda partition: PartitionLog(settings, str(partition), transactional),
            open_rows=lambda partition: self._open_rows(rows_home / str(partition), binding),
            read_changelog=lambda partition, start: read_changelog(settings, partition, start),
            committed=lambda partition: committed_offset(settings, partition),
            now_s=time.time,
            pauses=self.pauses,
        )
        self.app: BatchApp = build_app(settings, self.handle)
        self.app.on_partitions_revoked.connect(self._on_partitions_revoked)
        self.app.on_rebalance_complete.connect(self._on_rebalance_complete)
        self.app.task(self.keep_time)
        self.watchdog = Watchdog(settings.stall_s, self.progress, self.end)
        self._started = False
        self._deadline: threading.Timer | None = None

    # --- assignment -------------------------------------------------------------------------------------

    async def _on_rebalance_complete(self, *_args: Any, **_kwargs: Any) -> None:
        # Faust awaits this signal before any partition resumes, which is what a restore needs.
        try:
            await self.restore()
        except Exception as error:
            self.end(f"cannot take over its partitions: {error}", error)

    async def _on_partitions_revoked(self, *_args: Any, **_kwargs: Any) -> None:
        # Faust has stopped the flow and awaits this before it lets the group go on. Batches under way are brought to
        # their end first: whoever is next fences us, and a fenced batch ends the process.
        async def finish() -> None:
            for owner in list(self.owned.values()):
                async with owner.busy:
                    pass

        with suppress(TimeoutError):
            await asyncio.wait_for(finish(), self.settings.rebalance_timeout_s / 2)

    async def restore(self) -> None:
        """Take over the partitions assigned to us, let go of all others."""
        if not self._started:
            self._started = True
            self.watchdog.start()
            await self.bulletin.start()
            await self._publish_policy()
        generation = self.app.consumer_generation_id
        assigned = sorted(
            tp.partition for tp in self.app.consumer.assignment() if tp.topic == self.settings.topic_events
        )
        for partition in list(self.owned):
            await self.owned.pop(partition).release()
        for partition in assigned:
            if self.app.consumer_generation_id != generation:
                return  # another rebalance came; it will call again
            began_s = time.monotonic()
            self.owned[partition] = await Owner.take_over(self.estate, partition, generation)
            self.pauses.took(f"taking over partition {partition}", time.monotonic() - began_s)
        avoid_long_pauses()
        say("ready", partitions=assigned, rows=sum(len(owner.engine.rows) for owner in self.owned.values()))

    def _open_rows(self, path: Path, binding: str) -> LocalRows:
        rows = LocalRows(path, binding, self.settings.rows_cached_max)
        if rows.rebuilt is not None:
            say("note", text=f"local rows in {path} are thrown away and read from the changelog: {rows.rebuilt}")
        return rows

    async def _publish_policy(self) -> None:
        """Let other workers and replays know the policy by its version: decisions name only that."""
        version = self.library.policy.version
        if version in self.bulletin.policies:
            return
        # Without the fence: several workers may start at once, and the same policy twice is one policy.
        async with PartitionLog(self.settings, "policy", transactional=False) as out:
            item = (POLICY_KEY + version.encode(), self.library.policy_source.encode(), ())
            await out.publish(self.settings.topic_models, 0, [item])

    # --- batches ----------------------------------------------------------------------------------------

    async def handle(self, partition: int, chunk: Chunk) -> None:
        """Work one batch through and make it durable; ends the process instead of raising."""
        try:
            owner = self._guard(partition, chunk)
            async with owner.busy:
                await self._await_versions(chunk)
                await owner.work(chunk)
        except Exception as error:
            self.end(f"batch of partition {partition} up to offset {chunk[-1].offset} failed: {error!r}", error)

    def _guard(self, partition: int, chunk: Chunk) -> Owner:
        owner = self.owned.get(partition)
        generation = self.app.consumer_generation_id
        if owner is None or owner.generation != generation:
            raise StateError(f"not restored under generation {generation}: a batch came before its rows")
        applied = owner.engine.meta.applied_offset
        if chunk.previous is not None and chunk.previous > applied and chunk[0].offset > applied + 1:
            raise StateError(f"offset {chunk.previous} was fetched but never applied (applied: {applied})")
        return owner

    async def _await_versions(self, chunk: Chunk) -> None:
        """A switch in the log may be newer than what we have read of the models topic: read that to its end, once.

        Whoever wrote the switch had read its versions, so they are there by now, or it is forged: a batch of forged
        ones must not hold up the good events behind them.
        """
        for record in chunk:
            if record.key is None and record.value and b'"switch"' in record.value:
                try:
                    event = decode(record.value)
                except EventError:
                    continue
                if isinstance(event, Switch) and not self.library.knows(event.model_version, event.policy_version):
                    await self.bulletin.catch_up(VERSION_WAIT_S)
                    return

    # --- time -------------------------------------------------------------------------------------------

    async def keep_time(self) -> None:
        """Between batches too: ticks, switches and the world reach quiet partitions."""
        try:
            self.pauses.watch_collector()
            while not self.app.should_stop:
                due_s = time.monotonic() + _TIME_EVERY_S
                await asyncio.sleep(_TIME_EVERY_S)
                if late := self.pauses.turn(due_s):
                    say("note", text=late)
                self.watchdog.beat()
                self.bulletin.check()
                for owner in list(self.owned.values()):
                    stale = owner.generation != self.app.consumer_generation_id or self.app.rebalancing
                    if stale or owner.busy.locked():
                        continue
                    async with owner.busy:
                        if owner.controls()[0]:
                            await owner.work(())
        except Exception as error:
            self.end(f"keeping time failed: {error!r}", error)

    def progress(self) -> list[Progress]:
        """How far every owned partition is; called from the watchdog's thread, reads only."""
        if self.app.rebalancing:
            return []
        return [
            Progress(partition, *fetched, owner.engine.meta.applied_offset)
            for partition, owner in list(self.owned.items())
            if (fetched := fetched_of(self.app, partition)) is not None
        ]

    # --- the end ----------------------------------------------------------------------------------------

    def arm_hard_exit(self, status: int) -> None:
        """A stop has a deadline: a thread, because the loop may be what hangs."""

        def exit_hard() -> None:
            say("stopped", clean=False)
            os._exit(status)

        if self._deadline is None:
            self._deadline = threading.Timer(self.settings.shutdown_timeout_s, exit_hard)
            self._deadline.daemon = True
            self._deadline.start()

    def end(self, reason: str, error: BaseException | None = None) -> NoReturn:
        """Say why and end the process at once: nothing uncommitted counts, the log is the truth."""
        if error is not None:
            log.debug("the cause", exc_info=error)
        say("failed", reason=reason)
        print(f"riskshift worker: {reason}", file=sys.stderr, flush=True)
        os._exit(EXIT_FAILED)


def say(what: str, **fields: object) -> None:
    """One JSON line to standard output: the supervisor reads it."""
    # One write: the watchdog says its last words from a thread of its own.
    print(json.dumps({"worker": what, "pid": os.getpid(), **fields}) + "\n", end="", flush=True)


class _Runner(faust.Worker):
    """Faust's process, whose stop ends in time whatever it hangs on: `wait_empty`, a broker that is gone."""

    owner: Worker

    async def stop(self) -> None:
        asked = self._signal_stop_time is not None
        self.owner.arm_hard_exit(0 if asked else EXIT_FAILED)
        await super().stop()


def run_worker(settings: Settings, partitions: int, transactional: bool, key: bytes, binding: str, slot: str) -> int:
    """Run one worker in this process until SIGTERM; the exit status."""
    make_records_light()
    library = VersionLibrary(key, Path(settings.policy) if settings.policy else None)
    if not transactional:
        say("note", text="this broker has no transactions: a crash may say a batch twice; for development only")
    worker = Worker(settings, partitions, transactional, library, binding, slot)
    runner = _Runner(worker.app, loglevel="warn", quiet=True, redirect_stdouts=False)
    runner.owner = worker
    runner.spinner = None  # it writes terminal codes even when quiet
    try:
        runner.execute_from_commandline()
    except SystemExit as ended:
        return int(ended.code or 0) if not isinstance(ended.code, str) else 1
    return 0
