"""The hat basis: the effect of a shaped feature as a curve over knots instead of one straight line.

Shaped features lie in -5..5; knots lie `STEP` apart. A value between two knots is seen as two inputs, the share it
has of each: 0.3 is 0.4 of the knot at 0 and 0.6 of the one at 0.5. A linear model over these inputs is a sum of
piecewise linear curves, one per feature: additive like a line, but free to rise, level off and fall again.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from models.shaping import CLIP, Floats

STEP = 0.5
KNOTS = int(2 * CLIP / STEP) + 1
# Value of the shaped feature at each knot, -5 to 5.
KNOT_VALUES: Floats = np.arange(KNOTS, dtype=np.float64) * STEP - CLIP
_ZERO = int(CLIP / STEP)


def segments(columns: Floats) -> tuple[NDArray[np.intp], Floats]:
    """Knot at or below each value, and the share the next knot has.

    Parameters
    ----------
    columns
        Shaped features, one row per feature, all in -5..5.

    Returns
    -------
    Knot 0..KNOTS - 1 and share 0 <= share < 1, both in the shape of `columns`; at the last knot the share is 0.

    Examples
    --------
    >>> knots, shares = segments(np.array([[-5.0, 0.3, 5.0]]))
    >>> knots.tolist(), shares.round(3).tolist()
    ([[0, 10, 20]], [[0.0, 0.6, 0.0]])
    """
    places = columns * (1 / STEP) + CLIP / STEP
    knots = places.astype(np.intp)
    return knots, places - knots


def inputs(columns: Floats) -> Iterator[dict[int, float]]:
    """What a River model sees of each event: ``{feature * KNOTS + knot: share}`` of the hats that are not 0.

    The hat at 0 is left out: every curve goes through 0 there, so that an ordinary value says nothing, and a value
    nobody knows costs nothing.

    Parameters
    ----------
    columns
        Shaped features, shape (features, n).

    Examples
    --------
    >>> list(inputs(np.array([[0.25, 0.0], [-5.0, 1.0]])))
    [{21: 1.0, 11: 0.5}, {33: 1.0}]
    """
    knots, upper = segments(columns)
    lower = np.where(knots == _ZERO, 0.0, 1.0 - upper)
    upper[knots == _ZERO - 1] = 0.0
    knots += np.arange(len(columns), dtype=np.intp)[:, np.newaxis] * KNOTS
    yield from sparse(np.concatenate([knots, knots + 1]).T, np.concatenate([lower, upper]).T)


def sparse(keys: NDArray[np.intp], values: Floats) -> Iterator[dict[int, float]]:
    """One small dict per row, of the values that are not 0; both of shape (n, width)."""
    there = values != 0.0
    ends = np.cumsum(there.sum(axis=1)).tolist()
    flat_keys, flat_values = keys[there].tolist(), values[there].tolist()
    start = 0
    for end in ends:
        yield dict(zip(flat_keys[start:end], flat_values[start:end], strict=True))
        start = end


def curves_of_lines(weights: Floats) -> Floats:
    """The straight lines through 0 with these slopes, as heights at the knots: shape (features, KNOTS)."""
    heights: Floats = weights[:, np.newaxis] * KNOT_VALUES
    return heights


class Curves:
    """Piecewise linear curves, one per feature, looked up for many events at once.

    Parameters
    ----------
    heights
        At each knot, shape (features, KNOTS).

    Examples
    --------
    >>> Curves(np.arange(KNOTS, dtype=float).reshape(1, -1)).values(np.array([[-5.0, 0.25, 5.0]])).tolist()
    [[0.0, 10.5, 20.0]]
    """

    def __init__(self, heights: Floats) -> None:
        # Between two knots a curve is the line level + slope * value; beyond the last there is nothing to rise to.
        slopes = np.zeros_like(heights)
        slopes[:, :-1] = (heights[:, 1:] - heights[:, :-1]) * (1 / STEP)
        self._slopes = slopes.ravel()
        self._levels = (heights - slopes * KNOT_VALUES).ravel()
        # Knot of the value 0 of each feature, in the flat arrays.
        self._zeros = np.arange(len(heights), dtype=np.float64).reshape(-1, 1) * KNOTS + CLIP / STEP

    def values(self, columns: Floats, out: Floats | None = None) -> Floats:
        """Height of each feature's curve at each value.

        Parameters
        ----------
        columns
            Shaped features, shape (features, n), all in -5..5.
        out
            Where to write, of the same shape.

        Returns
        -------
        Shape (features, n). Element by element, so that n never changes a bit.
        """
        places = columns * (1 / STEP)
        places += self._zeros
        segment = places.astype(np.intp)
        result = np.multiply(self._slopes.take(segment, mode="clip"), columns, out=out)
        result += self._levels.take(segment, mode="clip")
        return result
