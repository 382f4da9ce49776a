"""The credit part of a snapshot: the card in force, the one before it, what the learner proposes, how grades move."""

from __future__ import annotations

from msgspec import Struct, field

from models.credit.card import Card, CompiledCard, check_card, expert_card
from models.credit.change import Cards


class CreditPart(Struct, frozen=True, array_like=True):
    """See the module.

    Parameters
    ----------
    card, before
        In force, and in force before it; `before` says what part of a change of score the switch made.
    proposal
        What the learner would put in force; somebody with a name must (`riskshift models approve-credit`).
    migration
        For each grade the probabilities of where a customer stands when the window has ended.
    """

    card: Card = field(default_factory=expert_card)
    before: Card | None = None
    proposal: Card | None = None
    migration: dict[str, dict[str, float]] = {}

    def cards(self) -> Cards:
        """Ready for scoring; raises `SnapshotError` for a card that is not sound."""
        if self.proposal is not None:
            check_card(self.proposal)
        return Cards(CompiledCard(self.card), None if self.before is None else CompiledCard(self.before))
