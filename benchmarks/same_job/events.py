"""A seeded stream of card payments, about 300 bytes of JSON each, and how it gets into the topic."""

from __future__ import annotations

import numpy as np
import orjson
from aiokafka.partitioner import DefaultPartitioner

from benchmarks.same_job.job import DAY_MS
from streams.commit import PartitionLog
from streams.settings import Settings

START_MS = 1_735_689_600_000
CUSTOMERS, MERCHANTS, TERMINALS = 20_000, 600, 2_000
# How often a customer pays falls with the rank: a few are busy all day, most come once a week.
ZIPF = 0.8
EVENTS_A_DAY = 1_200
FRAUD_SHARE = 0.012
_MCC = ("5411", "5812", "5541", "5999", "6011", "7995", "4829")
_MCC_SHARE = (0.3, 0.25, 0.2, 0.15, 0.06, 0.02, 0.02)
_CHANNEL, _CHANNEL_SHARE = ("pos", "ecom", "atm"), (0.6, 0.3, 0.1)

Keyed = tuple[bytes, bytes]


def generate(events: int, seed: int) -> list[Keyed]:
    """(customer_id, JSON) of `events` payments, by event time; the first k are the same however many are asked for."""
    return [pair for start in range(0, events, _CHUNK) for pair in _chunk(start, seed)][:events]


_CHUNK = 10_000


def _chunk(start: int, seed: int) -> list[Keyed]:
    rng = np.random.default_rng([seed, start])
    once = np.random.default_rng(seed)
    share = np.arange(1, CUSTOMERS + 1) ** -ZIPF
    customer = rng.choice(CUSTOMERS, _CHUNK, p=share / share.sum())
    usual = once.lognormal(3.2, 0.6, CUSTOMERS)
    fraud = rng.random(_CHUNK) < FRAUD_SHARE
    amount = usual[customer] * rng.lognormal(0, 0.6, _CHUNK) * np.where(fraud, rng.lognormal(1.2, 0.6, _CHUNK), 1.0)
    merchant = (rng.beta(0.7, 2.0, _CHUNK) * MERCHANTS).astype(int)
    terminal = rng.integers(0, TERMINALS, _CHUNK)
    abroad = rng.random(_CHUNK) < np.where(fraud, 0.45, 0.05)
    channel = rng.choice(_CHANNEL, _CHUNK, p=_CHANNEL_SHARE)
    mcc = rng.choice(_MCC, _CHUNK, p=_MCC_SHARE)
    times = START_MS + ((start + np.sort(rng.random(_CHUNK)) * _CHUNK) * (DAY_MS / EVENTS_A_DAY)).astype(np.int64)
    return [
        (
            (customer_id := f"c-{customer[i]:06d}").encode(),
            orjson.dumps(
                {
                    "event_id": f"e-{seed:03d}-{start + i:010d}",
                    "kind": "transaction",
                    "schema_version": 1,
                    "customer_id": customer_id,
                    "event_time_ms": int(times[i]),
                    "amount_minor": max(1, round(float(amount[i]) * 100)),
                    "currency": "GBP",
                    "channel": str(channel[i]),
                    "merchant_id": f"m-{merchant[i]:04d}",
                    "terminal_id": f"t-{terminal[i]:05d}",
                    "mcc": str(mcc[i]),
                    "country": "RO" if abroad[i] else "GB",
                    "card_id": f"tok-{customer[i]:06d}-{merchant[i] % 3}",
                    "is_fraud": bool(fraud[i]),
                }
            ),
        )
        for i in range(_CHUNK)
    ]


def by_partition(events: list[Keyed], partitions: int) -> list[list[Keyed]]:
    """Events of each partition, by the hash that every Kafka client uses."""
    everywhere = list(range(partitions))
    place = DefaultPartitioner()
    split: list[list[Keyed]] = [[] for _ in everywhere]
    known: dict[bytes, int] = {}
    for key, value in events:
        if key not in known:
            known[key] = place(key, everywhere, everywhere)
        split[known[key]].append((key, value))
    return split


async def load(settings: Settings, split: list[list[Keyed]]) -> None:
    """Put every partition's events into the input topic; returns when the broker has all of them."""
    async with PartitionLog(settings, "load", transactional=False) as log:
        for partition, events in enumerate(split):
            await log.publish(settings.topic_events, partition, [(key, value, ()) for key, value in events])
