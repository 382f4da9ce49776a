from __future__ import annotations

import numpy as np

from features.catalogue import INDEX
from models import prior
from models.fraud import FraudModel
from models.learner import kept
from tests.models.conftest import random_vectors


def test_learning_moves_the_score_towards_the_label() -> None:
    vector = random_vectors(1, seed=1)[0]
    for fraud in (True, False):
        model = FraudModel()
        before, _ = model.score_one(vector)
        for _ in range(20):
            model.learn_one(vector, 0.0, fraud, 1.0)
        after, _ = model.score_one(vector)
        assert (after > before) is fraud


def test_learning_in_bulk_is_learning_one_by_one() -> None:
    vectors = random_vectors(200, seed=2)
    labels = [(0.9, place % 7 == 0, 10.0 if place % 7 else 1.0) for place in range(200)]
    bulk, single = FraudModel(), FraudModel()
    bulk.learn_many(vectors, labels)
    bulk.observe_many(vectors)
    for vector, (anomaly, fraud, weight) in zip(vectors, labels, strict=True):
        single.learn_one(vector, anomaly, fraud, weight)
        single.observe_one(vector)
    assert bulk.compile().weights.tobytes() == single.compile().weights.tobytes()


def test_a_weighted_subsample_keeps_the_base_rate() -> None:
    # 2 % fraud, told apart by the amount only; one good event in ten is learned, with weight ten.
    rng = np.random.default_rng(3)
    n = 30_000
    vectors = np.zeros((n, len(INDEX)))
    fraud = rng.random(n) < 0.02
    vectors[:, INDEX["amount_zscore_baseline"]] = np.where(fraud, 3.0, 0.0) + rng.normal(size=n)
    model = FraudModel()
    learned = [p for p in range(n) if fraud[p] or kept(("c", str(p)), 0.1)]
    assert 0.07 * n < len(learned) < 0.15 * n
    model.learn_many(vectors[learned], [(0.0, bool(fraud[p]), 1.0 if fraud[p] else 10.0) for p in learned])
    mean = np.mean([model.score_one(vector)[0] for vector in vectors[::5]])
    assert 0.014 < mean < 0.028


def test_a_dumped_model_goes_on_as_if_nothing_had_happened() -> None:
    model = FraudModel()
    vectors = random_vectors(2500, seed=4)
    model.observe_many(vectors[:1500])
    model.learn_many(vectors[:100], [(0.5, bool(p % 9 == 0), 1.0) for p in range(100)])
    twin = FraudModel.load(model.dump())
    for each in (model, twin):
        each.observe_many(vectors[1500:])
        each.learn_many(vectors[100:200], [(0.5, bool(p % 9 == 0), 1.0) for p in range(100)])
    a, b = model.compile(), twin.compile()
    assert a.weights.tobytes() == b.weights.tobytes()
    assert a.leaf_score.tobytes() == b.leaf_score.tobytes()
    assert a.intercept == b.intercept != prior.INTERCEPT
