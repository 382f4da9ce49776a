"""The learner's process: follows all decisions, learns, publishes signed snapshots.

One learner is active at a time. Who it is, the consumer group decides: its only topic has one partition,
and the member that is assigned it learns; the others stand by. A transactional id fences a former one.

Its progress lives beside its snapshots in the models topic (`checkpoint/...`, signed): a new learner reads
the newest, reads the decisions again from where labels are still awaited, and goes on as if nothing was.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from models.learner import Learner, LearnerSettings
from models.observation import decode_observation
from models.snapshot import CHUNK_BYTES_MAX, Snapshot, pack
from streams.bulletin import CHECKPOINT_KEY, SNAPSHOT_KEY
from streams.commit import Item, PartitionLog
from streams.errors import BrokerError
from streams.fetched import make_records_light
from streams.memory import avoid_long_pauses
from streams.settings import Settings
from streams.worker import say

log = logging.getLogger(__name__)

_FETCH_RECORDS_MAX = 5_000


class LearnerProcess:
    """Runs one learner until stopped.

    Parameters
    ----------
    settings
        In force for this process.
    partitions
        Of the decisions topic.
    transactional
        Whether the broker has transactions.
    key
        Signing key of snapshots and checkpoints.
    """

    def __init__(self, settings: Settings, partitions: int, transactional: bool, key: bytes) -> None:
        self.settings = settings
        self.partitions = partitions
        self.transactional = transactional
        self.key = key
        self.learner: Learner | None = None
        self._stopping = asyncio.Event()
        self._elected = asyncio.Event()
        self._published_s = 0.0
        self._pending: Snapshot | None = None

    async def run(self) -> None:
        """Stand by, learn when elected, end on SIGTERM or SIGINT.

        Raises
        ------
        BrokerError
            When the broker is gone, or another learner took over.
        """
        make_records_light()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        ballot = self._consumer(f"{self.settings.topic_prefix}-learner")
        await _started(ballot, self.settings)
        try:
            ballot.subscribe([self.settings.topic_models], listener=_Election(self._elected))
            say("learner standing by")
            # Polling keeps the membership alive; its records are not what we are after.
            polling = asyncio.create_task(self._poll(ballot))
            await _first(polling, self._elected, self._stopping)
            if not self._stopping.is_set():
                await self._learn(polling)
            polling.cancel()
            with suppress(asyncio.CancelledError):
                await polling
        except KafkaError as error:
            raise BrokerError(f"the learner lost {self.settings.broker}: {error!r}") from error
        finally:
            await asyncio.wait({asyncio.ensure_future(ballot.stop())}, timeout=5)

    async def _learn(self, polling: asyncio.Task[None]) -> None:
        settings = self.settings
        async with PartitionLog(settings, "learner", self.transactional) as out:
            self.learner, start = await self._restore()
            consumer = self._consumer(None)
            await _started(consumer, settings)
            try:
                tps = [TopicPartition(settings.topic_decisions, p) for p in range(self.partitions)]
                consumer.assign(tps)
                await consumer.seek_to_beginning()
                for tp in tps:
                    if start.get(tp.partition):
                        consumer.seek(tp, start[tp.partition])
                avoid_long_pauses()
                say("learner ready", **self.learner.stats())
                while not self._stopping.is_set() and self._elected.is_set():
                    if polling.done():
                        polling.result()
                    answer = await consumer.getmany(timeout_ms=200, max_records=_FETCH_RECORDS_MAX)
                    for tp, records in answer.items():
                        self._observe(tp.partition, records)
                    for snapshot in self.learner.drain():
                        self._pending = snapshot
                    self._hold_back(consumer, tps)
                    await self._publish(out)
                if not self._elected.is_set():
                    raise BrokerError("another learner was elected; this one ends so that only one teaches")
                await self._publish(out, now=True)
                say("learner stopped", **self.learner.stats())
            finally:
                await asyncio.wait({asyncio.ensure_future(consumer.stop())}, timeout=5)

    def _observe(self, partition: int, records: list[Any]) -> None:
        assert self.learner is not None  # noqa: S101  # only called while learning
        for record in records:
            if record.value is not None:
                self.learner.observe(partition, record.offset, decode_observation(record.value))

    def _hold_back(self, consumer: AIOKafkaConsumer, tps: list[TopicPartition]) -> None:
        """A partition far ahead of the others waits for them; memory stays bounded."""
        assert self.learner is not None  # noqa: S101  # only called while learning
        paused = consumer.paused()
        for tp in tps:
            full = self.learner.full(tp.partition)
            if full and tp not in paused:
                consumer.pause(tp)
            elif not full and tp in paused:
                consumer.resume(tp)

    async def _publish(self, out: PartitionLog, *, now: bool = False) -> None:
        """Publish the newest snapshot with the checkpoint, together; not more often than asked."""
        if self._pending is None or self.learner is None:
            return
        if not now and time.monotonic() - self._published_s < self.settings.publish_every_s:
            return
        snapshot, self._pending = self._pending, None
        chunks = pack(snapshot, self.key)
        items: list[Item] = [
            (b"%b%d/%d/%d" % (SNAPSHOT_KEY, snapshot.version, place, len(chunks)), chunk, ())
            for place, chunk in enumerate(chunks)
        ]
        state = self.learner.checkpoint(self.key)
        parts = [state[i : i + CHUNK_BYTES_MAX] for i in range(0, len(state), CHUNK_BYTES_MAX)]
        items += [
            (b"%b%d/%d/%d" % (CHECKPOINT_KEY, snapshot.version, place, len(parts)), part, ())
            for place, part in enumerate(parts)
        ]
        await out.publish(self.settings.topic_models, 0, items)
        self._published_s = time.monotonic()
        say(
            "snapshot",
            version=snapshot.version,
            as_of_ms=snapshot.as_of_ms,
            bytes=sum(map(len, chunks)),
            **snapshot.counters,
        )

    async def _restore(self) -> tuple[Learner, dict[int, int]]:
        """The newest whole checkpoint of the models topic, or a new learner; and where to read decisions from."""
        settings = self.settings
        consumer = self._consumer(None)
        await _started(consumer, settings)
        tp = TopicPartition(settings.topic_models, 0)
        parts: dict[int, dict[int, bytes]] = {}
        newest: bytes | None = None
        try:
            consumer.assign([tp])
            await consumer.seek_to_beginning(tp)
            while True:
                answer = await consumer.getmany(tp, timeout_ms=200, max_records=_FETCH_RECORDS_MAX)
                for record in answer.get(tp, ()):
                    if record.key and record.key.startswith(CHECKPOINT_KEY) and record.value:
                        version, place, count = (int(n) for n in record.key.removeprefix(CHECKPOINT_KEY).split(b"/"))
                        found = parts.setdefault(version, {})
                        found[place] = record.value
                        if len(found) == count:
                            newest = b"".join(found[i] for i in sorted(found))
                            parts.clear()
                end = consumer.highwater(tp)
                if end is not None and await consumer.position(tp) >= end:
                    break
        finally:
            await asyncio.wait({asyncio.ensure_future(consumer.stop())}, timeout=5)
        if newest is None:
            return Learner(self.partitions, self.learner_settings()), {}
        learner = Learner.restore(newest, self.key, self.learner_settings())
        return learner, learner.resume_offsets()

    def learner_settings(self) -> LearnerSettings:
        """The learner's part of the settings."""
        return LearnerSettings(
            epoch_ms=self.settings.learn_every_ms,
            maturity_ms=self.settings.label_maturity_ms,
            retain_ms=2 * self.settings.label_maturity_ms,
            publish_every_ms=self.settings.publish_every_ms,
        )

    def _consumer(self, group: str | None) -> AIOKafkaConsumer:
        settings = self.settings
        return AIOKafkaConsumer(
            bootstrap_servers=settings.broker,
            group_id=group,
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="latest" if group else "earliest",
            fetch_max_wait_ms=200,
            max_partition_fetch_bytes=4 << 20,
            request_timeout_ms=int(settings.request_timeout_s * 1000),
            session_timeout_ms=int(settings.session_timeout_s * 1000),
            heartbeat_interval_ms=int(settings.heartbeat_s * 1000),
            rebalance_timeout_ms=int(settings.rebalance_timeout_s * 1000),
        )

    async def _poll(self, ballot: AIOKafkaConsumer) -> None:
        while not self._stopping.is_set():
            await ballot.getmany(timeout_ms=500)


class _Election(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    def __init__(self, elected: asyncio.Event) -> None:
        self._elected = elected

    async def on_partitions_revoked(self, revoked: list[TopicPartition]) -> None:
        """Nothing yet: a rebalance may well give it back."""

    async def on_partitions_assigned(self, assigned: list[TopicPartition]) -> None:
        """The ballot's one partition is the office."""
        if assigned:
            self._elected.set()
        else:
            self._elected.clear()


async def _started(consumer: AIOKafkaConsumer, settings: Settings) -> None:
    try:
        await asyncio.wait_for(consumer.start(), settings.request_timeout_s)
    except (KafkaError, TimeoutError, OSError) as error:
        raise BrokerError(f"cannot read from {settings.broker}: {error!r}: is the broker up?") from None


async def _first(polling: asyncio.Task[None], *events: asyncio.Event) -> None:
    """Return when the first event is set, or raise what ended the polling."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait({polling, *waits}, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    if polling.done():
        polling.result()
