"""A worker process of the simulated world: `streams.worker.Worker` without Faust, around the real `Owner`.

What `Worker` does with Faust's signals is done here with the model's: take over on an assignment, work chunk after
chunk, keep time between them, acknowledge afterwards; end on any error, never raise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from features.events import Indicator, decode
from streams.bulletin import StreamTime, Watermark
from streams.errors import StateError
from streams.owner import Estate, Owner
from streams.restore import committed_offset, read_changelog
from tests.simulation.broker import EPOCH_MS, Entry
from tests.simulation.disk import DiskRows
from tests.simulation.loop import Process
from tests.simulation.versions import Library

if TYPE_CHECKING:
    from tests.simulation.world import World


class Shared:
    """`streams.owner.Outside`: what a process has read of the shared topics, some time after it was written."""

    def __init__(self, world: World, library: Library, lag_s: float) -> None:
        self.world_model, self.library, self.lag_s = world, library, lag_s
        self.world: list[tuple[int, Indicator]] = []
        self._time = StreamTime(world.settings)
        settings = world.settings
        self._places = [
            (settings.topic_models, 0),
            (settings.topic_world, 0),
            *((settings.topic_watermarks, partition) for partition in range(world.partitions)),
        ]
        self._read = dict.fromkeys(self._places, 0)

    async def start(self) -> None:
        """Read everything there is."""
        await self.world_model.network.ask("read the shared topics", lambda: self._look(0.0))

    def look(self) -> None:
        """Take in what has reached this process by now."""
        if not self.world_model.broker.down:
            self._look(self.lag_s)

    def _look(self, lag_s: float) -> None:
        broker = self.world_model.broker
        until_ms = broker.at_ms() - int(lag_s * 1000)
        for place in self._places:
            for entry in broker.log(*place).visible(self._read[place]):
                if entry.timestamp > until_ms:
                    break
                self._read[place] = entry.offset + 1
                self._take(place[0], entry)

    def _take(self, topic: str, entry: Entry) -> None:
        settings, value = self.world_model.settings, entry.value or b""
        if topic == settings.topic_models:
            kind, _, version = value.decode().partition("/")
            if kind == "model":
                self.library.hear_model(int(version))
            else:
                self.library.hear_policy(version)
        elif topic == settings.topic_world:
            event = decode(value)
            assert isinstance(event, Indicator)
            self.world.append((entry.offset, event))
        else:
            mark = msgspec.json.decode(value, type=Watermark)
            self._time.advance(mark.partition, mark.watermark_ms, self.world_model.loop.time())

    def stream_time_ms(self, now_s: float) -> int:
        """Stream time; never known in a world without ticks."""
        return self._time.now_ms(now_s) if self.world_model.ticks else -1

    def note_watermark(self, partition: int, watermark_ms: int, now_s: float) -> None:
        """An owned partition's own."""
        self._time.advance(partition, watermark_ms, now_s)

    async def require(self, model_version: int, policy_version: str, timeout_s: float) -> bool:
        """Wait until both are known."""
        waited_s = 0.0
        while not self.library.knows(model_version, policy_version):
            if waited_s >= timeout_s:
                return False
            await asyncio.sleep(0.5)
            waited_s += 0.5
            self.look()
        return True


