"""Promises of the risk-change contract over random histories of one customer."""

from __future__ import annotations

import json
import random
from pathlib import Path

import jsonschema
import msgspec
import pytest

from alerts.actions import flat, present
from alerts.changes import Change
from alerts.records import Alert, Decision, RiskChange, dead_letter_headers, encode, mask
from alerts.schemas import schemas
from alerts.shift import Assessor, Facts
from alerts.state import ACTIONS_MAX, CARDS_MAX, COOLDOWNS_MAX, FACILITIES_MAX, SIGNALS, RiskState, start_cooling
from features.catalogue import INDEX, SIZE
from features.events import CONTROL_KINDS, CUSTOMER_KINDS, Transaction
from features.events import encode as encode_event
from models.scorecard import CreditScore

ROOT = Path(__file__).resolve().parents[2]
HOUR_MS = 3_600_000
CARDS = [f"tok_99990000{n:04}" for n in range(11)] + [None]
RULE_FEATURES = ("tx_count_1h", "tx_rate_ratio_1d", "decline_count_1d", "is_remote", "merchant_new", "payee_new",
                 "is_transfer", "device_change_recent", "amount_max_ratio_baseline")  # fmt: skip
CREDIT_OPS = ("credit", "signal", "facility", "default")


def play(assessor: Assessor, seed: int, steps: int = 120):
    """Yield (op, risk before as bytes, risk, change) of a random history."""
    draw = random.Random(seed)
    risk, at_ms = RiskState(), 0
    for number in range(steps):
        at_ms += draw.choice((0, 60_000, HOUR_MS, 30 * HOUR_MS, 400 * HOUR_MS))
        card = draw.choice(CARDS)
        facts = Facts("c-1", f"e-{number}", at_ms, card, draw.randrange(10**6), "CNY", 7)
        before = msgspec.msgpack.encode(risk)
        op = draw.choice(("transaction",) * 6 + ("outcome", "default", "action", "expire") + CREDIT_OPS[:3])
        change: Change | None
        if op == "transaction":
            vector = [0.0] * SIZE
            for name in draw.sample(RULE_FEATURES, 5):
                vector[INDEX[name]] = draw.choice((0.0, 1.0, 9.0))
            contributions = [draw.uniform(-1, 1) for _ in range(SIZE + 1)]
            probability = draw.choice((0.0, 0.1, 0.3, 0.6, 0.9))
            change = assessor.transaction(risk, facts, vector, probability, draw.random(), contributions)
        elif op == "outcome":
            change = assessor.outcome(
                risk, facts, draw.choice(("fraud_confirmed", "false_positive", "chargeback")), card
            )
        elif op == "default":
            change = assessor.outcome(risk, facts, draw.choice(("default", "cured", "paid_in_full")), None, "f-1")
        elif op == "action":
            result = draw.choice(("applied", "refused", "failed", "confirmed_fraud", "confirmed_genuine", "no_answer"))
            change = assessor.action_result(risk, facts, draw.choice(("freeze_card", "call_customer")), result, card)
        elif op == "expire":
            change = assessor.expire(risk, at_ms, facts)
        elif op == "credit":
            score = CreditScore(draw.choice((0.001, 0.01, 0.05, 0.3)), 600.0, {}, (("legal_count", -60.0),))
            change = assessor.credit(risk, facts, score, days_past_due=draw.choice((0, 0, 0, 95)))
        elif op == "signal":
            change = assessor.signal(risk, facts, draw.choice(SIGNALS), at_ms, f"f-{draw.randrange(20)}")
        else:
            change = assessor.facility(risk, facts, f"f-{draw.randrange(20)}", draw.choice((0, 1, 35, 70, 99)))
        yield op, before, risk, change


