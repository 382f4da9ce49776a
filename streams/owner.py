"""One partition in the hands of its owner: taking over, working batches through, making them durable.

Nothing here knows Faust: the worker drives it with batches, the simulation with everything that can go wrong.
The order is the promise. Taking over: fence, open the local rows, read the changelog to its end, check. A
batch: engine, commit to the log, then the local rows, which may lag behind the log and never lead it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from features.events import Control, Indicator, Switch, Tick
from streams.commit import Item, PartitionLog
from streams.dispositions import Output, Record
from streams.engine import Engine
from streams.errors import StateError
from streams.library import INITIAL_VERSION, VersionLibrary
from streams.memory_rows import Rows
from streams.pauses import Pauses
from streams.rows import PartitionMeta, unpack_meta
from streams.settings import Settings

VERSION_WAIT_S = 20.0
_WATERMARK_EVERY_S = 1.0

Changes = tuple[list[tuple[bytes, bytes | None]], int]


class DurableRows(Rows, Protocol):
    """Rows with a place in the changelog; `streams.store.LocalRows`."""

    @property
    def position(self) -> int:
        """Changelog offset after the last record that is in here."""

    @property
    def meta(self) -> bytes | None:
        """The partition's own packed row."""

    def commit(self, rows: Sequence[tuple[bytes, bytes | None]], position: int, *, newest_wins: bool = True) -> None:
        """Take packed rows up to a changelog position."""

    def close(self) -> None:
        """Close."""


class Outside(Protocol):
    """What an owner sees of the shared topics; `streams.bulletin.Bulletin`."""

    @property
    def world(self) -> Sequence[tuple[int, Indicator]]:
        """(offset, indicator) pairs, oldest first."""

    def stream_time_ms(self, now_s: float) -> int:
        """Stream time, -1 while unknown."""

    def note_watermark(self, partition: int, watermark_ms: int, now_s: float) -> None:
        """An owned partition's own watermark."""

    async def require(self, model_version: int, policy_version: str, timeout_s: float) -> bool:
        """Wait until both versions are known; False when they do not come."""


@dataclass(frozen=True, slots=True)
class Estate:
    """What all partitions of one process share, and how they reach the world.

    Parameters
    ----------
    settings, partitions, library, outside
        In force; input partitions in all; versions; the shared topics.
    binding
        Cluster, topics and partition count that state belongs to.
    fenced
        Whether the broker has transactions.
    open_log
        Partition number → its log, not yet started.
    open_rows
        Partition number → its rows.
    read_changelog
        (partition, position) → batches of (key, value) with the position after them, up to the end.
    committed
        Partition → input offset the group has committed, or None.
    now_s
        The wall clock.
    pauses
        Told what the loop is at.
    """

    settings: Settings
    partitions: int
    library: VersionLibrary
    outside: Outside
    binding: str
    fenced: bool
    open_log: Callable[[int], PartitionLog]
    open_rows: Callable[[int], DurableRows]
    read_changelog: Callable[[int, int], AsyncIterator[Changes]]
    committed: Callable[[int], Any]
    now_s: Callable[[], float]
    pauses: Pauses = field(default_factory=Pauses)


