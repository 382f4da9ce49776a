"""Quiet latency: from the moment an event should have been sent to the moment its alert can be read.

Open loop. Times of sending are drawn beforehand (Poisson arrivals from a seed) and never wait for an
answer; every latency counts from the *intended* time, so a stall of sender, broker or worker is paid by
every event it delays (no coordinated omission). Nothing is dropped: an event whose decision or alert
never comes makes the run fail. Reading is done in another process, on the same monotonic clock.

    python -m benchmarks.latency --broker kafka
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import multiprocessing
import random
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.latency_figures import figures_of
from benchmarks.machine import Share, facts
from benchmarks.stack import BROKERS, PARTITIONS, RESULTS, Stack
from features.events import DeviceChange, Event, PayeeAdded, Transaction, encode
from streams.send import open_producer, partition_of, send_events
from streams.settings import Settings

CALM_CUSTOMERS = 200
# With less of the machine to itself, a measurement is one of its neighbours.
OTHERS_PERCENT_MAX = 10.0
_DAY_MS = 86_400_000
_SETTLE_S, _DRAIN_MAX_S = 5.0, 30.0
# The reader's fetch is answered as soon as there is something; this is how long it waits when there is nothing.
_READER_FETCH_MS = 10
_LAZY_BYTES = 4 << 20


# --- what is sent ---------------------------------------------------------------------------------------


def history(customer_id: str, now_ms: int, rng: random.Random, *, target: bool) -> Iterator[Event]:
    """Ten days of ordinary life; a `target` ends with a new device and a new payee, minutes ago."""
    for n in range(12):
        yield spend(f"h-{n}", customer_id, now_ms - (12 - n) * _DAY_MS * 5 // 6, rng)
    yield Transaction(
        event_id="h-rent", customer_id=customer_id, event_time_ms=now_ms - _DAY_MS, schema_version=1,
        amount_minor=3_000, currency="EUR", direction="debit", channel="mobile", type="transfer",
        device_id="d-own", payee_id="p-known", country="FR", card_id=f"tok_{customer_id}",
    )  # fmt: skip
    if target:
        at_ms = now_ms - 120_000
        yield DeviceChange(event_id="h-device", customer_id=customer_id, event_time_ms=at_ms, schema_version=1,
                           device_id="d-thief", channel="mobile")  # fmt: skip
        yield PayeeAdded(event_id="h-payee", customer_id=customer_id, event_time_ms=at_ms + 1, schema_version=1,
                         payee_id="p-thief", channel="mobile")  # fmt: skip


def spend(event_id: str, customer_id: str, at_ms: int, rng: random.Random) -> Transaction:
    """A purchase at the customer's one shop."""
    return Transaction(
        event_id=event_id, customer_id=customer_id, event_time_ms=at_ms, schema_version=1,
        amount_minor=rng.randrange(1_500, 3_500), currency="EUR", direction="debit", channel="pos", type="purchase",
        merchant_id="m-1", terminal_id="t-1", mcc="5411", country="FR", card_id=f"tok_{customer_id}",
    )  # fmt: skip


def takeover(event_id: str, customer_id: str, at_ms: int) -> Transaction:
    """The stolen transfer: rule `account_takeover` of the shipped policy, whatever the model says."""
    return Transaction(
        event_id=event_id, customer_id=customer_id, event_time_ms=at_ms, schema_version=1,
        amount_minor=90_000, currency="EUR", direction="debit", channel="mobile", type="transfer",
        device_id="d-thief", payee_id="p-thief", country="FR", card_id=f"tok_{customer_id}",
    )  # fmt: skip


