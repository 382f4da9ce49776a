"""Rows a second from the changelog into an empty local store, and from a local store that is opened and verified.

Apache Kafka with one partition of rows, preloaded with what the engine keeps of a simulated town's customers; then
the very loop of an owner that takes over: `streams.restore.read_changelog` into `streams.store.LocalRows.commit`.
Afterwards, on that store: closing and opening it, and what one batch's commit costs.

    python -m benchmarks.restore --rows 200000
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.machine import Share, facts
from streams import topics
from streams.commit import PartitionLog
from streams.engine import Engine
from streams.library import INITIAL_VERSION, VersionLibrary
from streams.restore import read_changelog
from streams.rows import META_KEY, PartitionMeta, pack
from streams.settings import Settings, load
from streams.store import LocalRows
from streams.town import Town, TownConfig
from tests.brokers.apache import ApacheKafka, why_missing
from tests.streams.driver import recorded

BINDING = "benchmark/riskshift.events/1"
_TRANSACTION_ROWS = 20_000
RESULTS = Path(__file__).parent / "results"
_BATCHES = {1: 2_000, 100: 300, 1_000: 60}


def town_rows(people: int, days: int, seed: int) -> list[bytes]:
    """Packed rows of a town's customers, each several times with events of its own."""
    library = VersionLibrary(b"benchmark-key-of-32-bytes-------")
    engine = Engine(
        0, 1, "riskshift.events", library, model_version=INITIAL_VERSION, policy_version=library.policy.version
    )
    records = recorded(Town(TownConfig(people=people, days=days, seed=seed)).events())
    for first in range(0, len(records), 500):
        engine.process(records[first : first + 500])
    rng, packed = random.Random(seed), []
    for _customer, row in engine.rows.items():
        for _ in range(10):
            # What differs most between real rows; without it neighbours would compress into nothing.
            row.hot.event_ids = rng.randbytes(len(row.hot.event_ids))
            row.hot.merchants = rng.randbytes(len(row.hot.merchants))
            packed.append(pack(row))
    return packed


def changelog(rows: int, pool: list[bytes], seed: int) -> Iterator[tuple[bytes, bytes]]:
    """As many customers, in no order of their names."""
    rng = random.Random(seed)
    numbers = list(range(rows))
    rng.shuffle(numbers)
    for number in numbers:
        yield b"customer-%08d" % number, rng.choice(pool)


async def preload(settings: Settings, rows: int, pool: list[bytes], seed: int) -> None:
    """Write the rows topic as a partition's owner does, transaction by transaction."""
    async with PartitionLog(settings, "0", transactional=True) as log:
        items: list[Any] = []
        for key, packed in changelog(rows, pool, seed):
            items.append((key, packed, ()))
            if len(items) == _TRANSACTION_ROWS:
                await log.publish(settings.topic_rows, 0, items)
                items = []
        items.append((META_KEY, pack(PartitionMeta(0, 1, applied_offset=rows, binding=BINDING)), ()))
        await log.publish(settings.topic_rows, 0, items)


async def restore(settings: Settings, store: LocalRows) -> dict[str, Any]:
    """Read the changelog into the store; seconds in all, and in the store."""
    started, storing = time.perf_counter(), 0.0
    cpu = time.process_time()
    async for changes, position in read_changelog(settings, 0, store.position):
        before = time.perf_counter()
        store.commit(changes, position)
        storing += time.perf_counter() - before
    took = time.perf_counter() - started
    return {
        "seconds": round(took, 2),
        "seconds_in_store": round(storing, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "rows_per_second": round(len(store) / took),
    }


def verify(path: Path) -> tuple[LocalRows, dict[str, Any]]:
    """Open a store; every row is read and held against its sums."""
    started = time.perf_counter()
    store = LocalRows(path, BINDING, 10_000)
    took = time.perf_counter() - started
    assert store.rebuilt is None, store.rebuilt
    return store, {"seconds": round(took, 2), "rows_per_second": round(len(store) / took)}


def commits(store: LocalRows, rows: int, seed: int) -> dict[str, Any]:
    """Milliseconds of one batch's commit, by rows in the batch; getting and packing the rows is not in it."""
    rng, found = random.Random(seed), {}
    for size, batches in _BATCHES.items():
        took_ms = []
        for _ in range(batches):
            changes: dict[bytes, bytes] = {}
            for number in rng.sample(range(rows), size):
                customer = f"customer-{number:08d}"
                row = store.get(customer)
                assert row is not None
                row.applied_offset += 1
                if row.due_ms != -1 or rng.random() < 0.1:
                    row.due_ms = rng.randrange(1 << 40)
                    store.due_changed(customer, row)
                changes[customer.encode()] = pack(row)
            before = time.perf_counter()
            store.commit(changes.items(), store.position + size)
            took_ms.append((time.perf_counter() - before) * 1000)
        took_ms.sort()
        figures = {f"p{percent}": round(took_ms[batches * percent // 100], 3) for percent in (50, 90, 99)}
        found[str(size)] = figures | {
            "max": round(took_ms[-1], 3),
            "batches": batches,
            "us_per_row_p50": round(figures["p50"] * 1000 / size, 1),
        }
    return found


def measure(rows: int, seed: int, home: Path) -> dict[str, Any]:
    """All figures."""
    pool = town_rows(people=200, days=30, seed=seed)
    with ApacheKafka() as broker:
        settings, _ = load(environ={}, broker=broker.address, home=str(home))
        topics.declare(broker.address, 1)
        asyncio.run(preload(settings, rows, pool, seed))
        share = Share.now()
        store = LocalRows(home / "store", BINDING, settings.rows_cached_max)
        restored = asyncio.run(restore(settings, store))
        restored["machine_share"] = Share.now().since(share)
    assert len(store) == rows, f"expected {rows} rows, found {len(store)}"
    store.close()
    share = Share.now()
    store, verified = verify(home / "store")
    verified["machine_share"] = Share.now().since(share)
    size = sum(file.stat().st_size for file in (home / "store").iterdir())
    costs = commits(store, rows, seed)
    store.close()
    return {
        "rows": rows,
        "row_bytes_mean": round(sum(map(len, pool)) / len(pool)),
        "disk_bytes_per_row": round(size / rows),
        "restore_from_changelog": restored,
        "open_and_verify": verified,
        "commit_ms_by_batch": costs,
        "rss_max_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    }


def main() -> None:
    """Measure, print, write `results/restore.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS / "restore.json")
    args = parser.parse_args()
    if reason := why_missing():
        raise SystemExit(reason)
    with tempfile.TemporaryDirectory(prefix="riskshift-restore-") as home:
        figures = {"benchmark": "restore", **facts(args.seed), **measure(args.rows, args.seed, Path(home))}
    text = json.dumps(figures, indent=1)
    print(text)
    args.out.parent.mkdir(exist_ok=True)
    args.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
