"""The arrays of a fraud model as plain bytes and numbers, and back: what a snapshot carries of it."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from features.catalogue import SIZE
from models import calibration
from models.compiled import ANOMALY_NAMES, FraudArrays
from models.hats import KNOTS
from models.shaping import Floats


class PackedFraud(Struct, array_like=True):
    """`FraudArrays` with each array as little-endian bytes: 8-byte floats, 4-byte places."""

    curves: bytes
    intercept: float
    nodes: Annotated[int, Meta(ge=1, le=1 << 16)]
    tree_feature: bytes
    tree_threshold: bytes
    tree_children: bytes
    tree_paths: bytes
    tree_depth: Annotated[int, Meta(ge=0, le=100)]
    calibration: bytes
    trees: Annotated[int, Meta(ge=1, le=1000)]
    inner: Annotated[int, Meta(ge=1, le=1 << 16)]
    node_feature: bytes
    node_threshold: bytes
    leaf_score: bytes
    score_max: float
    unit: Annotated[float, Meta(gt=0)]
    known: Annotated[int, Meta(ge=0, le=1 << 16)]
    known_amounts: bytes
    known_heights: bytes


def pack_arrays(arrays: FraudArrays) -> PackedFraud:
    """The same arrays give the same bytes, on every machine."""
    trees, inner = arrays.node_feature.shape
    return PackedFraud(
        _floats(arrays.curves), arrays.intercept, len(arrays.tree_feature), _places(arrays.tree_feature),
        _floats(arrays.tree_threshold), _places(arrays.tree_children), _floats(arrays.tree_paths), arrays.tree_depth,
        _floats(arrays.calibration), trees, inner, _places(arrays.node_feature), _floats(arrays.node_threshold),
        _floats(arrays.leaf_score), arrays.score_max, arrays.unit, len(arrays.known_amounts),
        _floats(arrays.known_amounts), _floats(arrays.known_heights),
    )  # fmt: skip


def unpack_arrays(packed: PackedFraud) -> FraudArrays:
    """The arrays that `pack_arrays` was given.

    Raises
    ------
    ValueError
        When sizes do not fit, a place lies outside, or a figure is not finite: scoring would read beside the arrays
        or give what is no number.
    """

    def floats(data: bytes, *shape: int) -> Floats:
        return np.frombuffer(data, dtype="<f8").reshape(shape).astype(np.float64)

    def places(data: bytes, *shape: int) -> NDArray[np.int64]:
        return np.frombuffer(data, dtype="<i4").reshape(shape).astype(np.int64)

    nodes, forest = packed.nodes, (packed.trees, packed.inner)
    arrays = FraudArrays(
        curves=floats(packed.curves, SIZE + 1, KNOTS), intercept=packed.intercept,
        tree_feature=places(packed.tree_feature, nodes), tree_threshold=floats(packed.tree_threshold, nodes),
        tree_children=places(packed.tree_children, nodes, 2), tree_paths=floats(packed.tree_paths, nodes, SIZE + 1),
        tree_depth=packed.tree_depth, calibration=floats(packed.calibration, calibration.KNOTS + 1),
        node_feature=places(packed.node_feature, *forest), node_threshold=floats(packed.node_threshold, *forest),
        leaf_score=floats(packed.leaf_score, packed.trees, packed.inner + 1), score_max=packed.score_max,
        unit=packed.unit, known_amounts=floats(packed.known_amounts, packed.known),
        known_heights=floats(packed.known_heights, packed.known),
    )  # fmt: skip
    for found, limit in (
        (arrays.node_feature, len(ANOMALY_NAMES)),
        (arrays.tree_feature, SIZE + 1),
        (arrays.tree_children, nodes),
    ):
        if found.min() < 0 or found.max() >= limit:
            raise ValueError(f"expected places from 0 to {limit - 1}, found {found.min()} to {found.max()}")
    # Children come after their parents, or a walk might never end.
    if (arrays.tree_children < np.arange(nodes)[:, np.newaxis]).any():
        raise ValueError("expected a tree, found a node above its parent")
    if (np.diff(arrays.known_amounts) <= 0).any():
        raise ValueError("expected known amounts to rise, found others")
    figures = (
        arrays.curves, arrays.tree_paths, arrays.calibration, arrays.leaf_score, arrays.intercept, arrays.unit,
        arrays.known_amounts, arrays.known_heights,
    )  # fmt: skip
    if not all(np.isfinite(values).all() for values in figures):
        raise ValueError("expected finite figures, found others")
    return arrays


def _floats(values: Floats) -> bytes:
    return values.astype("<f8").tobytes()


def _places(values: NDArray[np.int64]) -> bytes:
    return values.astype("<i4").tobytes()
