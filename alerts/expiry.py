"""What time alone ends: actions, and with the last of a level the level; reviews of lending fall due here too."""

from __future__ import annotations

from alerts.actions import Target
from alerts.changes import CauseKind, Change, Draft, Facts
from alerts.policy import Policy
from alerts.state import ACCOUNT, LEVELS, RiskState, next_due
from alerts.texts import Texts


def expire(policy: Policy, texts: Texts, risk: RiskState, at_ms: int, facts: Facts) -> Change | None:
    """Let the earliest expiry or review at or before `at_ms` happen, as of its own time; None when nothing is due."""
    due_ms = next_due(risk)
    if due_ms is None or due_ms > at_ms:
        return None
    leaving = [a for a in risk.actions if a.expires_ms == due_ms]
    # A review is lending's: days past due that a table names, the end of a probation or of the watch list.
    what = "action_expired" if leaving else "review"
    event_id = f"timer:{what}:{facts.customer_id}:{due_ms}"
    cause: CauseKind = "expiry" if leaving else "review"
    draft = Draft(policy, texts, risk, facts, Target(facts.customer_id), cause, event_id, due_ms)
    risk.actions = [a for a in risk.actions if a.expires_ms != due_ms]
    for gone in leaving:
        key = gone.scope_id if gone.scope_type == "card" else ACCOUNT
        card = risk.cards.get(key)
        if card is None or gone.reason != f"level_{LEVELS[card.level]}":
            continue
        scope = (gone.scope_type, gone.scope_id)
        if any(a.reason == gone.reason and (a.scope_type, a.scope_id) == scope for a in risk.actions):
            continue
        if due_ms - card.last_ms >= policy.calm_ms:
            del risk.cards[key]
        else:
            card.lapsed = True
    return draft.finish("expired" if leaving else "review")
