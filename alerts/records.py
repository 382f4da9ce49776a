"""What leaves the house: alert, risk change, decision, dead letter. Contracts; they only grow.

Fields are written in declared order, so equal records are equal bytes. Times are UTC milliseconds,
money is minor units. In JSON `zh_cn` reads `zh-CN` and `before` / `after` of a change `from` / `to`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from alerts.lending.records import REASONS_MAX as REASONS_MAX
from alerts.lending.records import ApplicationState, FacilityClass, ScoreChange, WatchListed
from alerts.state import Mode, ScopeType

Severity = Literal["info", "low", "medium", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "low", "medium", "high", "critical")
FraudLevel = Literal["normal", "watch", "elevated", "high"]
Grade = Literal["AAA", "AA", "A", "BBB", "BB", "B", "CCC", "C", "D"]
Action = Literal[
    "monitor", "step_up_verification", "call_customer", "freeze_card", "release_card", "decline_transaction",
    "limit_decrease", "reprice", "require_collateral", "early_recall_review", "limit_increase", "offer",
    "improvement_plan", "approve", "refer", "decline",
]  # fmt: skip
# `derived` is no disposition of an input offset: it is what a tick woke, and names the tick as `parent`.
Disposition = Literal["decision", "duplicate", "late", "control", "derived"]
AlertId = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Probability = Annotated[float, Meta(ge=0, le=1)]

_D = "__connect.errors."
# Kafka Connect's own convention, so that existing dead-letter tooling reads ours; the value is the untouched input.
DEAD_LETTER_HEADERS: tuple[str, ...] = (
    _D + "topic", _D + "partition", _D + "offset", _D + "stage", _D + "class.name",
    _D + "exception.class.name", _D + "exception.message", "riskshift.reason.code",
)  # fmt: skip
DEAD_LETTER_MESSAGE_MAX = 1_000


class Text(Struct, frozen=True):
    """One sentence in both languages."""

    en: str
    zh_cn: str = field(name="zh-CN")


class Scope(Struct, frozen=True):
    """What is meant. A card's id is masked in alerts and the full token in risk changes."""

    type: ScopeType
    id: str


class Reason(Struct, frozen=True):
    """Why: a reason code, its share of the score and its value.

    The share is log-odds of fraud (positive is riskier), or credit points (`unit` points, negative is riskier),
    or null where no score speaks.
    """

    code: str
    contribution: float | None
    value: float | None
    unit: str
    text: Text


class RecommendedAction(Struct, frozen=True):
    """What to do. `once`: done and over; otherwise in force until `expires_ms` (null: until released).

    `to` names the human an adverse credit action is advice to.
    """

    action: Action
    mode: Mode
    scope: Scope
    once: bool
    expires_ms: int | None
    text: Text
    to: str | UnsetType = UNSET


class PlanStep(Struct, frozen=True):
    """One thing the customer can change: the figure, where it is, where it should be."""

    code: str
    value: float
    target: float
    text: Text


class Alert(Struct, kw_only=True, frozen=True):
    """A shift worth a human's eyes."""

    schema_version: Literal[1] = 1
    alert_id: AlertId
    customer_id: str
    scope: Scope
    rule: str
    also: list[str]
    severity: Severity
    title: Text
    level_from: FraudLevel | UnsetType = UNSET
    level_to: FraudLevel | UnsetType = UNSET
    grade_from: Grade | UnsetType | None = UNSET
    grade_to: Grade | UnsetType | None = UNSET
    event_time_ms: int
    source_event_id: str
    fraud_probability: Probability | UnsetType = UNSET
    anomaly_score: float | UnsetType = UNSET
    pd_12m: Probability | UnsetType | None = UNSET
    grade: Grade | UnsetType | None = UNSET
    reasons: Annotated[list[Reason], Meta(max_length=REASONS_MAX)]
    actions: list[RecommendedAction]
    amount_minor: int | UnsetType = UNSET
    currency: str | UnsetType = UNSET
    card: str | UnsetType = UNSET
    warning_probability: Probability | UnsetType = UNSET
    parent_alert_id: AlertId | UnsetType = UNSET
    score_change: ScoreChange | UnsetType = UNSET
    application: ApplicationState | UnsetType = UNSET
    plan: list[PlanStep] | UnsetType = UNSET
    model_version: int
    policy_version: str


class LevelState(Struct, frozen=True):
    """Fraud level of what belongs to no card."""

    fraud_level: FraudLevel
    since_ms: int | None


class CardLevel(Struct, frozen=True):
    """Fraud level of one card; a card that is not listed is normal."""

    card_id: str
    fraud_level: FraudLevel
    since_ms: int


class ActionState(Struct, frozen=True):
    """An action in force now. `advise` is for a named human, `enforce` is for the card system."""

    action: Action
    mode: Mode
    scope: Scope
    since_ms: int
    expires_ms: int | None
    reason: str
    alert_id: str | None


class PresentState(Struct, frozen=True):
    """Everything in force for the customer after this record; what is not in it is not in force."""

    fraud_level: FraudLevel
    account: LevelState
    cards: list[CardLevel]
    grade: Grade | None
    pd_12m: Probability | None
    facilities: list[FacilityClass]
    actions: list[ActionState]
    watch_list: WatchListed | None = None
    service_tier: str | None = None
    applications: list[ApplicationState] = []


