"""Every input offset has exactly one disposition, whatever is in the record; and what the records say of it."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.records import DEAD_LETTER_HEADERS, Alert, Decision, RiskChange
from alerts.state import RiskState
from features.events import REJECT_CODES, Indicator, Login, decode, encode
from models.compiled import CONTRIBUTION_NAMES
from streams.dispositions import REASONS_MAX, kind_of, level_of, top_reasons
from tests.streams.driver import (
    BAD,
    DAY_MS,
    TOPIC,
    Entry,
    Raw,
    Transcript,
    engine,
    feed,
    mixed,
    recorded,
    rows_of,
    run,
    tick,
    town,
)

START_MS = town()[0].event_time_ms


def dispositions(transcript: Transcript) -> Counter[int]:
    """How often each input offset was accounted for."""
    found = Counter(d["offset"] for d in transcript.said() if d["disposition"] != "derived" and "after_offset" not in d)
    for _key, _value, headers in transcript.dead_letters:
        found[int(dict(headers)["__connect.errors.offset"])] += 1
    return found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("batch", [1, 100])
def test_every_offset_has_exactly_one_disposition(seed: int, batch: int) -> None:
    entries = mixed(seed)
    _, transcript = run(entries, batch)
    assert dispositions(transcript) == Counter(range(len(entries)))
    assert transcript.events == len(entries)


_login = st.builds(
    Login,
    event_id=st.sampled_from(["a", "b", "c"]),
    customer_id=st.sampled_from(["c-1", "c-2"]),
    event_time_ms=st.integers(START_MS, START_MS + 3 * DAY_MS),
    schema_version=st.just(1),
    channel=st.just("mobile"),
    result=st.sampled_from(["ok", "failed"]),
)
_entries = st.lists(
    st.one_of(
        _login,
        st.integers(START_MS, START_MS + 9 * DAY_MS).map(tick),
        st.sampled_from([(key, value) for key, value, _code in BAD]),
        st.tuples(st.none() | st.binary(max_size=8), st.none() | st.binary(max_size=60)),
    ),
    max_size=40,
)


@settings(max_examples=80, deadline=None, print_blob=True)
@given(_entries, st.sampled_from([1, 3, 100]))
def test_any_mixture_of_records_is_accounted_for(entries: list[Entry], batch: int) -> None:
    _, transcript = run(entries, batch)
    assert dispositions(transcript) == Counter(range(len(entries)))


@settings(max_examples=80, deadline=None, print_blob=True)
@given(st.data())
def test_a_damaged_event_is_accounted_for(data: st.DataObject) -> None:
    event = data.draw(st.sampled_from(town()[:300]))
    value = bytearray(encode(event))
    for _ in range(data.draw(st.integers(1, 4))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    _, transcript = run([(event.customer_id.encode(), bytes(value)), event])
    assert dispositions(transcript) == Counter([0, 1])


@pytest.mark.parametrize(("key", "value", "code"), BAD)
def test_a_bad_record_becomes_a_dead_letter_with_its_reason_and_untouched_bytes(
    key: bytes | None, value: bytes | None, code: str
) -> None:
    target = engine()
    own = (("trace", b"7"),)
    out = target.process([Raw(5, key, value, headers=own)])
    assert code in REJECT_CODES
    ((found_key, found_value, headers),) = out.dead_letters
    assert (found_key, found_value) == (key, value)
    assert tuple(headers[:1]) == own
    assert [name for name, _ in headers[1:]] == list(DEAD_LETTER_HEADERS)
    told = {name: text.decode() for name, text in headers}
    assert told["riskshift.reason.code"] == code
    assert (told["__connect.errors.topic"], told["__connect.errors.partition"]) == (TOPIC, "0")
    assert told["__connect.errors.offset"] == "5"
    assert "expected" in told["__connect.errors.exception.message"].lower() or code == "wrong_type"
    assert target.rejected == 1
    assert rows_of(target) == {}
    assert out.decisions == []


def test_an_event_far_ahead_of_the_brokers_clock_is_a_dead_letter() -> None:
    event = town()[0]
    key, value, at_ms = event.customer_id.encode(), encode(event), event.event_time_ms
    ahead_ms = 15 * 60_000
    records = [Raw(0, key, value, timestamp=at_ms - ahead_ms - 1), Raw(1, key, value, timestamp=at_ms - ahead_ms)]
    transcript = feed(engine(), records)
    assert dispositions(transcript) == Counter([0, 1])
    assert dict(transcript.dead_letters[0][2])["riskshift.reason.code"] == b"far_future"
    assert [d["disposition"] for d in transcript.said()] == ["decision"]


def test_the_good_event_after_bad_ones_is_decided_as_if_they_were_not_there() -> None:
    events = [*town()[:60]]
    littered: list[Entry] = []
    for place, event in enumerate(events):
        littered += [BAD[place % len(BAD)][:2], event]
    with_bad, without = run(littered), run(events)
    strip = [{k: v for k, v in d.items() if k != "offset"} for d in with_bad[1].said()]
    assert strip == [{k: v for k, v in d.items() if k != "offset"} for d in without[1].said()]
    assert list(with_bad[0].state()) == list(without[0].state())


def test_records_keep_their_contracts() -> None:
    for seed in range(3):
        _, transcript = run(mixed(seed, 600))
        for key, value in transcript.decisions:
            decision = msgspec.json.decode(value, type=Decision, strict=True)
            customer = None if decision.customer_id is msgspec.UNSET else decision.customer_id.encode()
            assert key == customer
            assert (decision.disposition == "derived") == (decision.parent is not msgspec.UNSET)
        for contract, kind, items in (
            (Alert, b"riskshift.alert.v1", transcript.alerts),
            (RiskChange, b"riskshift.risk-change.v1", transcript.risk_changes),
        ):
            assert items
            for key, value, headers in items:
                record = msgspec.json.decode(value, type=contract)
                said = dict(headers)
                assert key == record.customer_id.encode() == said["ce_subject"]
                assert (said["ce_specversion"], said["ce_type"]) == (b"1.0", kind)
        assert len({dict(h)["ce_id"] for _, _, h in transcript.alerts}) == len(transcript.alerts)


def test_alerts_and_changes_are_named_by_the_decision_that_brought_them() -> None:
    for seed in range(3):
        _, transcript = run(mixed(seed))
        named = [alert_id for d in transcript.said() for alert_id in d.get("alert_ids", ())]
        assert sorted(named) == sorted(alert["alert_id"] for alert in transcript.alerted())
        last: dict[str, int] = {}
        for change in transcript.changed():
            last[change["customer_id"]] = change["sequence"]
        said = {d["customer_id"]: d["sequence"] for d in transcript.said() if "sequence" in d}
        assert said == last


def test_a_control_is_told_whole_in_the_detail() -> None:
    figure = Indicator(
        event_id="w", event_time_ms=1, schema_version=1, scope="industry", scope_id="retail", name="pmi", value=48.5
    )
    _, transcript = run([figure])
    (said,) = transcript.said()
    assert decode(said["detail"].encode()) == figure
    assert (said["disposition"], said["kind"]) == ("control", "indicator")
    assert kind_of(figure) == "indicator"


def test_top_reasons_are_the_largest_that_raise_the_risk_ties_in_catalogue_order() -> None:
    contributions = [0.0] * len(CONTRIBUTION_NAMES)
    contributions[3], contributions[7], contributions[9], contributions[1] = 0.5, 2.0, 0.5, -9.0
    names = CONTRIBUTION_NAMES
    assert top_reasons(contributions) == [(names[7], 2.0), (names[3], 0.5), (names[9], 0.5)]
    assert len(top_reasons([1.0] * len(names))) == REASONS_MAX
    assert top_reasons([-1.0] * len(names)) == []


def test_a_card_nobody_suspects_is_normal() -> None:
    assert level_of(RiskState(), "tok_1") == "normal"
    assert level_of(RiskState(), None) == "normal"


def test_dead_letters_touch_neither_time_nor_customers() -> None:
    target = engine()
    feed(target, recorded([(key, value) for key, value, _code in BAD]))
    assert rows_of(target) == {}
    assert (target.meta.watermark_ms, target.meta.tick_ms, target.meta.applied_offset) == (-1, -1, len(BAD) - 1)
