"""A community alert is a record of its own on the alerts topic, about no customer, in both languages."""

from __future__ import annotations

import json

import pytest

from alerts.community import community_alert, encode_community_alert
from alerts.schemas import schemas
from alerts.texts import load
from models.community import Shock

SHOCK = Shock("a" * 32, "district", "district_03", 100, 200, 80, 24, 1.5, ("b" * 32,))


@pytest.mark.parametrize(("scope", "rule"), [("district", "district_shock"), ("employer", "employer_shock")])
def test_the_record_says_who_how_many_and_what_would_be_usual(scope: str, rule: str) -> None:
    shock = Shock(SHOCK.alert_id, scope, *[getattr(SHOCK, name) for name in Shock.__struct_fields__[2:]])
    alert = community_alert(shock, 7, "models-1", load())
    assert (alert.rule, alert.customer_id, alert.scope.id, alert.severity) == (rule, "", "district_03", "high")
    assert (alert.since_ms, alert.event_time_ms) == (100, 200)
    assert [(r.code, r.value) for r in alert.reasons] == [("struck", 24), ("members", 80), ("expected", 1.5)]
    assert alert.member_alert_ids == ["b" * 32]
    for text in (alert.title, *(reason.text for reason in alert.reasons)):
        assert text.en != text.zh_cn
        assert "unknown" not in text.en.lower()


def test_it_is_written_with_its_own_key_and_type_and_as_its_schema_says() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    key, value, headers = encode_community_alert(community_alert(SHOCK, 7, "models-1", load()))
    assert (key, dict(headers)["ce_type"]) == (b"community", b"riskshift.community-alert.v1")
    jsonschema.validate(json.loads(value), json.loads(schemas()["community-alert.json"]))


def test_few_struck_of_many_are_of_medium_severity() -> None:
    shock = Shock("a" * 32, "district", "d", 1, 2, 400, 40, 9.0)
    assert community_alert(shock, 1, "m", load()).severity == "medium"