class Member:
    """One process from start to death.

    Parameters
    ----------
    world
        Where it lives.
    slot
        Whose disk it has: a process that is started again has the disk of the one before.
    number
        How many were started before it.
    """

    def __init__(self, world: World, slot: int, number: int) -> None:
        rng, settings = world.rng, world.settings
        self.world, self.slot = world, slot
        self.process = Process(f"w{slot}.{number}")
        self.library = Library(world.policy)
        self.shared = Shared(world, self.library, rng.choice((0.0, 0.2, 3.0, 15.0)))
        skew_s = rng.choice(world.skews_s)
        protocol = world.protocol
        self.estate = Estate(
            settings=settings,
            partitions=world.partitions,
            library=self.library,  # type: ignore[arg-type]  # shaped alike
            outside=self.shared,
            binding=world.binding,
            fenced=world.fenced,
            open_log=lambda partition: protocol.log(settings, str(partition), world.fenced, world.producer),
            open_rows=self._open_rows,
            read_changelog=lambda partition, start: read_changelog(settings, partition, start),
            committed=lambda partition: committed_offset(settings, partition),
            now_s=lambda: EPOCH_MS / 1000 + world.loop.time() + skew_s,
        )
        self.owned: dict[int, Owner] = {}
        self.generation = -1
        self.assigned: tuple[int, ...] = ()
        self.restored = False
        self.leaving = False
        self._news, self._ready, self._ackable = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._next: dict[int, int] = {}
        self._acked: dict[int, int] = {}
        self._previous: dict[int, int | None] = {}

    def _open_rows(self, partition: int) -> DiskRows:
        disk = self.world.disk(self.slot, partition)
        self.world.check_disk(disk, partition)
        return DiskRows(disk)

    # --- the group speaks -------------------------------------------------------------------------------

    def notice(self, generation: int, assigned: Sequence[int]) -> None:
        """A new assignment has reached this process."""
        if generation > self.generation:
            self.generation, self.assigned, self.restored = generation, tuple(assigned), False
            self._news.set()

    # --- the process ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to live."""
        self.process.spawn(self._guarded(self._main))

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except (AssertionError, AttributeError, NameError, TypeError) as error:
            # A fault of the model or of the code, not of the world: nothing to simulate on.
            self.world.loop.faults.append(error)
        except Exception as error:
            # As `Worker.end`: say why, end the process at once.
            self.world.kill(self.process, f"ends itself: {error!r}")

    async def _main(self) -> None:
        await self.shared.start()
        await self._publish_policy()
        await self.world.network.ask("join the group", lambda: self.world.group.join(self))
        self.process.spawn(self._guarded(self._consume))
        self.process.spawn(self._guarded(self._keep_time))
        self.process.spawn(self._guarded(self._acknowledge))
        while True:
            await self._news.wait()
            self._news.clear()
            await self._restore()

    async def _publish_policy(self) -> None:
        # Decisions name only its version: others must find it before the first of them.
        item, topic = b"policy/" + self.library.policy.version.encode(), self.world.settings.topic_models
        log, at_ms = self.world.broker.log(topic, 0), self.world.broker.at_ms
        if all(entry.value != item for entry in log.visible()):
            await self.world.network.ask("publish the policy", lambda: log.append([(None, item, ())], at_ms(), None))

    async def _restore(self) -> None:
        generation = self.generation
        self._acked.clear()
        for partition in list(self.owned):
            await self.owned.pop(partition).release()
        if self.leaving:
            self.world.kill(self.process, "has stopped cleanly", clean=True)
            return
        for partition in self.assigned:
            if self.generation != generation:
                return
            # Faust asks for the positions on its own, at some time around the restore.
            early = self.world.rng.random() < 0.5
            if early:
                await self._seek(partition)
            self.owned[partition] = await Owner.take_over(self.estate, partition, generation)
            if not early:
                await self._seek(partition)
        if self.generation == generation:
            self.restored = True
            self._ready.set()
            self.world.note(self.process, "owns", self.assigned, "in generation", generation)

    async def _seek(self, partition: int) -> None:
        offsets = self.world.broker.group_offsets
        self._next[partition] = await self.world.network.ask("position", lambda: offsets.get(partition, 0))
        self._previous[partition] = None

    async def _consume(self) -> None:
        world, rng = self.world, self.world.rng
        while True:
            generation = self.generation
            if not self.restored or not self.owned:
                self._ready.clear()
                await self._ready.wait()
                continue
            worked = False
            for partition in sorted(self.owned, key=lambda _: rng.random()):
                if self.generation != generation:
                    break
                log, few = world.broker.log(world.settings.topic_events, partition), rng.choice(world.batches)
                place = self._next[partition]
                if log.end <= place:
                    continue
                chunk = await world.network.ask(
                    f"fetch events[{partition}]", lambda log=log, place=place, few=few: log.visible(place)[:few]
                )
                # Faust drops a chunk that was fetched under another generation.
                if not chunk or self.generation != generation or not self.restored:
                    continue
                previous, self._previous[partition] = self._previous[partition], chunk[-1].offset
                self._next[partition] = chunk[-1].offset + 1
                worked = True
                await self._handle(partition, chunk, previous)
            if not worked:
                await asyncio.sleep(rng.choice((0.1, 1.0, 2.0)))

    async def _handle(self, partition: int, chunk: list[Entry], previous: int | None) -> None:
        owner, generation = self.owned.get(partition), self.generation
        if owner is None or owner.generation != generation:
            raise StateError(f"not restored under generation {generation}")
        applied = owner.engine.meta.applied_offset
        if previous is not None and previous > applied and chunk[0].offset > applied + 1:
            raise StateError(f"offset {previous} was fetched but never applied (applied: {applied})")
        async with owner.busy:
            self.shared.look()
            self.world.note(
                self.process, "works events", partition, f"{chunk[0].offset}..{chunk[-1].offset}", "applied", applied
            )
            await owner.work(chunk)
        self.world.note(self.process, "has worked events", partition, f"to {chunk[-1].offset}")
        if self.generation == generation:
            self._acked[partition] = chunk[-1].offset + 1
            self._ackable.set()

    async def _acknowledge(self) -> None:
        # Faust's own commits, now and then, of what was acked: they lag behind the rows and never lead them.
        world = self.world
        while True:
            await asyncio.sleep(1.0)
            if not self._acked:
                await self._ackable.wait()
            self._ackable.clear()
            generation, acked = self.generation, sorted(self._acked.items())
            self._acked.clear()
            for partition, offset in acked:
                await world.network.ask(
                    f"acknowledge events[{partition}] to {offset}",
                    lambda partition=partition, offset=offset, generation=generation: world.broker.commit_offset(
                        partition, offset, world.group.is_current(self, generation)
                    ),
                )

    async def _keep_time(self) -> None:
        while True:
            await asyncio.sleep(self.world.rng.choice((1.0, 4.0)))
            self.shared.look()
            for owner in list(self.owned.values()):
                if owner.generation != self.generation or not self.restored or owner.busy.locked():
                    continue
                async with owner.busy:
                    controls = owner.controls()[0]
                    if controls:
                        self.world.note(
                            self.process, "puts in", [control.event_id for control in controls],
                            "after", owner.engine.meta.applied_offset, "of", owner.engine.meta.partition,
                        )  # fmt: skip
                        await owner.work(())
