from __future__ import annotations

import pickle

import numpy as np
import pytest

from features.catalogue import INDEX, SIZE
from models import prior
from models.compiled import CONTRIBUTION_NAMES, CompiledFraud
from models.errors import CheckpointError
from models.fraud import CREDIBLE, MEAN_EVERY_MS, FraudModel
from models.hats import KNOTS
from models.learner import kept
from models.linear import weights_of
from models.shaping import shape
from tests.models.conftest import random_vectors, taught, teach


def test_learning_moves_the_score_towards_the_label() -> None:
    vector = random_vectors(1, seed=1)[0]
    for fraud in (True, False):
        model = FraudModel()
        before, _ = model.score_one(vector)
        for epoch in range(20):
            model.learn_one(vector, 0.0, fraud, 1.0)
            model.advance((epoch + 1) * MEAN_EVERY_MS)
        after, _ = model.score_one(vector)
        assert (after > before) is fraud


def test_rows_of_an_epoch_are_learned_in_order_from_what_was_published_before() -> None:
    vectors = random_vectors(60, seed=2)
    labels = [(0.9, place % 7 == 0, 10.0 if place % 7 else 1.0) for place in range(60)]
    same, again, turned = FraudModel(), FraudModel(), FraudModel()
    same.learn_many(vectors, labels)
    again.learn_many(vectors, labels)
    turned.learn_many(vectors[::-1], labels[::-1])
    assert same.dump() == again.dump() != turned.dump()
    # What the members learn does not depend on how lessons are grouped; only the stacker looks at the epoch.
    single = FraudModel()
    for vector, label in zip(vectors, labels, strict=True):
        single.learn_one(vector, *label)
    assert (
        weights_of(single._fast, list(range(SIZE * KNOTS))).tobytes()
        == weights_of(same._fast, list(range(SIZE * KNOTS))).tobytes()
    )


def test_running_means_move_with_event_time_only() -> None:
    model = FraudModel()
    model.advance(0)
    teach_once(model)
    still = model._fast_mean.weights.copy()
    model.advance(MEAN_EVERY_MS - 1)
    assert (model._fast_mean.weights == still).all()
    model.advance(MEAN_EVERY_MS)
    assert (model._fast_mean.weights != still).any()


def test_a_quickened_model_follows_faster_for_a_while_and_forgets_nothing() -> None:
    model = taught(2_000, seed=8, observed=0)
    calm, quick = FraudModel.load(model.dump()), FraudModel.load(model.dump())
    quick.quicken()
    assert quick.compile().curves.tobytes() == calm.compile().curves.tobytes()
    start = calm._fast_mean.weights.copy()
    later = random_vectors(500, seed=9)
    for each in (calm, quick):
        teach(each, later, seed=10, first=40)
    moved = [np.abs(each._fast_mean.weights - start).sum() for each in (calm, quick)]
    assert moved[1] > 2 * moved[0]
    restored = FraudModel.load(quick.dump())
    for each in (quick, restored):
        each.advance((60 + 4 * 20) * MEAN_EVERY_MS)
        teach(each, later, seed=11, first=140)
    assert quick.compile().curves.tobytes() == restored.compile().curves.tobytes()


def test_a_long_silence_is_as_many_steps_as_it_holds() -> None:
    steps, leap = FraudModel(), FraudModel()
    for model in (steps, leap):
        model.advance(0)
        teach_once(model)
    for step in range(1, 9):
        steps.advance(step * MEAN_EVERY_MS)
    leap.advance(8 * MEAN_EVERY_MS)
    assert np.abs(steps._fast_mean.weights - leap._fast_mean.weights).max() < 1e-12
    leap.advance(MEAN_EVERY_MS)  # time does not go back
    assert np.abs(steps._fast_mean.weights - leap._fast_mean.weights).max() < 1e-12


