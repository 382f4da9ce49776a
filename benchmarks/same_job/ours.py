"""The same job in ours: Faust with batches, columns instead of dictionaries, rows in a changelog of our own.

Every batch is durable before the next one begins: alerts, then the rows it touched (one record a customer), the
partition's own row with the input offset last, all acknowledged. A process that takes over reads the changelog first.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Any, NoReturn

import faust
import numpy as np
from river.anomaly import HalfSpaceTrees

from benchmarks.same_job import job, stored
from benchmarks.same_job.columns import Features, decode
from benchmarks.same_job.linear import LinearBatch
from benchmarks.same_job.process import HEARTBEAT_MS, REBALANCE_MS, SESSION_TIMEOUT_MS, Clock, Task, task
from models.half_space import HalfSpaceBatch
from streams.commit import PartitionLog
from streams.dispositions import Headers, Output
from streams.faust_batches import Chunk, build_app
from streams.restore import read_changelog
from streams.rows import META_KEY, PartitionMeta, pack, unpack_meta
from streams.settings import Settings, load

PARTITIONS = 4
BATCH_MAX = 4000
Alert = tuple[bytes, bytes, Headers]


class BatchJob:
    """Features and models of one process, a batch at a time; the counterpart of `job.Job`."""

    def __init__(self) -> None:
        self.features = Features()
        self.linear = LinearBatch(len(job.NAMES))
        self.trees = HalfSpaceBatch(HalfSpaceTrees(**job.TREES), job.NAMES)
        self.order: list[str] = []
        self.alerted: list[str] = []

    def work(self, values: list[bytes]) -> tuple[list[Alert], dict[bytes, bytes]]:
        """Take events in; alerts in order, and the rows they leave, by customer."""
        events = decode(values)
        self.order += [event.event_id for event in events]
        columns, touched = self.features.update(events)
        labels = np.array([event.is_fraud for event in events], dtype=np.float64)
        probability = self.linear.score_learn_many(columns, labels)
        unusual = self.trees.score_learn_many(columns.T)
        score = job.combined(probability, unusual)
        alerts: list[Alert] = []
        for i in np.flatnonzero(score > job.THRESHOLD).tolist():
            event = events[i]
            self.alerted.append(event.event_id)
            alert = job.alert(event.event_id, event.customer_id, event.event_time_ms,
                              float(score[i]), float(probability[i]), float(unusual[i]))  # fmt: skip
            alerts.append((event.customer_id.encode(), job.encode(alert), ()))
        return alerts, stored.pack(self.features, touched.tolist())


class Partition:
    """One input partition: how far it is, and where its words go."""

    def __init__(self, settings: Settings, number: int) -> None:
        self.number = number
        self.applied = -1
        self._settings = settings
        self._log = PartitionLog(settings, str(number), transactional=False)

    async def take_over(self, features: Features) -> None:
        """Open the log and read the rows back to its end."""
        await self._log.start()
        async for changes, _position in read_changelog(self._settings, self.number, 0):
            stored.restore(features, changes)
            for key, row in changes:
                if key == META_KEY and row is not None:
                    self.applied = unpack_meta(row).applied_offset

    async def release(self) -> None:
        """Close the log."""
        await self._log.stop()

    async def work(self, batch: BatchJob, chunk: Chunk) -> int:
        """Work a chunk through, durable when it returns; how many events were new."""
        records = [record for record in chunk if record.offset > self.applied]
        if not records:
            return 0
        alerts, rows = batch.work([record.value for record in records])
        self.applied = records[-1].offset
        rows[META_KEY] = pack(PartitionMeta(self.number, PARTITIONS, self.applied))
        await self._log.commit(self.number, Output(alerts=alerts, rows=rows))
        return len(records)


class Ours:
    """The process: Faust assigns partitions and delivers batches."""

    def __init__(self, asked: Task) -> None:
        environment = {
            "RISKSHIFT_REBALANCE_TIMEOUT_S": str(REBALANCE_MS / 1000),
            "RISKSHIFT_SESSION_TIMEOUT_S": str(SESSION_TIMEOUT_MS / 1000),
            "RISKSHIFT_HEARTBEAT_S": str(HEARTBEAT_MS / 1000),
            "RISKSHIFT_BATCH_MAX": str(BATCH_MAX),
        }
        self.settings, _ = load(environ=environment, broker=asked.broker, home=str(asked.home))
        self.settings = dataclasses.replace(self.settings, topic_prefix=asked.topic.rpartition(".")[0])
        self.asked, self.clock, self.batch = asked, Clock(), BatchJob()
        self.partitions: dict[int, Partition] = {}
        self.done = 0
        self.app = build_app(self.settings, self.handle)
        self.app.on_rebalance_complete.connect(self.take_over)

    async def take_over(self, *_args: Any, **_kwargs: Any) -> None:
        """Faust awaits this before anything is fetched."""
        try:
            for tp in sorted(self.app.consumer.assignment()):
                if tp.topic == self.settings.topic_events and tp.partition not in self.partitions:
                    partition = self.partitions[tp.partition] = Partition(self.settings, tp.partition)
                    await partition.take_over(self.batch.features)
            self.clock.start()
        except Exception as error:
            end(error)

    async def handle(self, partition: int, chunk: Chunk) -> None:
        """One batch; ends the process instead of raising, as Faust acks what an agent raised on."""
        try:
            worked = await self.partitions[partition].work(self.batch, chunk)
        except Exception as error:
            end(error)
        # Partitions take turns at every await: not `self.done += await ...`.
        self.done += worked
        if self.done >= self.asked.events:
            self.clock.finish(self.batch.order, self.batch.alerted, self.asked.home)


def end(error: Exception) -> NoReturn:
    """Say why and stop: the measurement is void."""
    print(f"ours: {error!r}", flush=True)
    os._exit(70)


def main() -> None:
    """Run until all events are done and durable."""
    ours = Ours(task())
    runner = faust.Worker(ours.app, loglevel="warn", quiet=True, redirect_stdouts=False)
    runner.spinner = None
    runner.execute_from_commandline()


if __name__ == "__main__":
    main()
