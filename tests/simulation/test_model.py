"""The broker model keeps what `tests/kafka/test_transactions.py` found out about Apache Kafka, sentence by sentence.

And what only a model can be asked: answers that get lost at will, markers, compaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError, OutOfOrderSequenceNumber, ProducerFenced

from tests.simulation.broker import TXN_TIMEOUT_S, Log
from tests.simulation.clients import Producer
from tests.simulation.loop import Process, clear_away
from tests.simulation.network import Trouble
from tests.simulation.world import Protocol, World

TOPIC = "sim.out"


class Bank:
    """A world without workers, and short words for what is done to its broker."""

    def __init__(self) -> None:
        self.world = World(1, Protocol(fenced=True))
        self.broker = self.world.broker

    async def producer(self) -> Producer:
        producer = Producer(self.world, transactional_id="id")
        await producer.start()
        return producer

    async def send(self, producer: Producer, *values: bytes, partition: int = 0) -> None:
        batch = producer.create_batch()
        for value in values:
            assert batch.append(key=b"k", value=value, timestamp=None, headers=[]) is not None
        await (await producer.send_batch(batch, TOPIC, partition=partition))

    async def offsets(self, producer: Producer, offset: int) -> None:
        await producer.send_offsets_to_transaction({TopicPartition(TOPIC, 0): offset}, "group")

    def read(self, partition: int = 0) -> list[tuple[int, bytes | None]]:
        return [(entry.offset, entry.value) for entry in self.broker.log(TOPIC, partition).visible()]

    async def settled(self) -> None:
        """Every marker is written."""
        await asyncio.sleep(3)


def told(story: Callable[[Bank], Awaitable[None]]) -> None:
    """Run a story in one process of a quiet world."""
    bank = Bank()
    process = Process("teller")

    async def run() -> None:
        process.spawn(story(bank))  # type: ignore[arg-type]
        await asyncio.wait(process.tasks, timeout=1_000)
        try:
            process.tasks[0].result()
        finally:
            await clear_away([process])

    try:
        bank.world.loop.run_until_complete(run())
    finally:
        bank.world.loop.close()


def test_committed_readers_see_the_batch_and_the_offset_only_after_commit() -> None:
    async def story(bank: Bank) -> None:
        producer = await bank.producer()
        await producer.begin_transaction()
        await bank.send(producer, b"one", b"two", partition=1)
        await bank.offsets(producer, 7)
        await bank.settled()
        assert bank.read(1) == []
        assert bank.broker.group_offsets == {}
        await producer.commit_transaction()
        await bank.settled()
        assert bank.read(1) == [(0, b"one"), (1, b"two")]
        assert bank.broker.group_offsets == {0: 7}

    told(story)


Act = Callable[[Bank, Producer], Awaitable[Any]]


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(lambda bank, old: bank.send(old, b"zombie"), id="same partition"),
        pytest.param(lambda bank, old: bank.send(old, b"zombie", partition=1), id="new partition"),
        pytest.param(lambda bank, old: bank.offsets(old, 9), id="offsets"),
        pytest.param(lambda _, old: old.commit_transaction(), id="commit"),
    ],
)
def test_second_producer_fences_the_first_at_its_next_step(act: Act) -> None:
    async def story(bank: Bank) -> None:
        old = await bank.producer()
        await old.begin_transaction()
        await bank.send(old, b"old")
        new = await bank.producer()
        with pytest.raises(ProducerFenced):
            await act(bank, old)
        await new.begin_transaction()
        await bank.send(new, b"new")
        await new.commit_transaction()
        await bank.settled()
        # 0 is the aborted record, 1 the marker of the abort.
        assert bank.read() == [(2, b"new")]
        assert bank.read(1) == []
        assert bank.broker.group_offsets == {}

    told(story)


def test_first_producer_between_transactions_is_fenced_at_its_next_send() -> None:
    async def story(bank: Bank) -> None:
        old = await bank.producer()
        await old.begin_transaction()
        await bank.send(old, b"old")
        await old.commit_transaction()
        await bank.producer()
        await old.begin_transaction()
        with pytest.raises(ProducerFenced):
            await bank.send(old, b"zombie")
        await bank.settled()
        assert [value for _, value in bank.read()] == [b"old"]

    told(story)


def test_open_transaction_holds_readers_back_until_the_successor_or_the_timeout_ends_it() -> None:
    async def story(bank: Bank) -> None:
        old = await bank.producer()
        await old.begin_transaction()
        await bank.send(old, b"dead")
        bank.broker.log(TOPIC, 0).append([(b"k", b"behind it", ())], 0, None)
        assert bank.read() == []
        successor = await bank.producer()
        # The start itself waited for the markers.
        assert bank.read() == [(1, b"behind it")]
        await successor.begin_transaction()
        await bank.send(successor, b"too slow")
        await asyncio.sleep(TXN_TIMEOUT_S + 3)
        with pytest.raises(ProducerFenced):
            await successor.commit_transaction()
        assert bank.read() == [(1, b"behind it")]

    told(story)


def test_successor_sees_everything_its_predecessor_committed() -> None:
    async def story(bank: Bank) -> None:
        old = await bank.producer()
        for number in range(20):
            await old.begin_transaction()
            await bank.send(old, b"%d" % number, partition=number % 2)
            await old.commit_transaction()
            # Asked at once, while markers are still being written.
            old = await bank.producer()
            assert len(bank.read(0)) + len(bank.read(1)) == number + 1

    told(story)


def test_commit_succeeds_without_a_batch_that_failed_and_the_producer_is_of_no_use_after_it() -> None:
    async def story(bank: Bank) -> None:
        producer = await bank.producer()
        await producer.begin_transaction()
        await bank.send(producer, b"one")
        bank.world.network.trouble = Trouble(request_lost=1.0, refused=1.0)
        with pytest.raises(KafkaTimeoutError):
            await bank.send(producer, b"two")
        bank.world.network.trouble = Trouble()
        await producer.commit_transaction()
        await bank.settled()
        assert [value for _, value in bank.read()] == [b"one"]
        await producer.begin_transaction()
        with pytest.raises(OutOfOrderSequenceNumber):
            await bank.send(producer, b"three")

    told(story)


def test_a_request_that_is_repeated_counts_once_with_a_transactional_id_only() -> None:
    async def story(bank: Bank) -> None:
        producer = await bank.producer()
        log, records = bank.broker.log(TOPIC, 0), [(b"k", b"once", ())]
        assert {bank.broker.produce("id", producer.epoch, 1, log, records) for _ in range(3)} == {0}
        plain = bank.broker.log(TOPIC, 1)
        assert [bank.broker.produce(None, -1, 1, plain, records) for _ in range(3)] == [0, 1, 2]
        bank.broker.end_transaction("id", producer.epoch)
        bank.broker.end_transaction("id", producer.epoch)
        await bank.settled()
        assert bank.read() == [(0, b"once")]

    told(story)


def test_a_lost_answer_is_asked_for_again() -> None:
    async def story(bank: Bank) -> None:
        bank.world.network.trouble = Trouble(request_lost=0.4, answer_lost=0.4)
        for _ in range(20):
            await bank.world.network.ask("count", lambda: bank.broker.count("asked"))
        assert bank.broker.counts["asked"] > 20

    told(story)


def test_commit_whose_wait_was_given_up_may_still_happen() -> None:
    async def story(bank: Bank) -> None:
        producer = await bank.producer()
        await producer.begin_transaction()
        await bank.send(producer, b"one")
        bank.world.network.trouble = Trouble(answer_lost=1.0, refused=1.0)
        with pytest.raises(KafkaTimeoutError):
            await producer.commit_transaction()
        await bank.settled()
        assert [value for _, value in bank.read()] == [b"one"]

    told(story)


def test_offset_commit_of_a_former_generation_is_refused() -> None:
    bank = Bank()
    bank.broker.commit_offset(0, 5, current=True)
    bank.broker.commit_offset(0, 3, current=False)
    assert bank.broker.group_offsets == {0: 5}
    bank.world.loop.close()


def test_compaction_keeps_the_last_committed_record_of_each_key_and_every_offset() -> None:
    log = Log(TOPIC, 0)
    for number in range(6):
        log.append([(b"%d" % (number % 2), b"%d" % number, ())], 0, None)
    assert log.compact(4) == 2
    assert [(entry.offset, entry.key) for entry in log.visible()] == [(2, b"0"), (3, b"1"), (4, b"0"), (5, b"1")]
    assert log.compact(99) == 2
    assert [entry.offset for entry in log.visible()] == [4, 5]
    assert log.end == 6
    assert len(log.committed()) == 6
