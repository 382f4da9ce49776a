"""The watch list: the early-warning score puts customers on it before anything is missed, and takes them off again.

Hysteresis: on at `enter` and enough indicators, off after a calm time below `exit`. Whoever is past due or in default
is no early case and is not put on. Membership is a state: it lies in the customer's row (`Warnings.watch_since_ms`,
written here only) and shows in the risk state as what the policy asks for, with reason `early_warning`, until the
customer leaves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET

from alerts.actions import Target
from alerts.changes import Change, Draft, Facts
from alerts.policy import Policy
from alerts.records import REASONS_MAX, Reason, Text
from alerts.state import RiskState, is_cooling, start_cooling
from alerts.texts import Texts
from features.warning_catalogue import INDICATORS
from features.warnings import Warnings
from models.early_warning import WarningWeights, contributions, count_on, probability
from models.grades import DEFAULT_GRADE

RULE, CLEARED = "early_warning", "early_warning_cleared"
_NOBODY: Mapping[int, str] = {}


class WarningDesk:
    """Applies one policy; immutable, serves any number of customers."""

    def __init__(self, policy: Policy, texts: Texts) -> None:
        self._policy, self._texts, self._rules = policy, texts, policy.warnings

    def review(
        self,
        risk: RiskState,
        watch: Warnings,
        facts: Facts,
        readings: Sequence[float],
        model: WarningWeights,
        *,
        past_due: bool = False,
        groups: Sequence[int] = (),
        struck: Mapping[int, str] = _NOBODY,
        source: str = "",
    ) -> tuple[float, Change | None]:
        """Hold one reading of the indicators against the watch list.

        Parameters
        ----------
        risk, watch
            The customer's present state and early-warning memory; both are changed in place.
        facts
            The event, or the timer with its due time.
        readings
            From `features.warning_readings.readings`, as of the same time.
        model
            Weights in force.
        past_due
            Whether anything is overdue already.
        groups, struck
            The customer's hashed groups, the first that counts first; groups under a common shock, with their community
            alert: it becomes the parent of this alert, and nothing else; the score is the customer's own.
        source
            Source event id where it is not the event's: of a timer.

        Returns
        -------
        The probability of default within ninety days, and what changed.
        """
        rules, p = self._rules, probability(readings, model)
        if rules is None:
            return p, None
        at_ms = facts.event_time_ms
        if watch.watch_since_ms >= 0:
            return p, self._stay(risk, watch, facts, p, at_ms, source)
        if p < rules.enter or past_due or risk.grade == DEFAULT_GRADE or count_on(readings) < rules.indicators_min:
            return p, None
        parent = next((struck[group] for group in groups if group in struck), None) if struck else None
        return p, self._enter(risk, watch, facts, readings, model, p, parent, source)

    def _enter(
        self,
        risk: RiskState,
        watch: Warnings,
        facts: Facts,
        readings: Sequence[float],
        model: WarningWeights,
        p: float,
        parent: str | None,
        source: str,
    ) -> Change | None:
        rules = self._rules
        assert rules is not None  # noqa: S101  # the caller asked
        at_ms = facts.event_time_ms
        watch.watch_since_ms, watch.calm_since_ms = at_ms, -1
        draft = self._draft(risk, facts, source)
        cooling = is_cooling(risk, RULE, "", at_ms, rules.cool_down_ms)
        if not cooling:
            draft.lead(RULE, "customer")
        draft.grant(rules.actions, RULE)
        if not cooling:
            start_cooling(risk, RULE, "", at_ms)
            more: dict[str, Any] = {"parent_alert_id": parent or UNSET}
            draft.alert(
                rules.severity,
                self._texts.both("warnings", RULE),
                warning_reasons(readings, model),
                grade=risk.grade or None,
                pd_12m=risk.pd_12m,
                warning_probability=p,
                **more,
            )
        return draft.finish(RULE)

    def _stay(self, risk: RiskState, watch: Warnings, facts: Facts, p: float, at_ms: int, source: str) -> Change | None:
        """Calm long enough takes a customer off the list; so does a default, which is no warning any more."""
        rules = self._rules
        assert rules is not None  # noqa: S101  # the caller asked
        defaulted = risk.grade == DEFAULT_GRADE
        if p >= rules.exit and not defaulted:
            watch.calm_since_ms = -1
            return None
        if watch.calm_since_ms < 0:
            watch.calm_since_ms = at_ms
        if not defaulted and at_ms - watch.calm_since_ms < rules.calm_ms:
            return None
        watch.watch_since_ms = watch.calm_since_ms = -1
        draft = self._draft(risk, facts, source)
        risk.actions = [action for action in risk.actions if action.reason != RULE]
        if not defaulted:
            draft.lead(CLEARED, "customer")
            reason = Reason(CLEARED, None, p, "probability", self._texts.both("warnings", "calm", p))
            draft.alert(
                "info",
                self._texts.both("warnings", CLEARED),
                [reason],
                grade=risk.grade or None,
                pd_12m=risk.pd_12m,
                warning_probability=p,
            )
        return draft.finish(CLEARED)

    def _draft(self, risk: RiskState, facts: Facts, source: str) -> Draft:
        target = Target(facts.customer_id)
        return Draft(self._policy, self._texts, risk, facts, target, "signal" if source else "credit", source or None)


def warning_reasons(readings: Sequence[float], model: WarningWeights) -> list[Reason]:
    """The indicators that add most, at most four, largest first; ties in catalogue order."""
    shares = contributions(readings, model)
    places = sorted((i for i, share in enumerate(shares) if share > 0), key=lambda i: (-shares[i], i))
    return [
        Reason(it.code, shares[place], readings[place], "reading", Text(it.en, it.zh))
        for place in places[:REASONS_MAX]
        for it in (INDICATORS[place],)
    ]
