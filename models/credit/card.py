"""A scorecard as data, and what it says of a customer: points, PDs, four dimensions, reasons that add up.

A card is made by hand (`expert_card`) or proposed by the learner; which one is in force is decided by a named person.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec

from models.credit.characteristics import BASE, BASE_SHARES, CARD, CODES, CREDIT_VERSION, DIMENSIONS
from models.credit.scale import FACTOR, OFFSET, pd_of
from models.errors import SnapshotError

EXPERT = 1
# A default within 90 days is a quarter as likely as one within a year while nothing is overdue; the odds say the same.
_SHORT_OF_YEAR = (-math.log(4.0), 1.0)


class Card(msgspec.Struct, frozen=True, array_like=True):
    """See the module.

    Parameters
    ----------
    version
        1 is the expert's; the learner counts up.
    as_of_ms
        Event time up to which it has learned.
    points
        For each characteristic of the catalogue its curve's points at its corners.
    base
        Points of a customer of whom nothing is known.
    short
        Intercept and slope from the log-odds of the 12-month PD to those of the 90-day PD.
    counters
        What it was made of: observations, defaults.
    """

    version: int
    as_of_ms: int
    points: tuple[tuple[float, ...], ...]
    base: float = BASE
    short: tuple[float, float] = _SHORT_OF_YEAR
    counters: dict[str, int] = {}
    credit_version: int = CREDIT_VERSION


def expert_card() -> Card:
    """The expert's card: version 1, in force until somebody approves another."""
    return Card(EXPERT, 0, tuple(tuple(float(y) for _, y in line.curve) for line in CARD))


def check_card(card: Card) -> Card:
    """The card, or a `SnapshotError`: of another catalogue, not finite, or a worse input would raise the points."""
    sizes = [len(curve) for curve in card.points]
    if card.credit_version != CREDIT_VERSION or sizes != [len(line.curve) for line in CARD]:
        raise SnapshotError(
            f"expected a credit card of catalogue {CREDIT_VERSION} with {len(CARD)} curves, found catalogue "
            f"{card.credit_version} with {len(sizes)} curves, maybe of other lengths: "
            "run learner and workers of the same release"
        )
    figures = (card.base, *card.short, *(y for curve in card.points for y in curve))
    if not all(map(math.isfinite, figures)):
        raise SnapshotError(f"expected finite points in credit card {card.version}, found others: do not use it")
    for line, curve in zip(CARD, card.points, strict=True):
        if any((b - a) * line.worse > 1e-9 for a, b in pairwise(curve)):
            raise SnapshotError(
                f"expected {line.code} of credit card {card.version} to run one way, found {curve}: do not use it"
            )
    return card


@dataclass(frozen=True, slots=True)
class CreditScore:
    """Result of the card.

    Parameters
    ----------
    pd_12m
        Probability of default within twelve months, 0..1.
    points
        600 is 50:1; more is better; unclamped.
    dimensions
        Points of capacity, performance, growth and environment; they add up to `points`.
    contributions
        (code, points) of the base and of every characteristic that moved the score; they add up to `points`.
    pd_90d
        Probability of default within ninety days, never above `pd_12m`.
    card_version
        The card that said so.
    graded_pd
        What the grade is read from. It differs from `pd_12m` only after a change of cards, which alone moves no
        grade: see `models/credit/change.py`. None: the same.
    """

    pd_12m: float
    points: float
    dimensions: dict[str, float]
    contributions: tuple[tuple[str, float], ...]
    pd_90d: float = 0.0
    card_version: int = EXPERT
    graded_pd: float | None = None
    change: Mapping[str, float] = field(default_factory=dict)

    @property
    def grading_pd(self) -> float:
        """The PD the grade is read from."""
        return self.pd_12m if self.graded_pd is None else self.graded_pd


class CompiledCard:
    """A card made ready for scoring, once."""

    __slots__ = ("_lines", "_shares", "card")

    def __init__(self, card: Card) -> None:
        self.card = check_card(card)
        scale = card.base / BASE
        self._shares = tuple((name, BASE_SHARES[name] * scale) for name in DIMENSIONS)
        self._lines = tuple(
            (
                place, line.code, line.dimension, float(line.neutral), line.unknown,
                tuple(float(x) for x, _ in line.curve), points,
            )
            for place, (line, points) in enumerate(zip(CARD, card.points, strict=True))
            if any(points)
        )  # fmt: skip

    def points(self, inputs: Sequence[float]) -> float:
        """Points of a vector alone; the same number as `score` gives."""
        return self.score(inputs).points

    def score(self, inputs: Sequence[float]) -> CreditScore:
        """Points, PDs and reasons; pure.

        Parameters
        ----------
        inputs
            From `characteristics.inputs_of`: one number a characteristic.
        """
        card = self.card
        dimensions: dict[str, float] = dict(self._shares)
        contributions = [("base", card.base)]
        total = card.base
        for place, code, dimension, neutral, unknown, corners, heights in self._lines:
            value = inputs[place]
            if value == neutral or (unknown and value < 0):
                continue
            if value <= corners[0]:
                points = heights[0]
            elif value >= corners[-1]:
                points = heights[-1]
            else:
                upper = bisect_right(corners, value)
                left, height = corners[upper - 1], heights[upper - 1]
                points = height + (heights[upper] - height) * ((value - left) / (corners[upper] - left))
            if points:
                dimensions[dimension] += points
                contributions.append((code, points))
                total += points
        pd = pd_of(total)
        intercept, slope = card.short
        short = pd_of(OFFSET - FACTOR * (intercept + slope * ((OFFSET - total) / FACTOR)))
        return CreditScore(pd, total, dimensions, tuple(contributions), min(pd, short), card.version)


def rounded(score: CreditScore) -> tuple[int, dict[str, int]]:
    """The total and the dimensions as whole points that still add up: the largest remainders are rounded up.

    Examples
    --------
    >>> rounded(CreditScore(0.02, 599.9, {"capacity": 209.4, "performance": 240.3, "growth": 90.2,
    ...                                   "environment": 60.0}, ()))
    (600, {'capacity': 210, 'performance': 240, 'growth': 90, 'environment': 60})
    """
    total = round(score.points)
    whole = {name: math.floor(points) for name, points in score.dimensions.items()}
    left = total - sum(whole.values())
    # Ties go by the order of the dimensions; a rounding error of the sum may ask for one less instead of more.
    by_remainder = sorted(whole, key=lambda name: whole[name] - score.dimensions[name])
    for place in range(abs(left)):
        name = by_remainder[place % len(by_remainder)] if left > 0 else by_remainder[-1 - place % len(by_remainder)]
        whole[name] += 1 if left > 0 else -1
    return total, whole


def named(inputs: Sequence[float]) -> dict[str, float]:
    """A vector with the names of its characteristics."""
    return dict(zip(CODES, map(float, inputs), strict=True))
