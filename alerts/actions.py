"""What a change does to the actions in force: apply, end, expire; and how the state reads as a record."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from alerts.lending.records import ApplicationState, FacilityClass, WatchListed
from alerts.planned import PlannedAction
from alerts.records import ActionState, CardLevel, ChangedPath, LevelState, PresentState, Scope
from alerts.state import (
    ACCOUNT,
    ACTIONS_MAX,
    DPD_CLASSES,
    FIVE_CLASSES,
    LEVELS,
    ActiveAction,
    Application,
    Lending,
    RiskState,
    ScopeType,
)

FRAUD_ACTIONS = ("monitor", "step_up_verification", "call_customer", "freeze_card", "decline_transaction")
# They go on after the card system or the call centre has applied them; the others are then done.
LASTING_ACTIONS = ("monitor", "step_up_verification", "freeze_card", "decline_transaction")


class Target(NamedTuple):
    """What an event is about: at most one card, one facility or one application of a customer."""

    customer_id: str
    card_id: str = ACCOUNT
    facility_id: str = ""
    application_id: str = ""

    def scope(self, wanted: ScopeType) -> tuple[ScopeType, str]:
        """The wanted scope if the event has one, else the customer: never a scope without an id."""
        if wanted == "card" and self.card_id:
            return "card", self.card_id
        if wanted == "facility" and self.facility_id:
            return "facility", self.facility_id
        if wanted == "application" and self.application_id:
            return "application", self.application_id
        return "customer", self.customer_id


def apply(risk: RiskState, planned: PlannedAction, target: Target, at_ms: int, reason: str, alert_id: str) -> None:
    """Put a lasting action in force, or prolong it; an action in force is never shortened or weakened."""
    if planned.lasts_ms == 0:
        return
    scope_type, scope_id = target.scope(planned.scope)
    expires_ms = None if planned.lasts_ms is None else at_ms + planned.lasts_ms
    mode = planned.mode
    for place, held in enumerate(risk.actions):
        if (held.action, held.scope_type, held.scope_id) != (planned.action, scope_type, scope_id):
            continue
        longer = held.expires_ms is not None and (expires_ms is None or expires_ms > held.expires_ms)
        stronger = mode == "enforce" and held.mode == "advise"
        if longer or stronger:
            risk.actions[place] = ActiveAction(
                held.action, "enforce" if stronger else held.mode, scope_type, scope_id, held.since_ms,
                expires_ms if longer else held.expires_ms, reason, alert_id,
            )  # fmt: skip
        return
    if len(risk.actions) >= ACTIONS_MAX:
        _make_room(risk, target.customer_id)
    risk.actions.append(ActiveAction(planned.action, mode, scope_type, scope_id, at_ms, expires_ms, reason, alert_id))


def _make_room(risk: RiskState, customer_id: str) -> None:
    """Advice makes room first, the oldest; what is enforced on many cards becomes one action on all of them."""
    advice = next((place for place, held in enumerate(risk.actions) if held.mode == "advise"), None)
    if advice is not None:
        del risk.actions[advice]
        return
    # The policy lets only cards and customers be enforced upon, so that most of a full list are cards.
    on_cards = [a for a in risk.actions if a.scope_type == "card"]
    names = [a.action for a in on_cards]
    folded = max(names, key=names.count)
    parts = [a for a in risk.actions if a.action == folded and a.scope_type in ("card", "customer")]
    times = [a.expires_ms for a in parts if a.expires_ms is not None]
    whole = ActiveAction(
        folded,
        "enforce",
        "customer",
        customer_id,
        parts[-1].since_ms,
        max(times) if len(times) == len(parts) else None,
        parts[-1].reason,
        parts[-1].alert_id,
    )
    risk.actions = [*(a for a in risk.actions if a not in parts), whole]


def end_levels_above(risk: RiskState, target: Target, level: int) -> None:
    """End what a level above `level` asked for on this card; a freeze stays until it expires or is released."""
    reasons = tuple(f"level_{name}" for name in LEVELS[level + 1 :])
    scope = target.scope("card")
    risk.actions = [
        a
        for a in risk.actions
        if a.reason not in reasons or (a.scope_type, a.scope_id) != scope or a.action == "freeze_card"
    ]


def end_fraud(risk: RiskState, target: Target, credit_reasons: tuple[str, ...]) -> None:
    """End the fraud actions of a released card, and the customer-wide ones when no other card is suspicious.

    A freeze of the whole customer ends only when the customer is released, not one card.
    """
    own = target.scope("card")
    whole = ("customer", target.customer_id)

    def ends(held: ActiveAction) -> bool:
        if held.action not in FRAUD_ACTIONS or held.reason in credit_reasons:
            return False
        scope = (held.scope_type, held.scope_id)
        return scope == own or (scope == whole and not risk.cards and held.action != "freeze_card")

    risk.actions = [held for held in risk.actions if not ends(held)]


def present(risk: RiskState) -> PresentState:
    """The public part of the state, as the risk-change record carries it."""
    account = risk.cards.get(ACCOUNT)
    # Level numbers, grades and classes are those of the Literals by construction of the state.
    return PresentState(
        fraud_level=cast(Any, LEVELS[max((c.level for c in risk.cards.values()), default=0)]),
        account=LevelState(
            cast(Any, LEVELS[account.level if account else 0]), account.since_ms if account else None
        ),
        cards=[
            CardLevel(card_id, cast(Any, LEVELS[card.level]), card.since_ms)
            for card_id, card in risk.cards.items()
            if card_id != ACCOUNT
        ],
        grade=cast(Any, risk.grade or None),
        pd_12m=risk.pd_12m,
        facilities=_facilities(risk, risk.lending),
        actions=[
            ActionState(
                cast(Any, a.action), a.mode, Scope(a.scope_type, a.scope_id), a.since_ms, a.expires_ms, a.reason,
                a.alert_id or None,
            )
            for a in risk.actions
        ],
        watch_list=_watch_list(risk.lending),
        service_tier=(risk.lending.tier or None) if risk.lending else None,
        applications=[application_state(one) for one in risk.lending.applications] if risk.lending else [],
    )  # fmt: skip


def _facilities(risk: RiskState, lending: Lending | None) -> list[FacilityClass]:
    names = list(risk.facilities)
    loans = lending.loans if lending else {}
    for name, loan in loans.items():
        if (loan.stage > 1 or loan.five) and name not in risk.facilities:
            names.append(name)
    made: list[FacilityClass] = []
    for name in names:
        held = loans.get(name)
        stage, five = (held.stage, held.five) if held else (1, 0)
        dpd = DPD_CLASSES[risk.facilities.get(name, 0)]
        made.append(FacilityClass(name, cast(Any, dpd), cast(Any, stage), cast(Any, FIVE_CLASSES[five])))
    return made


def _watch_list(lending: Lending | None) -> WatchListed | None:
    return WatchListed(lending.watch_ms, lending.watch_reason) if lending and lending.watch_ms >= 0 else None


def application_state(one: Application) -> ApplicationState:
    """An answered application as records carry it."""
    return ApplicationState(
        one.application_id, one.product, cast(Any, one.decision), one.fast_track, one.limit_minor, one.currency,
        one.term_months, one.rate_low_bp, one.rate_high_bp, one.collateral_minor, one.reasons, one.expires_ms,
    )  # fmt: skip


def _part(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def flat(state: PresentState) -> dict[str, str | int | float]:
    """The state as path → value: what `changed` is the difference of, so that it can be neither short nor wrong."""
    values: dict[str, str | int | float] = {}
    if state.account.fraud_level != "normal":
        values["account/fraud_level"] = state.account.fraud_level
    for card in state.cards:
        values[f"cards/{_part(card.card_id)}/fraud_level"] = card.fraud_level
    if state.grade is not None:
        values["grade"] = state.grade
    if state.pd_12m is not None:
        values["pd_12m"] = state.pd_12m
    for facility in state.facilities:
        path = f"facilities/{_part(facility.facility_id)}"
        if facility.dpd_class != "current":
            values[path + "/dpd_class"] = facility.dpd_class
        if facility.stage != 1:
            values[path + "/stage"] = facility.stage
        if facility.five_class != "normal":
            values[path + "/five_class"] = facility.five_class
    for a in state.actions:
        path = f"actions/{a.action}/{a.scope.type}/{_part(a.scope.id)}"
        values[path + "/mode"] = a.mode
        if a.expires_ms is not None:
            values[path + "/expires_ms"] = a.expires_ms
    if state.watch_list is not None:
        values["watch_list/since_ms"] = state.watch_list.since_ms
        values["watch_list/reason"] = state.watch_list.reason
    if state.service_tier is not None:
        values["service_tier"] = state.service_tier
    for one in state.applications:
        values[f"applications/{_part(one.application_id)}/decision"] = one.decision
    return values


def difference(before: PresentState, after: PresentState, reason: str) -> list[ChangedPath]:
    """Every path whose value moved, those that left first, then in the order of the new state."""
    old, new = flat(before), flat(after)
    gone = [ChangedPath(path, value, None, reason) for path, value in old.items() if path not in new]
    moved = [ChangedPath(path, old.get(path), value, reason) for path, value in new.items() if old.get(path) != value]
    return gone + moved
