"""The same job in ours, Quix Streams, Bytewax and naive Faust, side by side; ratios of CPU per event.

One after the other: a round is one run of each peer, each with a run of ours right before it, and the next round
begins with another peer. Each run has a broker of its own (embedded, in memory), four partitions, the stream loaded
beforehand.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from benchmarks.machine import facts
from benchmarks.same_job.breakdown import breakdown
from benchmarks.same_job.events import generate
from benchmarks.same_job.figures import COST, OURS, Run, medians, ratios, table
from benchmarks.same_job.measure import FAUST_SHARE, PEERS, missing, run
from benchmarks.same_job.ours import BATCH_MAX, PARTITIONS
from benchmarks.stack import RESULTS

_PACKAGES = ("quixstreams", "bytewax", "confluent-kafka", "orjson")


def main() -> int:
    """Measure, write `benchmarks/results/same-job.json`, print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=120_000, help="events a run; naive Faust gets a fifth")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each variant (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="nothing but the JSON line")
    parser.add_argument("--no-file", action="store_true", help="do not write the results file")
    args = parser.parse_args()
    if args.events < 100 * FAUST_SHARE or args.rounds < 1:
        parser.error(f"expected at least {100 * FAUST_SHARE} events and one round")
    absent = missing()
    for name, package in absent.items():
        # Bytewax has no wheels for Python 3.13 and later.
        print(f"left out: {name}, as {package} is not installed: pip install -e '.[bench]'", file=sys.stderr)
    # Inherited by every process: nothing here may start threads for linear algebra.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    names = [name for name in PEERS if name not in absent]
    result = measure(names, args.events, args.rounds, args.seed, quiet=args.json)
    if not args.no_file:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "same-job.json").write_text(json.dumps(result, indent=1) + "\n")
    if not args.json:
        print(table(result), file=sys.stderr)
    told = ("vs_quix", "vs_bytewax", "vs_faust", "left_out", "events", "events_faust", "rounds", "steal_percent_max")
    costs = {name: run[COST] for name, run in result["medians"].items()}
    print(json.dumps({name: result[name] for name in told} | {COST: costs}))
    return 0


def measure(names: list[str], events: int, rounds: int, seed: int, quiet: bool) -> dict[str, Any]:
    """All rounds of these peers and what follows from them; a peer that is not there has no ratio."""
    stream = generate(events, seed)
    each: list[dict[str, tuple[Run, Run]]] = []
    for number in range(rounds):
        first = number % len(names)
        pairs = {}
        for name in names[first:] + names[:first]:
            ours, theirs = pairs[name] = run(OURS, stream), run(name, stream)
            if not quiet:
                told = f"round {number + 1}: ours {ours[COST]:.1f}, {name} {theirs[COST]:.1f} us CPU per event"
                print(told, file=sys.stderr, flush=True)
        each.append({name: pairs[name] for name in names})
    found = ratios(each)
    return {
        "benchmark": "same-job",
        **facts(seed),
        "peers": {package: _version(package) for package in _PACKAGES},
        "left_out": [name for name in PEERS if name not in names],
        "broker": "Tansu (embedded)",
        "events": events,
        "events_faust": events // FAUST_SHARE,
        "event_bytes": round(sum(len(value) for _key, value in stream) / events),
        "partitions": PARTITIONS,
        "batch_max_ours": BATCH_MAX,
        **{f"vs_{name}": found.get(name, {}).get("median") for name in PEERS},
        "steal_percent_max": max(
            one["machine_use"]["steal_percent"] for pairs in each for pair in pairs.values() for one in pair
        ),
        "ratios": found,
        "parts_us_per_event": breakdown(stream),
        "medians": medians(each),
        "rounds": rounds,
        "runs": [{name: {OURS: ours, name: theirs} for name, (ours, theirs) in pairs.items()} for pairs in each],
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    sys.exit(main())
