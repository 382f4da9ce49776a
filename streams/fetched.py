"""A record as it is fetched, light: aiokafka's own is a frozen dataclass, and making one costs more than decoding.

`make_records_light` puts `Fetched` in its place for every consumer of this process. The method it replaces is
watched by the canary test (`tests/streams/test_faust_canary.py`).
"""

from __future__ import annotations

from typing import Any

from aiokafka.consumer.fetcher import PartitionRecords
from msgspec import Struct


class Fetched(Struct, gc=False):
    """One record; fields as those of aiokafka's `ConsumerRecord`."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    checksum: int | None
    serialized_key_size: int
    serialized_value_size: int
    headers: tuple[tuple[str, bytes], ...]


def _light(self: Any, tp: Any, record: Any) -> Fetched:  # noqa: ARG001  # a method of PartitionRecords
    key, value, headers = record.key, record.value, record.headers
    return Fetched(
        tp.topic,
        tp.partition,
        record.offset,
        record.timestamp,
        record.timestamp_type,
        key,
        value,
        None,
        -1 if key is None else len(key),
        -1 if value is None else len(value),
        tuple(headers) if headers else (),
    )


def make_records_light() -> None:
    """From now on consumers of this process give `Fetched`; they must have no deserializers of their own."""
    PartitionRecords._consumer_record = _light
