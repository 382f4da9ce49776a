"""All figures that docs/performance.md quotes, one benchmark after the other; the last line is their summary as JSON.

    python -m benchmarks
    python -m benchmarks --quick

Each benchmark is a process of its own and writes its result to `benchmarks/results/`. One that fails is named in the
summary, its figures are null, and the exit status is 1: a missing figure is never an old one.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.machine import ROOT, facts
from tests.brokers.apache import why_missing

_LIMIT_S = 1_200


def run(module: str, *arguments: str) -> dict[str, Any] | None:
    """Run one benchmark; what it found, or None when it failed. Its progress goes to standard error."""
    began = time.monotonic()
    print(f"--- {module} {' '.join(arguments)}", file=sys.stderr, flush=True)
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False,
            timeout=_LIMIT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        print(f"{module}: not done within {_LIMIT_S} s", file=sys.stderr, flush=True)
        return None
    print(f"{module}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    start = done.stdout.find("{")
    if done.returncode or start < 0:
        print(f"{module}: exit status {done.returncode}", file=sys.stderr, flush=True)
        return None
    found: dict[str, Any] = json.loads(done.stdout[start:])
    return found


def help_s() -> float:
    """Median seconds of `riskshift --help`, of five."""
    times = []
    for _ in range(5):
        began = time.monotonic()
        subprocess.run([sys.executable, "-m", "streams", "--help"], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
        times.append(time.monotonic() - began)
    return round(sorted(times)[2], 3)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything; print the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and shorter holds")
    parser.add_argument("--broker", choices=("kafka", "tansu"), help="default: kafka where its jars and java are")
    args = parser.parse_args(arguments)
    missing = why_missing() or (None if shutil.which("java") else "no java")
    broker = args.broker or ("tansu" if missing else "kafka")
    if missing and not args.broker:
        print(f"on the embedded broker, which has no transactions: {missing}", file=sys.stderr, flush=True)
    quick = args.quick
    same = run("benchmarks.same_job", "--json", "--rounds", "1" if quick else "3")
    product = run(
        "benchmarks.product", "--broker", broker, "--rounds", "1" if quick else "3",
        "--events", "100000" if quick else "200000",
    )  # fmt: skip
    population = run("benchmarks.population", "--rounds", "2" if quick else "3")
    quiet = run("benchmarks.latency", "--broker", broker, "--events", "800" if quick else "2000")
    half = run("benchmarks.half", "--broker", broker, "--hold", "15" if quick else "60")
    known = facts(0)
    summary = {
        "vs_quix": _of(same, "vs_quix"),
        "vs_bytewax": _of(same, "vs_bytewax"),
        "vs_faust": _of(same, "vs_faust"),
        "cpu_us_per_event": _of(product, "cpu_us_per_event"),
        "over_engine_us": _of(product, "over_engine_us"),
        "p99_ms_quiet": _of(quiet, "event_to_alert_ms", "p99"),
        "p99_ms_half": _of(half, "event_to_alert_ms", "p99"),
        "row_bytes": _of(product, "row_bytes"),
        "million_ratio": _of(population, "million_ratio"),
        "two_workers_ratio": _of(product, "two_workers_ratio"),
        "saturation_per_s": _of(half, "saturation_per_s"),
        "help_s": help_s(),
        "broker": broker,
        "quick": quick,
        "commit": known["commit"],
        "machine": known["machine"],
        "others_percent": {
            name: _of(found, "machine_use", "others_percent")
            for name, found in (("product", product), ("population", population), ("quiet", quiet), ("half", half))
        },
        "failed": [
            name
            for name, found in (
                ("same_job", same), ("product", product), ("population", population), ("quiet", quiet), ("half", half)
            )
            if found is None
        ],
    }  # fmt: skip
    print(json.dumps(summary), flush=True)
    return 1 if summary["failed"] else 0


def _of(found: dict[str, Any] | None, *path: str) -> Any:
    value: Any = found
    for key in path:
        value = None if value is None else value.get(key)
    return value


if __name__ == "__main__":
    sys.exit(main())
