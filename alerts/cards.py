"""Levels of a customer's cards in the state: which entry an event belongs to, and how it moves."""

from __future__ import annotations

from alerts.actions import Target, end_levels_above
from alerts.levels import Standing
from alerts.state import ACCOUNT, CARDS_MAX, CardState, RiskState


def card_key(risk: RiskState, customer_id: str, card_id: str | None) -> tuple[str, Target]:
    """Key of the card's level and what actions aim at; past `CARDS_MAX` suspicious cards, the whole customer."""
    key = card_id or ACCOUNT
    if key != ACCOUNT and key not in risk.cards and len(risk.cards) - (ACCOUNT in risk.cards) >= CARDS_MAX:
        key = ACCOUNT
    return key, Target(customer_id, key)


def remember(card: CardState, after: Standing, at_ms: int) -> None:
    """Keep how far the calm has come, and when the last event that was not calm came."""
    card.calm_count, card.calm_since_ms = after.calm_count, after.calm_since_ms
    if not after.calm_count:
        card.last_ms = max(card.last_ms, at_ms)


def stand(risk: RiskState, key: str, target: Target, after: Standing, at_ms: int) -> None:
    """Set the card's level; a fall ends what the levels above asked for."""
    card = risk.cards.get(key)
    if card is None:
        if after.level:
            risk.cards[key] = CardState(after.level, at_ms, at_ms)
        return
    fell = after.level < card.level
    if after.level != card.level:
        card.level, card.since_ms, card.lapsed = after.level, at_ms, False
    remember(card, after, at_ms)
    if fell:
        if not after.level:
            del risk.cards[key]
        end_levels_above(risk, target, after.level)
