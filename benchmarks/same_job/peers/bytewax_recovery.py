"""Bytewax: `stateful_map` with recovery."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSinkMessage, KafkaSourceMessage
from bytewax.connectors.kafka import operators as kafka
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import run_main

from benchmarks.same_job.job import Job, decode, encode, new_state
from benchmarks.same_job.process import LINGER_MS, Clock, task

SNAPSHOT_S = 5


def main() -> None:
    """Run until all events are done and durable."""
    asked, clock, job = task(), Clock(), Job()
    done = 0

    def keyed(message: KafkaSourceMessage[Any, Any]) -> tuple[str, dict[str, Any]]:
        clock.start()
        event = decode(message.value)
        return event["customer_id"], event

    def work(state: dict[str, Any] | None, event: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any] | None]:
        nonlocal done
        customer = new_state() if state is None else state
        alert = job.work(customer, event)
        done += 1
        if done == asked.events:
            clock.last_event()
        return customer, alert

    def message(pair: tuple[str, dict[str, Any] | None]) -> KafkaSinkMessage[bytes, bytes] | None:
        customer_id, alert = pair
        return None if alert is None else KafkaSinkMessage(customer_id.encode(), encode(alert))

    flow = Dataflow("same-job")
    # Without `tail` the flow ends with the topic.
    payments = kafka.input("payments", flow, brokers=[asked.broker], topics=[asked.topic], tail=False)
    worked = op.stateful_map("work", op.map("decode", payments.oks, keyed), work)
    alerts = op.filter_map("alerts", worked, message)
    kafka.output(
        "sent", alerts, brokers=[asked.broker], topic=asked.topic_alerts, add_config={"linger.ms": str(LINGER_MS)}
    )
    asked.home.mkdir(parents=True, exist_ok=True)
    init_db_dir(asked.home, 1)
    run_main(flow, epoch_interval=timedelta(seconds=SNAPSHOT_S), recovery_config=RecoveryConfig(str(asked.home)))
    clock.finish(job.order, job.alerted, asked.home)


if __name__ == "__main__":
    main()
