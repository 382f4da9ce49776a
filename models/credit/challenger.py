"""A richer model beside the card: the same curves and, for some pairs of characteristics, what only both together say.

A pair is seen through the products of its hats (a surface over the grid of corners), so the model stays additive, but
not a card: it has no monotone curves and nobody can check it line by line. It shows what the card leaves on the table,
and decides nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from models.credit.characteristics import CARD, CODES
from models.credit.curves import INPUTS, hats

PAIRS: tuple[tuple[str, str], ...] = (
    ("utilisation_ratio", "line_log"),
    ("line_idle_ratio", "line_log"),
    ("arrears_reported_days", "utilisation_ratio"),
    ("arrears_reported_days", "arrears_previous"),
)
_SIDES = {
    code: (
        CODES.index(code),
        tuple(float(x) for x, _ in CARD[CODES.index(code)].curve),
        CARD[CODES.index(code)].unknown,
    )
    for pair in PAIRS
    for code in pair
}


def _shares(value: float, corners: tuple[float, ...]) -> list[tuple[int, float]]:
    upper = bisect_right(corners, value)
    if upper == 0 or upper == len(corners):
        return [(max(0, upper - 1), 1.0)]
    share = (value - corners[upper - 1]) / (corners[upper] - corners[upper - 1])
    return [(upper - 1, 1.0 - share), (upper, share)]


def pair_hats(inputs: Sequence[float]) -> dict[int, float]:
    """What River sees of a vector: the card's hats, and those of the pairs behind them."""
    seen = hats(inputs)
    start = INPUTS
    for first, second in PAIRS:
        (a, rows, a_unknown), (b, columns, b_unknown) = _SIDES[first], _SIDES[second]
        if not (a_unknown and inputs[a] < 0) and not (b_unknown and inputs[b] < 0):
            for i, share in _shares(inputs[a], rows):
                for j, other in _shares(inputs[b], columns):
                    if share and other:
                        seen[start + i * len(columns) + j] = share * other
        start += len(rows) * len(columns)
    return seen
