"""The product job: what an event costs in CPU with everything on, and how much of it is Kafka and durability.

In every round, one right after the other: the engine alone, in this process, over a simulated town's events in
batches of a thousand; then the same events from a preloaded topic through one real worker with its learner, to the
last committed decision and the last lesson; then the same through two workers. CPU is of all threads of all these
processes, from `ready` on. Medians of the rounds, and of the rounds' ratios and differences.

    python -m benchmarks.product --broker kafka
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import Share, facts
from benchmarks.stack import BROKERS, PARTITIONS, Stack
from benchmarks.throughput import work_off
from features.catalogue import NAMES
from streams.engine import Engine
from streams.library import INITIAL_VERSION, VersionLibrary
from streams.rows import META_KEY
from streams.send import send_events
from streams.town import Town, TownConfig
from tests.streams.driver import Raw, recorded

RESULTS = Path(__file__).parent / "results"
PEOPLE, DAYS, BATCH = 2_000, 365, 1_000
# A town has a hundred events an hour, a bank a million: at the usual hour between two snapshots most of the learner's
# work would be making snapshots that the next one, milliseconds later, replaces.
_SETTINGS = {"RISKSHIFT_PUBLISH_EVERY_MS": str(6 * 3_600_000)}
_IDLE_S, _IDLE_CPU_S, _LEARNER_MAX_S = 1.5, 0.05, 120.0


def engine_alone(partitions: list[list[Raw]]) -> dict[str, float]:
    """CPU microseconds an event of the engine in this process, and how large the rows are that it writes."""
    library = VersionLibrary(b"benchmark-key-of-32-bytes-------")
    engines = [
        Engine(
            number, len(partitions), "riskshift.events", library, model_version=INITIAL_VERSION,
            policy_version=library.policy.version,
        )
        for number in range(len(partitions))
    ]  # fmt: skip
    events = sum(map(len, partitions))
    rows = row_bytes = decisions = alerts = 0
    gc.collect()
    gc.disable()
    began = time.process_time()
    for first in range(0, max(map(len, partitions)), BATCH):
        for engine, records in zip(engines, partitions, strict=True):
            out = engine.process(records[first : first + BATCH])
            sizes = [len(packed) for key, packed in out.rows.items() if key != META_KEY]
            rows, row_bytes = rows + len(sizes), row_bytes + sum(sizes)
            decisions, alerts = decisions + len(out.decisions), alerts + len(out.alerts)
    cpu_s = time.process_time() - began
    gc.enable()
    if decisions < events:
        raise SystemExit(f"expected a decision for each of {events} events, found {decisions}")
    return {
        "engine_us": cpu_s / events * 1e6,
        "rows_per_event": rows / events,
        "row_bytes": row_bytes / rows,
        "alerts": alerts,
    }


async def learned(stack: Stack) -> float:
    """Wait until the learner has nothing to do; its CPU seconds by then."""
    deadline = time.monotonic() + _LEARNER_MAX_S
    before = stack.cpu_s()["learner"]
    while True:
        await asyncio.sleep(_IDLE_S)
        now = stack.cpu_s()["learner"]
        if now - before < _IDLE_CPU_S:
            return now
        if time.monotonic() > deadline:
            raise SystemExit(f"expected the learner to come to an end within {_LEARNER_MAX_S:.0f} s")
        before = now


async def through_kafka(broker: str, town: list[Any], workers: int = 1) -> dict[str, Any]:
    """One round with the real processes."""
    with Stack(broker, _SETTINGS, workers) as stack:
        sent = await send_events(stack.settings.broker, stack.settings.topic_events, iter(town), rate=None)
        figures = await work_off(stack, sent.sent)
        learner_us = await learned(stack) / sent.sent * 1e6
        return {
            "worker_us": figures["cpu_us_per_event"]["worker"],
            "learner_us": learner_us,
            "events_per_second": figures["events_per_second"],
            "rss_mib": figures["rss_mib"],
            "snapshots": figures["snapshots"],
            "version": stack.version(),
        }


def measure(broker: str, events: int, rounds: int, seed: int) -> dict[str, Any]:
    """All rounds, and the medians."""
    town = list(itertools.islice(Town(TownConfig(people=PEOPLE, days=DAYS, seed=seed)).events(), events))
    partitions: list[list[Raw]] = [[] for _ in range(PARTITIONS)]
    for record in recorded(town):
        # Any partitioner will do for the engine alone, as long as a customer stays in one.
        partitions[sum(record.key or b"") % PARTITIONS].append(record)
    for records in partitions:
        for place, record in enumerate(records):
            records[place] = Raw(place, record.key, record.value)
    kinds = statistics.mean(type(event).__name__ == "Transaction" for event in town)
    alone, real, two = [], [], []
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        alone.append(engine_alone(partitions))
        real.append(asyncio.run(through_kafka(broker, town)))
        two.append(asyncio.run(through_kafka(broker, town, workers=2)))
    over = [there["worker_us"] - here["engine_us"] for here, there in zip(alone, real, strict=True)]
    whole = [there["worker_us"] + there["learner_us"] for there in real]
    return {
        "cpu_us_per_event": round(statistics.median(whole), 1),
        "over_engine_us": round(statistics.median(over), 1),
        "row_bytes": round(statistics.median(here["row_bytes"] for here in alone)),
        "worker_us": round(statistics.median(there["worker_us"] for there in real), 1),
        "learner_us": round(statistics.median(there["learner_us"] for there in real), 1),
        "engine_us": round(statistics.median(here["engine_us"] for here in alone), 1),
        "events_per_second": round(statistics.median(there["events_per_second"] for there in real)),
        "two_workers_ratio": round(
            statistics.median(b["worker_us"] / a["worker_us"] for a, b in zip(real, two, strict=True)), 3
        ),
        "features": len(NAMES),
        "transactions_share": round(kinds, 3),
        "events": events,
        "rounds": [
            {key: round(value, 2) if isinstance(value, float) else value for key, value in (here | there).items()}
            for here, there in zip(alone, real, strict=True)
        ],
    }


def main() -> int:
    """Measure, print JSON, write it to `benchmarks/results/`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", choices=BROKERS, default="kafka")
    parser.add_argument("--events", type=int, default=200_000, help="town events (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-file", action="store_true", help="print only")
    args = parser.parse_args()
    share = Share.now()
    result = {
        "benchmark": "product",
        "broker": args.broker,
        **facts(args.seed),
        "partitions": PARTITIONS,
        "people": PEOPLE,
        "settings": _SETTINGS,
        **measure(args.broker, args.events, args.rounds, args.seed),
        "machine_use": Share.now().since(share),
    }
    text = json.dumps(result, indent=1)
    print(text)
    if not args.no_file:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"product-{args.broker}.json").write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
