"""What an event costs by how many customers there are: engine and local rows, without Kafka.

Every customer has a mature row in a local store (RocksDB). Then batches of 1,000 card transactions go through the
engine and are committed to the store, drawn from the customers by Zipf's law (exponent 0.8: some customers are seen
often) or uniformly. At a million the cache holds a quarter of the rows, so most that are not often seen come from disk.

    python -m benchmarks.population
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from alerts.shift import Assessor
from benchmarks.machine import Share, facts, process_rss_mib
from benchmarks.restore import BINDING
from features.events import Tick, Transaction, encode
from models.snapshot import LoadedSnapshot, initial_snapshot
from streams.engine import Engine
from streams.library import INITIAL_VERSION, VersionLibrary
from streams.rows import META_KEY, pack, unpack
from streams.store import LocalRows
from streams.town import Town, TownConfig
from tests.streams.driver import Raw, recorded

RESULTS = Path(__file__).parent / "results"
BATCH = 1_000
ZIPF = 0.8
_FILL = 10_000
# Of a customer on average: event time passes as fast as that takes.
EVENTS_A_DAY = 10
_DAY_MS = 86_400_000
_AHEAD_MS = 5 * _DAY_MS


class Calm:
    """A library whose model suspects nobody: Zipf's busiest customers are no people, and would all be watched."""

    def __init__(self) -> None:
        self._inner = VersionLibrary(b"benchmark-key-of-32-bytes-------")
        first = initial_snapshot()
        quiet = replace(first.fraud, intercept=first.fraud.intercept - 20.0)
        self._model = LoadedSnapshot(replace(first, fraud=quiet))
        self.policy_version = self._inner.policy.version

    def model(self, version: int) -> LoadedSnapshot:
        """The one model."""
        if version != INITIAL_VERSION:
            raise KeyError(version)
        return self._model

    def assessor(self, policy_version: str) -> Assessor:
        """That of the house's policy."""
        return self._inner.assessor(policy_version)


class Population:
    """A store of that many customers, with an engine on top.

    Parameters
    ----------
    folder
        Of the store.
    customers, cached_max
        How many there are; how many rows the cache holds.
    pool
        Packed rows of a simulated town to give them.
    """

    def __init__(self, folder: Path, customers: int, cached_max: int, pool: list[bytes], seed: int) -> None:
        self.customers = customers
        self.rng = np.random.default_rng([seed, customers])
        self.rows = LocalRows(folder, BINDING, cached_max)
        lived = [unpack(packed) for packed in pool]
        self.now_ms = max(row.hot.latest_ms for row in lived)
        self.step_ms = _DAY_MS // (EVENTS_A_DAY * customers)
        self.levels = np.array([row.hot.mean or 8.0 for row in lived])
        self.homes = [row.hot.home or "FR" for row in lived]
        for first in range(0, customers, _FILL):
            batch = [
                (name(number).encode(), pool[number % len(pool)])
                for number in range(first, min(first + _FILL, customers))
            ]
            self.rows.commit(batch, first)
        library = Calm()
        self.engine = Engine(
            0, 1, "riskshift.events", library, model_version=INITIAL_VERSION,
            policy_version=library.policy_version, rows=self.rows, binding=BINDING,
        )  # fmt: skip
        self.offset = 1 << 40
        self._ranks = self.rng.permutation(customers)

    def draw(self, count: int, exponent: float) -> np.ndarray[Any, Any]:
        """Customers of that many events."""
        weights = np.arange(1, self.customers + 1, dtype=np.float64) ** -exponent
        shares = np.cumsum(weights)
        return self._ranks[np.searchsorted(shares, self.rng.random(count) * shares[-1])]

    def batches(self, count: int, exponent: float) -> Iterator[list[Raw]]:
        """Records of card transactions, a thousand at a time: amounts and shops are the customers' usual ones."""
        drawn = self.draw(count, exponent)
        kinds = drawn % len(self.levels)
        amounts = np.exp(self.levels[kinds] + self.rng.normal(0.0, 0.4, count)).astype(np.int64).tolist()
        places = ((drawn * 7 + self.rng.integers(0, 5, count)) % 20_000).tolist()
        customers, homes = drawn.tolist(), [self.homes[kind] for kind in kinds.tolist()]
        for first in range(0, count, BATCH):
            batch = []
            for n in range(first, min(first + BATCH, count)):
                self.now_ms += self.step_ms
                customer = name(customers[n])
                event = Transaction(
                    event_id=f"p-{self.offset}", customer_id=customer, event_time_ms=self.now_ms, schema_version=1,
                    amount_minor=amounts[n], currency="EUR", direction="debit", channel="pos", type="purchase",
                    merchant_id=f"m-{places[n] % 5_000}", terminal_id=f"t-{places[n]}", country=homes[n],
                    card_id=f"tok_{customers[n]}",
                )  # fmt: skip
                batch.append(Raw(self.offset, customer.encode(), encode(event)))
                self.offset += 1
            yield batch

    def work(self, count: int, exponent: float) -> dict[str, float]:
        """Work that many events through; CPU microseconds an event: of the engine, of the store's commit, together."""
        engine_s = store_s = 0.0
        rows = row_bytes = alerts = 0
        position = 1 << 40
        for batch in self.batches(count, exponent):
            began = time.process_time()
            out = self.engine.process(batch)
            between = time.process_time()
            position += len(out.rows)
            self.rows.commit(list(out.rows.items()), position)
            store_s += time.process_time() - between
            engine_s += between - began
            alerts += len(out.alerts)
            rows += len(out.rows) - (META_KEY in out.rows)
            row_bytes += sum(len(packed) for key, packed in out.rows.items() if key != META_KEY)
        return {
            "engine_us": engine_s / count * 1e6,
            "store_us": store_s / count * 1e6,
            "cpu_us": (engine_s + store_s) / count * 1e6,
            "rows_per_event": rows / count,
            "row_bytes": row_bytes / rows,
            "alerts_per_thousand": alerts / count * 1000,
        }


