"""aiokafka's producer and consumer as far as `streams.commit` and `streams.restore` use them, on the broker model."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError, OutOfOrderSequenceNumber, ProducerFenced

from tests.simulation.broker import Entry, Headers, Log
from tests.simulation.loop import PROCESS

if TYPE_CHECKING:
    from tests.simulation.world import World

# So small that one batch's rows go in several, as real ones of many customers do.
BATCH_RECORDS_MAX = 3


class Acknowledged(NamedTuple):
    """What a send's future holds."""

    offset: int


class Batch:
    """`BatchBuilder`: takes records until it is full."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes | None, bytes | None, Headers]] = []

    def append(
        self, *, key: bytes | None, value: bytes | None, timestamp: int | None, headers: Headers
    ) -> Batch | None:
        """None when full."""
        if len(self.records) >= BATCH_RECORDS_MAX:
            return None
        self.records.append((key, value, headers))
        return self

    def close(self) -> None:
        """Nothing more is added."""

    def record_count(self) -> int:
        """How many."""
        return len(self.records)


class Producer:
    """`AIOKafkaProducer`: per partition one batch at a time in order, different partitions in any order."""

    def __init__(self, world: World, transactional_id: str | None = None, **_options: Any) -> None:
        self.world, self.name = world, transactional_id
        self.epoch = -1
        self._sequence = 0
        self._last: dict[Log, asyncio.Future[Acknowledged]] = {}
        self._open: list[asyncio.Future[Acknowledged]] = []
        self._in_transaction = self._touched = False
        self._fenced: KafkaError | None = None

    async def start(self) -> None:
        """Connect; with a transactional id, fence."""
        name, broker = self.name, self.world.broker
        if name is None:
            await self.world.network.ask("connect", lambda: None)
        else:
            self.epoch = await self.world.network.ask(f"init producer {name}", lambda: broker.init_producer(name))

    async def stop(self) -> None:
        """Close; one whose words no longer count may hang."""
        process = PROCESS.get()
        if process is None or process.ghost:
            return
        if self._fenced is not None and self.world.rng.random() < 0.2:
            await asyncio.sleep(3600)
        await self.world.network.point("producer stop")

    async def begin_transaction(self) -> None:
        """Local, as in aiokafka: the broker hears of it with the first record."""
        self.world.network.unrest()
        await self.world.network.point("begin")
        if self._fenced is not None:
            raise self._fenced
        assert not self._in_transaction, "a transaction is open already"
        self._in_transaction, self._touched = True, False

    def create_batch(self) -> Batch:
        """An empty batch."""
        return Batch()

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> asyncio.Future[Acknowledged]:
        """Hand a batch over; the future is its acknowledgement."""
        await self.world.network.point(f"hand over {topic}")
        assert self.name is None or self._in_transaction, "sent outside a transaction"
        log = self.world.broker.log(topic, partition)
        self._sequence += 1
        before = self._last.get(log)
        sent = asyncio.ensure_future(self._deliver(self._sequence, log, batch.records, before))
        self._last[log] = sent
        self._open.append(sent)
        self._touched = True
        return sent

    async def send(
        self, topic: str, value: bytes | None, key: bytes | None, *, partition: int, headers: Headers
    ) -> asyncio.Future[Acknowledged]:
        """One record."""
        batch = Batch()
        batch.append(key=key, value=value, timestamp=None, headers=headers)
        return await self.send_batch(batch, topic, partition=partition)

    async def _deliver(
        self,
        sequence: int,
        log: Log,
        records: list[tuple[bytes | None, bytes | None, Headers]],
        before: asyncio.Future[Acknowledged] | None,
    ) -> Acknowledged:
        if before is not None:
            await asyncio.wait((before,))
            if self.name is not None and before.exception() is not None:
                # The sequence has a hole.
                raise OutOfOrderSequenceNumber
        broker = self.world.broker
        try:
            offset = await self.world.network.ask(
                f"produce {len(records)} to {log.topic}[{log.partition}]",
                lambda: broker.produce(self.name, self.epoch, sequence, log, records),
            )
        except ProducerFenced as error:
            self._fenced = error
            raise
        return Acknowledged(offset)

    async def send_offsets_to_transaction(self, offsets: dict[TopicPartition, int], group: str) -> None:
        """The group's offsets, as part of the transaction."""
        assert self.name is not None
        assert self._in_transaction
        name, broker = self.name, self.world.broker
        self._touched = True
        for place, offset in offsets.items():
            await self._said(
                f"offset {offset} of {place.topic}[{place.partition}]",
                lambda place=place, offset=offset: broker.add_offset(name, self.epoch, place.partition, offset),
            )

    async def commit_transaction(self) -> None:
        """Waits for all batches; one that failed does not make it fail (a fact of aiokafka's)."""
        assert self.name is not None
        assert self._in_transaction
        if self._open:
            await asyncio.wait(self._open)
            self._open.clear()
        if self._fenced is not None:
            raise self._fenced
        name, broker = self.name, self.world.broker
        if self._touched:
            await self._said("commit", lambda: broker.end_transaction(name, self.epoch))
        self._in_transaction = False

    async def _said(self, what: str, answer: Any) -> None:
        try:
            await self.world.network.ask(what, answer)
        except ProducerFenced as error:
            self._fenced = error
            raise


class Consumer:
    """`AIOKafkaConsumer` with committed reads of one partition."""

    def __init__(self, world: World, **_options: Any) -> None:
        self.world = world
        self._position = 0
        self._end: int | None = None

    async def start(self) -> None:
        """Connect."""
        await self.world.network.ask("connect", lambda: None)

    async def stop(self) -> None:
        """Close."""

    def assign(self, places: list[TopicPartition]) -> None:
        """By hand."""

    async def beginning_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Compaction leaves the beginning where it was."""
        return dict.fromkeys(places, 0)

    async def end_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        """For a committed reader the last stable offset."""
        broker = self.world.broker
        return await self.world.network.ask(
            "end offsets", lambda: {place: broker.log(*place).stable_end for place in places}
        )

    def seek(self, _place: TopicPartition, offset: int) -> None:
        """Where to go on."""
        self._position = offset

    async def getmany(
        self, place: TopicPartition, *, timeout_ms: int, max_records: int
    ) -> dict[TopicPartition, list[Entry]]:
        """Some records; empty after the wait when there are none."""
        few = min(max_records, self.world.rng.randint(3, 40))

        def fetch() -> tuple[list[Entry], int, int]:
            log = self.world.broker.log(*place)
            found = log.visible(self._position)
            more = len(found) > few
            return found[:few], found[few - 1].offset + 1 if more else max(self._position, log.stable_end), log.end

        found, self._position, self._end = await self.world.network.ask(f"fetch {place.topic}", fetch)
        if not found and self._position < self._end:
            await asyncio.sleep(timeout_ms / 1000)
        return {place: found} if found else {}

    def highwater(self, _place: TopicPartition) -> int | None:
        """Of the last fetch."""
        return self._end

    async def position(self, _place: TopicPartition) -> int:
        """Of the next fetch."""
        return self._position

    async def committed(self, place: TopicPartition) -> int | None:
        """The group's offset."""
        broker = self.world.broker
        return await self.world.network.ask("committed offset", lambda: broker.group_offsets.get(place.partition))
