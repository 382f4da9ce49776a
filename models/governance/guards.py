"""What must never be published: weights tried on the latest held-out labels, against the weights in force."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import numpy as np

from models.governance.held_out import Standing
from models.governance.rules import GuardRules

# A loss that is worse by chance is no reason; four standard errors are.
_CLEAR = 4.0
# Share of events that may always be alerted, whatever the weights in force alert.
_ALERTS_FLOOR = 0.002
# Calibration out of bounds trips only what makes it worse; else a new deployment could never learn its way in.
_WORSE = 1.25
# Which of the compiled arrays are logit units of a feature; the others have scales of their own.
_WEIGHTS = ("curves", "tree_paths", "known_heights")

Finding = tuple[str, dict[str, float]]


def check_weights(arrays: Any, rules: GuardRules) -> list[Finding]:
    """Every number of the compiled arrays is finite and the weights are bounded."""
    largest = 0.0
    for field in fields(arrays):
        name, value = field.name, np.asarray(getattr(arrays, field.name))
        if value.dtype.kind != "f" or name.endswith("threshold"):
            continue
        if not np.isfinite(value).all():
            return [("guard_weights", {"finite": 0.0})]
        if name in _WEIGHTS and value.size:
            largest = max(largest, float(np.abs(value).max()))
    if largest > rules.weight_max:
        return [("guard_weights", {"found": largest, "allowed": rules.weight_max})]
    return []


def check_standing(new: Standing, good: Standing, rules: GuardRules) -> list[Finding]:
    """Loss, calibration and alert volume of new weights against those in force, on the same events."""
    findings: list[Finding] = []
    if len(new.losses) == 0:
        return findings
    if new.frauds >= rules.frauds_min:
        excess, error = new.excess(good)
        allowed = rules.loss_excess_max * good.loss
        if excess > allowed and excess > _CLEAR * error:
            findings.append(("guard_loss", {"found": new.loss, "in_force": good.loss, "allowed": good.loss + allowed}))
        # Twenty frauds are a small number: the bounds widen by two standard errors of its logarithm.
        room = math.exp(2.0 / math.sqrt(new.frauds))
        outside = not rules.ratio_low / room <= new.ratio <= rules.ratio_high * room
        if outside and abs(math.log(new.ratio)) > abs(math.log(good.ratio)) + math.log(_WORSE):
            findings.append(("guard_calibration", {"found": new.ratio, "in_force": good.ratio}))
    kept, alerts = new.above(rules.alert_at)
    # As many as there are frauds are never too many to start from: a new deployment learns to find them.
    allowed = rules.alerts_ratio_max * max(good.above(rules.alert_at)[1], _ALERTS_FLOOR * new.size, float(new.frauds))
    if alerts > allowed and kept >= rules.frauds_min:
        findings.append(("guard_alert_volume", {"found": alerts, "allowed": allowed}))
    return findings


def astray(champion: Standing, keep: Standing, rules: GuardRules) -> bool:
    """Whether older weights of the champion do clearly better than those in force."""
    excess, error = champion.excess(keep)
    enough = champion.frauds >= rules.frauds_min
    return enough and excess > rules.loss_excess_max * keep.loss and excess > _CLEAR * error


def moved_share(new: Standing, old: Standing, logit: float) -> float:
    """Share of the proof's events whose probability moves by more than so many logits; 0..1."""
    if len(new.losses) == 0:
        return 0.0
    a, b = (np.clip(s.probability, 1e-6, 1 - 1e-6) for s in (new, old))
    distance = np.abs(np.log(a / (1 - a)) - np.log(b / (1 - b)))
    return new.add_up((distance > logit).astype(np.float64)) / max(1.0, new.size)