class ChangedPath(Struct, frozen=True):
    """One value that moved; null means absent. `path` is a JSON-pointer-like name, see docs/alerts.md."""

    path: str
    before: str | int | float | None = field(name="from")
    after: str | int | float | None = field(name="to")
    reason: str


class OnceAction(Struct, frozen=True):
    """Something to do once, at this sequence; the state alone is enough for those who come later."""

    action: Action
    mode: Mode
    scope: Scope


class Cause(Struct, frozen=True):
    """The event (or `timer:kind:ref:due_ms`) that moved the state."""

    kind: Literal[
        "transaction", "credit", "signal", "outcome", "action_result", "facility", "expiry", "application", "lending",
        "review", "social",
    ]  # fmt: skip
    event_id: str


class RiskChange(Struct, kw_only=True, frozen=True):
    """Risk change v1: the customer's whole present state, what changed and why; `sequence` has no holes."""

    schema_version: Literal[1] = 1
    customer_id: str
    sequence: Annotated[int, Meta(ge=1)]
    event_time_ms: int
    cause: Cause
    state: PresentState
    changed: Annotated[list[ChangedPath], Meta(min_length=1)]
    once: list[OnceAction]
    alert_ids: list[AlertId]
    score_change: ScoreChange | UnsetType = UNSET
    model_version: int
    policy_version: str


class Decision(Struct, kw_only=True, omit_defaults=True, gc=False):
    """Disposition of one input offset. Absent means not applicable.

    Two kinds are not an input offset's: `derived` (what a tick woke; `parent` is the tick) and a `control` that
    the partition's owner put in: it has `after_offset`, its place in the order, instead of `offset`.
    """

    disposition: Disposition
    kind: str
    event_id: str
    customer_id: str | UnsetType = UNSET
    event_time_ms: int
    partition: int
    offset: int | UnsetType = UNSET
    after_offset: int | UnsetType = UNSET
    model_version: int
    policy_version: str
    parent: str | UnsetType = UNSET
    features: list[float] | UnsetType = UNSET
    fraud_probability: float | UnsetType = UNSET
    anomaly_score: float | UnsetType = UNSET
    fraud_level: FraudLevel | UnsetType = UNSET
    reasons: list[tuple[str, float]] | UnsetType = UNSET
    terminal_id: str | UnsetType = UNSET
    merchant_id: str | UnsetType = UNSET
    device_id: str | UnsetType = UNSET
    card_id: str | UnsetType = UNSET
    amount_minor: int | UnsetType = UNSET
    currency: str | UnsetType = UNSET
    pd_12m: float | UnsetType = UNSET
    grade: Grade | UnsetType = UNSET
    alert_ids: list[str] | UnsetType = UNSET
    sequence: int | UnsetType = UNSET
    outcome: str | UnsetType = UNSET
    about_event_id: str | UnsetType = UNSET
    typology: str | UnsetType = UNSET
    detail: str | UnsetType = UNSET
    status: str | UnsetType = UNSET
    feature_version: int | UnsetType = UNSET
    actor: str | UnsetType = UNSET
    control_group: bool | UnsetType = UNSET
    propensity: float | UnsetType = UNSET
    warnings: list[float] | UnsetType = UNSET
    warning_probability: float | UnsetType = UNSET
    watch: bool | UnsetType = UNSET
    district: str | UnsetType = UNSET
    employer: str | UnsetType = UNSET
    campaign_id: str | UnsetType = UNSET
    product: str | UnsetType = UNSET
    holdout: bool | UnsetType = UNSET
    application: ApplicationState | UnsetType = UNSET
    facility_id: str | UnsetType = UNSET
    pd_90d: float | UnsetType = UNSET
    credit_change: dict[str, float] | UnsetType = UNSET
    credit_inputs: list[float] | UnsetType = UNSET
    credit_version: int | UnsetType = UNSET
    credit_card: int | UnsetType = UNSET


_encoder = msgspec.json.Encoder()


def encode(record: Alert | RiskChange | Decision) -> bytes:
    """JSON of a record, fields in declared order."""
    return _encoder.encode(record)


def dead_letter_headers(
    topic: str, partition: int, offset: int, stage: str, code: str, error: Exception
) -> list[tuple[str, bytes]]:
    """Headers of a dead letter, in the order of `DEAD_LETTER_HEADERS`; the value stays the untouched input.

    Examples
    --------
    >>> dead_letter_headers("t", 0, 7, "decode", "not_json", ValueError("no"))[-1]
    ('riskshift.reason.code', b'not_json')
    """
    kind = type(error)
    values = (
        topic, str(partition), str(offset), stage, "features.events",
        f"{kind.__module__}.{kind.__qualname__}", str(error)[:DEAD_LETTER_MESSAGE_MAX], code,
    )  # fmt: skip
    return [(name, value.encode(errors="replace")) for name, value in zip(DEAD_LETTER_HEADERS, values, strict=True)]


def mask(card_id: str) -> str:
    """Last four characters of a card token, fewer of a short one, behind stars.

    Examples
    --------
    >>> mask("tok_4711000000001234"), mask("c-1")
    ('****1234', '****1')
    """
    return "****" + card_id[len(card_id) - min(4, len(card_id) // 2) :]
