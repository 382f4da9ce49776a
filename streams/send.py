"""Send events to a topic: partitioned as Kafka's own clients do, in order per customer, fast or paced.

Plain `acks=all`, and one batch in flight per partition, so that a retry cannot overtake. A retry may
repeat a batch (a lost answer); receivers recognise repeats by `event_id`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

from features.errors import RiskshiftError
from features.events import Control, Event, encode

BATCH_BYTES = 131_072
# Above any record the broker takes, so that what is too large is refused by the broker, with its own limit.
REQUEST_BYTES_MAX = 4_194_304
REQUEST_TIMEOUT_MS = 20_000
SLICE_S = 0.01
# How much of a pause (a slow source, a slow broker) is made up for afterwards; the rest of the debt is forgiven.
CATCH_UP_S = 0.25
# Partition numbers remembered; the table is emptied when full, which costs one hash per customer.
PARTITION_CACHE_MAX = 262_144
EVENTS_PER_TURN = 256
PROGRESS_S = 0.1

Header = tuple[str, bytes]
Raw = tuple[bytes | None, bytes | None, Sequence[Header]]


class SendError(RiskshiftError):
    """The broker is away, the topic does not exist, or records were refused."""


@dataclass(frozen=True, slots=True)
class SendSummary:
    """What was sent: records the broker acknowledged, seconds taken, bytes of keys and values, stopped early or not."""

    sent: int
    seconds: float
    bytes: int
    stopped: bool = False


def partition_of(key: bytes, partitions: int) -> int:
    """Partition of a key as Kafka's default partitioner chooses it: positive murmur2 modulo the count.

    Examples
    --------
    >>> partition_of(b"c-1", 4)
    3
    """
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


@asynccontextmanager
async def open_producer(broker: str, topic: str) -> AsyncIterator[tuple[AIOKafkaProducer, int]]:
    """A started producer and the topic's partition count; the topic is looked up without creating it.

    Raises
    ------
    SendError
        No broker answers, or it has no such topic: one sentence with what to do.
    """
    producer = AIOKafkaProducer(
        bootstrap_servers=broker,
        acks="all",
        max_batch_size=BATCH_BYTES,
        max_request_size=REQUEST_BYTES_MAX,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
    )
    try:
        try:
            await producer.start()
            cluster = await producer.client.fetch_all_metadata()
        except (KafkaError, OSError, ValueError) as error:
            raise SendError(
                f"expected a Kafka broker at {broker}, found none ({type(error).__name__}): "
                "start one (`riskshift broker`) or name yours with --broker HOST:PORT"
            ) from None
        partitions = cluster.partitions_for_topic(topic)
        if not partitions:
            raise SendError(
                f"expected topic {topic} on {broker}, found no such topic: "
                "declare it first (`riskshift topics --create --partitions 4`)"
            )
        yield producer, len(partitions)
    finally:
        await producer.stop()


async def send_events(
    broker: str,
    topic: str,
    events: Iterable[Event],
    *,
    rate: float | None,
    progress: Callable[[int], None] | None = None,
    stop: asyncio.Event | None = None,
) -> SendSummary:
    """Send events keyed by `customer_id`; returns when the broker has acknowledged all of them.

    Parameters
    ----------
    events
        Read lazily; memory is one batch under construction and one in flight per partition.
    rate
        Events per second, paced in slices of `SLICE_S`; `None` as fast as broker and machine allow.
    progress
        Called about ten times a second, and at the end, with the number of acknowledged events.
    stop
        When set, no further event is read; what was read is still delivered.

    Raises
    ------
    SendError
        No broker, no topic, or a batch the broker would not take; the message says how many had been acknowledged.
    """
    if rate is not None and not rate > 0:
        raise SendError(f"expected a rate above zero events per second, found {rate:g}: leave it out for full speed")
    async with open_producer(broker, topic) as (producer, partitions):
        sender = _Sender(producer, topic, progress)
        chosen: dict[bytes, int] = {}
        began, slice_began, in_slice = time.monotonic(), time.monotonic(), 0
        stopped = False
        iterator = iter(events)
        while True:
            # Asked before the next event is read: one that was read is sent.
            if stop is not None and stop.is_set():
                stopped = True
                break
            event = next(iterator, None)
            if event is None:
                break
            key = event.customer_id.encode()
            partition = chosen.get(key)
            if partition is None:
                if len(chosen) >= PARTITION_CACHE_MAX:
                    chosen.clear()
                partition = chosen[key] = partition_of(key, partitions)
            if not sender.append(partition, key, encode(event), ()):
                await sender.make_room(partition, key, encode(event), ())
            in_slice += 1
            if rate is None:
                if in_slice >= EVENTS_PER_TURN:
                    in_slice = 0
                    await sender.turn(flush=False)
            elif in_slice >= rate * SLICE_S:
                await sender.turn(flush=True)
                slice_began = max(slice_began + in_slice / rate, time.monotonic() - CATCH_UP_S)
                in_slice = 0
                await _sleep_until(slice_began, stop)
        await sender.finish()
        return SendSummary(sender.acknowledged, time.monotonic() - began, sender.bytes, stopped)


async def send_raw(broker: str, topic: str, records: Iterable[Raw], partition: int | None = None) -> SendSummary:
    """Send records as they are, valid or not: `(key, value, headers)`, for tests and dead letters sent again.

    Records without a key, or with an empty one, go to `partition`, else to partition 0; keyed ones as Kafka chooses.
    """
    async with open_producer(broker, topic) as (producer, partitions):
        sender = _Sender(producer, topic, None)
        began = time.monotonic()
        for key, value, headers in records:
            place = partition if partition is not None else partition_of(key, partitions) if key else 0
            if not sender.append(place, key, value, headers):
                await sender.make_room(place, key, value, headers)
        await sender.finish()
        return SendSummary(sender.acknowledged, time.monotonic() - began, sender.bytes)


def encode_record(event: Event | Control) -> Raw:
    """The record of an event: its key (none for a control record), its JSON, no headers; for `send_raw`."""
    key = event.customer_id.encode() if isinstance(event, Event) else None
    return key, encode(event), ()


def _heard(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()


async def _sleep_until(deadline: float, stop: asyncio.Event | None) -> None:
    pause = deadline - time.monotonic()
    if pause <= 0:
        return
    if stop is None:
        await asyncio.sleep(pause)
        return
    try:
        await asyncio.wait_for(stop.wait(), pause)
    except TimeoutError:
        return


class _Sender:
    # Per partition one batch being filled and one in flight; the next leaves when the last is acknowledged.
    def __init__(self, producer: AIOKafkaProducer, topic: str, progress: Callable[[int], None] | None) -> None:
        self._producer = producer
        self._topic = topic
        self._progress = progress
        self._progress_at = 0.0
        self._filling: dict[int, Any] = {}
        self._flying: dict[int, tuple[asyncio.Future[Any], int]] = {}
        self.acknowledged = 0
        self.bytes = 0

    def append(self, partition: int, key: bytes | None, value: bytes | None, headers: Sequence[Header]) -> bool:
        batch = self._filling.get(partition)
        if batch is None:
            batch = self._filling[partition] = self._producer.create_batch()
        if batch.append(timestamp=None, key=key, value=value, headers=list(headers)) is None:
            return False
        self.bytes += len(key or b"") + len(value or b"")
        return True

    async def make_room(
        self, partition: int, key: bytes | None, value: bytes | None, headers: Sequence[Header]
    ) -> None:
        await self._dispatch(partition)
        # An empty batch takes one record of any size, so this cannot fail again.
        self.append(partition, key, value, headers)

    async def turn(self, *, flush: bool) -> None:
        now = time.monotonic()
        due = now - self._progress_at >= PROGRESS_S
        if flush or due:
            # Also at full speed: a partition with few customers must not wait for its batch to fill.
            for partition in list(self._filling):
                await self._dispatch(partition)
        if due and self._progress is not None:
            self._progress(self.acknowledged)
        if due:
            self._progress_at = now
        await asyncio.sleep(0)

    async def finish(self) -> None:
        for partition in list(self._filling):
            await self._dispatch(partition)
        for partition in list(self._flying):
            await self._land(partition)
        if self._progress is not None:
            self._progress(self.acknowledged)

    async def _dispatch(self, partition: int) -> None:
        await self._land(partition)
        batch = self._filling.pop(partition)
        batch.close()
        try:
            future = await self._producer.send_batch(batch, self._topic, partition=partition)
        except (KafkaError, AssertionError) as error:
            raise self._refused(partition, error) from None
        # The first failure is reported; the others in flight must not complain behind it.
        future.add_done_callback(_heard)
        self._flying[partition] = (future, batch.record_count())

    async def _land(self, partition: int) -> None:
        if partition not in self._flying:
            return
        future, count = self._flying.pop(partition)
        try:
            await future
        except KafkaError as error:
            raise self._refused(partition, error) from None
        self.acknowledged += count

    def _refused(self, partition: int, error: Exception) -> SendError:
        return SendError(
            f"expected the broker to take a batch for {self._topic}[{partition}], found "
            f"{str(error)[:200] or type(error).__name__}; {self.acknowledged} records were acknowledged before: "
            "look at the broker, then send again (repeats are recognised by event_id)"
        )
