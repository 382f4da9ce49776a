"""The Faust-specific part: an app whose agent receives batches, with offsets that add up.

Faust's public setting `ConsumerScheduler` decides what the consumer yields. Ours yields, for the input
topic, one record-like `Batch` per partition chunk. Faust then counts one message per batch, so four
places of its consumer are told about it (a canary test watches them: `tests/streams/test_faust_canary.py`):

- `_add_gap`: the offsets inside a batch are no gap;
- `_new_offset`: acks come in order, so the highest acked offset + 1 is the one to commit;
- `_create_worker_consumer`: committed reads only (we write control records in transactions), and a fetch
  wait short enough that a partition is not held up by an empty answer for the others (Faust: 1.5 s);
- `_fetch_records`: under load a fetch waits a moment for company (`Pace`).

Everything else is Faust as it is. Why batches: docs/decisions/0002-batches-through-the-scheduler.md.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import faust
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP

from streams.settings import Settings

FETCH_WAIT_MS = 100
# Asked for under load: more than can come within the pace, so that a fetch ends by its time, or at once on a backlog.
_COMPANY_BYTES = 256 << 10
_RATE_OVER_S = 0.5
# Events that must be expected within one pace before a fetch waits for them.
_COMPANY_MIN = 3.0


class Pace:
    """How long a fetch waits for company: not at all when quiet, `pace_ms` under load.

    A fetch answers with the first record there is. Under load that is a few records at a time, each few a transaction,
    and a transaction costs worker and broker a millisecond each whatever is in it. So when enough events are expected
    within `pace_ms`, the broker is asked to hold its answer that long: thousands of events a second arrive in a hundred
    batches instead of a thousand, and a single event of a quiet hour still comes at once.

    Parameters
    ----------
    pace_ms
        Longest wait under load; 0 never waits.
    """

    def __init__(self, pace_ms: int) -> None:
        self._pace_ms = pace_ms
        # Events, each fading by e in `_RATE_OVER_S`; so the rate is this over that time.
        self._recent = 0.0
        self._at_s = 0.0

    def fetched(self, records: int, now_s: float) -> tuple[int, int]:
        """Count what a fetch brought; (least bytes, longest wait in ms) to ask for in the next one."""
        self._recent = self._recent * math.exp((self._at_s - now_s) / _RATE_OVER_S) + records
        self._at_s = now_s
        if self._recent / _RATE_OVER_S * self._pace_ms / 1000 < _COMPANY_MIN:
            return 1, FETCH_WAIT_MS
        return _COMPANY_BYTES, self._pace_ms


class Chunk(list[Any]):
    """Consecutive records of one partition.

    `previous` is the offset of the record that the fetcher yielded before them, None after a seek: a chunk
    whose `previous` was never applied means that one before it was dropped.
    """

    __slots__ = ("previous",)

    def __init__(self, records: list[Any], previous: int | None) -> None:
        super().__init__(records)
        self.previous = previous


class Batch:
    """A chunk of one partition's records, shaped like the record Faust expects.

    `value` is a `Chunk` of records, `offset` the last one's.
    """

    __slots__ = ("checksum", "headers", "key", "offset", "partition", "serialized_key_size",
                 "serialized_value_size", "timestamp", "timestamp_type", "topic", "value")  # fmt: skip

    def __init__(self, records: Chunk) -> None:
        last = records[-1]
        self.topic, self.partition, self.offset = last.topic, last.partition, last.offset
        self.timestamp, self.timestamp_type = last.timestamp, last.timestamp_type
        self.value = records
        self.key, self.headers, self.checksum = b"", (), None
        self.serialized_key_size = self.serialized_value_size = 0


class BatchScheduler(DefaultSchedulingStrategy):
    """Yields batches for `topic`, single records for every other; round robin between partitions."""

    topic: str = ""
    batch_max: int = 1000
    pace_ms: int = 0

    def __init__(self) -> None:
        self._yielded: dict[TP, int] = {}
        # Chunks on their way to the agent, per partition, oldest first.
        self._under_way: dict[int, deque[Chunk]] = {}

    def forget(self) -> None:
        """Start anew: positions were set by a seek, the next chunk follows none."""
        self._yielded.clear()
        self._under_way.clear()

    def gather(self, partition: int, chunk: Chunk) -> Chunk:
        """A chunk that has arrived, with those waiting behind it, up to `batch_max` records; those are left empty.

        Under load a fetch brings a few records at a time, and as many commits would be one behind the other. An
        emptied chunk is acked when its turn comes: after the commit of the batch that took its records.
        """
        waiting = self._under_way.get(partition)
        if not chunk or not waiting or all(other is not chunk for other in waiting):
            return chunk
        # What lies before it was dropped by Faust on the way; it is fetched again.
        while waiting.popleft() is not chunk:
            pass
        while waiting and len(chunk) + len(waiting[0]) <= self.batch_max:
            if waiting[0].previous != chunk[-1].offset:
                break
            following = waiting.popleft()
            chunk.extend(following)
            following.clear()
        return chunk

    def iterate(self, records: Mapping[TP, list[Any]]) -> Iterator[tuple[TP, Any]]:
        """(partition, batch or record) pairs of one fetch."""
        rest: dict[TP, list[Any]] = {}
        ours: dict[TP, list[Any]] = {}
        for tp, chunk in records.items():
            (ours if tp.topic == self.topic else rest)[tp] = chunk
        start = 0
        while ours:
            for tp in [tp for tp, chunk in ours.items() if start >= len(chunk)]:
                del ours[tp]
            for tp, chunk in ours.items():
                batch = Batch(Chunk(chunk[start : start + self.batch_max], self._yielded.get(tp)))
                self._yielded[tp] = batch.offset
                self._under_way.setdefault(tp.partition, deque()).append(batch.value)
                yield tp, batch
            start += self.batch_max
        if rest:
            yield from super().iterate(rest)


class BatchConsumerThread(AIOKafkaConsumerThread):
    """Faust's consumer thread with committed reads and fetches that wait as long as `Pace` says."""

    pace: Pace

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        self.pace = Pace(BatchScheduler.pace_ms)
        return consumer

    async def _fetch_records(self, consumer: Any, *args: Any, **kwargs: Any) -> Any:
        answer = await super()._fetch_records(consumer, *args, **kwargs)
        fetcher = consumer._fetcher
        fetcher._fetch_min_bytes, fetcher._fetch_max_wait_ms = self.pace.fetched(
            sum(map(len, answer.values())), time.monotonic()
        )
        return answer


