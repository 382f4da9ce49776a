"""Kills, one after the other, of workers (and the learner) under a steady load; what was true afterwards."""

from __future__ import annotations

import json
import random
import tempfile
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from streams import topics
from streams.settings import Settings, load
from tests.faults.board import BATCH_POINTS, POINTS
from tests.faults.fleet import LEARNER, Death, Fleet
from tests.faults.lessons import judge_learner
from tests.faults.load import Load, town_events
from tests.faults.offsets import drained, records_sent
from tests.faults.verdict import Verdict, judge, last_watermarks
from tests.streams.harness import riskshift

PARTITIONS = 4
RATE = 600.0
# Small steps of event time, so that a short run has many ticks and several model versions. Recovery as fast as
# Apache Kafka's own limits allow (it refuses a session timeout below 6 s).
FAST = {
    "RISKSHIFT_REBALANCE_TIMEOUT_S": "3",
    "RISKSHIFT_SESSION_TIMEOUT_S": "6",
    "RISKSHIFT_HEARTBEAT_S": "1",
    "RISKSHIFT_TICK_EVERY_MS": "3600000",
    "RISKSHIFT_LEARN_EVERY_MS": "3600000",
    "RISKSHIFT_PUBLISH_EVERY_MS": "86400000",
    "RISKSHIFT_PUBLISH_EVERY_S": "0.5",
    "RISKSHIFT_LABEL_MATURITY_MS": "172800000",
    # Fewer rows in memory than a partition has customers, so that the disk takes part.
    "RISKSHIFT_ROWS_CACHED_MAX": "100",
}
_OWNED_MAX_S = 45.0
DRAIN_MAX_S = 120.0
_CLOSINGS_MAX = 4
_STRUCK_MAX_S = 30.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to break.

    Parameters
    ----------
    seed
        Order, victims, moments and the town follow from it.
    random_kills
        kill -9 of a worker with a batch in flight, at no particular point.
    per_point, points
        kill -9 so often at each of these points.
    learner, learner_kills
        Whether a learner teaches meanwhile, and how often it is killed.
    people
        Customers of the town; fewer learn sooner.
    """

    seed: int
    random_kills: int
    per_point: int
    points: tuple[str, ...] = POINTS
    learner: bool = False
    learner_kills: int = 0
    people: int = 400


def settings_for(broker: str, prefix: str, home: Path, env: dict[str, str] | None = None) -> Settings:
    """Settings of a deployment under test; topics are declared."""
    topics.declare(broker, PARTITIONS, prefix=prefix)
    return load(environ=env or FAST, broker=broker, home=str(home), topic_prefix=prefix)[0]


def run_storm(broker: str, prefix: str, plan: Plan) -> tuple[Verdict, dict[str, Any]]:
    """Run a plan on Apache Kafka; the verdict and the figures. With a learner, what it taught is judged too."""
    rng = random.Random(plan.seed)
    with tempfile.TemporaryDirectory(prefix="riskshift-faults-") as folder:
        settings = settings_for(broker, prefix, Path(folder, "state"))
        began = time.monotonic()
        statuses: list[int] = []
        with Fleet(settings, Path(folder), FAST) as fleet:
            for slot in fleet.slots if plan.learner else [slot.name for slot in fleet.workers]:
                fleet.start(slot)
            fleet.wait(lambda: fleet.all_owned(PARTITIONS), _OWNED_MAX_S, "the first assignment")
            with Load(settings, town_events(plan.seed, plan.people), RATE) as sending:
                _break(fleet, plan, rng)
                fleet.wait(lambda: fleet.all_owned(PARTITIONS), _OWNED_MAX_S, "the last assignment")
                if plan.learner:
                    fleet.wait(lambda: fleet.slots[LEARNER].taught, _OWNED_MAX_S, "the learner to teach again")
                sending.stop()
            if plan.learner:
                # Before the closing events: its last snapshot makes switches, which are batches of their own.
                statuses = [fleet.retire(LEARNER)]
            finish(sending, lambda what: fleet.wait(lambda: drained(settings, PARTITIONS), DRAIN_MAX_S, what))
            owned = {slot.name: slot.owned for slot in fleet.workers}
            statuses += fleet.stop()
        assert statuses == [0] * len(statuses), f"expected a clean end, found {statuses}: {fleet.last_words()}"
        verdict = judge(settings, PARTITIONS, owned)
        figures = {
            "seed": plan.seed,
            "events_per_second": round(sending.sent / sending.seconds),
            "seconds": round(time.monotonic() - began),
            **_deaths(fleet, verdict),
            "ended_by_themselves": [words for _slot, _status, words in fleet.endings],
            # Sent in transactions that never came to be: the kills did hit.
            "decisions_taken_back": records_sent(settings, settings.topic_decisions, PARTITIONS)
            - sum(map(len, verdict.decided_at_ms.values())),
            **verdict.figures(),
            **_reconciled(settings),
        }
        if plan.learner:
            last_kill_s = max((death.at_s for death in fleet.deaths if death.slot == LEARNER), default=0.0)
            figures |= judge_learner(settings, PARTITIONS, last_kill_s).figures()
    return verdict, figures


def _reconciled(settings: Settings) -> dict[str, Any]:
    """What the product's own reconciler says of it; it shares nothing with our verdict."""
    place = ("--broker", settings.broker, "--topic-prefix", settings.topic_prefix)
    done = riskshift("reconcile", "--json", *place, timeout_s=120)
    return {"reconcile_ok": json.loads(done.out)["ok"] and done.status == 0}


