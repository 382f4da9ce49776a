"""A community alert: one for a whole district or employer that was struck, instead of one for each of its members.

It lies on the alerts topic with key `community`, has every field a reader of alerts looks at, and is about no
customer. It names the alerts of members raised before it; members' later alerts name it as their `parent_alert_id`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from alerts.model_alerts import KEY as MODEL_KEY
from alerts.records import AlertId, Reason, RecommendedAction, Severity, Text
from alerts.texts import Texts
from models.community import Shock

KEY = b"community"
# Keys on the alerts topic under which an alert is about no customer.
NO_CUSTOMER = (MODEL_KEY, KEY)
# Struck members from which on it is more than a matter of the branch.
_HIGH = 0.25


class CommunityScope(Struct, frozen=True):
    """Which district or employer."""

    type: Literal["district", "employer"]
    id: str


class CommunityAlert(Struct, kw_only=True, frozen=True):
    """Many members of one group lost income at once. `member_alert_ids` are at most 200."""

    schema_version: Literal[1] = 1
    alert_id: AlertId
    customer_id: Literal[""] = ""
    scope: CommunityScope
    rule: Literal["district_shock", "employer_shock"]
    also: list[str]
    severity: Severity
    title: Text
    event_time_ms: int
    source_event_id: str
    reasons: Annotated[list[Reason], Meta(max_length=4)]
    actions: list[RecommendedAction]
    since_ms: int
    members: int
    struck: int
    expected: float
    member_alert_ids: Annotated[list[AlertId], Meta(max_length=200)]
    model_version: int
    policy_version: str


def community_alert(shock: Shock, model_version: int, rules_version: str, texts: Texts) -> CommunityAlert:
    """The alert of a shock."""
    figures = (("struck", float(shock.struck)), ("members", float(shock.members)), ("expected", shock.expected))
    reasons = [
        Reason(code, None, value, "customers", texts.both("warnings", f"community_{code}", value))
        for code, value in figures
    ]
    return CommunityAlert(
        alert_id=shock.alert_id,
        scope=CommunityScope(shock.scope, shock.scope_id),  # type: ignore[arg-type]  # one of the two
        rule="district_shock" if shock.scope == "district" else "employer_shock",
        also=[],
        severity="high" if shock.struck >= _HIGH * shock.members else "medium",
        title=texts.both("warnings", f"{shock.scope}_shock"),
        event_time_ms=shock.at_ms,
        source_event_id=f"epoch/{shock.at_ms}",
        reasons=reasons,
        actions=[],
        since_ms=shock.since_ms,
        members=shock.members,
        struck=shock.struck,
        expected=shock.expected,
        member_alert_ids=list(shock.alert_ids),
        model_version=model_version,
        policy_version=rules_version,
    )


def encode_community_alert(alert: CommunityAlert) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Key, JSON and CloudEvents headers of the record."""
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_type", b"riskshift.community-alert.v1"),
        ("ce_source", b"/riskshift"),
        ("ce_id", alert.alert_id.encode()),
        ("ce_subject", f"{alert.scope.type}/{alert.scope.id}".encode()),
        ("content-type", b"application/json"),
    ]
    return KEY, msgspec.json.encode(alert), headers
