"""Latency at half of saturation: how fast one worker with its learner can go, and how late alerts are at half of that.

Saturation is the highest rate of an open-loop sender at which the lag (sent, not yet decided) is flat while it is held.
Rates are tried upwards on one running stack. Then half of it is sent for as long, one event in a hundred a stolen
transfer that must alert; a latency counts from the event's *intended* time to the moment a committed reader in another
process has its alert. Nothing is dropped: what never comes or comes twice fails the run.

    python -m benchmarks.half --broker kafka --hold 60
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import sys
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.latency import Reader, history, spend, takeover
from benchmarks.latency_figures import summary
from benchmarks.machine import Share, facts
from benchmarks.stack import BROKERS, PARTITIONS, RESULTS, Stack
from features.events import encode
from streams.send import open_producer, partition_of, send_events

CUSTOMERS = 40_000
ALERT_EVERY = 100
# Records are handed over this often: a sender of its own kind, not one task an event.
_TICK_S = 0.004
# Decisions are counted, not timed.
_DECISIONS_MS = 100
_DAY_MS = 86_400_000
# First rate tried and by how much the next is higher.
_FIRST, _STEP = 0.4, 1.15
# Lag is flat when its median in the last third of the hold is not above the middle third's by more than this many
# seconds' worth of events.
_FLAT_S = 0.15
_WARM_S = 5.0


class Feed:
    """Pre-encoded events of calm customers, so many that none is suspiciously busy; and of thieves."""

    def __init__(self, stack: Stack, seed: int) -> None:
        self.stack = stack
        self.rng = random.Random(seed)
        self.now_ms = time.time_ns() // 1_000_000
        self.sent = 0
        self._targets = 0

    def prepare(self, targets: int) -> Iterator[Any]:
        """The past of everybody, in order of time."""
        events = []
        for number in range(targets):
            events.extend(history(f"target-{number}", self.now_ms, self.rng, target=True))
        for number in range(CUSTOMERS):
            for days in (3, 1):
                events.append(spend(f"h-{days}", f"calm-{number}", self.now_ms - days * _DAY_MS, self.rng))
        return iter(sorted(events, key=lambda event: event.event_time_ms))

    def encoded(self, count: int, alerting: bool) -> list[tuple[str, bytes, bytes, int]]:
        """(event id, key, value, partition) of the next events."""
        made, at_ms = [], time.time_ns() // 1_000_000
        for _ in range(count):
            event_id = f"m-{self.sent}"
            if alerting and self.sent % ALERT_EVERY == 0:
                event = takeover(event_id, f"target-{self._targets}", self.now_ms)
                event_id, self._targets = f"!{event_id}", self._targets + 1
            else:
                number = self.rng.randrange(CUSTOMERS)
                event = spend(event_id, f"calm-{number}", at_ms, self.rng)
            key = event.customer_id.encode()
            made.append((event_id, key, encode(event), partition_of(key, PARTITIONS)))
            self.sent += 1
        return made

    async def send(
        self, producer: Any, rate: float, seconds: float, alerting: bool, counts: Any, decided: int
    ) -> tuple[dict[str, float], list[float]]:
        """Send at a rate: intended time per event id, and the lag in events, sampled; `decided` were before."""
        topic = self.stack.settings.topic_events
        events = self.encoded(int(rate * seconds), alerting)
        gaps = [self.rng.expovariate(rate) for _ in events]
        intended: dict[str, float] = {}
        lags: list[float] = []
        pending: set[asyncio.Future[Any]] = set()
        began = due = time.monotonic() + 0.1
        place = ticks = 0
        while place < len(events):
            await asyncio.sleep(max(0.0, _TICK_S - 0.0002))
            now, batches = time.monotonic(), {}
            while place < len(events) and due <= now:
                event_id, key, value, partition = events[place]
                intended[event_id] = due
                if partition not in batches:
                    batches[partition] = producer.create_batch()
                batches[partition].append(key=key, value=value, timestamp=None)
                due += gaps[place]
                place += 1
            for partition, batch in batches.items():
                batch.close()
                future = await producer.send_batch(batch, topic, partition=partition)
                pending.add(future)
                future.add_done_callback(pending.discard)
            ticks += 1
            if ticks % 50 == 0:
                self.stack.check()
                lags.append(place - (counts[0] - decided))
        await asyncio.gather(*pending)
        if time.monotonic() - began > seconds * 1.2:
            raise SystemExit(f"the sender itself cannot send {rate:.0f} events a second")
        return intended, lags


def is_flat(lags: list[float], rate: float) -> bool:
    """Whether the lag does not grow from the middle third of the hold to the last."""
    third = len(lags) // 3
    middle, last = sorted(lags[third : 2 * third]), sorted(lags[2 * third :])
    return last[len(last) // 2] <= middle[len(middle) // 2] + rate * _FLAT_S


async def drained(counts: Any, wanted: int, stack: Stack, within_s: float) -> None:
    """Wait until that many records were decided."""
    deadline = time.monotonic() + within_s
    while counts[0] < wanted:
        stack.check()
        if time.monotonic() > deadline:
            raise SystemExit(f"expected {wanted} decisions within {within_s:.0f} s, found {counts[0]}")
        await asyncio.sleep(0.05)


async def measure(args: argparse.Namespace, stack: Stack) -> dict[str, Any]:
    """Find saturation, then measure at half of it."""
    settings = stack.settings
    with Reader(settings, _DECISIONS_MS) as reader:
        counts = reader.counts
        feed = Feed(stack, args.seed)
        targets = int(args.max_rate * args.hold / ALERT_EVERY) + 1
        prepared = await send_events(settings.broker, settings.topic_events, feed.prepare(targets), rate=None)
        began = time.monotonic()
        await drained(counts, prepared.sent, stack, 300.0)
        backlog_rate = prepared.sent / (time.monotonic() - began)
        tried: list[dict[str, Any]] = []
        async with open_producer(settings.broker, settings.topic_events) as (producer, _):
            rate, saturation = min(args.max_rate, max(500.0, backlog_rate * _FIRST)), 0.0
            while True:
                await asyncio.sleep(1.0)
                before = counts[0]
                share = Share.now()
                _, lags = await feed.send(producer, rate, args.hold, False, counts, before)
                flat = is_flat(lags, rate)
                tried.append({"rate": round(rate), "flat": flat, "lag_median": sorted(lags)[len(lags) // 2],
                              **Share.now().since(share)})  # fmt: skip
                say(f"{rate:,.0f} events a second: {'flat' if flat else 'lag grows'}")
                await drained(counts, before + int(rate * args.hold), stack, 120.0)
                if not flat and not saturation:
                    rate /= _STEP**2
                    if rate < 200:
                        raise SystemExit("no rate above 200 events a second keeps the lag flat")
                    continue
                if not flat:
                    break
                saturation = rate
                if rate * _STEP > args.max_rate or (len(tried) > 1 and not tried[-2]["flat"]):
                    break
                rate *= _STEP
            await asyncio.sleep(2.0)
            half = saturation / 2
            say(f"saturation {saturation:,.0f} events a second; now {half:,.0f} for {args.hold:.0f} s")
            await feed.send(producer, half, _WARM_S, False, counts, counts[0])
            gc.collect()
            gc.disable()
            share, cpu, before, began = Share.now(), stack.cpu_s(), counts[0], time.monotonic()
            intended, lags = await feed.send(producer, half, args.hold, True, counts, before)
            use, cpu_after = Share.now().since(share), stack.cpu_s()
            gc.enable()
        await asyncio.sleep(3.0)
        decisions, alerts = reader.seen()
    return figures(intended, decisions, alerts) | {
        "saturation_per_s": round(saturation),
        "half_per_s": round(half),
        "hold_s": args.hold,
        "tried": tried,
        "pauses_over_250_ms": stack.pauses(began),
        "lag_events_median": sorted(lags)[len(lags) // 2],
        "machine_use": use,
        "cpu_us_per_event": {
            name: round((cpu_after[name] - cpu[name]) / len(intended) * 1e6, 1) for name in cpu
        },
    }  # fmt: skip


def figures(
    intended: dict[str, float], decisions: list[tuple[str, float, int]], alerts: list[tuple[str, float, int]]
) -> dict[str, Any]:
    """Latencies in milliseconds; what never came or came twice."""
    wanted = {event_id.removeprefix("!"): at for event_id, at in intended.items()}
    thefts = {event_id.removeprefix("!") for event_id in intended if event_id[0] == "!"}
    alerted = [(event_id, at) for event_id, at, _ in alerts if event_id in thefts]
    decided = {event_id for event_id, _, _ in decisions if event_id in wanted}
    first = dict(reversed(alerted))
    return {
        "event_to_alert_ms": summary([(first[e] - wanted[e]) * 1000 for e in thefts if e in first]),
        "alerts_missing": len(thefts - first.keys()),
        "alerts_twice": len(alerted) - len(first),
        "decisions_missing": len(wanted) - len(decided),
    }


def say(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Measure, print JSON, write it to `benchmarks/results/`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", choices=BROKERS, default="kafka")
    parser.add_argument("--hold", type=float, default=60.0, help="seconds a rate is held (default: %(default)s)")
    parser.add_argument("--max-rate", type=float, default=30_000.0, help="highest rate tried (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-file", action="store_true", help="print only")
    args = parser.parse_args()
    with Stack(args.broker) as stack:
        stack.start()
        result = {
            "benchmark": "half",
            "broker": args.broker,
            "broker_version": stack.version(),
            **facts(args.seed),
            "partitions": PARTITIONS,
            **asyncio.run(measure(args, stack)),
        }
    text = json.dumps(result, indent=1)
    print(text)
    if not args.no_file:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"half-{args.broker}.json").write_text(text + "\n")
    lost = result["alerts_missing"] + result["decisions_missing"] + result["alerts_twice"]
    if lost:
        say(f"{lost} alerts or decisions are missing or came twice: the figures are not valid")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
