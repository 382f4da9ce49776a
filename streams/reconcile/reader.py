"""Reading input and outputs on our own: five topics at once, without a group, committed records only."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from types import TracebackType

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams import topics
from streams.broker.wire import api_versions
from streams.errors import BrokerError
from streams.reconcile.ledger import ALERTS, DEAD_LETTERS, DECISIONS, EVENTS, RISK_CHANGES, PartitionLedger
from streams.reconcile.seen import AlertIds
from streams.reconcile.verdict import MENDABLE, Report, Waiting, judge, waiting

READ = (EVENTS, DECISIONS, DEAD_LETTERS, ALERTS, RISK_CHANGES)
_POLL_MS = 200
_RECORDS_MAX = 5_000
_FETCH_WAIT_MS = 100
# An open transaction holds back what comes after it; see `streams.tail`.
_HELD_BACK_S = 1.5
_STALLED_S = 30.0
# What was on its way when we looked first has come by then.
_GRACE_S = 1.0
_BUFFERS_BYTES = 64 << 20
_DESCRIBE_TRANSACTIONS = 65


class ReconcileError(BrokerError):
    """The broker or the topics cannot be read to the end."""


def has_transactions(broker: str) -> bool:
    """Whether the broker keeps transactions: no DescribeTransactions, no transactions (docs/decisions/0001)."""
    for address in broker.split(","):
        try:
            return _DESCRIBE_TRANSACTIONS in api_versions(address)
        except OSError:
            continue
    raise ReconcileError(f"no Kafka answers at {broker}: start it (riskshift broker), or name another with --broker")


class Reconciler:
    """Reads the topics under one prefix and judges them.

    Parameters
    ----------
    broker
        HOST:PORT, or several with commas.
    prefix
        First part of the topics' names.
    on_progress
        Called now and then with records read and the share (0..1) of what was there at the start.

    Raises
    ------
    BrokerError
        No broker, or topics that are missing or differ in partition count.
    """

    def __init__(self, broker: str, prefix: str, on_progress: Callable[[int, float], None] | None = None) -> None:
        self.broker, self.prefix = broker, prefix
        self.records = 0
        self.ids = AlertIds()
        self.ledgers: dict[int, PartitionLedger] = {}
        self._on_progress = on_progress
        self._partitions = topics.check(broker, prefix)[f"{prefix}.{EVENTS}"]
        self._transactions = has_transactions(broker)
        self._places = [TopicPartition(f"{prefix}.{n}", p) for n in READ for p in range(self._partitions)]
        self._names = {f"{prefix}.{name}": name for name in READ}
        self._lag_ms = next(spec.compaction_lag_ms for spec in topics.TOPICS if spec.name == RISK_CHANGES)
        self._heard = time.monotonic()

    async def __aenter__(self) -> Reconciler:
        # The client logs every retry; what it means for us is said in one sentence.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self.broker, group_id=None, enable_auto_commit=False, isolation_level="read_committed",
            auto_offset_reset="earliest", fetch_max_wait_ms=_FETCH_WAIT_MS,
            max_partition_fetch_bytes=max(256 << 10, min(4 << 20, _BUFFERS_BYTES // len(self._places))),
        )  # fmt: skip
        try:
            await self._consumer.start()
            self._consumer.assign(self._places)
            starts = await self._consumer.beginning_offsets(self._places)
        except (KafkaError, OSError) as error:
            await self._consumer.stop()
            raise ReconcileError(f"cannot read the topics on {self.broker}: {error!r}: is the broker up?") from None
        for place, start in starts.items():
            self._consumer.seek(place, start)
        for number in range(self._partitions):
            of = {name: starts[TopicPartition(f"{self.prefix}.{name}", number)] for name in READ}
            self.ledgers[number] = PartitionLedger(number, f"{self.prefix}.{EVENTS}", of, self.ids)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.wait({asyncio.ensure_future(self._consumer.stop())}, timeout=5)

    # --- what commands call -------------------------------------------------------------------------------

    async def once(self, wait_s: float = 0.0, stop: asyncio.Event | None = None) -> Report:
        """Read everything there is, give workers up to `wait_s` to answer the rest, and judge."""
        deadline = time.monotonic() + wait_s
        await self._to_end()
        report = await self.judge()
        while not self._settled(report) and time.monotonic() < deadline:
            if stop is not None and stop.is_set():
                break
            await self._read(min(1.0, deadline - time.monotonic()))
            report = await self.judge()
        if self._settled(report):
            return report
        # Topics are read one after another: what looks unmatched may only have been written in between.
        before = waiting(self.ledgers, self.ids)
        await self._read(_GRACE_S)
        await self._to_end()
        return await self.judge(before)

    async def follow(self, every_s: float, stop: asyncio.Event) -> AsyncIterator[Report]:
        """Read on, and judge every `every_s` seconds until stopped."""
        await self._to_end(stop)
        while not stop.is_set():
            before = waiting(self.ledgers, self.ids)
            await self._read(every_s, stop)
            report = await self.judge(before)
            for ledger in self.ledgers.values():
                ledger.forget_settled()
            if not stop.is_set():
                yield report

    @staticmethod
    def _settled(report: Report) -> bool:
        return not any(report.total[name] for name in (*MENDABLE, "unknown_offsets"))

    # --- reading ------------------------------------------------------------------------------------------

    async def _poll(self) -> int:
        try:
            polled = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=_RECORDS_MAX)
        except (KafkaError, OSError) as error:
            raise ReconcileError(f"{self.broker} stopped answering: {error!r}; look at it, then again") from None
        count = 0
        for place, records in polled.items():
            name, ledger = self._names[place.topic], self.ledgers[place.partition]
            count += len(records)
            for record in records:
                ledger.take(name, record.offset, record.timestamp, record.key, record.value, record.headers)
        if count:
            self.records += count
            self._heard = time.monotonic()
        return count

    async def _read(self, for_s: float, stop: asyncio.Event | None = None) -> None:
        deadline = time.monotonic() + for_s
        while time.monotonic() < deadline and not (stop is not None and stop.is_set()):
            await self._poll()

    async def _to_end(self, stop: asyncio.Event | None = None) -> None:
        """Read until every partition has reached the end it had when it first answered."""
        ends: dict[TopicPartition, int] = {}
        left = list(self._places)
        starts = {place: self.ledgers[place.partition].starts[self._names[place.topic]] for place in left}
        self._heard = time.monotonic()
        while left and not (stop is not None and stop.is_set()):
            await self._poll()
            quiet_s = time.monotonic() - self._heard
            for place in list(left):
                end = self._consumer.highwater(place)
                if place not in ends and end is not None:
                    ends[place] = end
                if place in ends and await self._reached(place, ends[place], quiet_s):
                    left.remove(place)
            if self._on_progress is not None:
                size = sum(ends[place] - starts[place] for place in ends)
                read = [min(await self._consumer.position(place), ends[place]) - starts[place] for place in ends]
                self._on_progress(self.records, sum(read) / size if size else 1.0)
            if left and quiet_s > _STALLED_S:
                raise ReconcileError(
                    f"expected {self.broker} to give {left[0].topic} to its end, found nothing coming for "
                    f"{_STALLED_S:.0f} s: look at the broker, then again"
                )

    async def _reached(self, place: TopicPartition, end: int, quiet_s: float) -> bool:
        # The position, not the last record: a partition may end in commit markers, or in what compaction removed.
        position = await self._consumer.position(place)
        if position >= end:
            return True
        stable = self._consumer.last_stable_offset(place)
        return stable is not None and 0 <= stable <= position and quiet_s >= _HELD_BACK_S

    # --- judging ------------------------------------------------------------------------------------------

    async def judge(self, before: Waiting | None = None) -> Report:
        """What was read, judged; with `before`, only what was unmatched then and still is counts as missing."""
        now_ms = time.time() * 1000
        starts = await self._consumer.beginning_offsets(self._places)
        for place, start in starts.items():
            ledger, name = self.ledgers[place.partition], self._names[place.topic]
            if name == EVENTS:
                ledger.kept_from = max(ledger.kept_from, start)
                ledger.read_to = await self._consumer.position(place)
            elif name != RISK_CHANGES:
                # Retention may overtake us; what it removed is no fault of the workers.
                ledger.starts[name] = max(ledger.starts[name], start)
            ledger.compacted_before_ms = int(now_ms) - self._lag_ms
        return judge(self.ledgers, self.ids, now_ms, transactions=self._transactions, before=before)
