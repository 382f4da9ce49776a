"""Group commit: everything one batch says becomes durable together, or not at all.

Per input partition one producer under its own transactional id. Starting it fences whoever owned the
partition before and aborts what that owner left open; from then on nobody else's words count.

With transactions: begin, send outputs and rows, await all acknowledgements in one round, commit. The input
offset is in there as part of the partition's own row; the group's committed offset, which Faust moves on once
a second, may lag behind it and only says where reading begins
(docs/decisions/0008-input-offset-in-the-partitions-row.md).

Without (the embedded broker): the same records with acks=all, awaited in the order switch, outputs, rows, so
that after a crash a row is never ahead of what was said. That is for development: a batch cut in half is said
twice, with the same ids.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.producer import sender

from streams.dispositions import Headers, Output
from streams.errors import BrokerError, StateError
from streams.rows import META_KEY
from streams.settings import Settings

Item = tuple[bytes | None, bytes | None, Headers]
_BATCH_BYTES = 1 << 20
_RETRY_MS = 5
# aiokafka waits 20 ms before it asks again while the broker still finishes the transaction before; on a busy
# partition that wait is most of a small batch's time. A module constant: watched by the canary test.
sender.BACKOFF_OVERRIDE = 0.002


class PartitionLog:
    """Writes for one partition, under a fence where the broker has one.

    Parameters
    ----------
    settings
        Broker, topics, timeouts.
    name
        Second part of the transactional id: the partition's number, or `learner`.
    transactional
        Whether the broker has transactions (`streams.broker.capabilities`).
    producer
        What makes the client; the simulation brings its own.
    """

    def __init__(
        self, settings: Settings, name: str, transactional: bool, producer: Callable[..., Any] = AIOKafkaProducer
    ) -> None:
        self.settings = settings
        self.transactional = transactional
        self.lock = asyncio.Lock()
        # Without a fence: where my next row must land, or another owner is writing too.
        self._changelog_end: int | None = None
        fence = {"transactional_id": f"{settings.topic_prefix}-{name}"} if transactional else {}
        self._producer = producer(
            bootstrap_servers=settings.broker,
            acks="all",
            linger_ms=0,
            max_batch_size=_BATCH_BYTES,
            max_request_size=2 * _BATCH_BYTES,
            # Apache Kafka refuses a small transaction's records now and then (one in thirty here) while it
            # still verifies what went before; the client's usual 100 ms until it tries again would be our p99.
            retry_backoff_ms=_RETRY_MS,
            request_timeout_ms=int(settings.request_timeout_s * 1000),
            # A crashed owner's open transaction holds readers back for at most this long.
            **({"transaction_timeout_ms": int(settings.session_timeout_s * 1000)} if transactional else {}),
            **fence,
        )

    async def start(self) -> None:
        """Connect and, with transactions, fence the former owner.

        Raises
        ------
        BrokerError
            When the broker does not answer within the request timeout.
        """
        try:
            await asyncio.wait_for(self._producer.start(), self.settings.request_timeout_s)
        except (KafkaError, TimeoutError, OSError) as error:
            raise BrokerError(
                f"cannot open the partition's log on {self.settings.broker}: {error!r}: is the broker up?"
            ) from None

    async def stop(self, timeout_s: float = 5.0) -> None:
        """Close; bounded, as a fenced producer may wait for ever."""
        # A fenced or cut-off producer cannot say goodbye: nothing of it counts any more.
        await asyncio.wait({asyncio.ensure_future(self._producer.stop())}, timeout=timeout_s)

    async def commit(self, partition: int, output: Output, extra: Sequence[tuple[str, Item]] = ()) -> int | None:
        """Make one batch's output durable; returns only when it is.

        Parameters
        ----------
        partition
            Input partition, and so output partition.
        output
            What the engine said.
        extra
            (topic, item) pairs that go along (the watermark).

        Returns
        -------
        Changelog offset after the batch's last row; None when it had no rows.

        Raises
        ------
        KafkaError, TimeoutError, StateError
            When it did not become durable, or somebody else writes rows: the process must end, as memory is
            ahead of the log. A commit that timed out may still happen: never try again.
        """
        timeout_s = self.settings.request_timeout_s
        async with self.lock:
            if self.transactional:
                return await asyncio.wait_for(self._commit_transaction(partition, output, extra), timeout_s)
            return await asyncio.wait_for(self._commit_in_order(partition, output, extra), timeout_s)

    async def _commit_transaction(
        self, partition: int, output: Output, extra: Sequence[tuple[str, Item]]
    ) -> int | None:
        producer = self._producer
        await producer.begin_transaction()
        rows = await self._send(self.settings.topic_rows, partition, _rows(output))
        pending = await self._send_said(partition, output)
        for topic, item in extra:
            pending += await self._send(topic, partition, (item,))
        # Every one of them: a batch that failed does not fail the transaction by itself.
        await asyncio.gather(*rows, *pending)
        await producer.commit_transaction()
        return _position(rows, output)

    async def _commit_in_order(self, partition: int, output: Output, extra: Sequence[tuple[str, Item]]) -> int | None:
        await asyncio.gather(*await self._send_said(partition, output))
        rows = await self._send(self.settings.topic_rows, partition, _rows(output))
        await asyncio.gather(*rows)
        for topic, item in extra:
            await asyncio.gather(*await self._send(topic, partition, (item,)))
        if rows:
            first = rows[0].result().offset
            if self._changelog_end is not None and first != self._changelog_end:
                raise StateError(
                    f"expected to write row {self._changelog_end} of {self.settings.topic_rows}[{partition}], "
                    f"wrote {first}: somebody else writes it; one of the two ends"
                )
            self._changelog_end = _position(rows, output)
        return self._changelog_end if rows else None

    async def _send_said(self, partition: int, output: Output) -> list[asyncio.Future[Any]]:
        settings = self.settings
        pending: list[asyncio.Future[Any]] = []
        for topic, items in (
            (settings.topic_alerts, output.alerts),
            (settings.topic_risk_changes, output.risk_changes),
            (settings.topic_dead_letters, output.dead_letters),
            (settings.topic_decisions, ((key, value, ()) for key, value in output.decisions)),
        ):
            pending += await self._send(topic, partition, items)
        return pending

    async def _send(self, topic: str, partition: int, items: Iterable[Item]) -> list[asyncio.Future[Any]]:
        """Hand records over in packed batches; returns the futures of their acknowledgements."""
        producer = self._producer
        pending: list[asyncio.Future[Any]] = []
        batch = producer.create_batch()
        for key, value, headers in items:
            if batch.append(key=key, value=value, timestamp=None, headers=list(headers)) is None:
                batch.close()
                if batch.record_count():
                    pending.append(await producer.send_batch(batch, topic, partition=partition))
                batch = producer.create_batch()
                if batch.append(key=key, value=value, timestamp=None, headers=list(headers)) is None:
                    # Larger than a whole batch: on its own, so that the broker's limit is what decides.
                    pending.append(await producer.send(topic, value, key, partition=partition, headers=list(headers)))
        batch.close()
        if batch.record_count():
            pending.append(await producer.send_batch(batch, topic, partition=partition))
        return pending

    async def publish(self, topic: str, partition: int, items: Sequence[Item]) -> None:
        """Make some records of one topic durable together; raises like `commit`."""
        await self.publish_all([(topic, partition, items)])

    async def publish_all(self, parts: Sequence[tuple[str, int, Sequence[Item]]]) -> None:
        """Make records of several topics durable together: (topic, partition, items), in this order; like `commit`."""
        async with self.lock:
            await asyncio.wait_for(self._publish(parts), self.settings.request_timeout_s)

    async def _publish(self, parts: Sequence[tuple[str, int, Sequence[Item]]]) -> None:
        if self.transactional:
            await self._producer.begin_transaction()
        for topic, partition, items in parts:
            for acknowledged in await self._send(topic, partition, items):
                await acknowledged
        if self.transactional:
            await self._producer.commit_transaction()

    async def __aenter__(self) -> PartitionLog:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


def _rows(output: Output) -> Iterable[Item]:
    """Rows in the order touched, the partition's own last: where it is, all others are."""
    meta = output.rows.get(META_KEY)
    for key, value in output.rows.items():
        if key != META_KEY:
            yield key, value, ()
    if meta is not None:
        yield META_KEY, meta, ()


def _position(acknowledged: Sequence[asyncio.Future[Any]], output: Output) -> int | None:
    """Changelog offset after the rows: the last batch's first offset, and what is not in the batches before it."""
    if not acknowledged:
        return None
    first: int = acknowledged[0].result().offset
    return first + len(output.rows)
