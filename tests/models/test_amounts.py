from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from features.catalogue import CATALOGUE
from models.amounts import COUNTED_MAX, KNOWN_FRAUDS, KNOWN_MAX, UNIT_SAMPLE, KnownAmounts, Unit, unit_of
from models.compiled import AMOUNT, CompiledFraud
from models.fraud import MEAN_EVERY_MS, FraudModel
from models.shared import SharedTable
from models.snapshot import Snapshot, pack, unpack
from tests.models.conftest import KEY, random_vectors, teach

MINOR = [place for place, feature in enumerate(CATALOGUE) if feature.unit == "minor"]


def in_rupiah(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    dear = vectors.copy()
    dear[:, MINOR] *= 10_000.0
    return dear


def test_amounts_of_another_scale_are_scored_as_those_at_home() -> None:
    seen, later = random_vectors(2 * UNIT_SAMPLE, seed=1), random_vectors(200, seed=2)
    home, abroad = FraudModel(), FraudModel()
    home.observe_many(seen)
    abroad.observe_many(in_rupiah(seen))
    assert (home.compile().unit, abroad.compile().unit) == (1.0, 10_000.0)
    expected = CompiledFraud(home.compile()).score(later)
    found = CompiledFraud(abroad.compile()).score(in_rupiah(later))
    # All but the last: half-space trees look at amounts as they are.
    assert np.abs(found.contributions - expected.contributions)[:, :-1].max() < 1e-9
    # What it is about: with the scales of home, most amounts abroad look the same.
    blind = CompiledFraud(home.compile()).score(in_rupiah(later))
    alike = [np.mean(said == said.max()) for said in (blind.contributions[:, AMOUNT], found.contributions[:, AMOUNT])]
    assert alike[0] > 0.5 > 0.1 > alike[1]


@pytest.mark.parametrize(("median", "unit"), [(900.0, 1.0), (3_000.0, 1.0), (15_000.0, 1.0), (30.0, 0.01), (4e9, 1e6)])
def test_the_unit_is_a_power_of_ten_and_countries_alike_share_one(median: float, unit: float) -> None:
    assert unit_of(np.array([1.0, median, 1e12])) == unit


def test_the_unit_is_settled_once_by_events_with_an_amount_and_survives_a_restart() -> None:
    unit = Unit()
    unit.observe_many(np.zeros(5_000))
    unit.observe_many(np.full(UNIT_SAMPLE - 1, 5e7))
    assert unit.value == 1.0
    restored = Unit()
    restored.load(unit.dump())
    for each in (unit, restored):
        each.observe_many(np.array([5e7]))
        assert each.value == 10_000.0
        each.observe_many(np.full(5_000, 3_000.0))
        assert each.value == 10_000.0


def taught_to_fear(amount: float) -> tuple[FraudModel, NDArray[np.float64]]:
    """Every tenth lesson is a fraud and nothing tells it but its amount, which is that of no other event."""
    model, rng = FraudModel(), np.random.default_rng(3)
    vector = np.zeros((1, len(CATALOGUE)))
    for epoch in range(40):
        vectors = np.repeat(vector, 50, axis=0)
        vectors[:, AMOUNT] = rng.integers(5_000, 15_000, 50) * 2.0
        vectors[::10, AMOUNT] = amount
        model.learn_many(vectors, [(0.0, place % 10 == 0, 1.0) for place in range(50)])
        model.advance(epoch * MEAN_EVERY_MS)
    return model, vector


def test_an_amount_that_frauds_repeat_is_told_from_its_neighbours() -> None:
    model, vector = taught_to_fear(9_999.0)
    asked = np.repeat(vector, 3, axis=0)
    asked[:, AMOUNT] = 9_998.0, 9_999.0, 10_001.0
    scores = CompiledFraud(model.compile()).score(asked)
    below, same, above = scores.contributions[:, AMOUNT].tolist()
    assert same > max(below, above) + 1.0
    others = np.delete(scores.contributions, AMOUNT, axis=1)
    assert np.abs(others[1] - others[0]).max() < 1e-6


def test_compiled_is_rivers_own_answer_in_another_unit_and_for_repeated_amounts() -> None:
    model = FraudModel()
    vectors = in_rupiah(random_vectors(3_000, seed=4))
    vectors[::7, AMOUNT], vectors[::11, AMOUNT] = 5e7, 7e7
    model.observe_many(vectors)
    teach(model, vectors, seed=5)
    packed = pack(Snapshot(3, 0, model.compile(), SharedTable({}, {})), KEY)
    compiled = CompiledFraud(unpack(packed, KEY).fraud)
    assert set(compiled.arrays.known_amounts.tolist()) >= {5e7, 7e7}
    assert np.abs(compiled.arrays.known_heights).max() > 0.01
    restored = FraudModel.load(model.dump())
    scores = compiled.score(vectors[:300])
    for place, vector in enumerate(vectors[:300]):
        assert scores.probability[place] == pytest.approx(model.score_one(vector)[0], abs=1e-9)
        assert scores.probability[place] == pytest.approx(restored.score_one(vector)[0], abs=1e-9)
    for size in (1, 4, 5, 100):
        parts = [compiled.score(vectors[at : at + size]).margin for at in range(0, 300, size)]
        assert np.concatenate(parts).tobytes() == scores.margin.tobytes()


def test_a_new_amount_takes_the_place_of_the_one_whose_last_fraud_is_longest_ago() -> None:
    known = KnownAmounts()
    for amount in range(1, KNOWN_MAX + 1):
        for _ in range(KNOWN_FRAUDS):
            known.learn_fraud(float(amount))
    assert known.learn_fraud(1.0) is None  # the first is the latest now
    restored = KnownAmounts()
    restored.load(known.dump())
    for each in (known, restored):
        assert [each.learn_fraud(5_000.0) for _ in range(KNOWN_FRAUDS)] == [None, None, 1]
        assert (1.0 in each.slots, 2.0 in each.slots, len(each.slots)) == (True, False, KNOWN_MAX)


def test_a_slot_that_changes_hands_begins_at_nothing() -> None:
    model, vector = taught_to_fear(9_999.0)
    for amount in range(20_000, 20_000 + KNOWN_MAX):
        vector[0, AMOUNT] = amount
        model.learn_many(np.repeat(vector, KNOWN_FRAUDS, axis=0), [(0.0, True, 1.0)] * KNOWN_FRAUDS)
    arrays = model.compile()
    assert 9_999.0 not in arrays.known_amounts.tolist()
    assert np.abs(arrays.known_heights).max() == 0.0


def test_what_comes_seldom_is_forgotten_and_no_amount_is_never_known() -> None:
    known = KnownAmounts()
    for amount in range(COUNTED_MAX + 100):
        known.learn_fraud(float(amount))
    assert len(known.dump()[1]) <= COUNTED_MAX
    assert [known.learn_fraud(0.0) for _ in range(2 * KNOWN_FRAUDS)] == [None] * (2 * KNOWN_FRAUDS)