@pytest.mark.parametrize("seed", range(12))
def test_every_change_of_state_is_one_record_and_nothing_else_is(assessor, seed):
    seen = 0
    for _, packed, risk, change in play(assessor, seed):
        before = msgspec.msgpack.decode(packed, type=RiskState)
        moved = flat(present(before)) != flat(present(risk))
        record = change.risk_change if change else None
        assert (record is not None) == moved
        assert (present(before) != present(risk)) == moved
        assert risk.sequence == before.sequence + moved
        if record is not None:
            seen += 1
            assert record.sequence == seen
            assert record.alert_ids == [alert.alert_id for alert in change.alerts]
    assert seen > 20


@pytest.mark.parametrize("seed", range(12))
def test_the_last_record_is_the_whole_state_and_the_changes_add_up_to_it(assessor, seed):
    values: dict[str, object] = {}
    last: RiskChange | None = None
    for _, _, risk, change in play(assessor, seed):
        if change and change.risk_change:
            last = msgspec.json.decode(encode(change.risk_change), type=RiskChange)
            for moved in last.changed:
                assert values.get(moved.path) == moved.before
                if moved.after is None:
                    del values[moved.path]
                else:
                    values[moved.path] = moved.after
        if last is not None:
            assert last.state == present(risk)
            assert values == flat(last.state)


@pytest.mark.parametrize("seed", range(12))
def test_a_credit_change_never_touches_a_card(assessor, seed):
    frozen = 0
    for op, packed, risk, _ in play(assessor, seed):
        if op in CREDIT_OPS:
            before = msgspec.msgpack.decode(packed, type=RiskState)
            freezes = [a for a in before.actions if a.action == "freeze_card"]
            frozen += len(freezes)
            assert [a for a in risk.actions if a.action == "freeze_card"] == freezes
            assert risk.cards == before.cards
    assert frozen


@pytest.mark.parametrize("seed", range(6))
def test_same_inputs_same_bytes_also_through_a_packed_row(assessor, policy, seed):
    def told(by: Assessor, repack: bool) -> list[bytes]:
        lines = []
        for _, packed, risk, change in play(by, seed):
            if repack:
                assert msgspec.msgpack.decode(msgspec.msgpack.encode(risk), type=RiskState) == risk
                assert msgspec.msgpack.encode(msgspec.msgpack.decode(packed, type=RiskState)) == packed
            if change:
                lines += [encode(alert) for alert in change.alerts]
                lines += [encode(change.risk_change)] if change.risk_change else []
        return lines

    assert told(assessor, repack=False) == told(Assessor(policy), repack=True)


@pytest.mark.parametrize("seed", range(6))
def test_memory_is_bounded_and_alert_ids_unique(assessor, seed):
    ids = []
    for _, _, risk, change in play(assessor, seed, steps=400):
        assert len(risk.cards) <= CARDS_MAX + 1
        assert len(risk.actions) <= ACTIONS_MAX
        assert len(risk.facilities) <= FACILITIES_MAX
        assert len(risk.cooldowns) <= COOLDOWNS_MAX
        ids += [alert.alert_id for alert in change.alerts] if change else []
    assert len(ids) == len(set(ids)) > 20


@pytest.mark.parametrize("seed", range(6))
def test_records_meet_their_schemas_and_alerts_show_no_card(assessor, seed):
    made = schemas()
    validators = {n: jsonschema.Draft202012Validator(json.loads(made[f"{n}.json"])) for n in ("alert", "risk-change")}
    count = 0
    for _, _, _, change in play(assessor, seed):
        if change is None:
            continue
        for alert in change.alerts:
            text = encode(alert)
            validators["alert"].validate(json.loads(text))
            assert msgspec.json.decode(text, type=Alert) == alert
            assert b"tok_9999" not in text
            assert len(alert.reasons) <= 4
            count += 1
        if change.risk_change:
            validators["risk-change"].validate(json.loads(encode(change.risk_change)))
    assert count > 5


def test_schema_files_are_up_to_date():
    for name, text in schemas().items():
        on_disk = (ROOT / "schemas" / name).read_text(encoding="utf-8")
        assert on_disk == text, f"schemas/{name} is not what the code says: run python -m alerts.schemas"
        jsonschema.Draft202012Validator.check_schema(json.loads(text))


