"""All customers' rows as one hash, and what a deployment's state is made of: from the changelog or from local stores.

The hash is SHA-256 over every customer in the order of their ids: four bytes length, the id, SHA-256 of the row
without its offset. So it does not depend on partitions, workers, versions in force or where the rows lie. Rows are
collected in a temporary database on disk, digest and size only: about 100 bytes a customer, little memory.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams import topics
from streams.errors import BrokerError, StateError
from streams.reconcile import has_transactions
from streams.rows import META_KEY, PartitionMeta, state_bytes, unpack, unpack_meta
from streams.settings import Settings
from streams.store_record import StoreRecord
from streams.stores import opened, own_records, stores_under, verified

_CACHE_KIB = 32_768
_RECORDS_MAX = 2_000
_BUFFERS_BYTES = 32 << 20
_STALLED_S = 30.0


@dataclass(slots=True)
class PartitionState:
    """One partition's state: how many rows and bytes, how far, under which versions.

    `source` is a topic partition or a folder; `position` the changelog offset it is read up to; `binding` the cluster,
    topic and partition count it is bound to; `disk_bytes` the size of a local store.
    """

    partition: int
    source: str
    rows: int = 0
    row_bytes: int = 0
    position: int = 0
    partitions: int | None = None
    applied_offset: int = -1
    watermark_ms: int = -1
    tick_ms: int = -1
    model_version: int | None = None
    policy_version: str | None = None
    binding: str | None = None
    disk_bytes: int | None = None

    def remember(self, meta: PartitionMeta) -> None:
        """Take over what the partition's own row says."""
        self.partitions, self.applied_offset = meta.partitions, meta.applied_offset
        self.watermark_ms, self.tick_ms = meta.watermark_ms, meta.tick_ms
        self.model_version, self.policy_version = meta.model_version, meta.policy_version
        self.binding = meta.binding or self.binding


class CollectedState:
    """Digests of all rows, sorted on disk; a context manager, as the temporary database goes with it."""

    def __init__(self) -> None:
        # "" is a database of its own in a temporary file, which the system removes when it is closed.
        self._table = sqlite3.connect("", isolation_level=None)
        self._table.executescript(
            f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-{_CACHE_KIB};"
            "CREATE TABLE rows (customer BLOB, partition INT, applied INT, bytes INT, digest BLOB,"
            " PRIMARY KEY (customer, partition)) WITHOUT ROWID; BEGIN"
        )
        self.partitions: dict[int, PartitionState] = {}

    def put(self, partition: int, rows: Iterable[tuple[bytes, bytes | None]], *, newest_wins: bool = True) -> None:
        """Take packed rows, None for one that was removed; without `newest_wins` the highest applied offset does."""
        condition = "" if newest_wins else " WHERE excluded.applied >= rows.applied"
        for key, packed in rows:
            if packed is None:
                self._table.execute("DELETE FROM rows WHERE customer = ? AND partition = ?", (key, partition))
                continue
            row = unpack(packed, f"row of {key.decode(errors='backslashreplace')}")
            digest = hashlib.sha256(state_bytes(row)).digest()
            self._table.execute(
                "INSERT INTO rows VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "  # noqa: S608  # two fixed texts
                "applied = excluded.applied, bytes = excluded.bytes, digest = excluded.digest" + condition,
                (key, partition, row.applied_offset, len(packed), digest),
            )

    def hash(self) -> tuple[str, int]:
        """(hexadecimal hash, customers).

        Raises
        ------
        StateError
            When one customer has rows in two partitions.
        """
        total = hashlib.sha256()
        count, before = 0, None
        for customer, digest in self._table.execute("SELECT customer, digest FROM rows ORDER BY customer"):
            if customer == before:
                raise StateError(
                    f"customer {customer.decode(errors='backslashreplace')} has rows in two partitions: the partition "
                    "count was changed, or two deployments share a prefix; make the rows anew from the events"
                )
            total.update(len(customer).to_bytes(4, "big") + customer + digest)
            count, before = count + 1, customer
        return total.hexdigest(), count

    def describe(self) -> list[dict[str, Any]]:
        """One dict a partition."""
        query = "SELECT partition, count(*), sum(bytes) FROM rows GROUP BY partition"
        for partition, rows, size in self._table.execute(query):
            self.partitions[partition].rows, self.partitions[partition].row_bytes = rows, size
        return [asdict(state) for _number, state in sorted(self.partitions.items())]

    def __enter__(self) -> CollectedState:
        return self

    def __exit__(self, *_error: object) -> None:
        self._table.close()


# --- the changelog ------------------------------------------------------------------------------------------


