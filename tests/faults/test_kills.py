"""kill -9 of workers and learner under load: nothing lost, nothing counted twice, every row as if nothing had been."""

from __future__ import annotations

import random

import pytest

from tests.brokers.apache import ApacheKafka
from tests.faults.board import POINTS
from tests.faults.conftest import amount
from tests.faults.storm import RATE, Plan, run_storm


@pytest.mark.timeout(1800)
def test_workers_killed_with_fixed_models(faults_kafka: ApacheKafka, prefix: str, seed: int) -> None:
    plan = Plan(seed, random_kills=amount("FAULT_KILLS"), per_point=amount("FAULT_POINT_KILLS"))
    if not plan.per_point:
        # The short run takes a few of the points, others each time.
        chosen = random.Random(seed).sample(POINTS, k=2)
        plan = Plan(seed, plan.random_kills, 1, tuple(chosen))
    verdict, figures = run_storm(faults_kafka.address, prefix, plan)
    print(figures)
    assert verdict.wrong == {}, verdict.examples
    assert figures["reconcile_ok"]
    assert figures["ended_by_themselves"] == []
    assert figures["kills_total"] >= plan.random_kills + len(plan.points) * plan.per_point
    assert figures["events_per_second"] >= RATE * 0.8
    # Kills of an idle process would prove nothing.
    assert figures["in_flight_share"] >= 0.6
    if set(plan.points) & {"all_acknowledged", "offsets_added"}:
        assert figures["decisions_taken_back"] > 0
    assert verdict.alerts > 0
    assert verdict.risk_changes > 0


@pytest.mark.timeout(900)
def test_workers_and_learner_killed_while_it_teaches(faults_kafka: ApacheKafka, prefix: str, seed: int) -> None:
    kills = max(1, amount("FAULT_KILLS") // 4)
    plan = Plan(seed, random_kills=kills, per_point=0, learner=True, learner_kills=kills, people=150)
    verdict, figures = run_storm(faults_kafka.address, prefix, plan)
    print(figures)
    assert verdict.wrong == {}, verdict.examples
    assert figures["reconcile_ok"]
    assert figures["learner_kills"] == plan.learner_kills
    assert verdict.model_versions > 1, "no switch was recorded: the learner taught nothing"
    assert figures["snapshots"] >= 1
    assert figures["snapshots_after_last_kill"] > 0
    assert figures["snapshots_other_than_uninterrupted"] == 0
    assert figures["checkpoint_fields_other_than_uninterrupted"] == []
