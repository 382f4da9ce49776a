"""The topics of a deployment, read by kafka-python: committed records, a partition at a time, to the end it had.

The end is the high watermark of the first answer: some brokers name a lower one when asked for the latest offset.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from features.errors import EventError
from features.events import Event, check_time, decode
from streams.errors import BrokerError
from streams.replay.errors import ReplayError
from streams.replay.work import Record
from streams.settings import Settings

_POLL_MS = 250
_RECORDS_MAX = 5_000
# An open transaction holds back what comes after it; once nothing comes for so long, that is the end.
_QUIET_S = 2.0
_STALLED_S = 30.0
_NO_RECORD = 1 << 62


@dataclass(frozen=True, slots=True)
class Range:
    """Offsets of one partition: the first, and the one after the last; None: to the end."""

    start: int = 0
    end: int | None = None


class Deployment:
    """Reads the topics of one prefix; a context manager.

    Parameters
    ----------
    settings
        Broker and names of topics.

    Raises
    ------
    BrokerError
        No broker answers.
    ReplayError
        The prefix has no topics.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        logging.getLogger("kafka").setLevel(logging.CRITICAL)
        self._consumer = self._connect()
        known = self._consumer.topics()
        if settings.topic_events not in known:
            self._consumer.close()
            raise ReplayError(
                f"expected topic {settings.topic_events} on {settings.broker}, found no such topic: SOURCE is the "
                "deployment's topic prefix (riskshift unless set otherwise)"
            )
        self.partitions = len(self._consumer.partitions_for_topic(settings.topic_events) or ())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()

    def read(self, topic: str, partition: int, wanted: Range | None = None) -> Generator[Record, None, None]:
        """Records of one partition, as far as it reached when the reading began.

        Every reading has a consumer of its own, so that several can be followed side by side.

        Raises
        ------
        BrokerError
            When the broker stops answering.
        """
        place = TopicPartition(topic, partition)
        consumer = self._connect()
        try:
            consumer.assign([place])
            wanted = wanted or Range()
            start = max(wanted.start, consumer.beginning_offsets([place])[place])
            consumer.seek(place, start)
            yield from self._poll(consumer, place, start, wanted.end)
        except KafkaError as error:
            raise BrokerError(f"{self.settings.broker} stopped answering for {topic}: {error!r}: read again") from None
        finally:
            with suppress(KafkaError):
                consumer.close()

    def ranges_between(self, from_ms: int | None, until_ms: int | None) -> dict[int, Range]:
        """Offsets of the events topic by the records' timestamps: from the first one at or after, to that before."""
        places = [TopicPartition(self.settings.topic_events, number) for number in range(self.partitions)]

        def offsets(at_ms: int | None) -> dict[Any, Any]:
            try:
                return self._consumer.offsets_for_times(dict.fromkeys(places, at_ms)) if at_ms is not None else {}
            except (KafkaError, ValueError) as error:
                raise BrokerError(
                    f"expected {self.settings.broker} to find offsets by time, found: {error!r}: name --offsets"
                ) from None

        starts, ends = offsets(from_ms), offsets(until_ms)
        found = {}
        for place in places:
            start, end = starts.get(place), ends.get(place)
            # No record so late: nothing where it is to begin, everything where it is to end.
            first = 0 if from_ms is None else start.offset if start is not None else _NO_RECORD
            found[place.partition] = Range(first, end.offset if end is not None else None)
        return found

    def begins(self, topic: str, partition: int) -> int:
        """The oldest offset that is kept."""
        place = TopicPartition(topic, partition)
        return int(self._consumer.beginning_offsets([place])[place])

    def _poll(self, consumer: Any, place: Any, position: int, end: int | None) -> Generator[Record, None, None]:
        last: int | None = None
        heard = time.monotonic()
        while end is None or position < end:
            answer = consumer.poll(timeout_ms=_POLL_MS, max_records=_RECORDS_MAX)
            last = consumer.highwater(place) if last is None else last
            for record in answer.get(place, ()):
                if (end is not None and record.offset >= end) or (last is not None and record.offset >= last):
                    return
                heard = time.monotonic()
                headers = tuple((name, value or b"") for name, value in record.headers)
                yield Record(record.offset, record.key, record.value, record.timestamp, headers)
            # The position, not the last record: a partition may end in commit markers, or in what compaction removed.
            position = consumer.position(place)
            if last is not None and position >= last:
                return
            quiet_s = time.monotonic() - heard
            if last is not None and quiet_s > _QUIET_S:
                return
            if quiet_s > _STALLED_S:
                raise BrokerError(
                    f"expected {self.settings.broker} to give {place.topic} to its end, found nothing coming for "
                    f"{_STALLED_S:.0f} s: look at the broker, then again"
                )

    def _connect(self) -> Any:
        settings = self.settings
        try:
            return KafkaConsumer(
                bootstrap_servers=settings.broker.split(","), group_id=None, enable_auto_commit=False,
                isolation_level="read_committed", auto_offset_reset="earliest", fetch_max_wait_ms=100,
                max_partition_fetch_bytes=4 << 20, request_timeout_ms=int(settings.request_timeout_s * 1000),
            )  # fmt: skip
        except (KafkaError, OSError) as error:
            raise BrokerError(
                f"expected a Kafka broker at {settings.broker}, found none ({type(error).__name__}): start it, or "
                "name yours with --broker HOST:PORT"
            ) from None


