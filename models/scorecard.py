"""The credit scorecard: what the expert's card says of a customer; the parts are in `models/credit`.

`score` is the door for everybody who has a view and no snapshot at hand. Which card is in force travels in the
snapshot, see `models/snapshot.py`.
"""

from __future__ import annotations

from features.view import CreditView
from models.credit.card import Card, CompiledCard, CreditScore, expert_card, rounded
from models.credit.characteristics import BASE, BASE_SHARES, CARD, CODES, Characteristic, Dimension, inputs_of
from models.credit.scale import ODDS, POINTS_AT_ODDS, POINTS_TO_DOUBLE, pd_of, points_of

__all__ = [
    "BASE", "BASE_SHARES", "CARD", "CODES", "EXPERT_CARD", "ODDS", "POINTS_AT_ODDS", "POINTS_TO_DOUBLE", "Card",
    "Characteristic", "CompiledCard", "CreditScore", "Dimension", "expert_card", "inputs_of", "pd_of", "points_of",
    "rounded", "score",
]  # fmt: skip

EXPERT_CARD = CompiledCard(expert_card())


def score(view: CreditView, card: CompiledCard = EXPERT_CARD) -> CreditScore:
    """Points, PDs and reasons of one customer; pure, about ten microseconds.

    Parameters
    ----------
    view
        From `features.view.view`; the neutral view of a new customer scores the base less the price of no tenure.
    card
        The one in force; the expert's when left out.
    """
    return card.score(inputs_of(view))
