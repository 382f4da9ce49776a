"""Half-space trees in batches are River's, to the bit, and give themselves back."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from river.anomaly import HalfSpaceTrees

from models.half_space import HalfSpaceBatch

NAMES = ("c", "a", "b", "d")
LIMITS = {"a": (0.0, 1.0), "b": (-3.0, 6.0), "c": (0.0, 100.0), "d": (0.0, 1.0)}


def river(height: int = 8, window: int = 250, trees: int = 10) -> Any:
    return HalfSpaceTrees(n_trees=trees, height=height, window_size=window, limits=LIMITS, seed=42)


def rows_of(n: int, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    # Crowded near one corner, so that masses fall below River's limit on the way down; some far outside.
    rows = np.column_stack([rng.exponential(5, n), rng.beta(1, 8, n), rng.normal(0, 1, n), rng.random(n) < 0.1])
    rows[rng.random(n) < 0.02] *= 50
    return rows


def dicts(rows: np.ndarray) -> list[dict[str, float]]:
    return [dict(zip(NAMES, row, strict=True)) for row in rows.tolist()]


def one_by_one(model: Any, rows: np.ndarray) -> list[float]:
    scores = []
    for x in dicts(rows):
        scores.append(float(model.score_one(x)))
        model.learn_one(x)
    return scores


def masses(model: Any) -> list[tuple[int, int]]:
    return [(node.l_mass, node.r_mass) for nodes in model._tree_nodes for node in nodes]


def splits(model: Any) -> list[list[tuple[str, float]]]:
    return [
        [(node.feature, node.threshold) for node in nodes if hasattr(node, "feature")] for nodes in model._tree_nodes
    ]


@pytest.mark.parametrize("size", [1, 7, 250, 1000])
@pytest.mark.parametrize(("height", "window"), [(8, 250), (6, 1000), (3, 1), (1, 10)])
def test_batches_of_any_size_score_as_river_does_one_by_one(height: int, window: int, size: int) -> None:
    rows = rows_of(3_000)
    expected, model = river(height, window), river(height, window)
    batch = HalfSpaceBatch(model, NAMES)
    found = [batch.score_learn_many(rows[start : start + size]) for start in range(0, len(rows), size)]
    assert np.concatenate(found).tolist() == one_by_one(expected, rows)
    # Otherwise the test says nothing: scores differ, and some walks end early.
    assert window >= 1000 or len(np.unique(np.concatenate(found))) > 3
    batch.write_back(model)
    assert masses(model) == masses(expected)
    assert (model.counter, model._first_window) == (expected.counter, expected._first_window)


def test_learning_and_scoring_apart_equal_river() -> None:
    expected, batch = river(window=100), HalfSpaceBatch(river(window=100), NAMES)
    rows, others = rows_of(730), rows_of(50, seed=2)
    assert batch.score_many(others).tolist() == [0.0] * 50
    batch.learn_many(rows)
    for x in dicts(rows):
        expected.learn_one(x)
    assert batch.counter == expected.counter == 30
    before = batch.score_many(others)
    assert before.tolist() == [expected.score_one(x) for x in dicts(others)]
    assert batch.score_many(others).tolist() == before.tolist()


def test_goes_on_from_a_model_in_the_middle_of_a_window_and_river_goes_on_from_it() -> None:
    rows = rows_of(2_000)
    expected, model = river(), river()
    for half in (expected, model):
        one_by_one(half, rows[:777])
    batch = HalfSpaceBatch(model, NAMES)
    found = batch.score_learn_many(rows[777:1500]).tolist()
    batch.write_back(model)
    found += one_by_one(model, rows[1500:])
    assert found == one_by_one(expected, rows[777:])


def test_edges_and_not_a_number_go_where_river_sends_them() -> None:
    # A window longer than the test: where each row went is still to be seen.
    model = river(window=500)
    one_by_one(model, rows_of(520))
    roots = [(tree.feature, tree.threshold) for tree in model.trees]
    edges = roots + sorted(set().union(*splits(model)))[:60]
    rows = rows_of(len(edges) + 1)
    for row, (feature, threshold) in zip(rows, edges, strict=False):
        row[NAMES.index(feature)] = threshold
    rows[-1] = np.nan
    expected, batch = copy.deepcopy(model), HalfSpaceBatch(model, NAMES)
    assert batch.score_learn_many(rows).tolist() == one_by_one(expected, rows)
    batch.write_back(model)
    assert masses(model) == masses(expected)


def test_an_empty_batch_changes_nothing() -> None:
    model = river(window=5)
    one_by_one(model, rows_of(7))
    before = masses(model)
    batch = HalfSpaceBatch(model, NAMES)
    batch.learn_many(np.empty((0, 4)))
    assert batch.score_learn_many(np.empty((0, 4))).shape == batch.score_many(np.empty((0, 4))).shape == (0,)
    batch.write_back(model)
    assert masses(model) == before
    assert model.counter == 2


def test_a_new_model_draws_the_trees_river_would_draw_and_has_learned_nothing() -> None:
    expected, model = river(window=1), river(window=1)
    HalfSpaceBatch(model, NAMES)
    expected.learn_one(dict.fromkeys(NAMES, 0.5))
    assert splits(model) == splits(expected)
    assert set(masses(model)) == {(0, 0)}
    assert model.score_one(dict.fromkeys(NAMES, 0.5)) == 0


def test_what_does_not_belong_together_is_refused() -> None:
    model = river()
    one_by_one(model, rows_of(300))
    batch = HalfSpaceBatch(model, NAMES)
    with pytest.raises(ValueError, match="expected 4 columns, c, a, b, d; found 3"):
        batch.learn_many(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="split on"):
        HalfSpaceBatch(model, ("a", "b"))
    other = HalfSpaceTrees(n_trees=10, height=8, window_size=250, limits=LIMITS, seed=43)
    one_by_one(other, rows_of(1))
    with pytest.raises(ValueError, match="other trees or window"):
        batch.write_back(other)
    wider = copy.deepcopy(model)
    wider.window_size = 251
    with pytest.raises(ValueError, match="other trees or window"):
        batch.write_back(wider)
    model.trees[0].children[0].l_mass += 1
    with pytest.raises(ValueError, match="l_mass to be the sum"):
        HalfSpaceBatch(model, NAMES)
