"""What the learner costs: lag at 10,000 events a second with 1 % labels, snapshot bytes, switch time, waiting events.

::

    python -m benchmarks.learner            # about three minutes
    python -m benchmarks.learner --quick    # is it wired up

Pure learner in one process on decoded-from-bytes decisions, a tick a second of event time, an epoch a minute, rules of
the house (one challenger). Vectors are drawn from the catalogue's ranges, customers and places at random. Lag: a
queue that is fed 10,000 events a second of event time, worked off at the measured speed, publications included, in CPU
time of one core.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from alerts.model_rules import load_model_rules
from benchmarks import machine
from features.catalogue import CATALOGUE, FEATURE_VERSION, SIZE
from models.learner import Learner, LearnerSettings
from models.observation import decode_observation
from models.shared import Counts, SharedTable
from models.snapshot import Snapshot, initial_snapshot, pack
from streams.library import VersionLibrary

RESULTS = Path(__file__).parent / "results" / "learner.json"
KEY = b"benchmark-key-of-no-deployment"
RATE = 10_000
LABELS = 0.01
SEED = 5
_MATURITY_S = 60


def stream(seconds: int, seed: int) -> list[list[bytes]]:
    """Decisions as bytes, one list a second of event time: events, outcomes of the minute before, a tick."""
    rng = np.random.default_rng(seed)
    pool = [msgspec.json.encode(row.tolist()).decode() for row in vectors(2_000, seed)]
    made: list[list[bytes]] = []
    due: dict[int, list[bytes]] = {}
    number = 0
    for second in range(seconds):
        lines = due.pop(second, [])
        picks = rng.integers(len(pool), size=RATE).tolist()
        customers = rng.integers(200_000, size=RATE).tolist()
        places = rng.zipf(1.3, size=RATE).tolist()
        reported = (rng.random(RATE) < LABELS).tolist()
        for pick, customer, place, report in zip(picks, customers, places, reported, strict=True):
            number += 1
            at_ms = second * 1000 + number % 1000
            where = place % 200_000
            lines.append(
                (
                    f'{{"disposition":"decision","kind":"transaction","event_id":"e{number}","customer_id":"c-{customer}",'
                    f'"event_time_ms":{at_ms},"partition":0,"offset":{number},"features":{pool[pick]},'
                    f'"feature_version":{FEATURE_VERSION},"fraud_probability":0.004,"anomaly_score":0.61,'
                    f'"terminal_id":"t-{where}","merchant_id":"m-{where // 3}","status":"approved","model_version":1}}'
                ).encode()
            )
            if report:
                said = "fraud_confirmed" if number % 2 else "false_positive"
                due.setdefault(second + 20, []).append(
                    (
                        f'{{"disposition":"decision","kind":"outcome","event_id":"o{number}","customer_id":"c-{customer}",'
                        f'"event_time_ms":{at_ms + 20_000},"partition":0,"offset":{number},"outcome":"{said}",'
                        f'"about_event_id":"e{number}"}}'
                    ).encode()
                )
        lines.append(
            f'{{"disposition":"control","kind":"tick","event_time_ms":{(second + 1) * 1000},"partition":0}}'.encode()
        )
        made.append(lines)
    return made


def vectors(n: int, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Raw features around the catalogue's centres, shape (n, SIZE)."""
    rng = np.random.default_rng([seed, 1])
    columns = []
    for feature in CATALOGUE:
        if feature.shape == "flag":
            columns.append((rng.random(n) < 0.2).astype(np.float64))
        else:
            raw = feature.center + feature.scale * rng.normal(size=n)
            columns.append(np.expm1(np.maximum(raw, 0.0)) if feature.shape == "log1p" else raw)
    made = np.round(np.array(columns).T, 6)
    assert made.shape == (n, SIZE)
    return made


