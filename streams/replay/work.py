"""What passes between the reader, the engines and the learner: plain records that any process can read.

A `Step` is the stretch of event time between two meetings. Within it every hour ends with a tick; nothing else
happens between the hours, so engines need not wait for each other inside a step.
"""

from __future__ import annotations

import hashlib
import zlib

from msgspec import Struct, field

# Logical partitions of a file. Fixed, because the order of a partition decides about its bytes: the number of
# processes must not. Topics keep the partitions they have.
PARTITIONS = 4
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
# A step waits in memory.
STEP_EVENTS_MAX = 500_000
TOPICS = ("decisions", "alerts", "changes", "dead_letters")


class Record(Struct, array_like=True, gc=False):
    """One input record as the engine takes it."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = -1
    headers: tuple[tuple[str, bytes], ...] = ()


class Hour(Struct, array_like=True, gc=False):
    """Records of one hour by partition, and the tick that ends it."""

    tick_ms: int
    records: dict[int, list[Record]] = field(default_factory=dict)


class Step(Struct, array_like=True, gc=False):
    """What all engines work through before they meet again.

    `frame` is the model that comes into force first, as `versions.Frames` wrote it; empty where none is new.
    """

    number: int
    hours: list[Hour]
    frame: bytes = b""
    policy_version: str = ""

    @property
    def events(self) -> int:
        """Records in it."""
        return sum(len(records) for hour in self.hours for records in hour.records.values())


class Said(Struct, array_like=True, gc=False):
    """What one process's engines said in a step: by partition the decisions as bytes, and the digests by topic."""

    number: int
    decisions: dict[int, list[bytes]]
    digests: dict[int, list[bytes]]
    counts: dict[str, int]


def partition_of(key: bytes) -> int:
    """Logical partition of a customer in a file."""
    return zlib.crc32(key) % PARTITIONS


def chained(before: bytes, after: bytes) -> bytes:
    """Digest of a sequence from the digest of its beginning and that of what follows; can be kept and gone on with."""
    return hashlib.sha256(before + after).digest()


def digest_of(records: list[Record]) -> bytes:
    """Digest of input records: keys and untouched values with their lengths."""
    hasher = hashlib.sha256()
    update = hasher.update
    for record in records:
        key, value = record.key or b"", record.value or b""
        update(b"%d %d %d\n" % (record.offset, len(key), len(value)))
        update(key)
        update(value)
    return hasher.digest()
