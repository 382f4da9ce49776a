"""The broker dies, or hangs; an operator ends workers. They resume by themselves, or end in order."""

from __future__ import annotations

import pytest

from tests.brokers.apache import ApacheKafka
from tests.faults.conftest import amount
from tests.faults.scenes import STOP_MAX_S, run_broker_faults, run_sigterm


@pytest.mark.timeout(900)
def test_broker_killed_and_paused(faults_kafka: ApacheKafka, prefix: str, seed: int) -> None:
    kills, away_s, pause_s = amount("FAULT_BROKER_KILLS"), amount("FAULT_AWAY_S"), amount("FAULT_PAUSE_S")
    verdict, figures = run_broker_faults(faults_kafka, prefix, seed, kills, away_s, pause_s)
    print(figures)
    assert verdict.wrong == {}, verdict.examples
    assert figures["status"] == 0


@pytest.mark.timeout(900)
def test_sigterm_under_load(faults_kafka: ApacheKafka, prefix: str, seed: int) -> None:
    verdict, figures = run_sigterm(faults_kafka.address, prefix, seed, amount("FAULT_SIGTERMS"))
    print(figures)
    assert verdict.wrong == {}, verdict.examples
    assert figures["statuses"] == [0]
    # The product's promise to orchestrators, which kill what takes longer; not a matter of speed.
    assert figures["ended_after_s"]["max"] < STOP_MAX_S
