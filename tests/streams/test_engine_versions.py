"""Models and policies: what is in force decides what follows and nothing else; decisions name it and can be checked."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from alerts.explanation import merged
from features.catalogue import FEATURE_VERSION
from features.events import Event, Switch, Transaction
from models.compiled import CONTRIBUTION_NAMES
from models.shaping import sigmoid
from streams.rows import META_KEY
from tests.streams.driver import (
    HOUSE_POLICY,
    STRICT_POLICY,
    Entry,
    engine,
    feed,
    library,
    mixed,
    recorded,
    run,
    switch,
    town,
)

EVENTS: list[Event] = list(town()[1_500:4_000])
HALF = 1_200
AT_MS = EVENTS[HALF].event_time_ms


@pytest.mark.parametrize(("model", "policy"), [(2, HOUSE_POLICY), (3, STRICT_POLICY), (1, STRICT_POLICY)])
def test_a_switch_alone_alerts_nobody_and_touches_no_customer(model: int, policy: str) -> None:
    target = engine()
    feed(target, recorded(EVENTS[:HALF]))
    state = list(target.state())
    out = target.process((), [switch(AT_MS, model, policy)])
    assert (out.alerts, out.risk_changes, set(out.rows), len(out.decisions)) == ([], [], {META_KEY}, 1)
    assert list(target.state()) == state
    assert (target.meta.model_version, target.meta.policy_version) == (model, policy)


@pytest.mark.parametrize("batch", [1, None])
@pytest.mark.parametrize(("model", "policy"), [(2, HOUSE_POLICY), (1, STRICT_POLICY)])
def test_a_switch_changes_only_what_follows_it(model: int, policy: str, batch: int | None) -> None:
    entries: list[Entry] = [*EVENTS[:HALF], switch(AT_MS, model, policy), *EVENTS[HALF:]]
    _, switched = run(entries, batch)
    _, before = run(EVENTS[:HALF])
    assert switched.decisions[:HALF] == before.decisions
    assert switched.alerts[: len(before.alerts)] == before.alerts
    assert switched.risk_changes[: len(before.risk_changes)] == before.risk_changes
    _, unswitched = run(EVENTS)
    assert len(switched.alerts) != len(unswitched.alerts) or switched.alerts != unswitched.alerts
    said = [(d["model_version"], d["policy_version"]) for d in switched.said()]
    # The switch itself already names what it brings.
    assert said == [(1, HOUSE_POLICY)] * HALF + [(model, policy)] * (len(entries) - HALF)


def test_alerts_and_risk_changes_carry_the_versions_in_force() -> None:
    entries: list[Entry] = [*EVENTS[:HALF], switch(AT_MS, 3, STRICT_POLICY), *EVENTS[HALF:]]
    _, transcript = run(entries)
    versions = {
        alert_id: (d["model_version"], d["policy_version"])
        for d in transcript.said()
        for alert_id in d.get("alert_ids", ())
    }
    assert set(versions.values()) == {(1, HOUSE_POLICY), (3, STRICT_POLICY)}
    for alert in transcript.alerted():
        assert (alert["model_version"], alert["policy_version"]) == versions[alert["alert_id"]]
    for change in transcript.changed():
        assert (change["model_version"], change["policy_version"]) in versions.values()


@pytest.mark.parametrize(
    ("model", "policy", "named"), [(99, HOUSE_POLICY, "99"), (0, HOUSE_POLICY, "0"), (1, "x", "x")]
)
def test_a_switch_to_an_unknown_version_is_a_dead_letter_and_changes_nothing(
    model: int, policy: str, named: str
) -> None:
    entries: list[Entry] = [*EVENTS[:5], switch(AT_MS, model, policy), *EVENTS[5:10]]
    target, transcript = run(entries)
    ((_key, _value, headers),) = transcript.dead_letters
    assert dict(headers)["riskshift.reason.code"] == b"bad_control"
    assert named in dict(headers)["__connect.errors.exception.message"].decode()
    assert (target.meta.model_version, target.meta.policy_version) == (1, HOUSE_POLICY)
    assert {d["disposition"] for d in transcript.said()} == {"decision"}


def test_a_switch_for_another_partition_is_a_dead_letter() -> None:
    target, transcript = run([switch(AT_MS, 2, partition=1)])
    assert len(transcript.dead_letters) == 1
    assert target.meta.model_version == 1


def test_an_owners_switch_to_an_unknown_version_stops_the_engine() -> None:
    with pytest.raises(KeyError):
        engine().process((), [switch(AT_MS, 99)])


def test_a_switch_back_is_a_switch() -> None:
    entries: list[Entry] = [switch(AT_MS, 2), EVENTS[0], switch(AT_MS, 1), *EVENTS[1:3]]
    _, transcript = run(entries)
    assert [d["model_version"] for d in transcript.said()] == [2, 2, 1, 1, 1]


def test_every_score_is_that_of_the_version_it_names_and_its_contributions_add_up() -> None:
    """Recomputed from the recorded vector alone: the promise to whoever checks a decision later."""
    seen: set[int] = set()
    for seed in range(3):
        entries = mixed(seed)
        amounts = {e.event_id: e.amount_minor for e in entries if isinstance(e, Transaction)}
        for said in run(entries)[1].said():
            if "features" not in said:
                continue
            assert said["feature_version"] == FEATURE_VERSION
            assert said["amount_minor"] == amounts[said["event_id"]]
            model = library().model(said["model_version"]).fraud
            scores = model.score(np.array([said["features"]]))
            assert scores.probability[0] == said["fraud_probability"]
            assert scores.anomaly[0] == said["anomaly_score"]
            contributions = scores.contributions[0]
            total = model.intercept + float(contributions.sum()) + float(scores.calibration[0])
            assert total == pytest.approx(scores.margin[0], abs=1e-9)
            assert sigmoid(np.array([total]))[0] == pytest.approx(said["fraud_probability"], abs=1e-12)
            by_name = dict(zip(CONTRIBUTION_NAMES, merged(contributions.tolist()), strict=True))
            reasons = said.get("reasons", [])
            assert all(by_name[name] == value for name, value in reasons)
            if "alert_ids" in said and reasons:
                assert reasons[0][1] == max(by_name.values())
            seen.add(said["model_version"])
    assert seen == {1, 2, 3}


def test_an_alerts_reasons_are_the_decisions_own_numbers() -> None:
    compared = 0
    for seed in range(3):
        _, transcript = run(mixed(seed))
        decisions = {d["event_id"]: d for d in transcript.said() if "features" in d}
        for alert in transcript.alerted():
            decision = decisions.get(alert["source_event_id"])
            if decision is None or "fraud_probability" not in alert:
                continue
            assert alert["fraud_probability"] == decision["fraud_probability"]
            assert alert["anomaly_score"] == decision["anomaly_score"]
            scores = library().model(decision["model_version"]).fraud.score(np.array([decision["features"]]))
            by_name = dict(zip(CONTRIBUTION_NAMES, merged(scores.contributions[0].tolist()), strict=True))
            for reason in alert["reasons"]:
                if reason["contribution"] is not None:
                    assert by_name[reason["code"]] == reason["contribution"]
                    compared += 1
    assert compared > 50


def test_alert_ids_of_two_policies_differ_only_by_the_policy() -> None:
    """A what-if matches alerts on everything but the policy: same source event, rule and scope."""
    _, one = run(EVENTS)
    target = engine(policy=STRICT_POLICY)
    two = feed(target, recorded(EVENTS))
    assert {a["alert_id"] for a in one.alerted()}.isdisjoint(a["alert_id"] for a in two.alerted())

    def names(alerts: list[dict[str, object]]) -> set[tuple[object, ...]]:
        return {(a["customer_id"], a["source_event_id"], a["rule"]) for a in alerts}

    assert names(one.alerted()) & names(two.alerted())


def test_a_tick_or_switch_keeps_its_own_partition_and_offset_in_the_record() -> None:
    control = switch(AT_MS, 2)
    assert isinstance(control, Switch)
    target = engine(3, 4)
    transcript = feed(target, recorded([replace(control, partition=3)], first=41))
    (said,) = transcript.said()
    assert (said["partition"], said["offset"], said["disposition"], said["kind"]) == (3, 41, "control", "switch")
    out = feed(target, [])
    out.add(target.process((), [replace(control, partition=3)]))
    (own,) = out.said()
    assert own["after_offset"] == 41
    assert "offset" not in own
