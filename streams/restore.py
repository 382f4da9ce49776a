"""Reading a partition's rows back from the changelog, to its very end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.errors import BrokerError, StateError
from streams.settings import Settings

_RECORDS_MAX = 20_000


async def read_changelog(
    settings: Settings, partition: int, start: int
) -> AsyncIterator[tuple[list[tuple[bytes, bytes | None]], int]]:
    """Batches of (key, packed row) from changelog offset `start` to the end, each with the position after it.

    The end is the fetch's high watermark: after the fence nobody else can move it, and on the embedded
    broker the answer of ListOffsets lags behind it. The last batch may be empty; its position is the end.

    Raises
    ------
    BrokerError
        When the broker stops answering.
    StateError
        When `start` is beyond the end: the local rows are of another changelog.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.broker,
        group_id=None,
        enable_auto_commit=False,
        isolation_level="read_committed",
        fetch_max_wait_ms=50,
        max_partition_fetch_bytes=8 << 20,
        request_timeout_ms=int(settings.request_timeout_s * 1000),
    )
    tp = TopicPartition(settings.topic_rows, partition)
    try:
        await asyncio.wait_for(consumer.start(), settings.request_timeout_s)
        consumer.assign([tp])
        beginning = (await consumer.beginning_offsets([tp]))[tp]
        end_known = (await consumer.end_offsets([tp]))[tp]
        # One before the start, where there is one: a fetch at the very end shows the end without seeking past it.
        consumer.seek(tp, max(min(start, end_known), beginning))
        while True:
            answer = await consumer.getmany(tp, timeout_ms=200, max_records=_RECORDS_MAX)
            end = consumer.highwater(tp)
            position = await consumer.position(tp)
            if end is not None and start > end:
                raise StateError(
                    f"the local rows are at changelog offset {start}, {tp.topic}[{partition}] ends at {end}: they are "
                    "of another changelog, or the topic was made anew; remove the local rows of this partition"
                )
            changes = [(record.key, record.value) for record in answer.get(tp, ()) if record.offset >= start]
            done = end is not None and position >= end
            if changes or done:
                yield changes, max(position, start)
            if done:
                return
    except (KafkaError, TimeoutError, OSError) as error:
        raise BrokerError(f"cannot read {settings.topic_rows}[{partition}] on {settings.broker}: {error!r}") from None
    finally:
        await asyncio.wait({asyncio.ensure_future(consumer.stop())}, timeout=5)


async def committed_offset(settings: Settings, partition: int) -> int | None:
    """Input offset that the workers' group has committed for a partition, or None; raises `BrokerError`."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.broker,
        group_id=settings.topic_prefix,
        enable_auto_commit=False,
        request_timeout_ms=int(settings.request_timeout_s * 1000),
    )
    tp = TopicPartition(settings.topic_events, partition)
    try:
        await asyncio.wait_for(consumer.start(), settings.request_timeout_s)
        # Assigned by hand: it asks as the group without joining it.
        consumer.assign([tp])
        committed: int | None = await asyncio.wait_for(consumer.committed(tp), settings.request_timeout_s)
        return committed
    except (KafkaError, TimeoutError, OSError) as error:
        raise BrokerError(f"cannot ask {settings.broker} for committed offsets: {error!r}") from None
    finally:
        await asyncio.wait({asyncio.ensure_future(consumer.stop())}, timeout=5)
