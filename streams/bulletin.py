"""What every worker reads besides its events: models, policies, the world, other partitions' watermarks.

One consumer without a group, over whole topics from their beginning, committed records only. It only
*collects*; the worker decides at a batch boundary what comes into force.

Keys of the models topic: `snapshot/{version}/{chunk}/{chunks}`, `policy/{version}`, `checkpoint/...`
(the learner's own).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from alerts.policy import parse_policy
from features.errors import EventError, RiskshiftError
from features.events import Indicator, decode
from streams.errors import BrokerError
from streams.library import VersionLibrary
from streams.settings import Settings

log = logging.getLogger(__name__)

_LOOK_S = 0.02
# World figures kept for partitions that have not copied them yet.
WORLD_MAX = 100_000
SNAPSHOT_KEY, POLICY_KEY, CHECKPOINT_KEY = b"snapshot/", b"policy/", b"checkpoint/"


class Watermark(msgspec.Struct):
    """How far one partition's event time is."""

    partition: int
    watermark_ms: int


class StreamTime:
    """Stream time: the lowest watermark of the active partitions.

    The wall clock takes over only while input is within `live_within_s` of it, so that silence is noticed
    when a live stream falls quiet, and a replay of old data never meets today's clock.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._marks: dict[int, tuple[int, float]] = {}

    def advance(self, partition: int, watermark_ms: int, now_s: float) -> None:
        """Note a partition's watermark, read at wall time `now_s`."""
        known = self._marks.get(partition)
        if watermark_ms >= 0 and (known is None or watermark_ms > known[0]):
            self._marks[partition] = (watermark_ms, now_s)

    def now_ms(self, now_s: float) -> int:
        """Stream time at wall time `now_s`; -1 while nothing is known."""
        if not self._marks:
            return -1
        settings = self._settings
        active = [mark for mark, since in self._marks.values() if now_s - since <= settings.idle_after_s]
        latest = max(mark for mark, _since in self._marks.values())
        reached = min(active) if active else -1
        wall_ms = int((now_s - settings.idle_after_s) * 1000)
        # A partition that still catches up must not meet a tick ahead of its events.
        behind_ms = wall_ms - (reached if active else latest)
        if wall_ms >= latest and behind_ms <= settings.live_within_s * 1000:
            reached = wall_ms
        return reached


