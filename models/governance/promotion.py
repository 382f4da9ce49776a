"""May this challenger take over? Evidence, counts and limits; the answer is a sentence, or nothing against it."""

from __future__ import annotations

from models.governance.evidence import Evidence
from models.governance.guards import check_standing, moved_share
from models.governance.held_out import Standing
from models.governance.rules import ModelRules

REASONS = {
    "guard_weights": "weights not finite or too large",
    "guard_loss": "held-out loss worse than that of the weights in force",
    "guard_calibration": "observed over expected frauds out of bounds",
    "guard_alert_volume": "too many alerts",
    "champion_astray": "older weights do better on held-out labels",
}


def objection(
    rules: ModelRules, evidence: Evidence, challenger: Standing, champion: Standing, since_ms: int | None
) -> str:
    """Why this challenger must not take over; empty when it may.

    Parameters
    ----------
    evidence
        Of the challenger against the present champion.
    challenger, champion
        How both stand on the same held-out events.
    since_ms
        Event time since the promotion before; None when there was none.
    """
    limits = rules.promotion
    wanted = 1.0 / limits.alpha
    if evidence.frauds < limits.frauds_min or evidence.goods < limits.goods_min:
        return (
            f"expected {limits.frauds_min} held-out frauds and {limits.goods_min} goods, found {evidence.frauds} and "
            f"{evidence.goods}: wait for more labels"
        )
    if evidence.e_value() < wanted or evidence.gain() <= 0:
        return (
            f"expected evidence of {wanted:.0f} and a gain, found {evidence.e_value():.2f} and "
            f"{evidence.gain():+.5f} nats: it is not shown to be better"
        )
    if since_ms is not None and since_ms < limits.every_ms:
        return f"expected {limits.every_ms // 3_600_000} h between promotions, found {since_ms // 3_600_000}: wait"
    moved = moved_share(challenger, champion, limits.shift_logit)
    if moved > limits.shift_share_max:
        return (
            f"expected at most {limits.shift_share_max:.0%} of scores to move by more than {limits.shift_logit:g} "
            f"logits, found {moved:.0%}: raise the limit in the rules, if that is meant"
        )
    findings = check_standing(challenger, champion, rules.guards)
    return f"expected nothing against it, found: {REASONS[findings[0][0]]}" if findings else ""
