"""One seeded world: workers, broker, network, disks, and everything that goes wrong; then peace; then judgement.

`run(seed)` is the whole thing. What a seed has is drawn first (how many workers, which troubles and how much of each),
then inputs arrive and troubles happen over some virtual minutes, then troubles end and the world must come to rest with
everything right (`tests.simulation.oracle`). Real: `Owner`, `PartitionLog`, `Engine`, `read_changelog`.
Reading order: here, `chaos`, `member`, `network`, `broker`, `loop`.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from typing import Any
from unittest.mock import patch

from streams.commit import PartitionLog
from streams.engine import Engine
from streams.settings import Settings
from tests.simulation import oracle, stream
from tests.simulation.broker import EPOCH_MS, Broker
from tests.simulation.chaos import Chaos
from tests.simulation.clients import Consumer, Producer
from tests.simulation.disk import Disk
from tests.simulation.group import Group
from tests.simulation.loop import OUTSIDE, Process, StuckError, VirtualLoop, clear_away
from tests.simulation.member import Member
from tests.simulation.network import Network
from tests.simulation.versions import POLICIES

HISTORY_MAX = 40
REST_WITHIN_S = 400.0


@dataclass(frozen=True)
class Protocol:
    """What is tried; the broken ones are in `tests.simulation.broken`. `fenced` None: as the seed says."""

    log: Callable[..., PartitionLog] = PartitionLog
    engine: type[Engine] = Engine
    fenced: bool | None = None


@dataclass
class Verdict:
    """How a world ended."""

    seed: int
    violations: list[oracle.Violation]
    counts: dict[str, int]
    digest: str
    history: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: {violation.kind}: {violation.text}" for violation in self.violations]
        return "\n".join([*lines, f"the last {len(self.history)} things that happened:", *self.history])


class World:
    """State of one run; see the module."""

    def __init__(self, seed: int, protocol: Protocol, told: Callable[[str], None] | None = None) -> None:
        self.rng = rng = random.Random(seed)
        self.protocol = protocol
        self.loop = VirtualLoop()
        self.history: deque[tuple[float, tuple[object, ...]]] = deque(maxlen=HISTORY_MAX)
        self._told = told
        self.fenced = rng.random() < 0.85 if protocol.fenced is None else protocol.fenced
        self.partitions = rng.randint(1, 4)
        self.workers = rng.choice((1, 2, 2, 3)) if self.fenced else 1
        self.ticks = self.fenced and rng.random() < 0.7
        self.live = rng.random() < 0.4
        self.skews_s = rng.choice(((0.0,), (0.0, 2.0, -2.0), (0.0, 600.0, -600.0)))
        self.settings = Settings(
            broker="model:1",
            topic_prefix="sim",
            tick_every_ms=10_000 if self.live else stream.DAY_MS,
            request_timeout_s=rng.choice((12.0, 30.0)),
        )
        self.binding = f"model/sim/{self.partitions}"
        self.policy = POLICIES[0]
        self.cut: set[str] = set()
        self.disks: dict[tuple[int, int], Disk] = {}
        self.members: list[Member] = []
        self.processes: list[Process] = []
        self.violations: list[oracle.Violation] = []
        later = partial(self.loop.call_later, context=OUTSIDE)
        self.later: Callable[..., Any] = later
        self.broker = Broker(rng, self.loop.time, later, self.note)
        self.network = Network(self)
        self.group = Group(self)
        self.producer = partial(Producer, self)
        self.seconds = rng.uniform(25.0, 90.0)
        # Input comes in bursts, and trouble likes to come when there is work.
        self.bursts_s = [rng.uniform(0.0, self.seconds - 20.0) for _ in range(rng.randint(1, 6))]
        self.batches = rng.choice(((1,), (1, 3), (1, 3, 8, 20)))
        count = rng.randint(10, 60)
        self.inputs = stream.draw(rng, self.partitions, count, self.bursts_s, EPOCH_MS, self.live)

    # --- history ----------------------------------------------------------------------------------------

    def note(self, who: Process | str, *what: object) -> None:
        """A line of history, formatted only when somebody reads it."""
        line = (self.loop.time(), (who.name if isinstance(who, Process) else who, *what))
        self.history.append(line)
        if self._told is not None:
            self._told(_line(line))

    def violation(self, kind: str, text: str) -> None:
        """Something that must never be."""
        self.violations.append(oracle.Violation(kind, text))

    # --- processes and disks --------------------------------------------------------------------------------

    def kill(self, process: Process, why: str, clean: bool = False) -> None:
        """SIGKILL, or the end it chose; a supervisor starts the slot again."""
        if process.dead or process.ghost:
            return
        self.note(process, "dies:" if not clean else "ends:", why)
        self.broker.count("clean stops" if clean else "deaths")
        process.dead = process.stopped = True
        member = next(member for member in self.members if member.process is process)
        self.members.remove(member)
        for (slot, _partition), disk in self.disks.items():
            if slot == member.slot and not clean and self.rng.random() < 0.3:
                self.broker.count("disks damaged")
                self.note(str(disk), disk.crash(self.rng))
        self.group.lost(member, at_once=clean)
        self.later(self.rng.uniform(0.5, 4.0), self.start_member, member.slot)

    def pause(self, process: Process, why: str) -> None:
        """SIGSTOP, and SIGCONT after a while: shorter or longer than the session timeout."""
        if process.stopped or not self.fenced:
            return
        seconds = self.rng.choice((0.5, 4.0, 11.0, 12.0, 14.0, 20.0, 25.0, 45.0))
        self.note(process, f"is stopped for {seconds} s", why)
        self.broker.count("pauses")
        process.stopped = True
        self.group.silent(process, seconds)

        def go_on() -> None:
            if not process.dead:
                self.note(process, "goes on")
                self.loop.resume(process)

        self.later(seconds, go_on)

    def start_member(self, slot: int) -> None:
        """A new process in a slot, unless one lives there."""
        if any(member.slot == slot for member in self.members):
            return
        member = Member(self, slot, len(self.processes))
        self.members.append(member)
        self.processes.append(member.process)
        self.note(member.process, "starts under policy", self.policy)
        member.start()

    def disk(self, slot: int, partition: int) -> Disk:
        """The store's files."""
        found = self.disks.get((slot, partition))
        if found is None:
            found = self.disks[slot, partition] = Disk(f"disk {slot}/{partition}")
        return found

    def check_disk(self, disk: Disk, partition: int) -> None:
        """Local rows may lag behind the changelog, never lead or contradict it."""
        self.violations += oracle.local_rows(self, disk, partition)

    # --- the run ----------------------------------------------------------------------------------------

    async def live_through(self) -> None:
        """Troubled time, then peace until rest."""
        chaos = Chaos(self)
        chaos.begin()
        for record in self.inputs:
            self.later(record.at_s, self._arrive, record)
        for slot in range(self.workers):
            self.later(self.rng.uniform(0.0, 5.0), self.start_member, slot)
        await asyncio.sleep(self.seconds)
        chaos.end()
        deadline = self.loop.time() + REST_WITHIN_S
        while not self._resting():
            if self.loop.time() > deadline:
                self.violation("stuck", f"no rest {REST_WITHIN_S:.0f} s after the last fault: {self._unfinished()}")
                break
            await asyncio.sleep(1.0)
        # What was on its way for long has arrived after this.
        await asyncio.sleep(25.0)
        while any(log.pending for log in self.broker.logs.values()):
            await asyncio.sleep(0.003)

    def _arrive(self, record: stream.Input) -> None:
        if self.broker.down:
            self.later(1.0, self._arrive, record)
            return
        log = self.broker.log(self.settings.topic_events, record.partition)
        # Offsets of records are not consecutive where senders use transactions.
        log.end += self.rng.random() < 0.05
        log.append([(record.key, record.value, ())], self.broker.at_ms(), None)

    def _unfinished(self) -> str:
        said = []
        for partition in range(self.partitions):
            entries = self.broker.log(self.settings.topic_events, partition).entries
            end, done = (entries[-1].offset + 1 if entries else 0), self.broker.group_offsets.get(partition, 0)
            if done < end:
                said.append(f"partition {partition} at {done} of {end}")
        figures = len(self.broker.log(self.settings.topic_world, 0).entries)
        for member in self.members:
            for owner in member.owned.values():
                if owner.engine.meta.world_offset + 1 < figures:
                    said.append(f"world figures of partition {owner.engine.meta.partition}")
        return ", ".join(said)

    def _resting(self) -> bool:
        awake = all(not m.process.stopped and m.restored and not m.leaving for m in self.members)
        steady = awake and len(self.members) == self.workers and not self.cut and not self.broker.down
        owned = sorted(partition for member in self.members for partition in member.owned)
        return steady and owned == list(range(self.partitions)) and not self._unfinished()

    def digest(self) -> str:
        """Of everything in every log, and of the time it took."""
        digest = blake2b(repr(self.loop.time()).encode(), digest_size=16)
        for place, log in sorted(self.broker.logs.items()):
            parts = [(e.offset, e.key, e.value, e.counts) for e in log.ever]
            digest.update(repr((place, log.end, parts)).encode())
        return digest.hexdigest()


