"""From raw feature vectors to what a linear model sees, by the catalogue's units; portable to the byte.

`log1p` and `sigmoid` are written with additions, multiplications and divisions only. NumPy's own versions
choose an implementation by CPU, memory layout and length, so their last bits differ between machines and
between a batch of one and a batch of a thousand; IEEE 754 rounds the four operations the same everywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.catalogue import CATALOGUE, SIZE

Floats = NDArray[np.float64]

CLIP = 5.0
_MINOR_ROWS = np.array([i for i, f in enumerate(CATALOGUE) if f.unit == "minor"], dtype=np.intp)
_LOG_ROWS = np.array([i for i, f in enumerate(CATALOGUE) if f.shape == "log1p"], dtype=np.intp)
_CENTER = np.array([[float(f.center)] for f in CATALOGUE])
_LOW = np.array([[0.0 if f.shape == "excess" else -CLIP] for f in CATALOGUE])
_SCALE = np.array([[float(f.scale)] for f in CATALOGUE])

_LN2 = 0.6931471805599453
# ln 2 in two parts: k * _LN2_HIGH is exact for every exponent k, so the reduction loses nothing.
_LN2_HIGH, _LN2_LOW = 0.693147180369123816490, 1.90821492927058770002e-10
_ATANH = tuple(1.0 / k for k in (17, 15, 13, 11, 9, 7, 5, 3))
_EXP = tuple(1.0 / f for f in (39916800, 3628800, 362880, 40320, 5040, 720, 120, 24, 6, 2))
# exp(-40) is 4e-18: beyond it the probability does not move, and 2**k stays an ordinary number.
_MARGIN_MAX = 40.0


def log1p(values: Floats) -> Floats:
    """Natural logarithm of ``1 + values``, within 1e-13 of the true one; negative values count as 0.

    Examples
    --------
    >>> log1p(np.array([0.0, 1.0])).round(12).tolist()
    [0.0, 0.69314718056]
    """
    mantissa, exponent = np.frexp(np.maximum(values, 0.0) + 1.0)
    low = mantissa < 0.7071067811865476
    mantissa = mantissa + mantissa * low
    s = (mantissa - 1.0) / (mantissa + 1.0)
    square = s * s
    series: Any = _ATANH[0]
    for term in _ATANH[1:]:
        series = series * square
        series += term
    series *= square
    series += 1.0
    result: Floats = 2.0 * s * series + (exponent - low) * _LN2
    return result


def sigmoid(margin: Floats) -> Floats:
    """Probability of a margin in logit units: ``1 / (1 + exp(-margin))``, within 1e-13.

    Examples
    --------
    >>> sigmoid(np.array([0.0, 100.0])).tolist()
    [0.5, 1.0]
    """
    x = np.minimum(np.maximum(-margin, -_MARGIN_MAX), _MARGIN_MAX)
    k = np.rint(x / _LN2)
    r = x - k * _LN2_HIGH - k * _LN2_LOW
    series: Any = _EXP[0]
    for term in _EXP[1:]:
        series = series * r
        series += term
    exp = np.ldexp((series * r + 1.0) * r + 1.0, k.astype(np.int32))
    result: Floats = 1.0 / (1.0 + exp)
    return result


def shape_columns(vectors: Floats, room: int = 0, unit: float = 1.0) -> Floats:
    """Shaped vectors, one *row per feature*: shape (SIZE + room, n), contiguous.

    Parameters
    ----------
    vectors
        Raw features in catalogue order, shape (n, SIZE).
    room
        Further rows at the end, for the caller to fill.
    unit
        What amounts are divided by first: `models/amounts.py`.

    Returns
    -------
    ``(shape(x) - center) / scale`` clipped to ±5, `excess` to 0..5; flags stay 0 or 1. A row does not depend on
    the others.
    """
    if vectors.ndim != 2 or vectors.shape[1] != SIZE:
        raise ValueError(f"expected vectors of shape (n, {SIZE}), found {vectors.shape}: see features/catalogue.py")
    inputs: Floats = np.empty((SIZE + room, len(vectors)))
    columns = inputs[:SIZE]
    columns[:] = vectors.T
    if unit != 1.0:
        columns[_MINOR_ROWS] /= unit
    columns[_LOG_ROWS] = log1p(columns[_LOG_ROWS])
    columns -= _CENTER
    columns /= _SCALE
    np.maximum(columns, _LOW, out=columns)
    np.minimum(columns, CLIP, out=columns)
    return inputs


def shape(vectors: Floats) -> Floats:
    """Shaped vectors in the layout of the raw ones, shape (n, SIZE); see `shape_columns`."""
    return np.ascontiguousarray(shape_columns(vectors).T)
