"""What the truth does to a card: confirmed fraud freezes, a false positive releases; and what became of actions."""

from __future__ import annotations

from alerts.actions import LASTING_ACTIONS, Target, end_fraud
from alerts.cards import card_key, remember, stand
from alerts.changes import CauseKind, Change, Draft, Facts
from alerts.credit import REASONS as CREDIT_REASONS
from alerts.levels import Standing
from alerts.planned import PlannedAction
from alerts.policy import Policy
from alerts.state import ACCOUNT, LEVELS, RiskState
from alerts.texts import Texts

_RELEASE = PlannedAction("release_card", "enforce", "card", 0)
_OUTCOMES_OF_RESULT = {"confirmed_fraud": "fraud_confirmed", "confirmed_genuine": "false_positive"}


class OutcomeDesk:
    """The half of the assessor that listens to the truth; same promises."""

    def __init__(self, policy: Policy, texts: Texts) -> None:
        self.policy, self.texts = policy, texts
        self._credit_reasons = (*CREDIT_REASONS, "social_signal", *(m.id for m in policy.after_loan.measures))

    def outcome(self, risk: RiskState, facts: Facts, outcome_type: str, card_id: str | None) -> Change | None:
        """A fraud outcome; one the policy says nothing about changes nothing."""
        if outcome_type == "false_positive":
            return self._release(risk, facts, card_id, "outcome", outcome_type)
        if outcome_type in self.policy.outcomes:
            return self._verdict(risk, facts, card_id, "outcome", outcome_type)
        return None

    def action_result(
        self, risk: RiskState, facts: Facts, action: str, result: str, card_id: str | None, alert_id: str | None
    ) -> Change | None:
        """What became of an action: a call that confirms fraud or not is an outcome; what is done or refused ends."""
        held = [
            a
            for a in risk.actions
            if a.action == action
            and (card_id is None or (a.scope_type, a.scope_id) in (("card", card_id), ("customer", facts.customer_id)))
            and (alert_id is None or a.alert_id == alert_id)
        ]
        if result in _OUTCOMES_OF_RESULT:
            card_id = card_id or self._card_of(risk, alert_id)
            verdict = _OUTCOMES_OF_RESULT[result]
            if verdict == "false_positive":
                return self._release(risk, facts, card_id, "action_result", result)
            return self._verdict(risk, facts, card_id, "action_result", verdict)
        if action == "release_card" and result == "applied":
            # Somebody released it by hand: the next suspicious event is a new shift.
            return self._release(risk, facts, card_id, "action_result", "release_card_applied", ask=False)
        draft = Draft(self.policy, self.texts, risk, facts, Target(facts.customer_id), "action_result")
        if result == "refused" or (result == "applied" and action not in LASTING_ACTIONS):
            risk.actions = [a for a in risk.actions if a not in held]
        return draft.finish(f"{action}_{result}")

    def _card_of(self, risk: RiskState, alert_id: str | None) -> str | None:
        cards = [a.scope_id for a in risk.actions if alert_id and a.alert_id == alert_id and a.scope_type == "card"]
        return cards[0] if cards else None

    def _release(
        self, risk: RiskState, facts: Facts, card_id: str | None, cause: CauseKind, reason: str, *, ask: bool = True
    ) -> Change | None:
        # Exactly this card: past `CARDS_MAX`, the customer as a whole is released only when no card is named.
        key = card_id or ACCOUNT
        target = Target(facts.customer_id, key)
        draft = Draft(self.policy, self.texts, risk, facts, target, cause)
        scope = target.scope("card")
        if ask and any(a.action == "freeze_card" and (a.scope_type, a.scope_id) == scope for a in risk.actions):
            draft.once(_RELEASE)
        risk.cards.pop(key, None)
        end_fraud(risk, target, self._credit_reasons)
        return draft.finish(reason)

    def _verdict(
        self, risk: RiskState, facts: Facts, card_id: str | None, cause: CauseKind, outcome_type: str
    ) -> Change | None:
        verdict = self.policy.outcomes[outcome_type]
        key, target = card_key(risk, facts.customer_id, card_id)
        draft = Draft(self.policy, self.texts, risk, facts, target, cause)
        card = risk.cards.get(key)
        before, level = card.level if card else 0, LEVELS.index(verdict.level)
        alerting = verdict.alert and level > before
        if alerting:
            draft.lead(outcome_type, "card")
        draft.grant(verdict.actions, outcome_type)
        if level > before:
            stand(risk, key, target, Standing(level), facts.event_time_ms)
        elif card and level == before:
            remember(card, Standing(level), facts.event_time_ms)
        if alerting:
            draft.alert(
                verdict.severity, self.texts.both("outcomes", outcome_type), [],
                level_from=LEVELS[before], level_to=LEVELS[level], **draft.money(),
            )  # fmt: skip
        return draft.finish(outcome_type)
