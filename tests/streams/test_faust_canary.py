"""What is overridden in Faust is still what was reviewed: a changed method means reading it again."""

from __future__ import annotations

import hashlib
import inspect
from importlib.metadata import version

import faust
import pytest
from aiokafka.consumer.fetcher import Fetcher, PartitionRecords
from aiokafka.producer import sender
from faust.agents.agent import Agent
from faust.transport.conductor import Conductor
from faust.transport.consumer import Consumer
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from mode.worker import Worker

from streams import commit

# As it is before anything puts `streams.fetched` in its place.
_CONSUMER_RECORD = PartitionRecords._consumer_record

# Methods we override or whose behaviour `streams/faust_batches.py` rests on, with the digest of the reviewed source.
REVIEWED = {
    "records._consumer_record": (_CONSUMER_RECORD, "e668541600b047ab"),
    "consumer._add_gap": (Consumer._add_gap, "4df2573ded7c1c2c"),
    "consumer._new_offset": (Consumer._new_offset, "1d2c7ea89a7ad4f1"),
    "consumer.ack": (Consumer.ack, "5fcf41cf45153475"),
    "consumer.getmany": (Consumer.getmany, "4b168d84882a70d6"),
    "consumer.perform_seek": (Consumer.perform_seek, "0e8c130ff4b0afd8"),
    "consumer._drain_messages": (Consumer._drain_messages, "44a2500309e83c63"),
    "agent.on_isolated_partitions_revoked": (Agent.on_isolated_partitions_revoked, "9d885349957972ab"),
    "agent._assign_isolated_partition": (Agent._assign_isolated_partition, "6f805da7af64ed8f"),
    "thread._create_worker_consumer": (AIOKafkaConsumerThread._create_worker_consumer, "c2701bfc3e6f6cad"),
    "thread._fetch_records": (AIOKafkaConsumerThread._fetch_records, "39a2c6c79fc1455a"),
    "fetcher._get_actions_per_node": (Fetcher._get_actions_per_node, "1dab2cf937d165d0"),
    "worker._schedule_shutdown": (Worker._schedule_shutdown, "1a6a5dfc88c2298b"),
    "worker.stop_and_shutdown": (Worker.stop_and_shutdown, "bf1608cc301123cf"),
}


def digest(function: object) -> str:
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:16]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", REVIEWED)
def test_overridden_method_is_the_reviewed_one(name: str) -> None:
    function, reviewed = REVIEWED[name]
    assert digest(function) == reviewed, (
        f"faust-streaming {version('faust-streaming')} changed {name}: "
        "read it, check streams/faust_batches.py, update the digest here"
    )


def test_scheduler_is_a_public_setting() -> None:
    assert "ConsumerScheduler" in faust.Settings.SETTINGS
    assert inspect.iscoroutinefunction(Conductor.on_partitions_assigned)


def test_aiokafka_still_waits_where_commit_shortens_it() -> None:
    source = inspect.getsource(sender)
    assert "BACKOFF_OVERRIDE = 0.02" in source, "the constant that streams/commit.py sets is gone or has another value"
    assert source.count("BACKOFF_OVERRIDE") >= 2, "nothing reads it any more"
    assert commit.PartitionLog.__module__ == "streams.commit"
    assert sender.BACKOFF_OVERRIDE < 0.02
