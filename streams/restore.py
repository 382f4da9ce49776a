"""Reading a partition's rows back from the changelog, to its very end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.errors import BrokerError
from streams.rows import META_KEY, unpack, unpack_meta
from streams.settings import Settings

_RECORDS_MAX = 20_000


@dataclass(slots=True)
class Changelog:
    """Rows read, the newest of each key, and the offset after the last record read."""

    rows: dict[bytes, bytes] = field(default_factory=dict)
    position: int = 0
    records: int = 0


async def read_changelog(settings: Settings, partition: int, start: int, *, fenced: bool) -> Changelog:
    """Rows of one partition from changelog offset `start` to the end.

    The end is the fetch's high watermark: after the fence nobody else can move it, and on the embedded
    broker the answer of ListOffsets lags behind it.

    Parameters
    ----------
    fenced
        Whether writes are fenced by transactions: then the last record of a key is the newest. If not, a
        former owner may have written late, and the highest applied offset wins.

    Raises
    ------
    BrokerError
        When the broker stops answering.
    features.errors.RowError
        When a record to compare is not a row.
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
    found = Changelog(position=start)
    try:
        await asyncio.wait_for(consumer.start(), settings.request_timeout_s)
        consumer.assign([tp])
        beginning = (await consumer.beginning_offsets([tp]))[tp]
        consumer.seek(tp, max(start, beginning))
        while True:
            answer = await consumer.getmany(tp, timeout_ms=200, max_records=_RECORDS_MAX)
            for record in answer.get(tp, ()):
                _take(found, record.key, record.value, fenced)
            end = consumer.highwater(tp)
            found.position = await consumer.position(tp)
            if end is not None and found.position >= end:
                return found
    except (KafkaError, TimeoutError, OSError) as error:
        raise BrokerError(f"cannot read {settings.topic_rows}[{partition}] on {settings.broker}: {error!r}") from None
    finally:
        await asyncio.wait({asyncio.ensure_future(consumer.stop())}, timeout=5)


def _take(found: Changelog, key: bytes, value: bytes | None, fenced: bool) -> None:
    found.records += 1
    if value is None:
        found.rows.pop(key, None)
        return
    known = found.rows.get(key)
    if known is not None and not fenced:
        read = unpack_meta if key == META_KEY else unpack
        if read(known).applied_offset > read(value).applied_offset:
            return
    found.rows[key] = value