def from_changelog(settings: Settings) -> CollectedState:
    """The newest row of every customer in the rows topic, committed records only.

    Raises
    ------
    BrokerError
        No broker, no topics, or it stops answering.
    features.errors.RowError
        When a record is not a row, was altered or cut.
    """
    count = topics.check(settings.broker, settings.topic_prefix)[settings.topic_rows]
    fenced = has_transactions(settings.broker)
    state = CollectedState()
    try:
        asyncio.run(_read_changelog(settings, count, fenced, state))
    except BaseException:
        state.__exit__()
        raise
    return state


async def _read_changelog(settings: Settings, count: int, fenced: bool, state: CollectedState) -> None:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.broker, group_id=None, enable_auto_commit=False, isolation_level="read_committed",
        auto_offset_reset="earliest", fetch_max_wait_ms=100,
        max_partition_fetch_bytes=max(256 << 10, min(8 << 20, _BUFFERS_BYTES // count)),
    )  # fmt: skip
    try:
        await asyncio.wait_for(consumer.start(), settings.request_timeout_s)
        # One partition after the other: what is in memory is one partition's buffer.
        for partition in range(count):
            place = TopicPartition(settings.topic_rows, partition)
            consumer.assign([place])
            consumer.seek(place, (await consumer.beginning_offsets([place]))[place])
            state.partitions[partition] = PartitionState(partition, f"{place.topic}[{partition}]")
            await _read_partition(consumer, place, fenced, state)
    except (KafkaError, TimeoutError, OSError) as error:
        raise BrokerError(f"cannot read {settings.topic_rows} on {settings.broker}: {error!r}: is it up?") from None
    finally:
        await asyncio.wait({asyncio.ensure_future(consumer.stop())}, timeout=5)


async def _read_partition(
    consumer: AIOKafkaConsumer, place: TopicPartition, fenced: bool, state: CollectedState
) -> None:
    found = state.partitions[place.partition]
    loop = asyncio.get_running_loop()
    heard_s = loop.time()
    meta: PartitionMeta | None = None
    end: int | None = None
    while True:
        records = (await consumer.getmany(place, timeout_ms=200, max_records=_RECORDS_MAX)).get(place, [])
        heard_s = loop.time() if records else heard_s
        rows = []
        for record in records:
            if record.key != META_KEY:
                rows.append((record.key, record.value))
            elif record.value is not None:
                said = unpack_meta(record.value, f"the partition's own row in {found.source}")
                if meta is None or fenced or said.applied_offset >= meta.applied_offset:
                    meta = said
        # With a fence only the newest of each key counts; those before it need not be unpacked.
        state.put(place.partition, dict(rows).items() if fenced else rows, newest_wins=fenced)
        # The fetch's own end, as it was when first told: the embedded broker's ListOffsets lags behind it.
        end = consumer.highwater(place) if end is None else end
        found.position = await consumer.position(place)
        stable = consumer.last_stable_offset(place)
        held_back = stable is not None and 0 <= stable <= found.position and loop.time() - heard_s > 1.5
        if end is not None and (found.position >= end or held_back):
            break
        if loop.time() - heard_s > _STALLED_S:
            raise BrokerError(f"expected {found.source} to be given to its end, found nothing for {_STALLED_S:.0f} s")
    if meta is not None:
        found.remember(meta)


# --- local stores -------------------------------------------------------------------------------------------


def from_stores(folders: Sequence[Path]) -> CollectedState:
    """Rows of the stores under `folders` (FOLDER/rows/SLOT/PARTITION), each partition's furthest copy, read only.

    Raises
    ------
    StateError
        No stores, a partition without one, one that a running worker holds or that is damaged, stores of
        different deployments.
    """
    best: dict[int, tuple[tuple[int, int], Path, StoreRecord]] = {}
    partitions = 0
    for path in stores_under(folders):
        with opened(path) as db:
            own, meta = own_records(path, db)
        reached = (meta.applied_offset if meta else -1, own.position)
        partitions = max(partitions, meta.partitions if meta else 0)
        number = int(path.name)
        if number not in best or reached > best[number][0]:
            best[number] = reached, path, own
    bindings = sorted({own.binding for _reached, _path, own in best.values() if own.binding})
    if len(bindings) > 1:
        raise StateError(f"the stores belong to different deployments: {'; '.join(bindings)}: name those of one")
    missing = [number for number in range(partitions) if number not in best]
    if missing:
        shown = ", ".join(map(str, missing[:20]))
        raise StateError(
            f"expected stores of {partitions} partitions, found none of {shown}: name the other workers' folders "
            "with more --state, or leave --state out to read the changelog"
        )
    state = CollectedState()
    try:
        for number, (_reached, path, own) in sorted(best.items()):
            found = state.partitions[number] = PartitionState(number, str(path), position=own.position)
            found.binding = own.binding or None
            found.disk_bytes = sum(file.stat().st_size for file in path.iterdir() if file.is_file())
            with opened(path) as db:
                own, meta = own_records(path, db)
                state.put(number, verified(path, db, own))
            if meta is not None:
                found.remember(meta)
    except BaseException:
        state.__exit__()
        raise
    return state
