from __future__ import annotations

import msgspec
import pytest

from features.catalogue import SIZE
from models.errors import LearnerError
from models.observation import NO_FEATURES, Observation, decode_features, decode_observation


def test_unknown_fields_are_passed_over_and_known_ones_read() -> None:
    record = {
        "disposition": "decision", "kind": "transaction", "event_id": "e", "customer_id": "c", "event_time_ms": 5,
        "partition": 1, "offset": 9, "features": [1, 2.5], "anomaly_score": 0.5, "fraud_probability": 0.01,
        "terminal_id": "t", "merchant_id": None, "model_version": 3, "contributions": {"a": [1]}, "status": "approved",
    }  # fmt: skip
    observation = decode_observation(msgspec.json.encode(record))
    assert bytes(observation.features) == b"[1,2.5]"
    observation.features = NO_FEATURES
    assert observation == Observation(
        disposition="decision", kind="transaction", event_id="e", customer_id="c", event_time_ms=5, partition=1,
        offset=9, anomaly_score=0.5, fraud_probability=0.01, terminal_id="t", model_version=3,
        status="approved",
    )  # fmt: skip
    assert not observation.is_tick


def test_a_tick_counts_only_as_a_control_record() -> None:
    for disposition, expected in (("control", True), ("dead_letter", False)):
        record = {"disposition": disposition, "kind": "tick", "event_time_ms": 5, "partition": 0, "offset": 0}
        assert decode_observation(msgspec.json.encode(record)).is_tick is expected


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"\xff", b'{"disposition":"decision","kind":"x"}'])
def test_other_bytes_stop_the_learner(data: bytes) -> None:
    with pytest.raises(LearnerError, match="decisions topic"):
        decode_observation(data)


def test_features_are_read_when_asked_for_and_only_whole_vectors() -> None:
    record = {"disposition": "decision", "kind": "transaction", "event_time_ms": 5, "partition": 0}
    assert not decode_observation(msgspec.json.encode(record)).is_scored
    observation = decode_observation(msgspec.json.encode({**record, "features": [0.5] * SIZE}))
    assert observation.is_scored
    assert decode_features(observation.features) == [0.5] * SIZE
    for wrong in (b"[1.0]", b'["a"]', b"{}"):
        with pytest.raises(LearnerError, match=f"expected {SIZE} features"):
            decode_features(wrong)
