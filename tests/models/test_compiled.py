"""The contract between River and the compiled form, and between a batch and its events one by one."""

from __future__ import annotations

import numpy as np
import pytest

from features.catalogue import INDEX, SIZE
from models import prior
from models.compiled import CONTRIBUTION_NAMES, CompiledFraud
from models.fraud import WINDOW, FraudModel
from tests.models.conftest import random_vectors


def learned(seed: int, observed: int = 2 * WINDOW + 300, labels: int = 400) -> FraudModel:
    model = FraudModel()
    vectors = random_vectors(max(observed, labels, 1), seed)
    model.observe_many(vectors[:observed])
    rng = np.random.default_rng(seed)
    for vector in vectors[:labels]:
        model.learn_one(vector, float(rng.random()), bool(rng.random() < 0.2), float(rng.choice([1.0, 10.0])))
    return model


@pytest.mark.parametrize(("observed", "labels"), [(0, 0), (WINDOW - 1, 10), (WINDOW, 0), (2 * WINDOW + 300, 400)])
def test_compiled_is_rivers_own_answer(observed: int, labels: int) -> None:
    model = learned(observed + labels, observed, labels)
    vectors = random_vectors(300, seed=77)
    scores = CompiledFraud(model.compile()).score(vectors)
    for place, vector in enumerate(vectors):
        probability, anomaly = model.score_one(vector)
        assert scores.probability[place] == pytest.approx(probability, abs=1e-9)
        assert scores.anomaly[place] == pytest.approx(anomaly, abs=1e-9)
    # The test would say nothing if every event took the same path.
    assert len(set(scores.anomaly.tolist())) == 1 if observed < WINDOW else len(set(scores.anomaly.tolist())) > 50


def test_a_batch_is_its_events_one_by_one_to_the_byte() -> None:
    compiled = CompiledFraud(learned(1).compile())
    vectors = random_vectors(257, seed=2)
    whole = compiled.score(vectors)
    for size in (1, 2, 4, 5, 33, 256):
        parts = [compiled.score(vectors[at : at + size]) for at in range(0, 257, size)]
        for field in range(4):
            assert np.concatenate([part[field] for part in parts]).tobytes() == whole[field].tobytes()


def test_contributions_add_up_to_the_margin() -> None:
    compiled = CompiledFraud(learned(3).compile())
    scores = compiled.score(random_vectors(100, seed=4))
    assert scores.contributions.shape == (100, SIZE + 1)
    assert len(CONTRIBUTION_NAMES) == SIZE + 1
    for row, margin, probability in zip(scores.contributions, scores.margin, scores.probability, strict=True):
        total = compiled.intercept
        for contribution in row.tolist():
            total += contribution
        assert total == margin
        assert probability == pytest.approx(1 / (1 + np.exp(-margin)), abs=1e-12)


def test_an_empty_batch_scores_nothing() -> None:
    scores = CompiledFraud(learned(5).compile()).score(np.zeros((0, SIZE)))
    assert [part.shape for part in scores] == [(0,), (0,), (0,), (0, SIZE + 1)]


def test_compiled_arrays_do_not_follow_later_learning() -> None:
    model = learned(6)
    compiled = CompiledFraud(model.compile())
    vectors = random_vectors(20, seed=7)
    before = compiled.score(vectors)
    model.observe_many(random_vectors(3 * WINDOW, seed=8))
    for vector in vectors:
        model.learn_one(vector, 0.5, True, 1.0)
    after = compiled.score(vectors)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(before, after, strict=True))
    assert CompiledFraud(model.compile()).score(vectors).margin.tobytes() != before.margin.tobytes()


def test_arrays_of_the_wrong_shape_are_refused() -> None:
    arrays = FraudModel().compile()
    object.__setattr__(arrays, "weights", arrays.weights[:-1])
    with pytest.raises(ValueError, match="weights"):
        CompiledFraud(arrays)


def ordinary() -> dict[str, float]:
    from features.catalogue import CATALOGUE

    return {
        f.name: 0.0 if f.shape == "flag" else float(np.expm1(f.center) if f.shape == "log1p" else f.center)
        for f in CATALOGUE
    }


def probability(**changes: float) -> float:
    values = ordinary() | changes
    vector = np.array([[values[name] for name in INDEX]])
    return float(CompiledFraud(FraudModel().compile()).score(vector).probability[0])


def test_the_prior_gives_an_ordinary_event_the_base_rate() -> None:
    assert probability() == pytest.approx(prior.BASE_RATE, rel=1e-6)
    assert set(prior.WEIGHTS) == set(CONTRIBUTION_NAMES)


def test_the_prior_sees_the_planted_typologies_before_any_label() -> None:
    stolen_card = probability(
        amount_zscore_baseline=5, amount_zscore_excess=5, amount_max_ratio_baseline=4,
        amount_mean_ratio_30d=6, merchant_new=1,
        terminal_new=1, country_new=1, country_foreign=1, tx_count_1h=4,
    )  # fmt: skip
    takeover = probability(
        device_new=1, device_change_recent=1, payee_added_recent=1, payee_new=1, is_transfer=1, is_remote=1,
        amount_zscore_baseline=3, amount_zscore_excess=3, login_failed_count_1d=3,
    )  # fmt: skip
    terminal = probability(
        terminal_fraud_rate=0.15, terminal_fraud_recent=0.9, terminal_fraud_count_7d=3, terminal_fraud_unbroken=1,
        terminal_fraud_share=0.86, terminal_fraud_age=4,
    )  # fmt: skip
    quiet_since = probability(
        terminal_fraud_rate=0.15, terminal_fraud_recent=0.4, terminal_good_since=12, terminal_fraud_age=30
    )
    assert min(stolen_card, takeover) > 0.5
    assert terminal > 100 * prior.BASE_RATE
    assert quiet_since < prior.BASE_RATE
    assert probability(merchant_new=1, terminal_new=1, novelty_count_7d=4) < 0.05
