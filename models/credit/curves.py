"""The curves of a card as River sees them: hats over the corners, log-odds of bad for weights, and which way they run.

A value between two corners is seen as two inputs, the share it has of each; the corner at `neutral` is left out, so
that every curve goes through 0 there. A linear model over these inputs is a card: weights times -`FACTOR` are points.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence

from models.credit.characteristics import CARD, Characteristic
from models.credit.scale import FACTOR

# (line, corner) → number of the input; the neutral corner has a number too and is never used.
STARTS: tuple[int, ...] = tuple(sum(len(line.curve) for line in CARD[:place]) for place in range(len(CARD)))
INPUTS = STARTS[-1] + len(CARD[-1].curve)


def _neutral(line: Characteristic) -> int:
    return [x for x, _ in line.curve].index(line.neutral)


NEUTRAL: tuple[int, ...] = tuple(_neutral(line) for line in CARD)
NAMES: tuple[int, ...] = tuple(
    start + corner
    for start, line, neutral in zip(STARTS, CARD, NEUTRAL, strict=True)
    for corner in range(len(line.curve))
    if corner != neutral
)
_LINES = tuple(
    (tuple(float(x) for x, _ in line.curve), float(line.neutral), line.unknown, start, start + neutral)
    for line, start, neutral in zip(CARD, STARTS, NEUTRAL, strict=True)
)


def hats(inputs: Sequence[float]) -> dict[int, float]:
    """What River sees of a vector: ``{input: share}`` of those that are not 0.

    Examples
    --------
    >>> from models.credit.characteristics import CODES
    >>> vector = [line.neutral for line in CARD]
    >>> hats(vector)
    {}
    >>> vector[CODES.index("legal_count")] = 2
    >>> list(hats(vector).values())
    [0.5, 0.5]
    """
    seen: dict[int, float] = {}
    for value, (corners, neutral, unknown, start, left_out) in zip(inputs, _LINES, strict=True):
        if value == neutral or (unknown and value < 0):
            continue
        upper = bisect_right(corners, value)
        if upper == 0 or upper == len(corners):
            corner = start + max(0, upper - 1)
            if corner != left_out:
                seen[corner] = 1.0
            continue
        share = (value - corners[upper - 1]) / (corners[upper] - corners[upper - 1])
        if start + upper != left_out and share:
            seen[start + upper] = share
        if start + upper - 1 != left_out:
            seen[start + upper - 1] = 1.0 - share
    return seen


def weights_of(points: Sequence[Sequence[float]]) -> dict[int, float]:
    """Log-odds of bad at every corner but the neutral ones, from a card's points."""
    flat = [y for curve in points for y in curve]
    return {name: -flat[name] / FACTOR for name in NAMES}


def points_of(weights: Mapping[int, float]) -> tuple[tuple[float, ...], ...]:
    """A card's points from weights; 0 at the neutral corners."""
    return tuple(
        tuple(-FACTOR * weights.get(start + corner, 0.0) + 0.0 for corner in range(len(line.curve)))
        for line, start in zip(CARD, STARTS, strict=True)
    )


def projected(weights: Mapping[int, float], strength: Mapping[int, float]) -> dict[int, float]:
    """The nearest weights whose curves all run the way the business says, each through 0 at its neutral corner.

    Nearest as `strength` counts it (how much a corner has seen): pool adjacent violators on either side of the neutral
    corner, then nothing on the wrong side of 0, which is the exact projection (Barlow et al. 1972, theorem 1.4 and
    its corollary for bounds).
    """
    result = dict(weights)
    for line, start, neutral in zip(CARD, STARTS, NEUTRAL, strict=True):
        if not line.worse:
            continue
        places = range(len(line.curve))
        for side in ([start + p for p in places if p < neutral], [start + p for p in places if p > neutral]):
            after = bool(side) and side[0] > start + neutral
            rising = _pooled([weights[name] * line.worse for name in side], [strength[name] for name in side])
            for name, value in zip(side, rising, strict=True):
                bounded = max(0.0, value) if after else min(0.0, value)
                result[name] = bounded * line.worse
    return result


def _pooled(values: Sequence[float], strength: Sequence[float]) -> list[float]:
    """Never falling, nearest in weighted squares."""
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values, strength, strict=True):
        block = (value, max(weight, 1e-9), 1)
        while blocks and blocks[-1][0] > block[0]:
            mean, mass, count = blocks.pop()
            total = mass + block[1]
            block = ((mean * mass + block[0] * block[1]) / total, total, count + block[2])
        blocks.append(block)
    return [mean for mean, _, count in blocks for _ in range(count)]