class BatchConsumer(Consumer):
    """Faust's consumer, told that one message of the batch topic stands for many offsets."""

    def _new_consumer_thread(self) -> Any:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def perform_seek(self) -> None:
        self.scheduler.forget()
        await super().perform_seek()

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        if tp.topic != BatchScheduler.topic:
            await super()._add_gap(tp, offset_from, offset_to)

    def _new_offset(self, tp: TP) -> int | None:
        if tp.topic != BatchScheduler.topic:
            offset: int | None = super()._new_offset(tp)
            return offset
        acked = self._acked[tp]
        if not acked:
            return None
        last: int = max(acked)
        acked.clear()
        self._acked_index[tp].clear()
        return last + 1


class BatchTransport(Transport):
    """Faust's transport with our consumer."""

    Consumer = BatchConsumer


class BatchApp(faust.App):
    """Faust's app with our transport."""

    def _new_transport(self) -> Any:
        return BatchTransport(self.conf.broker_consumer, self, loop=self.loop)


def build_app(settings: Settings, handle: Callable[[int, Chunk], Awaitable[None]]) -> BatchApp:
    """A Faust app whose one agent awaits `handle(partition, records)` for every batch.

    `handle` must never raise: Faust acks an event whose agent raised.
    """
    # Faust makes the scheduler itself, from the class: its settings can only be class attributes.
    BatchScheduler.topic = settings.topic_events
    BatchScheduler.batch_max = settings.batch_max
    BatchScheduler.pace_ms = settings.pace_ms
    app = BatchApp(
        settings.topic_prefix,
        broker=[f"kafka://{address.strip()}" for address in settings.broker.split(",")],
        store="memory://",
        datadir=settings.home,
        autodiscover=False,
        web_enabled=False,
        ConsumerScheduler=BatchScheduler,
        consumer_auto_offset_reset="earliest",
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_replication_factor=1,
        stream_buffer_maxsize=settings.buffer_batches_max,
        broker_max_poll_records=settings.batch_max * 4,
        broker_rebalance_timeout=settings.rebalance_timeout_s,
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.heartbeat_s,
        broker_request_timeout=settings.request_timeout_s,
        producer_request_timeout=settings.request_timeout_s,
        broker_commit_interval=1.0,
    )
    topic = app.topic(settings.topic_events, value_type=bytes, value_serializer="raw", key_serializer="raw")

    # One actor a partition: while one awaits its commit, another works.
    @app.agent(topic, name="riskshift", isolated_partitions=True)
    async def consume(stream: Any) -> None:
        async for event in stream.events():
            partition = event.message.partition
            chunk = app.consumer.scheduler.gather(partition, event.message.value)
            if chunk:
                await handle(partition, chunk)

    return app


def fetched_of(app: BatchApp, partition: int) -> tuple[int, int, int] | None:
    """(next offset to fetch, end of what may be read, last offset yielded) of a partition; None while unknown."""
    consumer = app.consumer
    inner = getattr(consumer._thread, "_consumer", None)
    tp = next((tp for tp in consumer.assignment() if tp.partition == partition), None)
    if inner is None or tp is None:
        return None
    state = inner._subscription.subscription.assignment.state_value(tp)
    if state is None or not state.has_valid_position or state.highwater is None:
        return None
    # Committed reads end at the last stable offset: another sender's open transaction is no stall of ours.
    end = state.highwater if state.lso is None else state.lso
    return state.position, end, consumer.scheduler._yielded.get(tp, -1)