class Owner:
    """Owner of one partition under one generation of the group; made by `take_over`."""

    def __init__(self, estate: Estate, engine: Engine, log: PartitionLog, rows: DurableRows, generation: int) -> None:
        self.estate = estate
        self.engine = engine
        self.generation = generation
        self.busy = asyncio.Lock()
        self._log = log
        self._rows = rows
        self._watermark_said_s = 0.0

    # --- taking over ------------------------------------------------------------------------------------

    @classmethod
    async def take_over(cls, estate: Estate, partition: int, generation: int) -> Owner:
        """Fence the former owner, then bring the rows to the end of the changelog.

        Raises
        ------
        StateError
            When the rows belong elsewhere, or were lost while the input offsets were not.
        BrokerError
            When the broker does not answer.
        """
        log = estate.open_log(partition)
        await log.start()
        rows = estate.open_rows(partition)
        try:
            # Before the changelog: a next owner may commit while we read, and its rows would look lost.
            committed = await estate.committed(partition)
            async for changes, position in estate.read_changelog(partition, rows.position):
                rows.commit(changes, position, newest_wins=estate.fenced)
            engine = Engine(
                partition,
                estate.partitions,
                estate.settings.topic_events,
                estate.library,
                model_version=INITIAL_VERSION,
                policy_version=estate.library.policy.version,
                rows=rows,
                binding=estate.binding,
            )
            if rows.meta is not None:
                await _check(estate, unpack_meta(rows.meta, f"partition {partition}"))
                engine.resume(rows.meta)
            elif len(rows) and estate.fenced:
                # Without transactions it is what a crash in the very first batch leaves: its rows come last of all.
                raise StateError(
                    f"{estate.settings.topic_rows}[{partition}] has rows but not the partition's own: "
                    "it was not written by Riskshift"
                )
            if committed is not None and committed > engine.meta.applied_offset + 1:
                raise StateError(
                    f"the group has committed input offset {committed} of {estate.settings.topic_events}[{partition}], "
                    f"but the rows end at {engine.meta.applied_offset}: the changelog lost rows; restore "
                    f"{estate.settings.topic_rows}, or start anew under another topic_prefix"
                )
        except BaseException:
            rows.close()
            await log.stop()
            raise
        return cls(estate, engine, log, rows, generation)

    async def release(self) -> None:
        """Let go: wait for what is under way, but not so long that a hung broker holds up the group; then close."""
        held = False
        with suppress(TimeoutError):
            held = await asyncio.wait_for(self.busy.acquire(), self.estate.settings.rebalance_timeout_s / 2)
        try:
            self._rows.close()
            await self._log.stop()
        finally:
            if held:
                self.busy.release()

    # --- batches ----------------------------------------------------------------------------------------

    async def work(self, records: Sequence[Record]) -> None:
        """Work records (or none, for what the owner puts in) through and make all of it durable.

        Raises
        ------
        Exception
            Anything: afterwards memory may be ahead of the log, and the process must end.
        """
        controls, world_offset = self.controls()
        if controls and records and not self.estate.fenced:
            # Without transactions a switch must be durable before the first decision made under it.
            await self._commit(self.engine.process((), controls, world_offset))
            controls, world_offset = [], None
        with self.estate.pauses.during(f"a batch of {len(records)} records"):
            output = self.engine.process(records, controls, world_offset)
        await self._commit(output)

    async def _commit(self, output: Output) -> None:
        estate, meta = self.estate, self.engine.meta
        now_s = estate.now_s()
        extra: list[tuple[str, Item]] = []
        estate.outside.note_watermark(meta.partition, meta.watermark_ms, now_s)
        if meta.watermark_ms >= 0 and now_s - self._watermark_said_s >= _WATERMARK_EVERY_S:
            self._watermark_said_s = now_s
            mark = json.dumps({"partition": meta.partition, "watermark_ms": meta.watermark_ms}).encode()
            extra.append((estate.settings.topic_watermarks, (str(meta.partition).encode(), mark, ())))
        position = await self._log.commit(meta.partition, output, extra)
        if position is not None:
            with self.estate.pauses.during(f"writing {len(output.rows)} local rows"):
                self._rows.commit(list(output.rows.items()), position)

    # --- what the owner puts in ---------------------------------------------------------------------------

    def controls(self) -> tuple[list[Control], int | None]:
        """Ticks, switches and world figures that are due now, and how far the world is copied with them."""
        estate, meta = self.estate, self.engine.meta
        controls: list[Control] = []
        switch = _switch(estate.library, meta)
        if switch is not None:
            controls.append(switch)
        tick = _tick(meta, estate.outside.stream_time_ms(estate.now_s()), estate.settings.tick_every_ms)
        if tick is not None:
            controls.append(tick)
        world = [entry for entry in estate.outside.world if entry[0] > meta.world_offset]
        controls.extend(indicator for _offset, indicator in world)
        return controls, world[-1][0] if world else None


def _switch(library: VersionLibrary, meta: PartitionMeta) -> Switch | None:
    version, policy = max(library.latest, meta.model_version), library.policy.version
    if version == meta.model_version and policy == meta.policy_version:
        return None
    return Switch(
        event_id=f"switch/{meta.partition}/{version}/{policy}"[:64],
        event_time_ms=max(meta.watermark_ms, meta.tick_ms, 0),
        schema_version=1,
        partition=meta.partition,
        model_version=version,
        policy_version=policy,
    )


def _tick(meta: PartitionMeta, stream_time_ms: int, every_ms: int) -> Tick | None:
    tick_ms = stream_time_ms - stream_time_ms % every_ms
    if stream_time_ms < 0 or tick_ms <= meta.tick_ms:
        return None
    return Tick(
        event_id=f"tick/{meta.partition}/{tick_ms}", event_time_ms=tick_ms, schema_version=1, partition=meta.partition
    )


async def _check(estate: Estate, meta: PartitionMeta) -> None:
    if meta.partitions != estate.partitions:
        raise StateError(
            f"the rows belong to {meta.partitions} input partitions, {estate.settings.topic_events} has "
            f"{estate.partitions}: customers live elsewhere now; "
            "use another topic_prefix, or restore the partition count"
        )
    if meta.binding != estate.binding:
        raise StateError(
            f"the rows belong to {meta.binding}, this is {estate.binding} (cluster/input topic/partitions): "
            f"{estate.settings.topic_events} was made anew or copied; start under another topic_prefix, "
            f"or delete {estate.settings.topic_rows} and the group's offsets to begin from nothing"
        )
    if not await estate.outside.require(meta.model_version, meta.policy_version, VERSION_WAIT_S):
        raise StateError(
            f"partition {meta.partition} is under model {meta.model_version} and policy {meta.policy_version!r}, "
            f"which {estate.settings.topic_models} does not hold under our signing key: use the deployment's key "
            f"({estate.settings.key_path()}) and topics"
        )