def lived_rows(people: int, days: int, seed: int) -> list[bytes]:
    """Packed rows of a town's customers, whose timers of the next days have fired: what follows is ordinary life."""
    library = VersionLibrary(b"benchmark-key-of-32-bytes-------")
    engine = Engine(
        0, 1, "riskshift.events", library, model_version=INITIAL_VERSION, policy_version=library.policy.version
    )
    records = recorded(Town(TownConfig(people=people, days=days, seed=seed)).events())
    for first in range(0, len(records), 500):
        engine.process(records[first : first + 500])
    at_ms = engine.meta.watermark_ms + _AHEAD_MS
    engine.process((), [Tick(event_id=f"tick/0/{at_ms}", event_time_ms=at_ms, schema_version=1, partition=0)])
    return [pack(row) for _customer, row in engine.rows.items()]


def name(number: int) -> str:
    """A customer's id."""
    return f"customer-{number:08d}"


def measure(events: int, rounds: int, large: int, seed: int) -> dict[str, Any]:
    """Small and large in turn; medians of the rounds, and the median of the rounds' ratios."""
    pool = lived_rows(1_000, 60, seed)
    with tempfile.TemporaryDirectory(prefix="riskshift-benchmark-") as home:
        say(f"giving {10_000:,} and {large:,} customers a row")
        small = Population(Path(home) / "small", 10_000, 100_000, pool, seed)
        big = Population(Path(home) / "large", large, large // 4, pool, seed)
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 10, 10)
        say("warming the caches")
        small.work(20_000, ZIPF)
        # Until the cache is full: before that nothing is evicted, and the figure would flatter.
        big.work(min(large, 400_000), ZIPF)
        found: dict[str, list[dict[str, float]]] = {"small": [], "large": [], "uniform": []}
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            found["small"].append(small.work(events, ZIPF))
            found["large"].append(big.work(events, ZIPF))
        rss = process_rss_mib_now()
        for _ in range(rounds):
            found["uniform"].append(big.work(events, 0.0))
        result = {
            "million_ratio": ratio(found["large"], found["small"]),
            "million_uniform_ratio": ratio(found["uniform"], found["small"]),
            "customers": {"small": 10_000, "large": large},
            "cached_rows_large": large // 4,
            "events_a_round": events,
            "zipf_exponent": ZIPF,
            "rss_mib": rss,
            "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
            **{which: medians(figures) for which, figures in found.items()},
        }
        small.rows.close()
        big.rows.close()
    return result


def ratio(ours: list[dict[str, float]], theirs: list[dict[str, float]]) -> float:
    """Median over the rounds of CPU against CPU."""
    return round(statistics.median(a["cpu_us"] / b["cpu_us"] for a, b in zip(ours, theirs, strict=False)), 3)


def medians(figures: list[dict[str, float]]) -> dict[str, float]:
    """Median of every figure over the rounds."""
    return {key: round(statistics.median(one[key] for one in figures), 2) for key in figures[0]}


def process_rss_mib_now() -> int:
    """Resident memory of this process."""
    return process_rss_mib(os.getpid())


def say(text: str) -> None:
    """Progress, where it does not disturb the figures."""
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Measure, print JSON, write it to `benchmarks/results/`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=1_000_000, help="of the large population")
    parser.add_argument("--events", type=int, default=50_000, help="a round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-file", action="store_true", help="print only")
    args = parser.parse_args()
    share = Share.now()
    result = {
        "benchmark": "population",
        **facts(args.seed),
        **measure(args.events, args.rounds, args.customers, args.seed),
        "machine_use": Share.now().since(share),
    }
    text = json.dumps(result, indent=1)
    print(text)
    if not args.no_file:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "population.json").write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