async def send_open_loop(
    settings: Settings, arrivals: list[float], alert_every: int, rng: random.Random, stack: Stack
) -> tuple[dict[str, tuple[float, float, float, int]], set[str]]:
    """Send on time; per event (intended, handed over, acknowledged, broker's time); and who must alert."""
    times: dict[str, tuple[float, float, float, int]] = {}
    targets: set[str] = set()
    waiting: set[asyncio.Task[None]] = set()

    async with open_producer(settings.broker, settings.topic_events) as (producer, partitions):

        async def send(event: Transaction, intended: float) -> None:
            key = event.customer_id.encode()
            handed = time.monotonic()
            future = await producer.send(
                settings.topic_events, encode(event), key, partition=partition_of(key, partitions)
            )
            answer = await future
            times[event.event_id] = (intended, handed, time.monotonic(), answer.timestamp or -1)

        begin = time.monotonic() + 0.5
        for n, arrival in enumerate(arrivals):
            intended = begin + arrival
            while (pause := intended - time.monotonic()) > 0:
                await asyncio.sleep(pause)
            event_id, now_ms = f"m-{n}", time.time_ns() // 1_000_000
            if n % alert_every == 0:
                targets.add(event_id)
                event = takeover(event_id, f"target-{n // alert_every}", now_ms)
            else:
                event = spend(event_id, f"calm-{rng.randrange(CALM_CUSTOMERS)}", now_ms, rng)
            # A task of its own: the schedule never waits for the broker.
            task = asyncio.create_task(send(event, intended))
            waiting.add(task)
            task.add_done_callback(waiting.discard)
            if n % 100 == 0:
                stack.check()
        for task in list(waiting):
            await task
    return times, targets


# --- what is read: another process ----------------------------------------------------------------------


class _Said(msgspec.Struct):
    """Of a decision or an alert, the event it is about."""

    event_id: str = ""
    source_event_id: str = ""


def read(
    broker: str, topic_decisions: str, topic_alerts: str, counts: Any, stop: Any, pipe: Connection,
    decisions_wait_ms: int = 0,
) -> None:  # fmt: skip
    """Process: note when each decision and alert became readable; the lists go down the pipe at the end.

    With `decisions_wait_ms` decisions are read so often only, in large answers: they are counted, not timed, and
    take less of the machine that the measured processes share.
    """
    gc.disable()
    asyncio.run(_read(broker, ((topic_decisions, decisions_wait_ms), (topic_alerts, 0)), counts, stop, pipe))


async def _read(broker: str, topics: tuple[tuple[str, int], ...], counts: Any, stop: Any, pipe: Connection) -> None:
    seen: list[list[tuple[float, bytes, int]]] = [[], []]

    async def follow(place: int, topic: str, wait_ms: int) -> None:
        # One consumer a topic: what reads alerts is not held up by decisions.
        consumer = AIOKafkaConsumer(
            bootstrap_servers=broker, group_id=None, enable_auto_commit=False, isolation_level="read_committed",
            auto_offset_reset="earliest", fetch_max_wait_ms=wait_ms or _READER_FETCH_MS,
            fetch_min_bytes=_LAZY_BYTES if wait_ms else 1,
        )  # fmt: skip
        await consumer.start()
        try:
            consumer.assign([TopicPartition(topic, partition) for partition in range(PARTITIONS)])
            await consumer.seek_to_beginning()
            while not stop.is_set():
                answer = await consumer.getmany(timeout_ms=200)
                at = time.monotonic()
                for records in answer.values():
                    seen[place].extend((at, record.value, record.timestamp) for record in records)
                    counts[place] += len(records)
        finally:
            await consumer.stop()

    await asyncio.gather(*(follow(place, *topic) for place, topic in enumerate(topics)))
    decode = msgspec.json.Decoder(_Said).decode
    for place in (0, 1):
        found = []
        for at, value, appended_ms in seen[place]:
            said = decode(value)
            found.append((said.source_event_id or said.event_id, at, appended_ms))
        pipe.send(found)


