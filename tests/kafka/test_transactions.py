"""What the commit protocol relies on, held against Apache Kafka itself.

Each test is one sentence of docs/kafka.md. `Bank` is one input topic and one output topic of two partitions.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import MessageSizeTooLargeError, OutOfOrderSequenceNumber, ProducerFenced
from kafka import KafkaAdminClient

from streams.broker import supports_transactions
from tests.brokers.apache import ApacheKafka, why_missing

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]
WAIT_S = 20.0


class Bank:
    """Topics of one test, and short words for what is done to them."""

    def __init__(self, address: str, name: str) -> None:
        self.address, self.name, self.group = address, name, f"{name}-group"
        self.out = f"{name}.out"
        admin = KafkaAdminClient(bootstrap_servers=address)
        admin.create_topics({self.out: {"num_partitions": 2, "replication_factor": 1}}, wait_for_metadata=True)
        admin.close()

    async def producer(self, **options: Any) -> AIOKafkaProducer:
        """A started transactional producer; all of one test share the transactional id."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.address, transactional_id=self.name, acks="all", retry_backoff_ms=20, **options
        )
        await asyncio.wait_for(producer.start(), WAIT_S)
        return producer

    async def send(self, producer: AIOKafkaProducer, *values: bytes, partition: int = 0) -> None:
        """One batch, acknowledged."""
        batch = producer.create_batch()
        for value in values:
            assert batch.append(timestamp=None, key=b"k", value=value, headers=[("h", b"1")]) is not None
        await asyncio.wait_for(await producer.send_batch(batch, self.out, partition=partition), WAIT_S)

    async def offsets(self, producer: AIOKafkaProducer, offset: int) -> None:
        """The group's offset, as part of the transaction."""
        position = {TopicPartition(self.out, 0): offset}
        await asyncio.wait_for(producer.send_offsets_to_transaction(position, self.group), WAIT_S)

    async def read(self, partition: int = 0, isolation: str = "read_committed") -> list[tuple[int, bytes]]:
        """Offsets and values up to the end, as a reader of that isolation sees them."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.address, isolation_level=isolation, enable_auto_commit=False)
        await consumer.start()
        try:
            place = TopicPartition(self.out, partition)
            consumer.assign([place])
            await consumer.seek_to_beginning(place)
            # For a committed reader this is the last stable offset.
            end = (await consumer.end_offsets([place]))[place]
            found = []
            while await asyncio.wait_for(consumer.position(place), WAIT_S) < end:
                for record in (await consumer.getmany(timeout_ms=500)).get(place, []):
                    found.append((record.offset, record.value))
            return found
        finally:
            await consumer.stop()

    async def committed_offset(self) -> int | None:
        """The group's offset as a new member would find it."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.address, group_id=self.group)
        await consumer.start()
        try:
            return await consumer.committed(TopicPartition(self.out, 0))
        finally:
            await consumer.stop()


@pytest.fixture
def bank(kafka: ApacheKafka, prefix: str) -> Bank:
    return Bank(kafka.address, prefix)


def test_committed_readers_see_the_batch_and_the_offset_only_after_commit(bank: Bank) -> None:
    async def story() -> None:
        producer = await bank.producer()
        await producer.begin_transaction()
        await bank.send(producer, b"one", b"two", partition=1)
        await bank.offsets(producer, 7)
        assert await bank.read(1) == []
        await producer.commit_transaction()
        assert await bank.read(1) == [(0, b"one"), (1, b"two")]
        assert await bank.committed_offset() == 7
        await producer.stop()

    asyncio.run(story())


def test_aborted_records_and_offsets_are_never_seen_and_leave_gaps(bank: Bank) -> None:
    async def story() -> None:
        producer = await bank.producer()
        await producer.begin_transaction()
        await bank.send(producer, b"wrong")
        await bank.offsets(producer, 7)
        await producer.abort_transaction()
        await producer.begin_transaction()
        await bank.send(producer, b"right")
        await producer.commit_transaction()
        # 0 is the aborted record, 1 the marker of the abort, 3 that of the commit.
        assert await bank.read() == [(2, b"right")]
        assert await bank.read(isolation="read_uncommitted") == [(0, b"wrong"), (2, b"right")]
        assert await bank.committed_offset() is None
        await producer.stop()

    asyncio.run(story())


Zombie = Callable[[Bank, AIOKafkaProducer], Awaitable[Any]]


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(lambda bank, old: bank.send(old, b"zombie"), id="same partition"),
        pytest.param(lambda bank, old: bank.send(old, b"zombie", partition=1), id="new partition"),
        pytest.param(lambda bank, old: bank.offsets(old, 9), id="offsets"),
        pytest.param(lambda _, old: old.commit_transaction(), id="commit"),
    ],
)
def test_second_producer_fences_the_first_at_its_next_step(bank: Bank, act: Zombie) -> None:
    async def story() -> None:
        old = await bank.producer()
        await old.begin_transaction()
        await bank.send(old, b"old")
        new = await bank.producer()
        with pytest.raises(ProducerFenced):
            await asyncio.wait_for(act(bank, old), WAIT_S)
        await new.begin_transaction()
        await bank.send(new, b"new")
        await new.commit_transaction()
        # A fenced producer can be stopped: nothing hangs.
        await asyncio.wait_for(old.stop(), WAIT_S)
        await asyncio.wait_for(new.stop(), WAIT_S)
        assert [value for _, value in await bank.read(0)] == [b"new"]
        assert await bank.read(1) == []
        assert await bank.committed_offset() is None

    asyncio.run(story())


