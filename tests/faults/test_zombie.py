"""An owner that is paused while its partition moves: afterwards nothing it says counts, and it ends itself."""

from __future__ import annotations

import pytest

from tests.brokers.apache import ApacheKafka
from tests.faults.conftest import amount
from tests.faults.scenes import ZOMBIE_POINTS, run_zombie


@pytest.mark.timeout(240)
@pytest.mark.parametrize("point", ZOMBIE_POINTS)
def test_a_paused_owner_is_fenced(faults_kafka: ApacheKafka, prefix: str, seed: int, point: str) -> None:
    if point != ZOMBIE_POINTS[0] and not amount("FAULT_POINT_KILLS"):
        pytest.skip("the short run stops the owner between the engine's word and the sending only")
    verdict, figures = run_zombie(faults_kafka.address, prefix, seed, point)
    print(figures)
    assert verdict.wrong == {}, verdict.examples
    assert figures["status"] == 70
    assert "Fenced" in figures["last_words"] or "InvalidProducerEpoch" in figures["last_words"]