def test_an_untrained_model_scores_by_the_prior_alone() -> None:
    vectors = random_vectors(200, seed=5)
    weights = np.array([prior.WEIGHTS[name] for name in CONTRIBUTION_NAMES])
    margins = prior.INTERCEPT + shape(vectors) @ weights[:SIZE]
    scores = CompiledFraud(FraudModel().compile()).score(vectors)
    assert np.abs(scores.margin - margins).max() < 1e-9
    assert np.abs(scores.calibration).max() < 1e-9


def teach_once(model: FraudModel) -> None:
    vectors = random_vectors(60, seed=2)
    model.learn_many(vectors, [(0.9, place % 7 == 0, 1.0) for place in range(60)])


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
    for epoch, start in enumerate(range(0, len(learned), 40)):
        part = learned[start : start + 40]
        model.learn_many(vectors[part], [(0.0, bool(fraud[p]), 1.0 if fraud[p] else 10.0) for p in part])
        model.advance(epoch * MEAN_EVERY_MS)
    mean = CompiledFraud(model.compile()).score(vectors).probability.mean()
    assert 0.014 < mean < 0.028


def test_a_dumped_model_goes_on_as_if_nothing_had_happened() -> None:
    model = taught(2_000, seed=4, observed=1_500)
    twin = FraudModel.load(model.dump())
    later = random_vectors(1_000, seed=5)
    for each in (model, twin):
        each.observe_many(later)
        teach(each, later, seed=6, first=40)
    a, b = model.compile(), twin.compile()
    for name in ("curves", "tree_threshold", "tree_paths", "calibration", "leaf_score"):
        assert getattr(a, name).tobytes() == getattr(b, name).tobytes()
    assert a.intercept == b.intercept != prior.INTERCEPT


def test_curves_start_unheard_and_are_half_the_answer_after_credible_frauds() -> None:
    # The stacker's own weights are left at their start: what moves here is what the number of frauds alone says.
    model = FraudModel()
    assert model.trust == {"slow": 1.0, "fast": 0.0, "tree": 0.0}
    stack = model._stack._weights
    model.learn_many(random_vectors(int(CREDIBLE), seed=6), [(0.0, True, 1.0)] * int(CREDIBLE))
    model.learn_many(random_vectors(int(CREDIBLE), seed=7), [(0.0, False, 1.0)] * int(CREDIBLE))
    for name, start in enumerate((1.0, 0.0, 0.0)):
        stack[name] = start
    assert model.trust == {"slow": 0.5, "fast": 0.5, "tree": 0.0}


def test_how_many_frauds_were_learned_survives_a_restart() -> None:
    model = taught(600, seed=8)
    restored = FraudModel.load(model.dump())
    assert restored.trust == model.trust
    more = random_vectors(50, seed=9)
    for each in (model, restored):
        each.learn_many(more, [(0.0, True, 1.0)] * len(more))
    assert restored.trust == model.trust


def test_a_mean_hurries_from_the_first_fraud_on_and_not_before() -> None:
    # Two days of event time with labels at once: what was learned must be most of what is published.
    model = FraudModel()
    vectors = random_vectors(60, seed=12)
    for step in range(60):
        model.advance(step * MEAN_EVERY_MS)
        model.learn_many(vectors, [(0.9, False, 1.0)] * 60)
    names = list(range(SIZE * KNOTS))
    before = model._fast_mean.weights.copy()
    model.advance(60 * MEAN_EVERY_MS)
    step = np.abs(model._fast_mean.weights - before).sum()
    calm = 0.05 * np.abs(weights_of(model._fast, names) - before[: len(names)]).sum()
    assert 0 < step < 1.5 * calm
    model.learn_many(vectors, [(0.9, place % 7 == 0, 1.0) for place in range(60)])
    distance = np.abs(weights_of(model._fast, names) - model._fast_mean.weights[: len(names)]).sum()
    for later in range(61, 65):
        model.advance(later * MEAN_EVERY_MS)
    left = np.abs(weights_of(model._fast, names) - model._fast_mean.weights[: len(names)]).sum()
    assert left < 0.25 * distance


def test_a_model_of_another_release_is_refused() -> None:
    with pytest.raises(CheckpointError, match="expected a model of 5 parts, found 3"):
        FraudModel.load(pickle.dumps(((), (), ())))