def test_event_schema_knows_every_kind_and_refuses_what_the_decoder_refuses():
    schema = json.loads(schemas()["event.json"])
    assert len(schema["anyOf"]) == len(CUSTOMER_KINDS) + len(CONTROL_KINDS)
    validator = jsonschema.Draft202012Validator(schema)
    event = Transaction(
        event_id="e", customer_id="c", event_time_ms=1, schema_version=1, amount_minor=1, currency="EUR",
        direction="debit", channel="pos",
    )  # fmt: skip
    good = json.loads(encode_event(event))
    validator.validate(good)
    for bad in ({"amount_minor": -1}, {"currency": "XXX"}, {"kind": "nothing"}, {"schema_version": 2}):
        assert not validator.is_valid(good | bad)


def test_a_decision_leaves_out_what_does_not_apply():
    tick = Decision(disposition="control", kind="tick", event_id="t", event_time_ms=5, partition=0, offset=9,
                    model_version=1, policy_version="p")  # fmt: skip
    assert encode(tick) == (
        b'{"disposition":"control","kind":"tick","event_id":"t","event_time_ms":5,"partition":0,"offset":9,'
        b'"model_version":1,"policy_version":"p"}'
    )
    full = msgspec.structs.replace(
        tick, disposition="decision", customer_id="c", features=[0.5], reasons=[("amount_last", 1.5)], alert_ids=["a"]
    )
    validator = jsonschema.Draft202012Validator(json.loads(schemas()["decision.json"]))
    for record in (tick, full):
        validator.validate(json.loads(encode(record)))
        assert msgspec.json.decode(encode(record), type=Decision) == record


@pytest.mark.parametrize("document", ["alerts.md", "risk-changes.zh-CN.md"])
def test_examples_in_the_documents_are_valid(document):
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    blocks = [part.split("```", 1)[0] for part in text.split("```json\n")[1:]]
    assert blocks, "no example"
    for block in blocks:
        record = json.loads(block)
        kind, name = (RiskChange, "risk-change") if "sequence" in record else (Alert, "alert")
        jsonschema.validate(record, json.loads(schemas()[f"{name}.json"]), jsonschema.Draft202012Validator)
        assert json.loads(encode(msgspec.json.decode(block, type=kind))) == record


def test_documents_name_every_code(policy):
    text = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    words = [*INDEX, "anomaly", *SIGNALS, *(rule.id for rule in policy.rules), *policy.outcomes,
             *(f"level_{level.name}" for level in policy.levels), "grade_down", "grade_up", "default"]  # fmt: skip
    assert [word for word in words if f"`{word}`" not in text] == []


def test_a_calm_customer_takes_a_few_bytes():
    assert len(msgspec.msgpack.encode(RiskState(grade="BBB", pd_12m=0.01, sequence=3))) < 32


def test_cool_downs_forget_the_longest_ago_first():
    risk = RiskState()
    for number in range(COOLDOWNS_MAX + 1):
        start_cooling(risk, f"r{number}", "", 1000 - number)
    assert f"r{COOLDOWNS_MAX}:" not in risk.cooldowns
    assert "r0:" in risk.cooldowns


def test_masks_never_show_more_than_half():
    assert [mask(card) for card in ("tok_12345678", "1234", "1", "")] == ["****5678", "****34", "****", "****"]


def test_dead_letter_headers_carry_the_reason_and_are_bounded():
    headers = dict(dead_letter_headers("riskshift.events", 3, 42, "decode", "not_json", ValueError("x" * 5000)))
    assert headers["__connect.errors.offset"] == b"42"
    assert headers["__connect.errors.exception.class.name"] == b"builtins.ValueError"
    assert len(headers["__connect.errors.exception.message"]) == 1000
    assert headers["riskshift.reason.code"] == b"not_json"
