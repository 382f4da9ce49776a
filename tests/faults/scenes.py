"""Faults that are no kill of a worker: a paused owner, a broker that dies or hangs, SIGTERM in the middle of work."""

from __future__ import annotations

import random
import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

from aiokafka.errors import KafkaError

from streams.settings import Settings
from tests.brokers.apache import ApacheKafka
from tests.faults.fleet import Fleet
from tests.faults.load import Load, town_events
from tests.faults.offsets import committed, drained
from tests.faults.storm import DRAIN_MAX_S, FAST, PARTITIONS, RATE, finish, settings_for
from tests.faults.verdict import Verdict, judge
from tests.streams.harness import Running

ALL = list(range(PARTITIONS))
_OWNED_MAX_S = 45.0
ZOMBIE_POINTS = ("before_begin", "after_begin", "rows_sent", "said_sent", "all_acknowledged", "offsets_added")
# Before it says that it was fenced, a client asks again a few times.
_FENCED_MAX_S = 60.0
STOP_MAX_S = 20.0


def run_zombie(broker: str, prefix: str, seed: int, point: str) -> tuple[Verdict, dict[str, Any]]:
    """SIGSTOP a worker at `point`, let the other take its partitions over and work, SIGCONT."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="riskshift-faults-") as folder:
        settings = settings_for(broker, prefix, Path(folder, "state"))
        with Fleet(settings, Path(folder), FAST) as fleet:
            zombie, heir = fleet.start("1"), fleet.start("2")
            fleet.wait(lambda: fleet.all_owned(PARTITIONS), _OWNED_MAX_S, "the first assignment")
            with Load(settings, town_events(seed), RATE) as sending:
                time.sleep(1.0)
                zombie.board.arm(point, rng.randint(1, 20), signal.SIGSTOP)
                fleet.wait(lambda: zombie.board.struck is not None, 30, f"the worker to stop itself at {point}")
                stopped, had = time.monotonic(), zombie.owned
                fleet.wait(lambda: heir.owned == ALL, _OWNED_MAX_S, "the other worker to own everything")
                moved_s = time.monotonic() - stopped
                # The new owner must have written what the zombie could overwrite.
                before = committed(settings, PARTITIONS)
                fleet.wait(
                    lambda: all(committed(settings, PARTITIONS)[p] > before[p] for p in had), 30, "the new owner's work"
                )
                assert zombie.process is not None
                zombie.process.send_signal(signal.SIGCONT)
                fleet.wait(lambda: not zombie.running, _FENCED_MAX_S, "the zombie to end itself", mend=False)
                status, last = zombie.process.returncode, " | ".join(zombie.words[-2:])
                fleet.start("1")
                fleet.wait(lambda: zombie.ready and fleet.all_owned(PARTITIONS), _OWNED_MAX_S, "the last assignment")
                sending.stop()
            finish(sending, lambda what: fleet.wait(lambda: drained(settings, PARTITIONS), DRAIN_MAX_S, what))
            owned = {slot.name: slot.owned for slot in fleet.workers}
            assert fleet.stop() == [0, 0], fleet.last_words()
        verdict = judge(settings, PARTITIONS, owned)
    figures = {
        "seed": seed, "point": point, "partitions_moved": had, "moved_after_s": round(moved_s, 1), "status": status,
        "last_words": last, **verdict.figures(),
    }  # fmt: skip
    return verdict, figures


def run_broker_faults(
    broker: ApacheKafka, prefix: str, seed: int, kills: int, away_s: float, pause_s: float
) -> tuple[Verdict, dict[str, Any]]:
    """kill -9 and start the broker `kills` times under load, then stop it for `pause_s`; nobody helps.

    The first time it stays away for `away_s`, later for up to three seconds.
    """
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="riskshift-faults-") as folder:
        settings = settings_for(broker.address, prefix, Path(folder, "state"))
        resumed: list[float] = []
        with workers(settings) as running:
            running.wait_ready()
            with Load(settings, town_events(seed), RATE) as sending:
                _until_moving(settings, running)
                for number in range(kills):
                    time.sleep(rng.uniform(1.0, 3.0))
                    broker.kill()
                    time.sleep(rng.uniform(0.0, 3.0) if number else away_s)
                    broker.start()
                    resumed.append(_until_moving(settings, running))
                broker.pause()
                time.sleep(pause_s)
                broker.resume()
                paused = _until_moving(settings, running)
                sending.stop()
            finish(sending, lambda what: running.wait_until(lambda: drained(settings, PARTITIONS), DRAIN_MAX_S, what))
            # Whoever was restarted last may only now have its partitions.
            running.wait_until(lambda: sorted(p for ps in _owned(running).values() for p in ps) == ALL, 30, "owners")
            status = running.stop(timeout_s=STOP_MAX_S + 5)
        verdict = judge(settings, PARTITIONS, _owned(running))
    figures = {
        "seed": seed, "broker_kills": kills, "broker_away_s": away_s, "broker_pause_s": pause_s, "events": sending.sent,
        "sender_interrupted": sending.interrupted, "status": status,
        "resumed_after_kill_s": _spread(resumed), "resumed_after_pause_s": round(paused, 2),
        "workers_restarted": running.restarts, **verdict.figures(),
    }  # fmt: skip
    return verdict, figures


def run_sigterm(broker: str, prefix: str, seed: int, rounds: int) -> tuple[Verdict, dict[str, Any]]:
    """Start two workers and end them by SIGTERM in the middle of work, `rounds` times; then let them finish."""
    rng = random.Random(seed)
    took: list[float] = []
    statuses: list[int] = []
    with tempfile.TemporaryDirectory(prefix="riskshift-faults-") as folder:
        settings = settings_for(broker, prefix, Path(folder, "state"))
        with Load(settings, town_events(seed), RATE) as sending:
            for _ in range(rounds):
                with workers(settings) as running:
                    running.wait_ready()
                    _until_moving(settings, running)
                    time.sleep(rng.uniform(0.0, 1.0))
                    began = time.monotonic()
                    statuses.append(running.stop(timeout_s=STOP_MAX_S + 20))
                    took.append(time.monotonic() - began)
                    assert running.left_over() == []
            sending.stop()
        with workers(settings) as running:
            running.wait_ready()
            finish(sending, lambda what: running.wait_until(lambda: drained(settings, PARTITIONS), DRAIN_MAX_S, what))
            running.stop()
        verdict = judge(settings, PARTITIONS, _owned(running))
    figures = {
        "seed": seed, "rounds": rounds, "statuses": sorted(set(statuses)), "ended_after_s": _spread(took),
        **verdict.figures(),
    }  # fmt: skip
    return verdict, figures


def run_workers_until_drained(settings: Settings, sending: Load) -> dict[str, list[int]]:
    """Two workers, no fault, all events to their end; slot → partitions owned last."""
    with workers(settings) as running:
        running.wait_ready()
        with sending:
            sending.wait()
        finish(sending, lambda what: running.wait_until(lambda: drained(settings, PARTITIONS), DRAIN_MAX_S, what))
        assert running.stop(timeout_s=STOP_MAX_S + 5) == 0
        assert running.restarts == []
    return _owned(running)


def workers(settings: Settings, count: int = 2) -> Running:
    """`riskshift worker --workers COUNT --no-learner` with its own supervisor."""
    arguments = ["--workers", str(count), "--no-learner", "--state", settings.home, "--json"]
    place = ["--broker", settings.broker, "--topic-prefix", settings.topic_prefix]
    return Running("worker", *arguments, *place, env=FAST)


def _until_moving(settings: Settings, running: Running, timeout_s: float = 90.0) -> float:
    """Until every partition has been worked on since now; how long that took."""
    began = time.monotonic()
    before: list[int] = []

    def moved() -> bool:
        nonlocal before
        with suppress(KafkaError, TimeoutError, OSError):
            now = committed(settings, PARTITIONS)
            before = before or now
            return all(a > b for a, b in zip(now, before, strict=True))
        return False

    running.wait_until(moved, timeout_s, "work on every partition")
    return time.monotonic() - began


def _owned(running: Running) -> dict[str, list[int]]:
    last = {line["name"]: line["partitions"] for line in running.said if line.get("worker") == "ready"}
    return {name.removeprefix("worker-"): partitions for name, partitions in last.items()}


def _spread(seconds: list[float]) -> dict[str, float]:
    return {"median": round(median(seconds), 2), "max": round(max(seconds), 2)} if seconds else {}
