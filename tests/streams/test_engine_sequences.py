"""Risk changes of a customer: a sequence without holes, whose last record is the state."""

from __future__ import annotations

import msgspec
import pytest

from alerts.actions import difference, present
from alerts.records import PresentState, RiskChange
from alerts.state import RiskState
from tests.streams.driver import Entry, engine, feed, mixed, recorded, rows_of, run, tick, town

_decoder = msgspec.json.Decoder(RiskChange)


@pytest.mark.parametrize("seed", range(3))
def test_every_customers_sequence_begins_at_one_and_has_no_holes(seed: int) -> None:
    target, transcript = run(mixed(seed))
    sequences: dict[str, list[int]] = {}
    for _key, value, _headers in transcript.risk_changes:
        change = _decoder.decode(value)
        sequences.setdefault(change.customer_id, []).append(change.sequence)
    assert max(len(sequence) for sequence in sequences.values()) > 10
    for customer_id, sequence in sequences.items():
        assert sequence == list(range(1, len(sequence) + 1)), f"seed {seed}, {customer_id}"
    assert {c: row.risk.sequence for c, row in rows_of(target).items() if row.risk.sequence} == {
        customer_id: len(sequence) for customer_id, sequence in sequences.items()
    }


@pytest.mark.parametrize("seed", range(3))
def test_the_last_risk_change_is_the_state(seed: int) -> None:
    """After every batch, not only at the end: who reads a compacted topic may come at any time."""
    records = recorded(mixed(seed))
    target = engine()
    last: dict[str, PresentState] = {}
    for first in range(0, len(records), 100):
        transcript = feed(target, records[first : first + 100])
        for _key, value, _headers in transcript.risk_changes:
            change = _decoder.decode(value)
            last[change.customer_id] = change.state
        for customer_id, row in rows_of(target).items():
            state = msgspec.json.decode(msgspec.json.encode(present(row.risk)), type=PresentState)
            told = last.get(customer_id, present(RiskState()))
            if told != state:
                # A PD that drifts within the policy's ratio is published with the next record.
                assert msgspec.structs.replace(told, pd_12m=state.pd_12m) == state, f"seed {seed}, {customer_id}"
            if row.risk.sequence == 0:
                assert customer_id not in last
    assert len(last) > 5


@pytest.mark.parametrize("seed", range(3))
def test_what_a_risk_change_says_has_changed_leads_from_the_one_before_to_it(seed: int) -> None:
    before: dict[str, PresentState] = {}
    _, transcript = run(mixed(seed))
    for _key, value, _headers in transcript.risk_changes:
        change = _decoder.decode(value)
        old = before.get(change.customer_id, present(RiskState()))
        reasons = {path.reason for path in change.changed}
        assert len(reasons) == 1
        expected = msgspec.json.encode(difference(old, change.state, reasons.pop()))
        assert msgspec.json.encode(change.changed) == expected, f"seed {seed}"
        before[change.customer_id] = change.state


@pytest.mark.parametrize("seed", range(3))
def test_alert_ids_are_unique_and_named_by_at_most_one_risk_change(seed: int) -> None:
    _, transcript = run(mixed(seed))
    ids = [alert["alert_id"] for alert in transcript.alerted()]
    named = [alert_id for change in transcript.changed() for alert_id in change["alert_ids"]]
    assert len(set(ids)) == len(ids)
    assert len(set(named)) == len(named)
    assert set(named) <= set(ids)


def test_a_calm_town_of_one_customer_without_trouble_has_no_risk_change() -> None:
    logins: list[Entry] = [event for event in town() if type(event).__name__ == "Login"][:50]
    _, transcript = run([*logins, tick(logins[-1].event_time_ms + 1)])  # type: ignore[union-attr]
    assert transcript.changed() == []
