from __future__ import annotations

import math

import numpy as np

from models.prior import CONTRIBUTION_NAMES
from models.trees import MAX_DEPTH, TREE_NAMES, TREE_PLACES, GrowingTree

NIGHT, AMOUNT = (CONTRIBUTION_NAMES.index(name) for name in ("is_night", "amount_last"))


def rows(n: int, seed: int) -> list[dict[int, float]]:
    rng = np.random.default_rng(seed)
    values = np.clip(rng.normal(size=(n, len(TREE_PLACES))), -5, 5)
    values[:, TREE_NAMES.index("is_night")] = rng.random(n) < 0.3
    return [dict(zip(TREE_PLACES, row, strict=True)) for row in values.tolist()]


def grown(n: int = 6_000) -> GrowingTree:
    # Fraud only where two things meet: neither says much alone.
    rng = np.random.default_rng(1)
    tree = GrowingTree()
    for x in rows(n, seed=2):
        fraud = bool(rng.random() < (0.8 if x[NIGHT] > 0 and x[AMOUNT] > 0.7 else 0.02))
        tree.learn_one(x, fraud, 1.0 if fraud else 10.0)
    return tree


def test_before_the_first_label_the_tree_says_nothing() -> None:
    tree = GrowingTree()
    assert tree.margin_one(rows(1, seed=3)[0]) == 0.0
    arrays = tree.compile()
    assert (arrays.start, arrays.depth, arrays.children.tolist()) == (0.0, 0, [[0, 0]])
    assert not arrays.paths.any()


def test_paths_lead_from_the_start_to_the_margin_of_every_leaf() -> None:
    tree = grown()
    arrays = tree.compile()
    assert 2 <= arrays.depth <= MAX_DEPTH
    reached = set()
    for x in rows(2_000, seed=4):
        node = 0
        for _ in range(arrays.depth):
            right = x.get(int(arrays.feature[node]), 0.0) > arrays.threshold[node]
            node = int(arrays.children[node][int(right)])
        assert arrays.children[node].tolist() == [node, node]
        assert math.isclose(arrays.start + arrays.paths[node].sum(), tree.margin_one(x), abs_tol=1e-9)
        reached.add(node)
    assert len(reached) > 3


def test_what_meets_is_found_and_shared_between_the_features_that_meet() -> None:
    tree = grown()
    both, one = dict(rows(1, seed=5)[0]), dict(rows(1, seed=5)[0])
    both[NIGHT], both[AMOUNT] = 1.0, 1.5
    one[NIGHT], one[AMOUNT] = 1.0, -1.0
    assert tree.margin_one(both) > tree.margin_one(one) + 2.0
    arrays = tree.compile()
    node = 0
    for _ in range(arrays.depth):
        node = int(arrays.children[node][int(both[int(arrays.feature[node])] > arrays.threshold[node])])
    path = arrays.paths[node]
    assert min(path[NIGHT], path[AMOUNT]) > 1.0 > np.abs(np.delete(path, [NIGHT, AMOUNT])).max()


def test_the_subsample_is_taken_out_of_the_margin() -> None:
    # Every fraud and a tenth of the good: the margin is that of all events, not that of the lessons.
    tree = GrowingTree()
    for place, x in enumerate(rows(1_000, seed=6)):
        fraud = place % 50 == 0
        tree.learn_one(x, fraud, 1.0 if fraud else 10.0)
    assert math.isclose(tree.compile().start, math.log(20.05 / 980.5 / 10), abs_tol=0.05)
