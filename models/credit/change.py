"""What moved a score since the last one: the customer, the environment, or the card itself; and whose grade that moves.

    points now - points then = own + environment + model

`model` is what the same inputs give under the new card and not under the old. It alone moves nobody's grade: it is kept
aside (`card_shift` in the row), grades are read without it, and it counts from the first time on that the customer's
own change leaves the grades between which it went to and fro in the two months before the switch. A card paid off
every month makes its customer better for some days: that is no change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from features.row import CreditRow
from models.credit.card import CompiledCard, CreditScore
from models.credit.characteristics import BASE, BASE_SHARES
from models.credit.scale import pd_of
from models.grades import GRADES, grade_of

_ENVIRONMENT = "environment"


class Cards(NamedTuple):
    """The card in force and the one before it, None for none or one that is not known any more."""

    now: CompiledCard
    before: CompiledCard | None = None


def settle(row: CreditRow, inputs: Sequence[float], cards: Cards) -> CreditScore:
    """Score, say what moved, and remember it in the row.

    Returns
    -------
    The score with `change` (empty for the first one) and `graded_pd`.
    """
    score = cards.now.score(inputs)
    environment = _environment(score, cards.now)
    first, version = row.card_version == 0, score.card_version
    if first:
        row.card_version, row.card_points, row.card_environment = version, score.points, environment
        _went(row, score.points)
        return score
    change: dict[str, float] = {}
    model, world = 0.0, environment - row.card_environment
    if row.card_version != version:
        same = cards.before if cards.before is not None and cards.before.card.version == row.card_version else None
        if same is not None:
            old = same.score(inputs)
            model, world = score.points - old.points, _environment(old, same) - row.card_environment
        else:
            # Two switches between two events: what the first card would say nobody knows: nothing is the customer's.
            model, world = score.points - row.card_points, 0.0
    change["own"] = score.points - row.card_points - world - model
    change[_ENVIRONMENT], change["model"] = world, model
    shift = _still_aside(row, row.card_shift + model, score.points)
    row.card_version, row.card_points, row.card_environment, row.card_shift = version, score.points, environment, shift
    return replace(score, change=change, graded_pd=pd_of(score.points - shift) if shift else None)


def _still_aside(row: CreditRow, shift: float, points: float) -> float:
    """How much of the card's change is still kept aside once the customer stands at `points`."""
    if not shift:
        _went(row, points)
        return 0.0
    _, best, worst, best_before, worst_before = row.card_range
    best, worst = min(best, best_before), max(worst, worst_before)
    now, aside = _place(points), _place(points - shift)
    # The customer went further than before: from here on the new card speaks, unless it would say the opposite.
    if (aside > worst and now > worst) or (aside < best and now < best):
        _went(row, points)
        return 0.0
    return shift


def _went(row: CreditRow, points: float) -> None:
    """Remember the grade among those of this month and the last."""
    place, month, range_ = _place(points), row.months.month, row.card_range
    if range_ and range_[0] == month:
        range_[1], range_[2] = min(range_[1], place), max(range_[2], place)
    else:
        row.card_range = [month, place, place, *(range_[1:3] or (place, place))]


def _place(points: float) -> int:
    return GRADES.index(grade_of(pd_of(points)))


def _environment(score: CreditScore, card: CompiledCard) -> float:
    return score.dimensions[_ENVIRONMENT] - BASE_SHARES[_ENVIRONMENT] * card.card.base / BASE
