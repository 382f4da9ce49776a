"""How fast a replay is, whether it says the same whatever the processes and batches, and what memory it needs.

    RISKSHIFT_DATA=... python -m benchmarks.replay                 the handbook set, every combination
    RISKSHIFT_DATA=... python -m benchmarks.replay --processes 2   one of them
    python -m benchmarks.replay --memory 4000000                   memory over a made file of so many events

Each run is `riskshift replay` as a process of its own, learning on, everything written. Events a second depend on who
else uses the machine; CPU per event nearly does not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import machine

SEED = 7
RESULTS = machine.ROOT / "benchmarks" / "results" / "replay.json"
# Batches of one are slow: a fortnight is enough to see that they say the same.
_PART_UNTIL = "2018-04-15"
_DAY_MS = 86_400_000


def replay(source: Path, out: Path, fmt: str, *options: str) -> dict[str, Any]:
    """One run; its manifest's figures, and the largest memory of the reader and of all together, sampled."""
    command = [sys.executable, "-m", "streams", "replay", str(source), "--format", fmt, "--out", str(out), "--json"]
    env = {**os.environ, "PYTHONPATH": str(machine.ROOT)}
    share = machine.Share.now()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen([*command, *options], stdout=said, env=env, cwd=machine.ROOT)
        most: list[int] = []
        while process.poll() is None:
            most.append(_family_mib(process.pid))
            time.sleep(0.5)
        said.seek(0)
        lines = said.read().splitlines()
    if process.returncode:
        raise SystemExit(f"replay failed: {lines}")
    manifest = json.loads(lines[-1])
    # What is left of the peak when the run is cut into quarters shows whether memory grows with the file.
    quarter = max(1, len(most) // 4)
    kept = ("events", "events_per_second", "cpu_us_per_event", "seconds", "input_hash", "output_hash", "alerts")
    return {
        **{name: manifest[name] for name in kept},
        "memory_mib_by_quarter": [max(most[n * quarter : (n + 1) * quarter], default=0) for n in range(4)],
        "machine_share": machine.Share.now().since(share),
    }


def handbook(processes: list[int], batches: list[int], folder: Path) -> dict[str, Any]:
    """The whole set with every number of processes, then with other batches; a part with batches of one."""
    data = os.environ.get("RISKSHIFT_DATA")
    if not data or not Path(data, "handbook").is_dir():
        raise SystemExit("RISKSHIFT_DATA does not name a folder with the handbook data set")
    source = Path(data, "handbook")
    runs: dict[str, Any] = {}

    def one(name: str, *options: str) -> None:
        runs[name] = replay(source, folder / name, "handbook", *options)
        print(json.dumps({name: runs[name]}), flush=True)

    for number in processes:
        one(f"processes {number}", "--processes", str(number))
    for batch in batches:
        one(f"batch {batch}", "--processes", "2", "--batch", str(batch))
    for batch in (1, 1_000) if batches else ():
        one(f"part, batch {batch}", "--until", _PART_UNTIL, "--batch", str(batch))
    whole = {run["output_hash"] for name, run in runs.items() if not name.startswith("part")}
    part = {run["output_hash"] for name, run in runs.items() if name.startswith("part")}
    return {"runs": runs, "same_output": len(whole) <= 1 and len(part) <= 1}


def made(path: Path, events: int) -> None:
    """A file of events, 110,000 a day, of 20,000 customers; a fraud in a thousand, told a day later."""
    with path.open("w") as file:
        for line in _lines(events):
            file.write(line)


def _lines(events: int) -> Iterator[str]:
    rng = random.Random(SEED)
    told: list[str] = []
    start = 1_700_000_000_000 // _DAY_MS * _DAY_MS
    step = _DAY_MS / 110_000
    for number in range(events):
        at = start + int(number * step)
        customer, event_id = f"c-{rng.randrange(20_000)}", f"e-{number}"
        yield json.dumps({
            "kind": "transaction", "schema_version": 1, "event_id": event_id, "customer_id": customer,
            "event_time_ms": at, "amount_minor": rng.randrange(100, 20_000), "currency": "EUR", "direction": "debit",
            "channel": "pos", "type": "purchase", "terminal_id": f"t-{rng.randrange(5_000)}", "card_id": "k" + customer,
        }) + "\n"  # fmt: skip
        if rng.random() < 0.001:
            told.append(json.dumps({
                "kind": "outcome", "schema_version": 1, "event_id": f"o-{number}", "customer_id": customer,
                "event_time_ms": at + _DAY_MS, "outcome": "fraud_confirmed", "about_event_id": event_id,
            }) + "\n")  # fmt: skip
        if told and json.loads(told[0])["event_time_ms"] <= at:
            yield told.pop(0)


def memory(events: int, folder: Path) -> dict[str, Any]:
    """Memory over a made file; labels teach after two days, so that what waits for them is reached soon."""
    path = folder / "made.jsonl"
    made(path, events)
    run = replay(path, folder / "out", "events", "--processes", "2", "--label-maturity", "2d")
    return {"events_asked": events, "file_mib": path.stat().st_size >> 20, **run}


def _family_mib(pid: int) -> int:
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text().rpartition(")")[2].split()
            if int(stat.parent.name) == pid or int(words[1]) == pid:
                total += machine.process_rss_mib(int(stat.parent.name))
        except OSError:
            continue
    return total


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, nargs="*", default=None)
    parser.add_argument("--batches", type=int, nargs="*", default=None)
    parser.add_argument("--memory", type=int, metavar="EVENTS")
    args = parser.parse_args()
    result = {**machine.facts(SEED)}
    with tempfile.TemporaryDirectory(prefix="riskshift-bench-") as folder:
        if args.memory:
            result["memory"] = memory(args.memory, Path(folder))
        else:
            everything = args.processes is None and args.batches is None
            processes = [1, 2, 4] if everything else args.processes or []
            batches = [100, 5_000] if everything else args.batches or []
            result["handbook"] = handbook(processes, batches, Path(folder))
    before = json.loads(RESULTS.read_text("utf-8")) if RESULTS.is_file() else {}
    RESULTS.write_text(json.dumps(before | result, indent=2) + "\n", "utf-8")
    print(json.dumps({name: result[name] for name in ("memory", "handbook") if name in result}, indent=2))


if __name__ == "__main__":
    main()