class Reader:
    """The reading process, for one measurement; a context manager.

    Attributes
    ----------
    counts
        Decisions and alerts read so far.
    """

    def __init__(self, settings: Settings, decisions_wait_ms: int = 0) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.counts = spawn.Array("q", 2, lock=False)
        self._stop = spawn.Event()
        self._ours, theirs = spawn.Pipe(duplex=False)
        self._process = spawn.Process(
            target=read,
            args=(
                settings.broker, settings.topic_decisions, settings.topic_alerts, self.counts, self._stop, theirs,
                decisions_wait_ms,
            ),
            daemon=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def seen(self) -> tuple[list[tuple[str, float, int]], list[tuple[str, float, int]]]:
        """Stop reading; decisions and alerts as (event id, monotonic time read, time appended in ms)."""
        self._stop.set()
        return self._ours.recv(), self._ours.recv()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()


# --- one measurement ------------------------------------------------------------------------------------


async def measure(args: argparse.Namespace, stack: Stack) -> dict[str, Any]:
    """Prepare the customers, send, read, and put the figures together."""
    settings, rng = stack.settings, random.Random(args.seed)
    arrivals, at = [], 0.0
    for _ in range(args.events):
        at += rng.expovariate(args.rate)
        arrivals.append(at)
    with Reader(settings) as reader:
        counts = reader.counts
        prepared = await prepare(args, stack, counts, rng)
        await asyncio.sleep(_SETTLE_S)
        gc.collect()
        gc.disable()
        share, cpu = Share.now(), stack.cpu_s()
        wall_minus_monotonic = time.time() - time.monotonic()
        began = time.monotonic()
        times, targets = await send_open_loop(settings, arrivals, args.alert_every, rng, stack)
        seconds = time.monotonic() - began
        share_after, cpu_after = Share.now().since(share), stack.cpu_s()
        # Read everything that comes; ticks and switches are decisions too, so the count alone does not end it.
        await _reached(counts, 0, prepared + len(times), stack, _DRAIN_MAX_S)
        with suppress(SystemExit):
            await _reached(counts, 1, len(targets), stack, _DRAIN_MAX_S)
        await asyncio.sleep(1.0)
        gc.enable()
        decisions, alerts = reader.seen()
    figures = figures_of(times, targets, decisions, alerts, wall_minus_monotonic)
    return {
        **figures,
        "seconds": round(seconds, 1),
        "machine_use": share_after,
        "cpu_us_per_event": {name: round((cpu_after[name] - cpu[name]) / len(times) * 1e6) for name in cpu},
        "pauses_over_250_ms": stack.pauses(began),
        "snapshots": stack.snapshots(),
    }


async def prepare(args: argparse.Namespace, stack: Stack, counts: Any, rng: random.Random) -> int:
    """Give every customer a past, and wait until all of it has been decided; the number of events."""
    now_ms = time.time_ns() // 1_000_000
    events: list[Event] = []
    for n in range(-(-args.events // args.alert_every)):
        events.extend(history(f"target-{n}", now_ms, rng, target=True))
    for n in range(CALM_CUSTOMERS):
        events.extend(history(f"calm-{n}", now_ms, rng, target=False))
    events.sort(key=lambda event: event.event_time_ms)
    await send_events(stack.settings.broker, stack.settings.topic_events, events, rate=None)
    await _reached(counts, 0, len(events), stack, 120.0)
    return len(events)


async def _reached(counts: Any, place: int, wanted: int, stack: Stack, within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while counts[place] < wanted:
        stack.check()
        if time.monotonic() > deadline:
            raise SystemExit(f"expected {wanted} records within {within_s:.0f} s, found {counts[place]}")
        await asyncio.sleep(0.1)


def main() -> int:
    """Measure, print JSON, write it to `benchmarks/results/`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--broker", choices=BROKERS, required=True)
    parser.add_argument("--events", type=int, default=2_000, help="measured events (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=20.0, help="events a second, on average (default: %(default)s)")
    parser.add_argument(
        "--alert-every", type=int, default=2, metavar="N", help="every Nth event must alert (default: 2)"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-file", action="store_true", help="print only")
    args = parser.parse_args()
    with Stack(args.broker) as stack:
        stack.start()
        result = {
            "benchmark": "latency",
            "broker": args.broker,
            "broker_version": stack.version(),
            **facts(args.seed),
            "events": args.events,
            "rate_per_s": args.rate,
            "alert_every": args.alert_every,
            "partitions": PARTITIONS,
            **asyncio.run(measure(args, stack)),
        }
    text = json.dumps(result, indent=1)
    print(text)
    if not args.no_file:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"latency-{args.broker}.json").write_text(text + "\n")
    lost = result["alerts_missing"] + result["decisions_missing"] + result["alerts_twice"]
    if lost:
        print(f"{lost} alerts or decisions are missing or came twice: the figures are not valid", file=sys.stderr)
    if result["machine_use"]["others_percent"] > OTHERS_PERCENT_MAX:
        print("others used the machine meanwhile: say so beside the figures, or measure again", file=sys.stderr)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
