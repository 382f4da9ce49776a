"""Input as it really comes: out of order, twice, late, damaged."""

from __future__ import annotations

import pytest

from tests.brokers.apache import ApacheKafka
from tests.faults.conftest import amount
from tests.faults.disorder import run_disorder
from tests.faults.fuzz import fuzz_alone

GROWTH_MAX_MIB = 50


@pytest.mark.timeout(300)
def test_disorder_follows_the_stated_rule(faults_kafka: ApacheKafka, prefix: str, seed: int) -> None:
    verdict, figures = run_disorder(faults_kafka.address, prefix, seed, events=8_000)
    print(figures)
    assert verdict.wrong == {}, verdict.examples
    assert figures["expected"] == verdict.dispositions
    assert min(figures["expected"].get(kind, 0) for kind in ("duplicate", "late")) > 10


@pytest.mark.timeout(900)
def test_fuzzed_payloads_are_all_answered(seed: int) -> None:
    figures = fuzz_alone(seed, amount("FAULT_PAYLOADS"))
    print(figures)
    assert figures["uncaught"] == []
    assert figures["unanswered"] == 0
    assert figures["growth_mib"] < GROWTH_MAX_MIB
    assert figures["dispositions"]["decision"] > 0
    assert len(figures["reject_codes"]) > 10