def _line(entry: tuple[float, tuple[object, ...]]) -> str:
    at_s, what = entry
    return f"{at_s:9.3f} " + " ".join(str(part) for part in what)


@contextmanager
def in_place(world: World) -> Iterator[None]:
    """The model's consumer in place of the real one."""
    with (
        patch("streams.restore.AIOKafkaConsumer", partial(Consumer, world)),
        patch("streams.owner.Engine", world.protocol.engine),
    ):
        yield


def run(seed: int, protocol: Protocol | None = None, told: Callable[[str], None] | None = None) -> Verdict:
    """Live through one seed and judge it; the same seed gives the same verdict, history and digest.

    Parameters
    ----------
    seed
        Everything follows from it.
    protocol
        What is tried; Riskshift's own when left out.
    told
        Called with every line of history.
    """
    world = World(seed, protocol or Protocol(), told)
    loop = world.loop
    with in_place(world):
        try:
            loop.run_until_complete(world.live_through())
        except StuckError:
            world.violation("stuck", "everybody waits for somebody")
        if loop.faults:
            raise loop.faults[0]
        violations = world.violations + oracle.judge(world)
        counts = world.broker.counts | oracle.tally(world)
        history = [_line(entry) for entry in world.history]
        digest = world.digest()
        loop.run_until_complete(clear_away(world.processes))
    loop.close()
    return Verdict(seed, violations, counts, digest, history)
