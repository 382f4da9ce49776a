"""Naive Faust: one event at a time, a Table with its changelog."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import faust

from benchmarks.same_job.job import Job, decode, encode, new_state
from benchmarks.same_job.process import HEARTBEAT_MS, REBALANCE_MS, SESSION_TIMEOUT_MS, Clock, task

PARTITIONS = 4
LINGER_S = 0.05


def main() -> None:
    """Run until all events are done and durable."""
    asked, clock, job = task(), Clock(), Job()
    app = faust.App(
        "same-job-faust",
        broker=f"kafka://{asked.broker}",
        store="memory://",
        datadir=str(asked.home),
        topic_partitions=PARTITIONS,
        topic_replication_factor=1,
        topic_disable_leader=True,
        autodiscover=False,
        consumer_auto_offset_reset="earliest",
        producer_linger=LINGER_S,
        broker_rebalance_timeout=REBALANCE_MS / 1000,
        broker_session_timeout=SESSION_TIMEOUT_MS / 1000,
        broker_heartbeat_interval=HEARTBEAT_MS / 1000,
    )
    payments = app.topic(asked.topic, key_type=bytes, value_type=bytes, value_serializer="raw", key_serializer="raw")
    alerts = app.topic(asked.topic_alerts, key_serializer="raw", value_serializer="raw")
    customers = app.Table("customers", default=new_state, partitions=PARTITIONS)
    done = 0

    @app.agent(payments)
    async def work(stream: Any) -> None:
        nonlocal done
        async for value in stream:
            clock.start()
            event = decode(value)
            customer_id = event["customer_id"]
            state = customers[customer_id]
            alert = job.work(state, event)
            # Assigning is what writes the changelog.
            customers[customer_id] = state
            if alert is not None:
                await alerts.send(key=customer_id.encode(), value=encode(alert))
            done += 1
            if done == asked.events:
                clock.last_event()
                # Longer than the linger time, so that everything has been handed over.
                await asyncio.sleep(4 * LINGER_S)
                await app.producer.flush()
                clock.finish(job.order, job.alerted, asked.home)

    sys.argv[1:] = ["worker", "-l", "warn", "--without-web"]
    app.main()


if __name__ == "__main__":
    main()
