"""The fault suite at length, with its figures: `python -m benchmarks.faults [SCENE ...] [--seed N]`.

Scenes: storm (20 random kills, 5 at each named point), learning (the same protocol while a learner teaches and is
killed), zombie, broker, sigterm, disorder, fuzz; all of them take about half an hour on two cores. Each scene's figures
go into `benchmarks/results/faults.json` as it ends; the scenes that were not run stay there. What must be 0 and is
not ends the run with status 1. Needs Apache Kafka's jars (`make test-kafka` fetches them).
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

from benchmarks.machine import Share, facts
from benchmarks.stack import RESULTS
from tests.brokers.apache import ApacheKafka, why_missing
from tests.faults.disorder import run_disorder
from tests.faults.fuzz import fuzz_alone
from tests.faults.scenes import ZOMBIE_POINTS, run_broker_faults, run_sigterm, run_zombie
from tests.faults.storm import Plan, run_storm

_RESULT = RESULTS / "faults.json"
Wrong = dict[str, Any]
Judged = tuple[Wrong, Any]


def storm(kafka: ApacheKafka, prefix: str, seed: int) -> Judged:
    """Models held fixed: every named point."""
    verdict, figures = run_storm(kafka.address, prefix, Plan(seed, random_kills=20, per_point=5))
    return verdict.wrong, figures


def learning(kafka: ApacheKafka, prefix: str, seed: int) -> Judged:
    """A learner teaches, both are killed; switches as recorded."""
    plan = Plan(seed, random_kills=10, per_point=1, learner=True, learner_kills=10, people=150)
    verdict, figures = run_storm(kafka.address, prefix, plan)
    names = ("snapshots_other_than_uninterrupted", "checkpoint_fields_other_than_uninterrupted")
    return verdict.wrong | {name: figures[name] for name in names if figures[name]}, figures


def zombie(kafka: ApacheKafka, prefix: str, seed: int) -> Judged:
    """An owner stopped at each point between the engine's word and the commit."""
    wrong: Wrong = {}
    runs = []
    for place, point in enumerate(ZOMBIE_POINTS):
        verdict, figures = run_zombie(kafka.address, f"{prefix}-{place}", seed + place, point)
        wrong |= verdict.wrong
        runs.append(figures)
    return wrong, runs


def broker(kafka: ApacheKafka, prefix: str, seed: int) -> Judged:
    """Five kills, the first with a long absence, and a minute of silence."""
    verdict, figures = run_broker_faults(kafka, prefix, seed, kills=5, away_s=45, pause_s=60)
    return verdict.wrong, figures


def sigterm(kafka: ApacheKafka, prefix: str, seed: int) -> Judged:
    """Twenty clean ends."""
    verdict, figures = run_sigterm(kafka.address, prefix, seed, rounds=20)
    return verdict.wrong | ({} if figures["statuses"] == [0] else {"statuses": figures["statuses"]}), figures


def disorder(kafka: ApacheKafka, prefix: str, seed: int) -> Judged:
    """Duplicates, shuffled, late, clocks that are off."""
    verdict, figures = run_disorder(kafka.address, prefix, seed, events=20_000)
    return verdict.wrong, figures


def fuzz(_kafka: ApacheKafka, _prefix: str, seed: int) -> Judged:
    """A million payloads."""
    figures = fuzz_alone(seed, payloads=1_000_000)
    return {name: figures[name] for name in ("uncaught", "unanswered") if figures[name]}, figures


SCENES: dict[str, Callable[[ApacheKafka, str, int], Judged]] = {
    scene.__name__: scene for scene in (storm, learning, zombie, broker, sigterm, disorder, fuzz)
}


def main() -> int:
    """Run the scenes named, all of them by default."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help=f"some of: {', '.join(SCENES)} (default: all)")
    parser.add_argument("--seed", type=int, default=1, help="everything random follows from it (default: 1)")
    args = parser.parse_args()
    if unknown := [name for name in args.scenes if name not in SCENES]:
        parser.error(f"no scene {unknown[0]!r}; expected some of: {', '.join(SCENES)}")
    if reason := why_missing():
        sys.exit(reason)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    failed = False
    for name in args.scenes or SCENES:
        # One broker a scene: what one breaks must not be another's beginning.
        with ApacheKafka() as kafka:
            began, share = time.monotonic(), Share.now()
            wrong, figures = SCENES[name](kafka, f"f{uuid.uuid4().hex[:8]}", args.seed)
            took = {"took_s": round(time.monotonic() - began), "machine_share": Share.now().since(share)}
        failed |= bool(wrong)
        _write(name, {**facts(args.seed), **took, "wrong": wrong, "figures": figures})
        print(json.dumps({"scene": name, **took, "wrong": wrong, "figures": figures}), flush=True)
    return int(failed)


def _write(name: str, found: dict[str, Any]) -> None:
    known = json.loads(_RESULT.read_text("utf-8")) if _RESULT.exists() else {}
    # In the order of the scenes, whichever were run last.
    merged = {scene: result for scene in SCENES if (result := {**known, name: found}.get(scene)) is not None}
    _RESULT.write_text(json.dumps(merged, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
