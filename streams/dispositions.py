"""From what the engine found to the records it says: decisions, dead letters, CloudEvents headers.

Every input offset gets exactly one: `decided` (decision, duplicate, late, and what a tick derived),
`controlled`, or `dead_letter`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from msgspec import UNSET

from alerts.explanation import merged
from alerts.records import Alert, Decision, RiskChange, dead_letter_headers, encode
from alerts.shift import Change
from alerts.state import ACCOUNT, LEVELS, RiskState
from features.catalogue import FEATURE_VERSION
from features.errors import EventError
from features.events import Control, Event, Indicator, Outcome, Tick, Transaction
from features.events import encode as event_json
from features.kinds import ALL_KINDS
from models.compiled import CONTRIBUTION_NAMES
from models.credit.characteristics import CREDIT_VERSION
from streams.rows import PartitionMeta
from streams.standing import Standing

REASONS_MAX = 4

Headers = Sequence[tuple[str, bytes]]
Item = tuple[bytes | None, bytes]


class Record(Protocol):
    """What the engine reads of an input record; aiokafka's `ConsumerRecord` has all of it."""

    @property
    def offset(self) -> int:
        """Offset in the input partition."""

    @property
    def key(self) -> bytes | None:
        """Record key: the customer, or none for control records."""

    @property
    def value(self) -> bytes | None:
        """Untouched bytes."""

    @property
    def timestamp(self) -> int:
        """Broker's or sender's record timestamp, milliseconds; negative when unknown."""

    @property
    def headers(self) -> Headers:
        """Record headers."""


@dataclass(slots=True)
class Output:
    """What one batch says, in order, per topic: (key, value) pairs, most with headers.

    `rows` are the touched rows packed, `events` the records taken in.
    """

    decisions: list[Item] = field(default_factory=list)
    alerts: list[tuple[bytes, bytes, Headers]] = field(default_factory=list)
    risk_changes: list[tuple[bytes, bytes, Headers]] = field(default_factory=list)
    dead_letters: list[tuple[bytes | None, bytes | None, Headers]] = field(default_factory=list)
    rows: dict[bytes, bytes] = field(default_factory=dict)
    events: int = 0

    def say(self, key: bytes, changes: Sequence[Change]) -> None:
        """Add the alerts and risk changes of one step."""
        for change in changes:
            self.alerts.extend((key, encode(alert), cloud_headers(alert)) for alert in change.alerts)
            if change.risk_change is not None:
                self.risk_changes.append((key, encode(change.risk_change), cloud_headers(change.risk_change)))


def decided(
    meta: PartitionMeta, disposition: str, event: Event | Tick, offset: int, customer_id: str, fields: Mapping[str, Any]
) -> Item:
    """Record of a customer event's disposition; `fields` are those of `Decision` that apply."""
    decision = Decision(
        disposition=disposition,  # type: ignore[arg-type]  # one of four literals, given by the engine
        kind=kind_of(event),
        event_id=event.event_id,
        customer_id=customer_id,
        event_time_ms=event.event_time_ms,
        partition=meta.partition,
        offset=offset,
        model_version=meta.model_version,
        policy_version=meta.policy_version,
        **fields,
    )
    return customer_id.encode(), encode(decision)


def passed(
    meta: PartitionMeta,
    key: bytes,
    event: Transaction,
    offset: int,
    vector: list[float],
    probability: float,
    anomaly: float,
) -> Item:
    """`decided` for a scored transaction of a calm card that moved nothing: most events, and nothing to look up."""
    decision = Decision(
        disposition="decision",
        kind="transaction",
        event_id=event.event_id,
        customer_id=event.customer_id,
        event_time_ms=event.event_time_ms,
        partition=meta.partition,
        offset=offset,
        model_version=meta.model_version,
        policy_version=meta.policy_version,
        features=vector,
        fraud_probability=probability,
        anomaly_score=anomaly,
        fraud_level="normal",
        terminal_id=event.terminal_id or UNSET,
        merchant_id=event.merchant_id or UNSET,
        device_id=event.device_id or UNSET,
        card_id=event.card_id or UNSET,
        amount_minor=event.amount_minor,
        currency=event.currency,
        status=event.status or UNSET,
        feature_version=FEATURE_VERSION,
    )
    return key, encode(decision)


