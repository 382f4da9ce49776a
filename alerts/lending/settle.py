"""What follows from the rest of the risk state and the time: classes, the end of the watch list, the service tier."""

from __future__ import annotations

from alerts.lending.regulatory import next_review, reclassify
from alerts.lending.rules import LendingRules
from alerts.lending.segments import tier_of
from alerts.state import Lending, RiskState


def is_due(lending: Lending, at_ms: int) -> bool:
    """Whether time alone has something to settle: a review, or an answer that no longer stands."""
    return 0 <= lending.review_ms <= at_ms or any(one.expires_ms <= at_ms for one in lending.applications)


def settle(rules: LendingRules, risk: RiskState, at_ms: int) -> None:
    """Bring lending's part of the state up to `at_ms`; nothing to do for a customer without credit."""
    lending = risk.lending
    if lending is None:
        return
    if lending.watch_calm_ms >= 0 and at_ms - lending.watch_calm_ms >= rules.after_loan.watch_leaves_ms:
        lending.watch_ms, lending.watch_calm_ms, lending.watch_reason = -1, -1, ""
        # The cure: what was asked for because of the worsening is no longer.
        ids = [measure.id for measure in rules.after_loan.measures if not measure.is_upward]
        risk.actions = [a for a in risk.actions if a.reason not in ids]
    lending.applications = [one for one in lending.applications if one.expires_ms > at_ms]
    reclassify(rules.regulatory, risk, at_ms)
    if risk.grade:
        lending.tier = tier_of(rules.tiers, risk.grade).id
    review_ms = next_review(rules.regulatory, lending, at_ms)
    if lending.watch_calm_ms >= 0:
        leaves_ms = lending.watch_calm_ms + rules.after_loan.watch_leaves_ms
        review_ms = leaves_ms if review_ms < 0 else min(review_ms, leaves_ms)
    lending.review_ms = review_ms


def watch(risk: RiskState, reason: str, at_ms: int) -> None:
    """Put the customer on the watch list, or keep them there; needs `risk.lending`."""
    lending = risk.lending
    if lending is None:
        return
    lending.watch_calm_ms = -1
    if lending.watch_ms < 0:
        lending.watch_ms, lending.watch_reason = at_ms, reason