def speed(seconds: int) -> dict[str, Any]:
    """Run the stream; CPU per event, lag of a queue fed at `RATE`, bytes an event that waits."""
    settings = LearnerSettings(
        epoch_ms=10_000, publish_every_ms=10_000, maturity_ms=_MATURITY_S * 1000, retain_ms=2 * _MATURITY_S * 1000,
        waiting_max=5_000_000,
    )  # fmt: skip
    made = stream(seconds, SEED)
    learner = Learner(1, settings, load_model_rules())
    gc.collect()
    gc.freeze()
    offset, lag_s, worst_s, pack_s = 0, 0.0, 0.0, 0.0
    base: Snapshot | None = None
    publications = 0
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    waiting_max, after_kib = 0, before_kib
    started_cpu = time.process_time()
    for lines in made:
        # CPU and not wall time: who else uses the machine is no property of the learner.
        begun = time.process_time()
        for line in lines:
            # Input offsets are the decisions' own here: every record is new.
            observation = decode_observation(line)
            observation.offset = offset
            learner.observe(0, offset, observation)
            offset += 1
        for snapshot in learner.drain():
            packed = time.process_time()
            pack(snapshot, KEY, base)
            base = base or snapshot
            publications += 1
            pack_s += time.process_time() - packed
        learner.take_news()
        learner.challengers.clear()
        took_s = time.process_time() - begun
        # One second's events arrive each second: what is not done by then is lag.
        lag_s = max(0.0, lag_s + took_s - 1.0)
        worst_s = max(worst_s, lag_s)
        waiting = learner.stats()["waiting"]
        if waiting > waiting_max:
            waiting_max, after_kib = waiting, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    events, cpu_s = seconds * RATE, time.process_time() - started_cpu
    stats = learner.stats()
    begun = time.perf_counter()
    state = learner.checkpoint(KEY)
    return {
        "events": events, "seconds_of_event_time": seconds, "events_per_s_offered": RATE, "labels_share": LABELS,
        "cpu_us_per_event": round(cpu_s / events * 1e6, 2), "lag_worst_s": round(worst_s, 2),
        "lag_at_end_s": round(lag_s, 2), "publications": publications,
        "pack_ms_each": round(pack_s / max(1, publications) * 1000, 1),
        "waiting_max": waiting_max,
        "label_store_bytes_per_million_waiting": round((after_kib - before_kib) * 1024 / max(1, waiting_max) * 1e6),
        "labels_learned": stats["labels_learned"], "frauds_held_out": stats.get("frauds_held_out", 0),
        "goods_held_out": stats.get("goods_held_out", 0), "checkpoint_bytes": len(state),
        "checkpoint_ms": round((time.perf_counter() - begun) * 1000, 1),
    }  # fmt: skip


def sizes(places: int, touched: int) -> dict[str, Any]:
    """A snapshot of `places` terminals and as many merchants, whole and with `touched` of each changed; switch time."""
    rng = np.random.default_rng(SEED)

    def table(prefix: str) -> dict[str, Counts]:
        figures = rng.integers(0, 400, size=(places, 2)).tolist()
        return {
            f"{prefix}-{n:08d}": Counts(min(a, b), max(a, b), 0, -1)
            if n % 50
            else Counts(a, a + b, 2, 1_000_000 + n, 1)
            for n, (a, b) in enumerate(figures)
        }

    terminals, merchants = table("t"), table("m")
    whole = Snapshot(2, 0, initial_snapshot().fraud, SharedTable(terminals, merchants))
    changed = {name: counts._replace(tx_7d=counts.tx_7d + 1) for name, counts in list(terminals.items())[:touched]}
    moved = {name: counts._replace(tx_7d=counts.tx_7d + 1) for name, counts in list(merchants.items())[:touched]}
    later = Snapshot(3, 1, whole.fraud, SharedTable(terminals | changed, merchants | moved))
    timed: dict[str, float] = {}

    def took(name: str, begun: float) -> None:
        timed[name] = round((time.process_time() - begun) * 1000, 1)

    begun = time.process_time()
    first = pack(whole, KEY)
    took("pack_base_ms", begun)
    begun = time.process_time()
    second = pack(later, KEY, whole)
    took("pack_delta_ms", begun)
    library = VersionLibrary(KEY)
    begun = time.process_time()
    library.add_snapshot(2, first)
    library.model(2)
    took("switch_to_base_ms", begun)
    begun = time.process_time()
    library.add_snapshot(3, second)
    library.model(3)
    took("switch_to_first_delta_ms", begun)
    third = pack(Snapshot(4, 2, whole.fraud, later.shared), KEY, whole)
    begun = time.process_time()
    library.add_snapshot(4, third)
    library.model(4)
    took("switch_to_next_delta_ms", begun)
    assert library.model(4).shared.terminals == later.shared.terminals
    return {
        "places_each_sort": places, "touched_each_sort": touched,
        "base_bytes": sum(map(len, first)), "base_chunks": len(first), "largest_chunk_bytes": max(map(len, first)),
        "delta_bytes": sum(map(len, second)), "delta_chunks": len(second), **timed,
    }  # fmt: skip


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    before = machine.Share.now()
    result = {
        **machine.facts(SEED),
        "snapshot": sizes(*((2_000, 100) if args.quick else (200_000, 5_000))),
        "speed": speed(80 if args.quick else 100),
        "machine_share": machine.Share.now().since(before),
    }
    shown = {name: result[name] for name in ("speed", "snapshot", "machine_share")}
    print(json.dumps(shown, indent=2))
    if not args.quick:
        RESULTS.write_text(json.dumps(result, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
