"""A change in the making: what it grants, whom it alerts, and the one risk change that comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Literal, cast

from msgspec import UNSET, Struct

from alerts.actions import Target, apply, difference, present
from alerts.lending.measures import ADVERSE
from alerts.lending.records import ScoreChange
from alerts.lending.settle import is_due, settle
from alerts.planned import PlannedAction
from alerts.policy import Policy
from alerts.records import (
    Alert,
    Cause,
    OnceAction,
    PresentState,
    Reason,
    RecommendedAction,
    RiskChange,
    Scope,
    Severity,
    Text,
    mask,
)
from alerts.state import RiskState, ScopeType
from alerts.texts import Texts

_DAY_MS = 86_400_000

CauseKind = Literal[
    "transaction", "credit", "signal", "outcome", "action_result", "facility", "expiry", "application", "lending",
    "review", "social",
]  # fmt: skip


class Facts(Struct, frozen=True, gc=False):
    """Where a score or signal comes from. For timers and expiry only the customer and the versions count."""

    customer_id: str
    event_id: str
    event_time_ms: int
    card_id: str | None = None
    amount_minor: int | None = None
    currency: str | None = None
    model_version: int = 0


class Change(Struct, frozen=True):
    """What one event brought: alerts (at most one for now) and the risk change, if the state moved.

    `propensity` is there when the policy would decline the transaction and keeps a control group: how often one like it
    is let pass; `control_group` says whether this one is.
    """

    alerts: list[Alert]
    risk_change: RiskChange | None
    propensity: float | None = None
    control_group: bool = False


def in_control_group(customer_id: str, at_ms: int, share: float) -> bool:
    """Whether a customer's declined transactions of this UTC day are let pass: a pure function, `share` of all days.

    Examples
    --------
    >>> sum(in_control_group("c-1", day * 86_400_000, 0.01) for day in range(10_000)) in range(70, 130)
    True
    """
    digest = blake2b(f"control\0{customer_id}\0{at_ms // _DAY_MS}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2.0**64


def alert_id(
    scope_type: str, customer_id: str, scope_id: str, source_event_id: str, rule: str, policy_version: str
) -> str:
    """Id of an alert, a pure function of what it is about: 128-bit BLAKE2b over the length-prefixed parts.

    Examples
    --------
    >>> alert_id("card", "c", "tok", "e", "level_high", "p") == alert_id("card", "ct", "ok", "e", "level_high", "p")
    False
    """
    digest = blake2b(digest_size=16)
    for part in (scope_type, customer_id, scope_id, source_event_id, rule, policy_version):
        data = part.encode()
        digest.update(len(data).to_bytes(4, "big"))
        digest.update(data)
    return digest.hexdigest()


def _standing(risk: RiskState) -> tuple[object, ...]:
    # What classes, watch list and tier follow from, beside time and the facilities: these the desk settles itself.
    lending = risk.lending
    return risk.grade, risk.pd_12m, lending.watch_ms if lending else -1, lending is None


class Draft:
    """One change of one customer's state; make it before the state is touched, `finish` it after."""

    def __init__(
        self, policy: Policy, texts: Texts, risk: RiskState, facts: Facts, target: Target, cause: CauseKind,
        event_id: str | None = None, at_ms: int | None = None, before: PresentState | None = None,
    ) -> None:  # fmt: skip
        self._policy, self._texts, self._risk, self._facts, self._target = policy, texts, risk, facts, target
        self._cause = Cause(cause, facts.event_id if event_id is None else event_id)
        self._at_ms = facts.event_time_ms if at_ms is None else at_ms
        self._before = present(risk) if before is None else before
        self._stood = _standing(risk)
        self._alerts: list[Alert] = []
        self._recommended: list[RecommendedAction] = []
        self._once: list[OnceAction] = []
        self._rule = ""
        self._scope: tuple[ScopeType, str] = ("customer", facts.customer_id)
        self._alert_id = ""
        self._propensity: float | None = None
        self._control = False
        # How the credit points moved, where they did; the desk sets it.
        self.score_change: ScoreChange | None = None

    def aim(self, target: Target) -> None:
        """What is granted from now on is about this card, facility or application."""
        self._target = target

    def lead(self, rule: str, scope: ScopeType) -> None:
        """The change will alert under this rule: what is granted from now on carries the alert's id."""
        self._rule, self._scope = rule, self._target.scope(scope)
        self._alert_id = alert_id(
            self._scope[0], self._facts.customer_id, self._scope[1], self._cause.event_id, rule, self._policy.version
        )

    def grant(self, planned: Sequence[PlannedAction], reason: str) -> None:
        """Put actions in force, or recommend them once; what the control group is spared is left out."""
        for plan in planned:
            if self._spares(plan):
                continue
            scope_type, scope_id = self._target.scope(plan.scope)
            apply(self._risk, plan, self._target, self._at_ms, reason, self._alert_id)
            once = plan.lasts_ms == 0
            shown = Scope(scope_type, mask(scope_id) if scope_type == "card" else scope_id)
            if any((r.action, r.scope) == (plan.action, shown) for r in self._recommended):
                continue
            # The action word was checked when the policy was read.
            action = cast(Any, plan.action)
            if once:
                self._once.append(OnceAction(action, plan.mode, Scope(scope_type, scope_id)))
            self._recommended.append(
                RecommendedAction(
                    action, plan.mode, shown, once,
                    self._at_ms + plan.lasts_ms if plan.lasts_ms else None,
                    self._texts.both("actions", plan.action),
                    self._policy.after_loan.adverse_to if plan.action in ADVERSE else UNSET,
                )
            )  # fmt: skip

    def _spares(self, plan: PlannedAction) -> bool:
        share = self._policy.control_share
        if not share or plan.action != "decline_transaction" or self._cause.kind != "transaction":
            return False
        self._propensity = share
        self._control = in_control_group(self._facts.customer_id, self._facts.event_time_ms, share)
        return self._control

    def once(self, plan: PlannedAction) -> None:
        """Ask for an action once, without an alert."""
        self.grant((plan,), "")

    def alert(
        self, severity: Severity, title: Text, reasons: list[Reason], also: Sequence[str] = (), **more: Any
    ) -> None:
        """Make the alert that `lead` announced, with everything granted so far."""
        facts = self._facts
        scope_type, scope_id = self._scope
        self._alerts.append(
            Alert(
                alert_id=self._alert_id,
                customer_id=facts.customer_id,
                scope=Scope(scope_type, mask(scope_id) if scope_type == "card" else scope_id),
                rule=self._rule,
                also=list(also),
                severity=severity,
                title=title,
                event_time_ms=self._at_ms,
                source_event_id=self._cause.event_id,
                reasons=reasons,
                actions=list(self._recommended),
                model_version=facts.model_version,
                policy_version=self._policy.version,
                score_change=UNSET if self.score_change is None else self.score_change,
                **more,
            )
        )

    def money(self) -> dict[str, Any]:
        """Amount and masked card of the event, where it has them."""
        facts = self._facts
        return {
            "amount_minor": UNSET if facts.amount_minor is None else facts.amount_minor,
            "currency": facts.currency or UNSET,
            "card": mask(facts.card_id) if facts.card_id else UNSET,
        }

    def finish(self, reason: str) -> Change | None:
        """The change with its risk change, or None when nothing moved and nobody is alerted."""
        risk, facts = self._risk, self._facts
        lending = risk.lending
        if lending is not None and (self._stood != _standing(risk) or is_due(lending, self._at_ms)):
            settle(self._policy, risk, self._at_ms)
        state = present(risk)
        changed = difference(self._before, state, reason)
        if not changed:
            return Change(self._alerts, None, self._propensity, self._control) if self._alerts else None
        risk.sequence += 1
        return Change(
            self._alerts,
            RiskChange(
                customer_id=facts.customer_id,
                sequence=risk.sequence,
                event_time_ms=self._at_ms,
                cause=self._cause,
                state=state,
                changed=changed,
                once=self._once,
                alert_ids=[alert.alert_id for alert in self._alerts],
                score_change=UNSET if self.score_change is None else self.score_change,
                model_version=facts.model_version,
                policy_version=self._policy.version,
            ),
            self._propensity,
            self._control,
        )
