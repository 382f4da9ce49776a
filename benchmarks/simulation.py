"""The simulation at length: seeded worlds of workers, broker, network and disks in which everything goes wrong.

What a world is and what must hold in it: `tests/simulation/world.py`, docs/guarantees.md. A violation prints its seed
and what happened last, and fails the run; the four broken protocols must each be caught, or the run fails too.

    python -m benchmarks.simulation
    python -m benchmarks.simulation --seed 4711 --trace
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.machine import Share, facts
from tests.simulation.broken import BROKEN
from tests.simulation.world import Protocol, Verdict, run

RESULTS = Path(__file__).parent / "results"
CAUGHT_WITHIN = 200
_TOGETHER = 25
_SHOWN_MAX = 3
_PROGRESS_S = 10.0


def worlds(first: int, seeds: int, processes: int) -> tuple[Counter[str], list[Verdict]]:
    """What happened in all of them together, and the verdicts of those in which a promise was broken."""
    happened: Counter[str] = Counter()
    wrong: list[Verdict] = []
    began = told = time.monotonic()
    for done, verdict in enumerate(_verdicts(range(first, first + seeds), processes), 1):
        happened.update(verdict.counts)
        if verdict.violations:
            wrong.append(verdict)
            if len(wrong) <= _SHOWN_MAX:
                print(verdict, file=sys.stderr, flush=True)
        if time.monotonic() - told > _PROGRESS_S:
            told = time.monotonic()
            rate = done / (told - began)
            print(f"{done} of {seeds} seeds, {rate:.0f}/s, {len(wrong)} with violations", file=sys.stderr, flush=True)
    return happened, wrong


def _verdicts(seeds: range, processes: int) -> Iterator[Verdict]:
    if processes == 1:
        yield from map(run, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap_unordered(run, seeds, chunksize=_TOGETHER)


def caught(protocol: Protocol, kinds: frozenset[str]) -> int | None:
    """First seed in which a broken protocol is found out by what only its mistake explains."""
    for seed in range(CAUGHT_WITHIN):
        if kinds & {violation.kind for violation in run(seed, protocol).violations}:
            return seed
    return None


def one(seed: int, trace: bool, broken: str | None) -> int:
    """One world, told."""
    protocol = BROKEN[broken][0] if broken else Protocol()
    verdict = run(seed, protocol, print if trace else None)
    print(verdict if verdict.violations else f"seed {seed}: no violation; {json.dumps(verdict.counts)}")
    return 1 if verdict.violations else 0


def measure(first: int, seeds: int, processes: int) -> dict[str, Any]:
    """All figures."""
    share, began = Share.now(), time.monotonic()
    happened, wrong = worlds(first, seeds, processes)
    return {
        "benchmark": "simulation",
        **facts(first),
        "seeds": seeds,
        "violations": len(wrong),
        "seeds_with_violations": [verdict.seed for verdict in wrong],
        "seconds": round(time.monotonic() - began, 1),
        "processes": processes,
        "happened": dict(sorted(happened.items())),
        "broken_protocols_caught_at_seed": {name: caught(*BROKEN[name]) for name in BROKEN},
        "machine_use": Share.now().since(share),
    }


def main() -> int:
    """Run, print JSON, write it to `benchmarks/results/`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many worlds (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first one (default: %(default)s)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="at once (default: one a core)")
    parser.add_argument("--seed", type=int, help="this world only, without JSON")
    parser.add_argument("--trace", action="store_true", help="with --seed: everything that happens in it")
    parser.add_argument("--broken", choices=list(BROKEN), help="with --seed: under this broken protocol")
    parser.add_argument("--no-file", action="store_true", help="print only")
    args = parser.parse_args()
    if args.seed is not None:
        return one(args.seed, args.trace, args.broken)
    result = measure(args.first, args.seeds, args.processes)
    text = json.dumps(result, indent=1)
    print(text)
    if not args.no_file:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "simulation.json").write_text(text + "\n")
    return 1 if result["violations"] or None in result["broken_protocols_caught_at_seed"].values() else 0


if __name__ == "__main__":
    sys.exit(main())
