"""The learner's process: follows all decisions, learns, publishes signed snapshots.

One learner is active at a time. Who it is, the consumer group decides: its only topic has one partition,
and the member that is assigned it learns; the others stand by. A transactional id fences a former one.

Its progress lives beside its snapshots in the models topic (`checkpoint/...`, signed): a new learner reads
the newest, reads the decisions again from where labels are still awaited, and goes on as if nothing was.
It goes on reading that topic for commands; what it answers, see `streams/governance.py`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from alerts.errors import PolicyError
from alerts.model_rules import DEFAULT_MODELS_PATH, load_model_rules
from models.credit.learner import CreditSettings
from models.governance.records import Ruling
from models.governance.rules import ModelRules
from models.learner import Learner, LearnerSettings
from models.observation import decode_observation
from streams.commit import PartitionLog
from streams.errors import BrokerError, SettingError
from streams.fetched import make_records_light
from streams.governance import RULING_KEY, ModelsLog, sealed
from streams.memory import avoid_long_pauses
from streams.outbox import Outbox
from streams.settings import Settings
from streams.worker import say

log = logging.getLogger(__name__)

_FETCH_RECORDS_MAX = 5_000
_FETCH_BYTES_MIN = 1 << 20
# An epoch is learned in one go: seconds of a core on a busy stream, which workers and a broker on the same machine need
# for events that somebody waits for.
_NICENESS = 10


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
        self.rules = model_rules(settings)
        self.learner: Learner | None = None
        self._stopping = asyncio.Event()
        self._elected = asyncio.Event()
        self._published_s = 0.0
        self._outbox = Outbox(settings, key)

    async def run(self) -> None:
        """Stand by, learn when elected, end on SIGTERM or SIGINT.

        Raises
        ------
        BrokerError
            When the broker is gone, or another learner took over.
        """
        make_records_light()
        os.nice(_NICENESS)
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
        models = self._consumer(None)
        await _started(models, settings)
        try:
            async with PartitionLog(settings, "learner", self.transactional) as out:
                # After the fence: what a former learner still says does not count, and is not read as if it did.
                read = await self._read_models(models)
                self.learner, start = self._restore(read)
                await self._teach(polling, out, models, read, start)
        finally:
            await asyncio.wait({asyncio.ensure_future(models.stop())}, timeout=5)

    async def _teach(
        self, polling: asyncio.Task[None], out: PartitionLog, models: AIOKafkaConsumer, read: ModelsLog,
        start: dict[int, int],
    ) -> None:  # fmt: skip
        settings, learner = self.settings, self.learner
        assert learner is not None  # noqa: S101  # set by the caller
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
            say("learner ready", **learner.stats())
            while not self._stopping.is_set() and self._elected.is_set():
                if polling.done():
                    polling.result()
                await self._rule(models, read, out)
                answer = await consumer.getmany(timeout_ms=200, max_records=_FETCH_RECORDS_MAX)
                for tp, records in answer.items():
                    self._observe(tp.partition, records)
                self._outbox.gather(learner, learner.drain())
                self._hold_back(consumer, tps)
                await self._publish(out)
            if not self._elected.is_set():
                raise BrokerError("another learner was elected; this one ends so that only one teaches")
            await self._publish(out, now=True)
            say("learner stopped", **learner.stats())
        finally:
            await asyncio.wait({asyncio.ensure_future(consumer.stop())}, timeout=5)

    async def _rule(self, models: AIOKafkaConsumer, read: ModelsLog, out: PartitionLog) -> None:
        """Answer new commands: first make durable after which epoch each counts, then let it count."""
        assert self.learner is not None  # noqa: S101  # only called while learning
        for records in (await models.getmany(timeout_ms=0, max_records=_FETCH_RECORDS_MAX)).values():
            for record in records:
                read.take(record.key, record.value)
        if not read.commands:
            return
        rulings = [Ruling(command, self.learner.done_ms) for command in read.commands.values()]
        items = [(*sealed(RULING_KEY + ruling.command.id.encode(), ruling, self.key), ()) for ruling in rulings]
        await out.publish(self.settings.topic_models, 0, items)
        for ruling in rulings:
            read.ruled(ruling)
            self.learner.rule(ruling)
            say("command", id=ruling.command.id, command=ruling.command.kind, by=ruling.command.by)

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
        """Make durable what is in the outbox; not more often than asked."""
        learner = self.learner
        if learner is None or not self._outbox:
            return
        if now or time.monotonic() - self._published_s >= self.settings.publish_every_s:
            await out.publish_all(self._outbox.parts(learner))
            self._published_s = time.monotonic()

    async def _read_models(self, consumer: AIOKafkaConsumer) -> ModelsLog:
        """The models topic from its beginning to its end; the consumer stays there for what comes."""
        tp = TopicPartition(self.settings.topic_models, 0)
        read = ModelsLog(self.key)
        consumer.assign([tp])
        await consumer.seek_to_beginning(tp)
        while True:
            answer = await consumer.getmany(tp, timeout_ms=200, max_records=_FETCH_RECORDS_MAX)
            for record in answer.get(tp, ()):
                read.take(record.key, record.value)
            end = consumer.highwater(tp)
            if end is not None and await consumer.position(tp) >= end:
                return read

    def _restore(self, read: ModelsLog) -> tuple[Learner, dict[int, int]]:
        """The learner of the newest whole checkpoint, or a new one; and where to read decisions from."""
        if read.checkpoint is None:
            learner, start = Learner(self.partitions, self.learner_settings(), self.rules, self.credit_settings()), {}
        else:
            learner = Learner.restore(
                read.checkpoint, self.key, self.learner_settings(), self.rules, self.credit_settings()
            )
            start = learner.resume_offsets()
        for ruling in read.rulings:
            learner.rule(ruling)
        return learner, start

    def learner_settings(self) -> LearnerSettings:
        """The learner's part of the settings."""
        return LearnerSettings(
            epoch_ms=self.settings.learn_every_ms,
            maturity_ms=self.settings.label_maturity_ms,
            retain_ms=2 * self.settings.label_maturity_ms,
            publish_every_ms=self.settings.publish_every_ms,
        )

    def credit_settings(self) -> CreditSettings:
        """The credit part of the settings."""
        return CreditSettings(window_ms=self.settings.credit_window_ms)

    def _consumer(self, group: str | None) -> AIOKafkaConsumer:
        settings = self.settings
        return AIOKafkaConsumer(
            bootstrap_servers=settings.broker,
            group_id=group,
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="latest" if group else "earliest",
            # Nobody waits for the learner: a few large answers a second cost it and the broker less than hundreds.
            fetch_min_bytes=_FETCH_BYTES_MIN,
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


def model_rules(settings: Settings) -> ModelRules:
    """The rules file in force.

    Raises
    ------
    SettingError
        When it cannot be read or says what it must not.
    """
    path = Path(settings.model_rules) if settings.model_rules else DEFAULT_MODELS_PATH
    try:
        return load_model_rules(path)
    except PolicyError as error:
        raise SettingError(f"{path}: {error}") from None


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
