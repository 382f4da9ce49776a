"""Throughput: a preloaded topic of a simulated town's events, worked off by one worker with its learner.

The clock starts when the worker says that it is ready and ends when it has committed the last offset; CPU is
what `/proc` says of each process in between. Loading the topic is not part of it.

    python -m benchmarks.throughput --broker kafka
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
import time
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.machine import Share, facts
from benchmarks.stack import BROKERS, PARTITIONS, RESULTS, Stack
from streams.send import send_events
from streams.town import Town, TownConfig

PEOPLE, DAYS = 1_000, 365
_POLL_S = 0.1
_STALLED_S = 60.0


async def load(stack: Stack, events: int, seed: int) -> dict[str, Any]:
    """Send the town's first `events` events; how many, how large, how long it took."""
    town = Town(TownConfig(people=PEOPLE, days=DAYS, seed=seed))
    settings = stack.settings
    sent = await send_events(settings.broker, settings.topic_events, itertools.islice(town.events(), events), rate=None)
    if sent.sent < events:
        raise SystemExit(f"the town has {sent.sent} events in {DAYS} days, asked for {events}")
    return {"events": sent.sent, "bytes_per_event": round(sent.bytes / sent.sent), "loading_seconds": sent.seconds}


async def work_off(stack: Stack, events: int) -> dict[str, Any]:
    """Follow the group's committed offsets until all is done."""
    settings = stack.settings
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.broker, group_id=settings.topic_prefix, enable_auto_commit=False
    )
    places = [TopicPartition(settings.topic_events, partition) for partition in range(PARTITIONS)]
    share = Share.now()
    await asyncio.to_thread(stack.start)
    began, ended = stack.when("ready"), 0.0
    try:
        await consumer.start()
        consumer.assign(places)
        done, moved_at = -1, time.monotonic()
        while done < events:
            await asyncio.sleep(_POLL_S)
            stack.check()
            now = time.monotonic()
            reached = sum([await consumer.committed(place) or 0 for place in places])
            if reached > done:
                done, moved_at, ended = reached, now, now
            if now - moved_at > _STALLED_S:
                raise SystemExit(f"expected {events} offsets committed, found {done} and no progress")
    finally:
        await consumer.stop()
    cpu_after = stack.cpu_s()
    seconds = ended - began
    return {
        "seconds": round(seconds, 2),
        "events_per_second": round(events / seconds),
        "cpu_us_per_event": {name: round(spent / events * 1e6, 1) for name, spent in cpu_after.items()},
        "rss_mib": stack.rss_mib(),
        "snapshots": stack.snapshots(),
        "machine_use": Share.now().since(share),
    }


async def measure(stack: Stack, events: int, seed: int) -> dict[str, Any]:
    """Load, then work off."""
    loaded = await load(stack, events, seed)
    return loaded | await work_off(stack, events)


def main() -> int:
    """Measure, print JSON, write it to `benchmarks/results/`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", choices=BROKERS, required=True)
    parser.add_argument("--events", type=int, default=200_000, help="town events (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-file", action="store_true", help="print only")
    args = parser.parse_args()
    with Stack(args.broker) as stack:
        result = {
            "benchmark": "throughput",
            "broker": args.broker,
            "broker_version": stack.version(),
            **facts(args.seed),
            "people": PEOPLE,
            "partitions": PARTITIONS,
            **asyncio.run(measure(stack, args.events, args.seed)),
        }
    text = json.dumps(result, indent=1)
    print(text)
    if not args.no_file:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"throughput-{args.broker}.json").write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