def entries_of_topic(
    deployment: Deployment, ranges: dict[int, Range] | None = None, customers: Collection[str] = (),
    from_ms: int | None = None, until_ms: int | None = None,
) -> Iterator[tuple[int, Record, int]]:  # fmt: skip
    """(partition, record, event time at which it counts) of the events topic, for `steps_of`; bad records too.

    A record whose time cannot be read or believed counts when it came: at the time its partition had reached.
    """
    topic = deployment.settings.topic_events
    keys = {name.encode() for name in customers}

    def timed(partition: int) -> Iterator[tuple[Record, int]]:
        wanted = None if ranges is None else ranges.get(partition)
        for record in deployment.read(topic, partition, wanted):
            if not keys or record.key in keys:
                yield record, _event_time_ms(record)

    places = range(deployment.partitions) if ranges is None else sorted(ranges)
    for partition, record, at_ms in merged_by_time({place: timed(place) for place in places}):
        if (from_ms is None or at_ms >= from_ms) and (until_ms is None or at_ms < until_ms):
            yield partition, record, at_ms


def _event_time_ms(record: Record) -> int:
    try:
        event = decode(record.value, record.headers)
        if not isinstance(event, Event):
            return -1
        if record.timestamp >= 0:
            check_time(event, record.timestamp)
    except EventError:
        return -1
    return event.event_time_ms


def ranges_of(text: str | None) -> dict[int, Range] | None:
    """Offsets as people write them: `0:100-200,1:-50`; the second one is not in it. None: everything.

    Examples
    --------
    >>> ranges_of("0:100-200,1:-50,2:7-")
    {0: Range(start=100, end=200), 1: Range(start=0, end=50), 2: Range(start=7, end=None)}
    """
    if not text:
        return None
    ranges = {}
    for part in text.split(","):
        try:
            partition, _, span = part.partition(":")
            start, dash, end = span.partition("-")
            if not dash:
                raise ValueError(span)
            ranges[int(partition)] = Range(int(start or 0), int(end) if end else None)
        except ValueError:
            raise ReplayError(f"expected offsets such as 0:100-200,1:-50, found {part!r}") from None
    return ranges


def merged_by_time(streams: dict[int, Iterator[tuple[Record, int]]]) -> Iterator[tuple[int, Record, int]]:
    """Records of all partitions, each time the one whose partition has come least far; order within them is kept.

    Parameters
    ----------
    streams
        By partition, records with their event time, -1 where none can be read.
    """
    heads: dict[int, tuple[Record, int]] = {}
    reached = dict.fromkeys(streams, -1)

    def advance(partition: int) -> None:
        head = next(streams[partition], None)
        if head is not None:
            reached[partition] = max(reached[partition], head[1])
            heads[partition] = head

    for partition in sorted(streams):
        advance(partition)
    while heads:
        partition = min(heads, key=lambda p: (reached[p], p))
        record, _at_ms = heads.pop(partition)
        yield partition, record, max(reached[partition], 0)
        advance(partition)