class Bulletin:
    """Follows the shared topics and keeps what is newest.

    Attributes
    ----------
    world
        (offset, indicator) pairs of the world topic, oldest first.
    time
        Stream time as seen from here.
    policies
        Versions of the policies that were published.
    """

    def __init__(self, settings: Settings, library: VersionLibrary, partitions: int) -> None:
        self.settings = settings
        self.library = library
        self.partitions = partitions
        self.policies: list[str] = []
        self.world: list[tuple[int, Indicator]] = []
        self.time = StreamTime(settings)
        self.changed = asyncio.Event()
        self._chunks: dict[int, dict[int, bytes]] = {}
        # Where in the models topic each version begins: an old one may be wanted after it was let go.
        self._where: dict[int, int] = {}
        self._caught_up = asyncio.Event()
        self._consumer: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect and read everything there is; returns when caught up.

        Raises
        ------
        BrokerError
            When the broker does not answer.
        """
        settings = self.settings
        consumer = self._new_consumer()
        self._consumer = consumer
        try:
            await asyncio.wait_for(consumer.start(), settings.request_timeout_s)
        except (KafkaError, TimeoutError, OSError) as error:
            raise BrokerError(f"cannot read from {settings.broker}: {error!r}: is the broker up?") from None
        consumer.assign(
            [
                TopicPartition(settings.topic_models, 0),
                TopicPartition(settings.topic_world, 0),
                *(TopicPartition(settings.topic_watermarks, p) for p in range(self.partitions)),
            ]
        )
        await consumer.seek_to_beginning()
        self._task = asyncio.create_task(self._follow(consumer), name="bulletin")
        await asyncio.wait(
            {self._task, asyncio.ensure_future(self._caught_up.wait())},
            timeout=settings.request_timeout_s,
            return_when=asyncio.FIRST_COMPLETED,
        )
        self.check()
        if not self._caught_up.is_set():
            raise BrokerError(
                f"could not read {settings.topic_models} to its end within {settings.request_timeout_s:.0f} s: "
                "is the broker well?"
            )

    def _new_consumer(self) -> AIOKafkaConsumer:
        settings = self.settings
        return AIOKafkaConsumer(
            bootstrap_servers=settings.broker,
            group_id=None,
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            fetch_max_wait_ms=200,
            max_partition_fetch_bytes=8 << 20,
            request_timeout_ms=int(settings.request_timeout_s * 1000),
        )

    def stream_time_ms(self, now_s: float) -> int:
        """Stream time at wall time `now_s`; -1 while nothing is known."""
        return self.time.now_ms(now_s)

    def note_watermark(self, partition: int, watermark_ms: int, now_s: float) -> None:
        """An owned partition's own watermark, known here before the topic has it."""
        self.time.advance(partition, watermark_ms, now_s)

    def check(self) -> None:
        """Raise what stopped the reading, if anything did."""
        if self._task is not None and self._task.done() and not self._task.cancelled():
            error = self._task.exception()
            if error is not None:
                raise BrokerError(f"reading the shared topics failed: {error!r}") from error

    async def stop(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError, KafkaError):
                await self._task
        if self._consumer is not None:
            await asyncio.wait({asyncio.ensure_future(self._consumer.stop())}, timeout=5)

    async def require(self, model_version: int, policy_version: str, timeout_s: float) -> bool:
        """Wait until both versions are known here; False when they do not come in time."""
        deadline = time.monotonic() + timeout_s
        if not self.library.has_model(model_version) and model_version in self._where:
            await self._read_again(model_version, timeout_s)
        await self._read_base(timeout_s)
        while not self.library.knows(model_version, policy_version):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self.changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), min(left, 0.5))
            self.check()
            await self._read_base(left)
        return True

    async def _read_base(self, timeout_s: float) -> None:
        """Read what a snapshot that waits here adds to, if that was let go of."""
        base, self.library.missing_base = self.library.missing_base, None
        if base is not None and base in self._where and not self.library.has_model(base):
            await self._read_again(base, timeout_s)

    async def _read_again(self, version: int, timeout_s: float) -> None:
        """Offer an old snapshot again, from where it lies in the topic."""
        consumer = self._new_consumer()
        tp = TopicPartition(self.settings.topic_models, 0)
        deadline = time.monotonic() + timeout_s
        wanted = b"%b%d/" % (SNAPSHOT_KEY, version)
        try:
            await asyncio.wait_for(consumer.start(), timeout_s)
            consumer.assign([tp])
            consumer.seek(tp, self._where[version])
            while not self.library.has_model(version) and time.monotonic() < deadline:
                for record in (await consumer.getmany(tp, timeout_ms=200)).get(tp, ()):
                    if record.key and record.key.startswith(wanted) and record.value:
                        self._take_chunk(record.key, record.value, record.offset)
        except (KafkaError, TimeoutError, OSError) as error:
            raise BrokerError(f"cannot read {tp.topic} on {self.settings.broker}: {error!r}") from None
        finally:
            await asyncio.wait({asyncio.ensure_future(consumer.stop())}, timeout=5)

    async def catch_up(self, timeout_s: float) -> None:
        """Wait until everything that was in the models topic when this was called has been read, or time is up."""
        consumer, models = self._consumer, TopicPartition(self.settings.topic_models, 0)
        if consumer is None:
            return
        deadline = time.monotonic() + timeout_s
        answered = consumer.last_poll_timestamp(models)
        # The first answer from here on may have been under way already; the second one was asked for afterwards.
        answers = 0
        while time.monotonic() < deadline:
            await asyncio.sleep(_LOOK_S)
            self.check()
            latest = consumer.last_poll_timestamp(models)
            answers += latest != answered
            answered = latest
            if answers >= 2:
                end = consumer.last_stable_offset(models)
                end = consumer.highwater(models) if end is None or end < 0 else end
                if end is None or await consumer.position(models) >= end:
                    return

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            answer = await consumer.getmany(timeout_ms=200, max_records=2000)
            now_s = time.time()
            for partition, records in answer.items():
                for record in records:
                    self._take(partition.topic, record, now_s)
            if not self._caught_up.is_set() and await self._at_end(consumer):
                self._caught_up.set()
            if answer:
                # While catching up only the newest is looked at, once; later every one as it comes.
                if self._caught_up.is_set():
                    self._add(self.library.adopt, SNAPSHOT_KEY)
                    await self._read_base(self.settings.request_timeout_s)
                self.changed.set()

    async def _at_end(self, consumer: AIOKafkaConsumer) -> bool:
        # The fetch's own high watermark: on the embedded broker ListOffsets lags behind it.
        for partition in consumer.assignment():
            end = consumer.highwater(partition)
            if end is None or await consumer.position(partition) < end:
                return False
        return True

    def _take(self, topic: str, record: ConsumerRecord, now_s: float) -> None:
        settings, key, value = self.settings, record.key or b"", record.value
        if value is None:
            return
        if topic == settings.topic_watermarks:
            with suppress(msgspec.MsgspecError):
                mark = msgspec.json.decode(value, type=Watermark)
                self.time.advance(mark.partition, mark.watermark_ms, now_s)
        elif topic == settings.topic_world:
            try:
                event = decode(value)
            except EventError as error:
                log.warning("world record at offset %d passed over: %s", record.offset, error)
                return
            if isinstance(event, Indicator):
                self.world.append((record.offset, event))
                del self.world[:-WORLD_MAX]
        elif key.startswith(SNAPSHOT_KEY):
            self._take_chunk(key, value, record.offset)
        elif key.startswith(POLICY_KEY):
            self._add(lambda: self._take_policy(value), key)

    def _take_chunk(self, key: bytes, value: bytes, offset: int) -> None:
        try:
            version, place, count = (int(part) for part in key.removeprefix(SNAPSHOT_KEY).split(b"/"))
        except ValueError:
            log.warning("models record with key %r passed over: expected snapshot/VERSION/CHUNK/CHUNKS", key[:80])
            return
        if place == 0:
            # A learner that crashed in the middle says the version again, from its first chunk.
            self._chunks[version] = {}
            self._where[version] = offset
        chunks = self._chunks.setdefault(version, {})
        chunks[place] = value
        if len(chunks) == count:
            del self._chunks[version]
            self.library.offer(version, [chunks[i] for i in sorted(chunks)])

    def _take_policy(self, value: bytes) -> None:
        policy = parse_policy(value)
        self.library.add_policy(policy)
        self.policies.append(policy.version)

    def _add(self, add: Callable[[], None], key: bytes) -> None:
        try:
            add()
        except (RiskshiftError, UnicodeDecodeError) as error:
            log.error("refused %s: %s", key.decode(errors="replace"), error)