def noted(meta: PartitionMeta, key: bytes, event: Event, offset: int) -> Item:
    """`decided` for an event that is not scored and moved nothing."""
    decision = Decision(
        disposition="decision",
        kind=_kinds[type(event)],
        event_id=event.event_id,
        customer_id=event.customer_id,
        event_time_ms=event.event_time_ms,
        partition=meta.partition,
        offset=offset,
        model_version=meta.model_version,
        policy_version=meta.policy_version,
    )
    return key, encode(decision)


def controlled(meta: PartitionMeta, control: Control, offset: int | None) -> Item:
    """Record of a control: at its own offset, or put in by the partition's owner after the applied one."""
    decision = Decision(
        disposition="control",
        kind=kind_of(control),
        event_id=control.event_id,
        event_time_ms=control.event_time_ms,
        partition=meta.partition,
        offset=UNSET if offset is None else offset,
        after_offset=meta.applied_offset if offset is None else UNSET,
        model_version=meta.model_version,
        policy_version=meta.policy_version,
        # Whole, so that a replay can put it in again.
        detail=event_json(control).decode() if isinstance(control, Indicator) else UNSET,
    )
    return None, encode(decision)


def dead_letter(
    topic: str, partition: int, record: Record, error: EventError
) -> tuple[bytes | None, bytes | None, Headers]:
    """The untouched record with the reason in Kafka Connect's headers beside its own."""
    reason = dead_letter_headers(topic, partition, record.offset, "VALUE_CONVERTER", error.code, error)
    return record.key, record.value, [*record.headers, *reason]


_kinds = {kind: str(kind.__struct_config__.tag) for kind in ALL_KINDS}


def kind_of(event: Event | Control) -> str:
    """The `kind` of an event's JSON."""
    return _kinds[type(event)]


def transaction_fields(event: Transaction) -> dict[str, Any]:
    """What a decision repeats of a transaction, so that its readers need not join."""
    return {
        "card_id": event.card_id or UNSET,
        "amount_minor": event.amount_minor,
        "currency": event.currency,
        "terminal_id": event.terminal_id or UNSET,
        "merchant_id": event.merchant_id or UNSET,
        "device_id": event.device_id or UNSET,
        "status": event.status or UNSET,
    }


def outcome_fields(event: Outcome) -> dict[str, Any]:
    """What a decision repeats of an outcome: the learner joins on it."""
    return {
        "outcome": event.outcome,
        "about_event_id": event.about_event_id or UNSET,
        "typology": event.typology or UNSET,
        "actor": event.actor or UNSET,
        "facility_id": event.facility_id or UNSET,
    }


def credit_fields(standing: Standing, grade: str, facility: tuple[str, int] | None) -> dict[str, Any]:
    """What a decision says of a credit score; the inputs where the learner shall have them."""
    score = standing.score
    fields: dict[str, Any] = {"pd_12m": score.pd_12m, "pd_90d": score.pd_90d, "grade": grade or UNSET}
    if score.change:
        fields["credit_change"] = {name: round(points, 6) for name, points in score.change.items()}
    if standing.observed is not None:
        fields["credit_inputs"], fields["credit_version"] = list(standing.observed), CREDIT_VERSION
        fields["credit_card"] = score.card_version
        if facility is not None:
            fields["facility_id"] = facility[0]
    return fields


def level_of(risk: RiskState, card_id: object) -> str:
    """Fraud level of a card (or of what belongs to no card) as it stands."""
    card = risk.cards.get(card_id if isinstance(card_id, str) else ACCOUNT)
    return LEVELS[card.level] if card else LEVELS[0]


def top_reasons(contributions: Sequence[float]) -> list[tuple[str, float]]:
    """The largest risk-raising contributions, largest first, as in an alert's reasons; ties in catalogue order."""
    contributions = merged(contributions)
    ranked = sorted(range(len(contributions)), key=lambda place: (-contributions[place], place))
    return [
        (CONTRIBUTION_NAMES[place], contributions[place]) for place in ranked[:REASONS_MAX] if contributions[place] > 0
    ]


def cloud_headers(record: Alert | RiskChange) -> Headers:
    """CloudEvents 1.0 in binary mode: attributes as headers, the record itself as the body."""
    if isinstance(record, Alert):
        kind, identity = b"riskshift.alert.v1", record.alert_id
    else:
        kind, identity = b"riskshift.risk-change.v1", f"{record.customer_id}/{record.sequence}"
    return [
        ("ce_specversion", b"1.0"),
        ("ce_type", kind),
        ("ce_source", b"/riskshift"),
        ("ce_id", identity.encode()),
        ("ce_subject", record.customer_id.encode()),
        ("content-type", b"application/json"),
    ]
