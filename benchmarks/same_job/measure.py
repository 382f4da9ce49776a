"""One run of one variant: a broker of its own, the stream loaded, the process started, its work verified."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.machine import Share, process_cpu_s
from benchmarks.same_job.events import Keyed, by_partition, load
from benchmarks.same_job.figures import OURS
from benchmarks.same_job.ours import BATCH_MAX, PARTITIONS, BatchJob
from benchmarks.same_job.process import WORKED
from streams import topics
from streams.broker.child import start_child, stop_child
from streams.broker.embedded import EmbeddedBroker
from streams.settings import load as load_settings

# Peer → module, and what it needs beyond our own dependencies.
PEERS = {
    "quix": ("benchmarks.same_job.peers.quix_state", "quixstreams"),
    "bytewax": ("benchmarks.same_job.peers.bytewax_recovery", "bytewax"),
    "faust": ("benchmarks.same_job.peers.faust_table", None),
}
# Five times the others' cost per event: a fifth of the events takes as long, and is as good for a cost per event.
FAUST_SHARE = 5
RUN_MAX_S = 120.0
# Linear algebra in one thread; every clock and every dictionary order alike.
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "PYTHONWARNINGS": "ignore"}


def missing() -> dict[str, str]:
    """Peers that cannot run here, and the package each needs."""
    return {name: need for name, (_module, need) in PEERS.items() if need is not None and find_spec(need) is None}


def run(variant: str, events: list[Keyed]) -> dict[str, Any]:
    """Figures of one variant over its share of the stream.

    Raises
    ------
    SystemExit
        When the process failed, took too long, left out or repeated an event, or alerted on others than the job does.
    """
    part = events[: len(events) // FAUST_SHARE] if variant == "faust" else events
    share = _share()
    with EmbeddedBroker() as broker, tempfile.TemporaryDirectory(prefix="riskshift-same-job-") as folder:
        home = Path(folder) / "state"
        settings, _ = load_settings(environ={}, broker=broker.address, home=folder)
        topics.declare(broker.address, PARTITIONS)
        asyncio.run(load(settings, by_partition(part, PARTITIONS)))
        assert broker.pid is not None
        broker_cpu_s = process_cpu_s(broker.pid)
        figures = _process(
            variant,
            ["--broker", broker.address, "--events", str(len(part)), "--home", str(home),
             "--topic", settings.topic_events, "--topic-alerts", settings.topic_alerts],
        )  # fmt: skip
        broker_us = (process_cpu_s(broker.pid) - broker_cpu_s) / len(part) * 1e6
        worked = json.loads((home / WORKED).read_text())
    verify(variant, part, worked["order"], worked["alerted"])
    return figures | {"broker_cpu_us_per_event": round(broker_us, 2), "machine_use": _share().since(share)}


def verify(variant: str, events: list[Keyed], order: list[str], alerted: list[str]) -> None:
    """Do the whole job again in the order in which the variant met the events: the same events must alert.

    Partitions reach a process interleaved by chance, and models that learn from every event depend on the order; so
    two runs differ by a few alerts. Given its own order, each variant's alerts are exactly those of the job.
    """
    places = [int(event_id[-10:]) for event_id in order]
    if sorted(places) != list(range(len(events))):
        raise SystemExit(f"{variant}: expected each of {len(events)} events once, found {len(set(places))} of them")
    again = BatchJob()
    for start in range(0, len(places), BATCH_MAX):
        again.work([events[place][1] for place in places[start : start + BATCH_MAX]])
    if again.alerted != alerted:
        different = set(again.alerted) ^ set(alerted)
        raise SystemExit(f"{variant} did another job: {len(different)} alerts differ, such as {sorted(different)[:3]}")


def _process(variant: str, arguments: list[str]) -> dict[str, Any]:
    module = "benchmarks.same_job.ours" if variant == OURS else PEERS[variant][0]
    command = [sys.executable, "-m", module, *arguments]
    with tempfile.TemporaryFile() as log:
        process = start_child(command, log, os.environ | _ENVIRONMENT)
        try:
            process.wait(RUN_MAX_S)
        except subprocess.TimeoutExpired:
            pass
        finally:
            stop_child(process, 1.0)
        log.seek(0)
        said = log.read().decode(errors="replace").splitlines()
    found = [line for line in said if line.startswith('{"events"')]
    if process.returncode != 0 or not found:
        tail = "\n".join(said[-15:])
        raise SystemExit(f"{variant} ended with status {process.returncode} within {RUN_MAX_S:.0f} s; it said:\n{tail}")
    figures: dict[str, Any] = json.loads(found[-1])
    return figures


def _share() -> Share:
    # Broker and variant have ended and count as this process's children; `Share.now` sees only living ones.
    times = os.times()
    ours = times.user + times.system + times.children_user + times.children_system
    return dataclasses.replace(Share.now(), ours=round(ours * os.sysconf("SC_CLK_TCK")))
