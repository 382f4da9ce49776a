"""A model alert: something people should know about the models themselves. Lies on the alerts topic, key `model`.

It has every field a reader of alerts looks at, but is a record of its own (`schemas/model-alert.json`, CloudEvents type
`riskshift.model-alert.v1`): it is about no customer, and `customer_id` is empty.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from alerts.records import AlertId, Reason, RecommendedAction, Severity, Text
from alerts.texts import Texts
from models.governance.records import News

KEY = b"model"
_SEVERITY: dict[str, Severity] = {
    "guard_weights": "critical", "guard_loss": "high", "guard_calibration": "high", "guard_alert_volume": "high",
    "champion_astray": "high", "drift_loss": "high", "drift_inputs": "low", "drift_volume": "low",
    "labels_capped": "high", "challenger_ready": "info", "promoted": "medium", "rolled_back": "high",
    "challenger_reset": "medium", "credit_approved": "medium",
}  # fmt: skip


class ModelScope(Struct, frozen=True):
    """What is meant: the candidate, the actor or the stream it is about."""

    type: Literal["model"]
    id: str


class ModelAlert(Struct, kw_only=True, frozen=True):
    """Something people should know about the models."""

    schema_version: Literal[1] = 1
    alert_id: AlertId
    customer_id: Literal[""] = ""
    scope: ModelScope
    rule: str
    also: list[str]
    severity: Severity
    title: Text
    event_time_ms: int
    source_event_id: str
    reasons: Annotated[list[Reason], Meta(max_length=8)]
    actions: list[RecommendedAction]
    model_version: int
    policy_version: str


def model_alert(news: News, rules_version: str, texts: Texts) -> ModelAlert:
    """The alert of a piece of news; its id is a function of what it is about, when, and the rules' version."""
    source = f"epoch/{news.at_ms}"
    place = "\0".join(("model", news.kind, news.subject, source, rules_version))
    reasons = [
        Reason(name, None, value, "figure", Text(f"{name.replace('_', ' ')}: {value:g}", f"{name}：{value:g}"))
        for name, value in sorted(news.values.items())
    ]
    return ModelAlert(
        alert_id=hashlib.sha256(place.encode()).hexdigest()[:32],
        scope=ModelScope("model", news.subject),
        rule=news.kind,
        also=[],
        severity=_SEVERITY[news.kind],
        title=texts.both("models", news.kind),
        event_time_ms=news.at_ms,
        source_event_id=source,
        reasons=reasons,
        actions=[],
        model_version=news.version,
        policy_version=rules_version,
    )


def encode_model_alert(alert: ModelAlert) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Key, JSON and CloudEvents headers of the record."""
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_type", b"riskshift.model-alert.v1"),
        ("ce_source", b"/riskshift"),
        ("ce_id", alert.alert_id.encode()),
        ("ce_subject", alert.scope.id.encode()),
        ("content-type", b"application/json"),
    ]
    return KEY, msgspec.json.encode(alert), headers
