"""How far the group is, and where topics end: asked with a consumer that belongs to the group without joining it."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition

from streams.settings import Settings

_ANSWER_MAX_S = 10.0


def committed(settings: Settings, partitions: int) -> list[int]:
    """Input offset that the group has committed, per partition; KafkaError or TimeoutError when nobody answers."""
    return asyncio.run(_ask(settings, settings.topic_events, partitions))[0]


def drained(settings: Settings, partitions: int) -> bool:
    """Whether the group has committed every input offset there is."""
    reached, ends = asyncio.run(_ask(settings, settings.topic_events, partitions))
    return all(a >= b for a, b in zip(reached, ends, strict=True))


def records_sent(settings: Settings, topic: str, partitions: int) -> int:
    """Records in a topic, those of aborted transactions among them, which committed readers never see."""
    return asyncio.run(_count(settings, topic, partitions))


async def _count(settings: Settings, topic: str, partitions: int) -> int:
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.broker, group_id=None, isolation_level="read_uncommitted")
    try:
        await asyncio.wait_for(consumer.start(), _ANSWER_MAX_S)
        places = [TopicPartition(topic, p) for p in range(partitions)]
        consumer.assign(places)
        await consumer.seek_to_beginning()
        ends = await asyncio.wait_for(consumer.end_offsets(places), _ANSWER_MAX_S)
        count = 0
        # The position, not the last record: markers of transactions take offsets too.
        while any([await consumer.position(place) < ends[place] for place in places]):
            answer = await consumer.getmany(timeout_ms=500)
            count += sum(map(len, answer.values()))
        return count
    finally:
        await asyncio.wait({asyncio.ensure_future(consumer.stop())}, timeout=5)


async def _ask(settings: Settings, topic: str, partitions: int) -> tuple[list[int], list[int]]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.broker, group_id=settings.topic_prefix, enable_auto_commit=False,
        request_timeout_ms=5_000,
    )  # fmt: skip
    try:
        await asyncio.wait_for(consumer.start(), _ANSWER_MAX_S)
        places = [TopicPartition(topic, p) for p in range(partitions)]
        consumer.assign(places)
        ends = await asyncio.wait_for(consumer.end_offsets(places), _ANSWER_MAX_S)
        reached = [await asyncio.wait_for(consumer.committed(place), _ANSWER_MAX_S) or 0 for place in places]
        return reached, [ends[place] for place in places]
    finally:
        await asyncio.wait({asyncio.ensure_future(consumer.stop())}, timeout=5)
