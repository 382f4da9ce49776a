"""What every measured process does alike: arguments in, CPU and wall time in between, one JSON line out.

The clock starts at the first event (ours: before the first fetch) and ends when all of them are done *and durable*
by the variant's own means: changelog flushed, checkpoint or snapshot written, acknowledgements received.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

# The embedded broker lets a group join wait for the whole rebalance timeout, which clients take from these.
SESSION_TIMEOUT_MS, HEARTBEAT_MS, REBALANCE_MS = 6000, 1500, 3000
LINGER_MS = 20
# What a process leaves in its folder.
WORKED = "worked.json"


@dataclass(frozen=True, slots=True)
class Task:
    """What a process is asked to do: events in all, broker, topics, a folder of its own."""

    broker: str
    events: int
    home: Path
    topic: str
    topic_alerts: str


def task() -> Task:
    """From the command line; the variant's framework must not see these arguments."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", required=True)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--topic-alerts", required=True)
    args = parser.parse_args()
    del sys.argv[1:]
    return Task(args.broker, args.events, args.home, args.topic, args.topic_alerts)


class Clock:
    """CPU of all threads of this process (and of children it has waited for) and wall time, from `start` on."""

    def __init__(self) -> None:
        self.started = False
        self._events: tuple[float, float] | None = None

    def start(self) -> None:
        """Now, unless it runs already."""
        if not self.started:
            self.started = True
            rarely_collect()
            self._began = _cpu_s(), time.perf_counter()

    def last_event(self) -> None:
        """The last event was worked; what is left is to make it durable."""
        self._events = _cpu_s(), time.perf_counter()

    def finish(self, order: list[str], alerted: list[str], home: Path) -> NoReturn:
        """Print the figures and end the process at once: whatever it would still do is not part of the job.

        Parameters
        ----------
        order
            event_id of every event, as they were worked.
        alerted
            Those that made an alert.
        home
            Where both are left for whoever verifies the run.
        """
        events = len(order)
        cpu_s, now = _cpu_s(), time.perf_counter()
        cpu_events, at_events = self._events or (cpu_s, now)
        began_cpu, began = self._began
        figures = {
            "events": events,
            "alerts": len(alerted),
            "cpu_us_per_event": round((cpu_s - began_cpu) / events * 1e6, 2),
            "cpu_us_per_event_before_durable": round((cpu_events - began_cpu) / events * 1e6, 2),
            "seconds": round(now - began, 3),
            "events_per_second": round(events / (at_events - began)),
            "rss_mib_max": _rss_mib_max(),
        }
        home.mkdir(parents=True, exist_ok=True)
        (home / WORKED).write_text(json.dumps({"order": order, "alerted": alerted}))
        # Not `sys.stdout`, which Faust turns into its log.
        os.write(1, json.dumps(figures).encode() + b"\n")
        os._exit(0)


def rarely_collect() -> None:
    """Garbage collection as a knowing user sets it, in every variant alike.

    Libraries are not looked through again and again, and the records of a fetch are no reason to search for
    cycles. It takes a tenth off ours.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


def _cpu_s() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def _rss_mib_max() -> int:
    # `ru_maxrss` would include what the parent had before exec.
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) >> 10
