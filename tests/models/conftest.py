"""What the model tests share: random vectors in the catalogue's own ranges, and logs for the learner."""

from __future__ import annotations

import random

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from features.catalogue import CATALOGUE, INDEX, SIZE
from models.fraud import FraudModel
from models.observation import Observation

KEY = b"0123456789abcdef0123456789abcdef"
DAY_MS = 86_400_000
HOUR_MS = 3_600_000


@pytest.fixture
def key() -> bytes:
    return KEY


def random_vectors(n: int, seed: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    columns = []
    for feature in CATALOGUE:
        if feature.shape == "flag":
            columns.append((rng.random(n) < 0.2).astype(np.float64))
        else:
            # Wide enough that the clip at five is met.
            raw = feature.center + 2.5 * feature.scale * rng.normal(size=n)
            columns.append(np.expm1(np.maximum(raw, 0.0)) if feature.shape == "log1p" else raw)
    return np.ascontiguousarray(np.array(columns).T)


# Lessons, 50 to an epoch of six hours: enough that curves, tree and calibration all have moved.
SIXTY_DAYS = 12_000


def planted(vectors: NDArray[np.float64], seed: int) -> NDArray[np.bool_]:
    """Frauds that a line, a curve and a tree each see a part of; about one in fourteen."""
    rng = np.random.default_rng(seed)
    amount, night, strange = (vectors[:, INDEX[name]] for name in ("amount_last", "is_night", "device_new"))
    odds = np.where(strange > 0, 0.1, 0.01) + np.where((night > 0) & (np.log1p(amount) > 9.0), 0.5, 0.0)
    found: NDArray[np.bool_] = rng.random(len(vectors)) < odds
    return found


def teach(model: FraudModel, vectors: NDArray[np.float64], seed: int, first: int = 0) -> None:
    """Lessons in epochs of 50 from epoch `first` on; good ones as a subsample, some reported."""
    rng = np.random.default_rng(seed)
    fraud, anomaly = planted(vectors, seed).tolist(), rng.random(len(vectors)).tolist()
    weights = [1.0 if bad or rng.random() < 0.05 else 10.0 for bad in fraud]
    for epoch, start in enumerate(range(0, len(vectors), 50), first):
        part = slice(start, start + 50)
        labels = list(zip(anomaly[part], fraud[part], weights[part], strict=True))
        model.learn_many(vectors[part], labels)
        model.advance((epoch + 1) * 6 * HOUR_MS)


def taught(lessons: int, seed: int, observed: int = 2_300) -> FraudModel:
    """A model that saw so many labels and so many events, and something to remember of both."""
    model = FraudModel()
    model.observe_many(random_vectors(observed, seed))
    teach(model, random_vectors(lessons, seed + 1), seed)
    return model


def as_json(vector: list[float]) -> msgspec.Raw:
    """A vector as a decisions record carries it."""
    return msgspec.Raw(msgspec.json.encode(vector))


class _Log:
    """One partition's decisions log being written; input offsets are the places in it."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.records: list[Observation] = []

    def add(self, disposition: str, kind: str, at_ms: int, **fields: object) -> None:
        place = {"partition": self.partition, "offset": len(self.records)}
        self.records.append(
            Observation(disposition=disposition, kind=kind, event_time_ms=max(at_ms, 0), **place, **fields)  # type: ignore[arg-type]
        )


def random_logs(partitions: int, seed: int, hours: int = 60, per_hour: int = 4) -> list[list[Observation]]:
    """One decisions log per partition: events, outcomes of every sort, late ones, ticks of uneven pace."""
    logs = []
    for partition in range(partitions):
        rng = random.Random(f"{seed}/{partition}")
        log = _Log(partition)
        reports: list[tuple[int, str, str, str]] = []
        for hour in range(hours):
            for n in range(rng.randrange(per_hour * 2)):
                at_ms = hour * HOUR_MS + rng.randrange(HOUR_MS) - rng.choice([0, 0, 0, 2 * HOUR_MS])
                event_id, customer = f"e{hour}-{n}", f"c{partition}-{rng.randrange(5)}"
                log.add(
                    rng.choice(["decision", "decision", "decision", "late", "duplicate"]), "transaction", at_ms,
                    event_id=event_id, customer_id=customer,
                    features=as_json([float(rng.randrange(6)) for _ in range(SIZE)]),
                    anomaly_score=rng.random(), terminal_id=f"t{rng.randrange(4)}", merchant_id=f"m{rng.randrange(3)}",
                    status=rng.choice([None, "approved", "declined"]),
                )  # fmt: skip
                for _ in range(rng.choice([0, 0, 1, 2])):
                    outcome = rng.choice(["fraud_confirmed", "chargeback", "false_positive", "dispute_upheld", "cured"])
                    about = rng.choice([event_id, event_id, "unknown"])
                    reports.append((max(at_ms, 0) + rng.randrange(30 * HOUR_MS), customer, about, outcome))
            reports.sort()
            while reports and reports[0][0] < (hour + 1) * HOUR_MS:
                at_ms, customer, about, outcome = reports.pop(0)
                log.add(
                    "decision", "outcome", at_ms, event_id=f"o{len(log.records)}", customer_id=customer,
                    about_event_id=about, outcome=outcome,
                )  # fmt: skip
            if rng.random() < 0.7:
                # Often off the grid, sometimes repeated or a little back.
                log.add("control", "tick", (hour + 1) * HOUR_MS - rng.choice([0, 0, 1, 600_000, HOUR_MS]))
        log.add("control", "tick", (hours + 1) * HOUR_MS)
        logs.append(log.records)
    return logs
