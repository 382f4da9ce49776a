"""Quix Streams: a stateful `apply`, State in RocksDB with its changelog."""

from __future__ import annotations

from typing import Any

from quixstreams import Application, State

from benchmarks.same_job.job import Job, new_state
from benchmarks.same_job.process import HEARTBEAT_MS, LINGER_MS, SESSION_TIMEOUT_MS, Clock, task


def main() -> None:
    """Run until all events are done and durable."""
    asked, clock, job = task(), Clock(), Job()
    app = Application(
        broker_address=asked.broker,
        consumer_group="same-job-quix",
        auto_offset_reset="earliest",
        state_dir=asked.home,
        loglevel="WARNING",
        consumer_extra_config={
            "session.timeout.ms": SESSION_TIMEOUT_MS,
            "heartbeat.interval.ms": HEARTBEAT_MS,
            # librdkafka offers it to the broker as the rebalance timeout.
            "max.poll.interval.ms": SESSION_TIMEOUT_MS,
        },
        producer_extra_config={"linger.ms": LINGER_MS},
    )
    payments = app.topic(asked.topic, value_deserializer="json", key_deserializer="str")
    alerts = app.topic(asked.topic_alerts, value_serializer="json", key_serializer="str")
    done = 0

    def work(event: dict[str, Any], state: State) -> dict[str, Any] | None:
        nonlocal done
        clock.start()
        customer = state.get("customer") or new_state()
        alert = job.work(customer, event)
        state.set("customer", customer)
        done += 1
        if done == asked.events:
            clock.last_event()
            # The run ends after this event, with a last checkpoint.
            app.stop()
        return alert

    stream = app.dataframe(payments).apply(work, stateful=True)
    stream.filter(lambda alert: alert is not None).to_topic(alerts)
    app.run()
    clock.finish(job.order, job.alerted, asked.home)


if __name__ == "__main__":
    main()
