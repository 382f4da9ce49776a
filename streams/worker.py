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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from features.errors import EventError
from features.events import Control, Indicator, Switch, Tick, decode
from streams.bulletin import POLICY_KEY, Bulletin
from streams.commit import Item, PartitionLog
from streams.dispositions import Output
from streams.engine import Engine
from streams.errors import StateError
from streams.faust_batches import BatchApp, Chunk, build_app
from streams.library import INITIAL_VERSION, VersionLibrary
from streams.restore import read_changelog
from streams.rows import META_KEY, unpack_meta
from streams.settings import Settings

log = logging.getLogger(__name__)

EXIT_FAILED = 70
_TIME_EVERY_S = 0.25
_WATERMARK_EVERY_S = 1.0
_VERSION_WAIT_S = 20.0


@dataclass(slots=True)
class Owned:
    """One partition while it is ours: its engine, its log, under which generation of the group."""

    engine: Engine
    log: PartitionLog
    generation: int
    changelog_position: int
    watermark_said_s: float = 0.0
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)


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
    """

    def __init__(self, settings: Settings, partitions: int, transactional: bool, library: VersionLibrary) -> None:
        self.settings = settings
        self.partitions = partitions
        self.transactional = transactional
        self.library = library
        self.bulletin = Bulletin(settings, library, partitions)
        self.owned: dict[int, Owned] = {}
        self.app: BatchApp = build_app(settings, self.handle)
        self.app.before_stop = self._arm_hard_exit
        self.app.on_rebalance_complete.connect(self._on_rebalance_complete)
        self.app.task(self.keep_time)
        self._started = False

    # --- assignment -------------------------------------------------------------------------------------

    async def _on_rebalance_complete(self, *_args: Any, **_kwargs: Any) -> None:
        # Faust awaits this signal before any partition resumes, which is what a restore needs.
        try:
            await self.restore()
        except Exception as error:
            self.end(f"cannot take over its partitions: {error}", error)

    async def restore(self) -> None:
        """Take over the partitions assigned to us: fence, read rows to the end of the changelog."""
        if not self._started:
            self._started = True
            await self.bulletin.start()
            await self._publish_policy()
        generation = self.app.consumer_generation_id
        assigned = sorted(
            tp.partition for tp in self.app.consumer.assignment() if tp.topic == self.settings.topic_events
        )
        for partition in [p for p in self.owned if p not in assigned]:
            await self.owned.pop(partition).log.stop()
        for partition in assigned:
            if self.app.consumer_generation_id != generation:
                return  # another rebalance came; it will call again
            self.owned[partition] = await self._take_over(partition, generation)
        say("ready", partitions=assigned, rows=sum(len(owned.engine.rows) for owned in self.owned.values()))

    async def _publish_policy(self) -> None:
        """Let other workers and replays know the policy by its version: decisions name only that."""
        version = self.library.policy.version
        if version in self.bulletin.policies:
            return
        # Without the fence: several workers may start at once, and the same policy twice is one policy.
        async with PartitionLog(self.settings, "policy", transactional=False) as out:
            item = (POLICY_KEY + version.encode(), self.library.policy_source.encode(), ())
            await out.publish(self.settings.topic_models, 0, [item])

    async def _take_over(self, partition: int, generation: int) -> Owned:
        before = self.owned.pop(partition, None)
        if before is not None:
            await before.log.stop()
        partition_log = PartitionLog(self.settings, str(partition), self.transactional)
        await partition_log.start()
        # Rows still in memory serve like a local store: only what was written since is read.
        start = before.changelog_position if before is not None else 0
        changelog = await read_changelog(self.settings, partition, start, fenced=self.transactional)
        engine = before.engine if before is not None else self._new_engine(partition)
        if changelog.rows:
            rows = changelog.rows if before is None else engine.snapshot() | changelog.rows
            await self._check_meta(partition, rows.get(META_KEY))
            engine.restore(rows)
        return Owned(engine, partition_log, generation, changelog.position)

    def _new_engine(self, partition: int) -> Engine:
        return Engine(
            partition,
            self.partitions,
            self.settings.topic_events,
            self.library,
            model_version=INITIAL_VERSION,
            policy_version=self.library.policy.version,
        )

    async def _check_meta(self, partition: int, packed: bytes | None) -> None:
        if packed is None:
            raise StateError(
                f"{self.settings.topic_rows}[{partition}] has rows but not the partition's own: "
                "it was not written by Riskshift"
            )
        meta = unpack_meta(packed, f"partition {partition}")
        if meta.partitions != self.partitions:
            raise StateError(
                f"the rows belong to {meta.partitions} input partitions, {self.settings.topic_events} has "
                f"{self.partitions}: customers live elsewhere now; "
                "use another topic_prefix, or restore the partition count"
            )
        if not await self.bulletin.require(meta.model_version, meta.policy_version, _VERSION_WAIT_S):
            raise StateError(
                f"partition {partition} is under model {meta.model_version} and policy {meta.policy_version!r}, which "
                f"{self.settings.topic_models} does not hold under our signing key: use the deployment's key "
                f"({self.settings.key_path()}) and topics"
            )

    # --- batches ----------------------------------------------------------------------------------------

    async def handle(self, partition: int, chunk: Chunk) -> None:
        """Work one batch through and make it durable; ends the process instead of raising."""
        try:
            owned = self._guard(partition, chunk)
            async with owned.busy:
                await self._await_versions(chunk)
                await self._run(owned, chunk)
        except Exception as error:
            self.end(f"batch of partition {partition} up to offset {chunk[-1].offset} failed: {error!r}", error)

    def _guard(self, partition: int, chunk: Chunk) -> Owned:
        owned = self.owned.get(partition)
        generation = self.app.consumer_generation_id
        if owned is None or owned.generation != generation:
            raise StateError(f"not restored under generation {generation}: a batch came before its rows")
        applied = owned.engine.meta.applied_offset
        if chunk.previous is not None and chunk.previous > applied and chunk[0].offset > applied + 1:
            raise StateError(f"offset {chunk.previous} was fetched but never applied (applied: {applied})")
        return owned

    async def _await_versions(self, chunk: Chunk) -> None:
        """A switch in the log may be newer than what we have read of the models topic: give that time."""
        for record in chunk:
            if record.key is None and record.value and b'"switch"' in record.value:
                try:
                    event = decode(record.value)
                except EventError:
                    continue
                if isinstance(event, Switch):
                    await self.bulletin.require(event.model_version, event.policy_version, _VERSION_WAIT_S)

    async def _run(self, owned: Owned, chunk: list[Any]) -> None:
        controls, world_offset = self._controls(owned)
        if controls and chunk and not self.transactional:
            # Without transactions a switch must be durable before the first decision made under it.
            await self._commit(owned, owned.engine.process((), controls, world_offset), None)
            controls, world_offset = [], None
        output = owned.engine.process(chunk, controls, world_offset)
        if len(owned.engine.rows) > self.settings.customers_max:
            raise StateError(
                f"more than {self.settings.customers_max} customers in one partition's memory: "
                "raise RISKSHIFT_CUSTOMERS_MAX or use more partitions and workers"
            )
        await self._commit(owned, output, chunk[-1].offset + 1 if chunk else None)

    async def _commit(self, owned: Owned, output: Output, next_offset: int | None) -> None:
        meta = owned.engine.meta
        now_s = time.time()
        extra: list[tuple[str, Item]] = []
        self.bulletin.time.advance(meta.partition, meta.watermark_ms, now_s)
        if meta.watermark_ms >= 0 and now_s - owned.watermark_said_s >= _WATERMARK_EVERY_S:
            owned.watermark_said_s = now_s
            mark = json.dumps({"partition": meta.partition, "watermark_ms": meta.watermark_ms}).encode()
            extra.append((self.settings.topic_watermarks, (str(meta.partition).encode(), mark, ())))
        await owned.log.commit(meta.partition, output, next_offset, extra)

    # --- time, versions, world --------------------------------------------------------------------------

    async def keep_time(self) -> None:
        """Between batches too: ticks, switches and the world reach quiet partitions."""
        try:
            while not self.app.should_stop:
                await asyncio.sleep(_TIME_EVERY_S)
                self.bulletin.check()
                for owned in list(self.owned.values()):
                    stale = owned.generation != self.app.consumer_generation_id or self.app.rebalancing
                    if stale or owned.busy.locked():
                        continue
                    async with owned.busy:
                        if self._controls(owned)[0]:
                            await self._run(owned, [])
        except Exception as error:
            self.end(f"keeping time failed: {error!r}", error)

    def _controls(self, owned: Owned) -> tuple[list[Control], int | None]:
        """What the owner puts into the partition's order now, and how far the world has been copied."""
        meta, library, settings = owned.engine.meta, self.library, self.settings
        now_ms = self.bulletin.time.now_ms(time.time())
        controls: list[Control] = []
        if library.latest > meta.model_version or library.policy.version != meta.policy_version:
            version, policy = max(library.latest, meta.model_version), library.policy.version
            controls.append(
                Switch(
                    event_id=f"switch/{meta.partition}/{version}/{policy}"[:64],
                    event_time_ms=max(meta.watermark_ms, 0),
                    schema_version=1,
                    partition=meta.partition,
                    model_version=version,
                    policy_version=policy,
                )
            )
        tick_ms = now_ms - now_ms % settings.tick_every_ms if now_ms >= 0 else -1
        if tick_ms > meta.tick_ms:
            controls.append(
                Tick(
                    event_id=f"tick/{meta.partition}/{tick_ms}",
                    event_time_ms=tick_ms,
                    schema_version=1,
                    partition=meta.partition,
                )
            )
        world: list[tuple[int, Indicator]] = [entry for entry in self.bulletin.world if entry[0] > meta.world_offset]
        controls.extend(indicator for _offset, indicator in world)
        return controls, world[-1][0] if world else None

    # --- the end ----------------------------------------------------------------------------------------

    def _arm_hard_exit(self) -> None:
        """A clean stop has a deadline: a thread, because the loop may be what hangs."""

        def exit_hard() -> None:
            say("stopped", clean=False)
            os._exit(0)

        timer = threading.Timer(self.settings.shutdown_timeout_s, exit_hard)
        timer.daemon = True
        timer.start()

    def end(self, reason: str, error: BaseException | None = None) -> NoReturn:
        """Say why and end the process at once: nothing uncommitted counts, the log is the truth."""
        if error is not None:
            log.debug("the cause", exc_info=error)
        say("failed", reason=reason)
        print(f"riskshift worker: {reason}", file=sys.stderr, flush=True)
        os._exit(EXIT_FAILED)


def say(what: str, **fields: object) -> None:
    """One JSON line to standard output: the supervisor reads it."""
    print(json.dumps({"worker": what, "pid": os.getpid(), **fields}), flush=True)


def run_worker(settings: Settings, partitions: int, transactional: bool, key: bytes) -> int:
    """Run one worker in this process until SIGTERM; the exit status."""
    import faust

    library = VersionLibrary(key, Path(settings.policy) if settings.policy else None)
    if not transactional:
        say("note", text="this broker has no transactions: a crash may say a batch twice; for development only")
    worker = Worker(settings, partitions, transactional, library)
    runner = faust.Worker(worker.app, loglevel="warn", quiet=True, redirect_stdouts=False)
    runner.spinner = None  # it writes terminal codes even when quiet
    try:
        runner.execute_from_commandline()
    except SystemExit as ended:
        return int(ended.code or 0) if not isinstance(ended.code, str) else 1
    return 0
