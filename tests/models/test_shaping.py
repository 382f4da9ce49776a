from __future__ import annotations

import math

import numpy as np
import pytest

from features.catalogue import CATALOGUE, INDEX, SIZE
from models.shaping import CLIP, log1p, shape, shape_columns, sigmoid
from tests.models.conftest import random_vectors


def test_shaping_follows_the_catalogue() -> None:
    vectors = random_vectors(50, seed=1)
    shaped = shape(vectors)
    for place, feature in enumerate(CATALOGUE):
        for raw, got in zip(vectors[:, place].tolist(), shaped[:, place].tolist(), strict=True):
            base = math.log1p(raw) if feature.shape == "log1p" else raw
            low = 0.0 if feature.shape == "excess" else -CLIP
            expected = min(CLIP, max(low, (base - feature.center) / feature.scale))
            assert got == pytest.approx(expected, abs=1e-12)


def test_flags_stay_zero_or_one_and_inputs_stay_untouched() -> None:
    vectors = random_vectors(20, seed=2)
    before = vectors.copy()
    shaped = shape(vectors)
    place = INDEX["is_cash"]
    assert shaped[:, place].tolist() == vectors[:, place].tolist()
    assert (vectors == before).all()


def test_log1p_and_sigmoid_agree_with_the_library() -> None:
    values = np.concatenate([[0.0, 1e-12, 1e13], np.exp(np.random.default_rng(3).normal(size=5000) * 8)])
    assert np.abs(log1p(values) - np.log1p(values)).max() < 1e-13
    margins = np.concatenate([[-1000.0, 1000.0, 0.0], np.random.default_rng(4).normal(size=5000) * 12])
    with np.errstate(over="ignore"):
        assert np.abs(sigmoid(margins) - 1 / (1 + np.exp(-margins))).max() < 1e-13


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    vectors = random_vectors(301, seed=5)
    whole = shape(vectors)
    for size in (1, 2, 7, 64):
        parts = [shape(vectors[at : at + size]) for at in range(0, 301, size)]
        assert np.concatenate(parts).tobytes() == whole.tobytes()


def test_wrong_width_is_refused_and_an_empty_batch_is_fine() -> None:
    with pytest.raises(ValueError, match="expected vectors of shape"):
        shape_columns(np.zeros((3, SIZE + 1)))
    assert shape(np.zeros((0, SIZE))).shape == (0, SIZE)