def test_first_producer_between_transactions_is_fenced_at_its_next_send(bank: Bank) -> None:
    async def story() -> None:
        old = await bank.producer()
        await old.begin_transaction()
        await bank.send(old, b"old")
        await old.commit_transaction()
        new = await bank.producer()
        await old.begin_transaction()
        with pytest.raises(ProducerFenced):
            await bank.send(old, b"zombie")
        await asyncio.wait_for(old.stop(), WAIT_S)
        await new.stop()
        assert [value for _, value in await bank.read()] == [b"old"]

    asyncio.run(story())


def test_successor_of_a_killed_producer_frees_the_readers(bank: Bank) -> None:
    script = textwrap.dedent("""
        import asyncio, sys
        from aiokafka import AIOKafkaProducer

        async def story(address, name, topic):
            producer = AIOKafkaProducer(bootstrap_servers=address, transactional_id=name, acks="all")
            await producer.start()
            await producer.begin_transaction()
            await producer.send_and_wait(topic, b"dead", partition=0)
            print("sent", flush=True)
            await asyncio.sleep(60)

        asyncio.run(story(*sys.argv[1:]))
    """)

    async def story() -> None:
        command = [sys.executable, "-W", "ignore", "-c", script, bank.address, bank.name, bank.out]
        victim = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert victim.stdout is not None
        with victim.stdout:
            assert await asyncio.to_thread(victim.stdout.readline) == b"sent\n"
            victim.kill()
            victim.wait()
        plain = AIOKafkaProducer(bootstrap_servers=bank.address, acks="all")
        await plain.start()
        await plain.send_and_wait(bank.out, b"behind it", partition=0)
        await plain.stop()
        assert await bank.read() == []
        successor = await bank.producer()
        # The start itself aborted what was open.
        assert await bank.read() == [(1, b"behind it")]
        await successor.stop()

    asyncio.run(story())


def test_owner_can_write_into_the_partition_it_is_reading(bank: Bank) -> None:
    async def story() -> None:
        producer = await bank.producer()
        await producer.begin_transaction()
        await bank.send(producer, b"event")
        await producer.commit_transaction()
        place = TopicPartition(bank.out, 0)
        reader = AIOKafkaConsumer(
            bootstrap_servers=bank.address, isolation_level="read_committed", group_id=bank.group,
            enable_auto_commit=False, auto_offset_reset="earliest",
        )  # fmt: skip
        await reader.start()
        reader.assign([place])
        assert (await asyncio.wait_for(reader.getone(), WAIT_S)).value == b"event"
        await producer.begin_transaction()
        await bank.send(producer, b"tick")
        await bank.offsets(producer, 1)
        assert await reader.getmany(timeout_ms=300) == {}
        await producer.commit_transaction()
        record = await asyncio.wait_for(reader.getone(), WAIT_S)
        # 1 is the marker of the first commit: offsets of records are not consecutive.
        assert (record.offset, record.value) == (2, b"tick")
        await reader.stop()
        await producer.stop()

    asyncio.run(story())


def test_commit_succeeds_without_a_batch_that_failed_so_every_send_must_be_awaited(bank: Bank) -> None:
    # A property of the client that the commit protocol steps around; when this fails, it may be simplified.
    async def story() -> None:
        producer = await bank.producer(max_batch_size=3_000_000)
        await producer.begin_transaction()
        await bank.send(producer, b"small")
        batch = producer.create_batch()
        assert batch.append(timestamp=None, key=None, value=b"x" * 2_000_000) is not None
        failed = await producer.send_batch(batch, bank.out, partition=0)
        await producer.commit_transaction()
        with pytest.raises(MessageSizeTooLargeError):
            await failed
        assert [value for _, value in await bank.read()] == [b"small"]
        # And the producer is of no use any more: its sequence has a hole.
        await producer.begin_transaction()
        with pytest.raises(OutOfOrderSequenceNumber):
            await bank.send(producer, b"after")
        await producer.stop()

    asyncio.run(story())


def test_commit_outlives_a_broker_that_is_killed_and_comes_back(prefix: str) -> None:
    if reason := why_missing():
        pytest.skip(reason)

    async def story(broker: ApacheKafka) -> None:
        bank = Bank(broker.address, prefix)
        producer = await bank.producer(request_timeout_ms=5_000)
        await producer.begin_transaction()
        await bank.send(producer, b"one")
        broker.kill()
        commit = asyncio.create_task(producer.commit_transaction())
        await asyncio.sleep(0.5)
        assert not commit.done()
        await asyncio.to_thread(broker.start)
        await asyncio.wait_for(commit, 40)
        assert [value for _, value in await bank.read()] == [b"one"]
        await asyncio.wait_for(producer.stop(), WAIT_S)

    with ApacheKafka() as broker:
        asyncio.run(story(broker))


def test_commit_whose_wait_was_given_up_may_still_happen(prefix: str) -> None:
    if reason := why_missing():
        pytest.skip(reason)

    async def story(broker: ApacheKafka) -> None:
        bank = Bank(broker.address, prefix)
        producer = await bank.producer(request_timeout_ms=5_000)
        await producer.begin_transaction()
        await bank.send(producer, b"one")
        broker.pause()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(producer.commit_transaction(), 0.5)
        broker.resume()
        deadline = asyncio.get_running_loop().time() + WAIT_S
        while not await bank.read():
            assert asyncio.get_running_loop().time() < deadline
        await asyncio.wait_for(producer.stop(), WAIT_S)

    with ApacheKafka() as broker:
        asyncio.run(story(broker))


def test_transactions_are_found_also_by_several_at_once(kafka: ApacheKafka) -> None:
    async def story() -> list[bool]:
        return await asyncio.gather(*(supports_transactions(kafka.address) for _ in range(3)))

    assert asyncio.run(story()) == [True, True, True]