def finish(sending: Load, drain: Callable[[str], None]) -> None:
    """Let the workers come to the end, and close every partition with an event whose watermark is said.

    A worker says a watermark once a second at most, with a batch. Where a tick or a switch came just before the closing
    event, that was the batch that said one: then the partitions are closed again.
    """
    drain("every offset to be committed")
    for _ in range(_CLOSINGS_MAX):
        sending.close(PARTITIONS)
        drain("the last offsets to be committed")
        if set(last_watermarks(sending.settings).values()) == {sending.latest_ms}:
            return


def _break(fleet: Fleet, plan: Plan, rng: random.Random) -> None:
    chosen = [point for point in plan.points for _ in range(plan.per_point)]
    takeovers = [point for point in chosen if point not in BATCH_POINTS]
    kills = ["random"] * plan.random_kills + [point for point in chosen if point in BATCH_POINTS]
    kills += [LEARNER] * plan.learner_kills
    # A takeover can only be hit where one happens: each such kill rides on a random one of the other worker.
    kills += ["random"] * max(0, len(takeovers) - plan.random_kills)
    rng.shuffle(kills)
    rng.shuffle(takeovers)
    for kill in kills:
        fleet.wait(lambda: fleet.all_owned(PARTITIONS), _OWNED_MAX_S, "every partition to have an owner")
        time.sleep(rng.uniform(0.1, 1.0))
        victim = rng.choice(fleet.workers)
        if kill == LEARNER:
            # The first time it has something to lose; later it may be hit before it has come that far again.
            first = all(death.slot != LEARNER for death in fleet.deaths)
            learner = fleet.slots[LEARNER]
            fleet.wait(lambda: learner.taught if first else learner.ready, _OWNED_MAX_S, "a learner")  # noqa: B023
            time.sleep(rng.uniform(0.0, 2.0))
            fleet.kill(LEARNER)
            fleet.start(LEARNER)
        elif kill == "random":
            other = next(slot for slot in fleet.workers if slot is not victim)
            point = takeovers.pop() if takeovers else None
            if point is not None:
                other.board.arm(point, rng.randint(1, 2))
            fleet.kill_in_flight(victim.name, rng)
            fleet.start(victim.name)
            if point is not None:
                _until_struck(fleet, other.name, point)
        else:
            victim.board.arm(kill, rng.randint(1, 20))
            _until_struck(fleet, victim.name, kill)


def _until_struck(fleet: Fleet, name: str, point: str) -> None:
    before = len(fleet.deaths)
    fleet.wait(lambda: len(fleet.deaths) > before, _STRUCK_MAX_S, f"worker {name} to reach {point}")


def _deaths(fleet: Fleet, verdict: Verdict) -> dict[str, Any]:
    deaths = [death for death in fleet.deaths if death.slot != LEARNER]
    resumed = sorted(s for death in deaths if (s := _resumed_after_s(death, verdict)) is not None)
    return {
        "kills": dict(sorted(Counter(death.where for death in deaths).items())),
        "kills_total": len(deaths),
        "learner_kills": len(fleet.deaths) - len(deaths),
        "in_flight_share": round(sum(death.in_flight for death in deaths) / max(1, len(deaths)), 3),
        "resumed_after_s": {
            "median": round(median(resumed), 2), "p90": round(resumed[int(len(resumed) * 0.9)], 2),
            "max": round(resumed[-1], 2),
        } if resumed else {},
    }  # fmt: skip


def _resumed_after_s(death: Death, verdict: Verdict) -> float | None:
    """Until every partition it had has a decision again, by the broker's clock; None when it had none."""
    waits = []
    for partition in death.owned:
        times = verdict.decided_at_ms[partition]
        place = bisect_right(times, int(death.at_s * 1000))
        if place < len(times):
            waits.append(times[place] / 1000 - death.at_s)
    return max(waits, default=None)
