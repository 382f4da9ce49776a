"""Read a topic as a person or a script does: all partitions, committed records only, no consumer group."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from features.errors import RiskshiftError

POLL_MS = 250
RECORDS_PER_POLL_MAX = 1_000
# An open transaction holds back what comes after it; once nothing comes for so long, that is the end.
QUIET_S = 1.5
FETCH_BYTES_MAX = 4_194_304
# The client tries again for ever; a reader who waits for the end must not.
STALLED_S = 30.0


class TailError(RiskshiftError):
    """The broker is away or the topic does not exist."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record as the broker has it."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    value: bytes | None

    def as_json(self, *, raw: bool) -> dict[str, Any]:
        """For `--json`: the value parsed, or with `raw` its bytes as base64, with `text` where they are UTF-8."""
        return {
            "topic": self.topic,
            "partition": self.partition,
            "offset": self.offset,
            "timestamp_ms": self.timestamp_ms,
            "key": text_of(self.key),
            "headers": {name: text_of(value) or "" for name, value in self.headers},
            "value": _bytes_as_json(self.value) if raw else _parsed(self.value),
        }


def text_of(data: bytes | None) -> str | None:
    """Bytes as text; what is not UTF-8 is written as `\\xff`."""
    return None if data is None else data.decode("utf-8", "backslashreplace")


async def tail(
    broker: str,
    topic: str,
    *,
    from_beginning: bool = False,
    until_end: bool = False,
    customer: str | None = None,
    limit: int | None = None,
    stop: asyncio.Event | None = None,
) -> AsyncGenerator[Record, None]:
    """Records of all partitions of a topic, in order within each partition.

    Parameters
    ----------
    from_beginning
        From the oldest record; otherwise from what is written from now on.
    until_end
        End where the partitions ended when reading began; otherwise go on until stopped.
    customer
        Only records with this key.
    limit
        At most so many records.

    Raises
    ------
    TailError
        No broker answers, it has no such topic, or it stopped answering.
    """
    # A lone consumer has no use for automatic offsets or a group; the oldest offset is the only sensible reset.
    consumer = AIOKafkaConsumer(
        bootstrap_servers=broker,
        group_id=None,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=FETCH_BYTES_MAX,
    )
    try:
        partitions = await _start(consumer, broker, topic)
        begin = await _seek(consumer, partitions, from_beginning)
        key = None if customer is None else customer.encode()
        left = limit
        ends: dict[TopicPartition, int] = {}
        heard = time.monotonic()
        while not (stop is not None and stop.is_set()) and left != 0:
            polled = await consumer.getmany(timeout_ms=POLL_MS, max_records=RECORDS_PER_POLL_MAX)
            for place in partitions:
                end = consumer.highwater(place)
                if place not in ends and end is not None:
                    ends[place] = end
                    if not from_beginning and place in begin:
                        # The first answer came at once (there was a record to give): its end is the end at the start.
                        begin[place] = max(begin[place] + 1, end)
            for place, records in polled.items():
                for record in records:
                    heard = time.monotonic()
                    wanted = record.offset >= begin.get(place, 0) and (key is None or record.key == key)
                    if wanted and left != 0:
                        left = left if left is None else left - 1
                        yield _record(record)
            if not until_end:
                continue
            quiet_s = time.monotonic() - heard
            if await _reached(consumer, partitions, ends, quiet_s):
                return
            if quiet_s > STALLED_S:
                raise TailError(
                    f"expected {broker} to give {topic} to its end, found nothing coming for {STALLED_S:.0f} s: "
                    "look at the broker, then read again"
                )
    except KafkaError as error:
        raise TailError(f"{broker} stopped answering for {topic}: {type(error).__name__}: {error}") from None
    finally:
        await consumer.stop()


async def _start(consumer: AIOKafkaConsumer, broker: str, topic: str) -> list[TopicPartition]:
    # All topics, never this one by name: some brokers create a topic because its name was asked for.
    client = AIOKafkaClient(bootstrap_servers=broker)
    try:
        await client.bootstrap()
        numbers = (await client.fetch_all_metadata()).partitions_for_topic(topic)
        if numbers:
            await consumer.start()
    except (KafkaError, OSError, ValueError) as error:
        raise TailError(
            f"expected a Kafka broker at {broker}, found none ({type(error).__name__}): "
            "start one (`riskshift broker`) or name yours with --broker HOST:PORT"
        ) from None
    finally:
        await client.close()
    if not numbers:
        raise TailError(
            f"expected topic {topic} on {broker}, found no such topic: "
            "declare it first (`riskshift topics --create --partitions 4`)"
        )
    return [TopicPartition(topic, number) for number in sorted(numbers)]


async def _seek(
    consumer: AIOKafkaConsumer, partitions: list[TopicPartition], from_beginning: bool
) -> dict[TopicPartition, int]:
    """Seek, and return per partition the first offset wanted, where older ones may be delivered."""
    consumer.assign(partitions)
    oldest = await consumer.beginning_offsets(partitions)
    if from_beginning:
        for place in partitions:
            consumer.seek(place, oldest[place])
        return {}
    begin = {}
    latest = await consumer.end_offsets(partitions)
    for place in partitions:
        # The embedded broker's "latest" may lie before the true end. One record back, so that the first fetch is
        # answered at once and tells the true end; what lies before it is passed over.
        if latest[place] > oldest[place]:
            begin[place] = latest[place] - 1
        consumer.seek(place, begin.get(place, latest[place]))
    return begin


async def _reached(
    consumer: AIOKafkaConsumer, partitions: list[TopicPartition], ends: dict[TopicPartition, int], quiet_s: float
) -> bool:
    for place in partitions:
        if place not in ends:
            return False
        # The position, not the last record: a partition may end in commit markers, or in what compaction removed.
        position = await consumer.position(place)
        stable = consumer.last_stable_offset(place)
        held_back = stable is not None and 0 <= stable <= position and quiet_s >= QUIET_S
        if position < ends[place] and not held_back:
            return False
    return True


def _record(record: Any) -> Record:
    return Record(
        record.topic, record.partition, record.offset, record.timestamp, record.key, tuple(record.headers), record.value
    )


def _parsed(value: bytes | None) -> Any:
    if value is None:
        return None
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return _bytes_as_json(value)


def _bytes_as_json(value: bytes | None) -> dict[str, str] | None:
    if value is None:
        return None
    shown = {"base64": base64.b64encode(value).decode()}
    try:
        shown["text"] = value.decode()
    except UnicodeDecodeError:
        return shown
    return shown
