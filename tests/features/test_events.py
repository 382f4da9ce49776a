"""Every kind decodes and comes back the same; whatever is not an event is refused with its reason code."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from features.errors import EventError
from features.events import (
    CONTROL_KINDS,
    CUSTOMER_KINDS,
    EVENT_BYTES_MAX,
    EVENT_TIME_MAX_MS,
    FUTURE_MAX_MS,
    KINDS,
    REJECT_CODES,
    Event,
    Transaction,
    check_key,
    check_time,
    decode,
    encode,
)

NOW = 1_533_081_600_000
HEAD = {"schema_version": 1, "event_id": "e-1", "customer_id": "c-1", "event_time_ms": NOW}
CONTROL = {"schema_version": 1, "event_id": "t-1", "event_time_ms": NOW}
MONEY = {"amount_minor": 1200, "currency": "EUR"}

# All fields of every kind, so that none escapes the round trip.
GOOD: dict[str, dict[str, Any]] = {
    "transaction": {
        **HEAD, **MONEY, "direction": "debit", "channel": "pos", "type": "purchase", "status": "approved",
        "billing_amount_minor": 1300, "balance_minor": -5, "category": "household", "merchant_id": "m-1",
        "terminal_id": "t-1", "mcc": "5411", "country": "FR", "card_id": "tok_1", "account_id": "a-1",
        "device_id": None, "payee_id": "p-1", "district": "north",
    },
    "auth_result": {**HEAD, "transaction_id": "e-0", "result": "step_up_failed", "card_id": "tok_1", "reason": "cvv"},
    "action_result": {
        **HEAD, "action": "freeze_card", "result": "applied", "card_id": "tok_1", "alert_id": "al-1", "by": "desk",
    },
    "login": {**HEAD, "channel": "mobile", "result": "failed", "device_id": "d-1", "country": "FR"},
    "device_change": {**HEAD, "device_id": "d-2", "channel": "mobile"},
    "payee_added": {**HEAD, "payee_id": "p-1", "country": "DE", "channel": "online"},
    "application": {
        **HEAD, **MONEY, "product": "loan", "term_months": 24, "stated_income_minor": 5, "channel": "branch",
    },
    "offer_made": {**HEAD, "campaign_id": "spring", "product": "card", "holdout": True},
    "statement": {
        **HEAD, "facility_id": "f-1", "balance_minor": -3, "minimum_due_minor": 10, "due_time_ms": NOW + 1,
        "limit_minor": 100, "currency": "EUR",
    },
    "repayment": {**HEAD, **MONEY, "facility_id": "f-1", "returned": False},
    "loan_granted": {
        **HEAD, **MONEY, "facility_id": "f-1", "instalment_minor": 7, "term_months": 12, "product": "loan",
    },
    "instalment_due": {**HEAD, **MONEY, "facility_id": "f-1", "due_time_ms": NOW},
    "limit_changed": {**HEAD, "facility_id": "f-1", "limit_minor": 0, "currency": "EUR"},
    "collateral_valued": {**HEAD, "facility_id": "f-1", "collateral_id": "k-1", "value_minor": 9, "currency": "EUR"},
    "profile": {
        **HEAD, "customer_type": "enterprise", "occupation": "baker", "employer_id": "e-9", "education_band": "b",
        "customer_since_ms": 0, "district": "north", "industry": "food", "country": "FR",
    },
    "income": {**HEAD, **MONEY, "source": "salary", "payer_id": "p-2", "expected_days": 30},
    "bureau_report": {
        **HEAD, "score": 612, "open_facilities": 3, "days_past_due_max": 30, "inquiries_6m": 2, "bureau": "b",
    },
    "employment_change": {**HEAD, "change": "ended", "employer_id": "e-9", "industry": "food"},
    "legal_event": {**HEAD, **MONEY, "type": "lawsuit"},
    "registry_change": {**HEAD, "type": "director", "detail": "法定代表人变更"},
    "social_signal": {**HEAD, "source": "opt-in", "value": -0.5},
    "outcome": {
        **HEAD, "outcome": "fraud_confirmed", "about_event_id": "e-0", "facility_id": "f-1", "card_id": "tok_1",
        "typology": "theft", "by": "desk", "actor": "desk-7",
    },
    "tick": {**CONTROL, "partition": 0},
    "switch": {**CONTROL, "partition": 3, "model_version": 7, "policy_version": "2026-01"},
    "indicator": {
        **CONTROL, "scope": "district", "scope_id": "north", "name": "arrears", "value": 0.02, "unit": "ratio",
    },
}  # fmt: skip


def good(kind: str = "transaction", /, **changes: Any) -> bytes:
    return json.dumps({"kind": kind, **GOOD[kind], **changes}).encode()


def without(field: str, kind: str = "transaction") -> bytes:
    return json.dumps({k: v for k, v in {"kind": kind, **GOOD[kind]}.items() if k != field}).encode()


def with_tail(tail: str) -> bytes:
    return good()[:-1] + tail.encode() + b"}"


def envelope(**fields: Any) -> bytes:
    return json.dumps({"specversion": "1.0", "id": "ce-1", "source": "s", "type": "t", **fields}).encode()


def _plain(**changes: Any) -> dict[str, Any]:
    return {"kind": "transaction", **GOOD["transaction"], **changes}


# --- good -----------------------------------------------------------------------------------------------


def test_there_is_a_good_example_with_every_field_of_every_kind() -> None:
    assert set(GOOD) == set(KINDS)
    assert len(CUSTOMER_KINDS) + len(CONTROL_KINDS) == len(KINDS)
    for name, kind in KINDS.items():
        assert set(GOOD[name]) == set(kind.__struct_fields__), name


@pytest.mark.parametrize("name", sorted(KINDS))
def test_good_example_comes_back_the_same(name: str) -> None:
    event = decode(good(name))
    assert type(event) is KINDS[name]
    data = encode(event)
    assert decode(data) == event
    assert encode(decode(data)) == data
    assert json.loads(data) == {"kind": name, **GOOD[name]}


@pytest.mark.parametrize("name", sorted(KINDS))
def test_optional_fields_may_be_left_out_and_stay_out(name: str) -> None:
    required = [f.encode_name for f in msgspec.structs.fields(KINDS[name]) if f.required]
    small = {"kind": name, **{field: GOOD[name][field] for field in required}}
    event = decode(json.dumps(small).encode())
    assert json.loads(encode(event)) == small


@pytest.mark.parametrize(
    ("name", "field"),
    [(n, f.encode_name) for n, k in sorted(KINDS.items()) for f in msgspec.structs.fields(k) if f.required],
)
def test_required_field_is_required(name: str, field: str) -> None:
    with pytest.raises(EventError, match=field) as caught:
        decode(without(field, name))
    assert caught.value.code == "missing_field"


@pytest.mark.parametrize(
    "data",
    [
        good(unknown={"a": [1, {"b": 2}]}),
        good(merchant_id='":odd'),
        good(merchant_id="café ☕"),
        json.dumps(_plain(merchant_id="café"), ensure_ascii=False).encode(),
        json.dumps(_plain(), indent=2).encode() + b"\n",
        good(card_id="4111111111111112"),
        good(merchant_id="4111111111111111"),
        good(event_time_ms=EVENT_TIME_MAX_MS),
        good(amount_minor=10**13),
        good(event_id="x" * 64),
        good(merchant_id="x" * 63 + "é"),
        good(x="NaN"),
    ],
    ids=["unknown field", "colon in text", "escaped", "utf-8", "indented", "no luhn", "merchant", "latest", "largest",
         "longest", "longest in characters", "NaN in text"],
)  # fmt: skip
def test_unusual_but_good_is_accepted(data: bytes) -> None:
    assert isinstance(decode(data), Transaction)


def test_structured_cloud_event_is_opened_and_fills_what_is_missing() -> None:
    assert decode(envelope(data=_plain())) == decode(good())
    bare = {k: v for k, v in _plain().items() if k not in ("event_id", "customer_id")}
    event = decode(envelope(data=bare, subject="c-7"))
    assert isinstance(event, Event)
    assert (event.event_id, event.customer_id) == ("ce-1", "c-7")


# --- bad ------------------------------------------------------------------------------------------------

BAD: list[tuple[str, str, bytes | None]] = [
    ("tombstone", "empty", None),
    ("no bytes", "empty", b""),
    ("one byte too many", "too_large", good(x="y" * (EVENT_BYTES_MAX - len(good(x="")) + 1))),
    ("a megabyte", "too_large", good(merchant_id="x" * 1_000_000)),
    ("not utf-8", "bad_encoding", b"\xff\xfe\x00"),
    ("bad byte in a text", "bad_encoding", good(merchant_id="Z").replace(b'"Z"', b'"\xff"')),
    ("bad byte in an unknown text", "bad_encoding", good(unknown="Z").replace(b'"Z"', b'"\xc3("')),
    ("utf-16", "bad_encoding", json.dumps(_plain()).encode("utf-16")),
    ("blank", "not_json", b"  "),
    ("cut short", "not_json", good()[:-1]),
    ("two events in one", "not_json", good() + good()),
    ("xml", "not_json", b"<event/>"),
    ("single quotes", "not_json", b"{'kind': 'login'}"),
    ("schema registry magic", "not_json", b"\x00\x00\x00\x00\x07" + good()),
    ("byte order mark", "not_json", b"\xef\xbb\xbf" + good()),
    ("NaN", "not_json", good(amount_minor=float("nan"))),
    ("Infinity", "not_json", good(amount_minor=float("inf"))),
    ("minus Infinity", "not_json", good("social_signal", value=float("-inf"))),
    ("leading zero", "not_json", good().replace(b": 1200", b": 01200")),
    ("lone surrogate", "not_json", good(customer_id="\ud800")),
    ("array", "not_an_object", b"[" + good() + b"]"),
    ("text", "not_an_object", b'"transaction"'),
    ("number", "not_an_object", b"17"),
    ("null", "not_an_object", b"null"),
    ("boolean", "not_an_object", b"true"),
    ("deep array", "too_deep", b"[" * 60_000),
    ("deep object", "too_deep", b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
    ("deep unknown field", "too_deep", with_tail(', "x": ' + "[" * 20_000 + "]" * 20_000)),
    # Shallow for the interpreter: the limit is ours, so that it does not depend on who calls.
    ("unknown field 32 deep inside an event", "too_deep", with_tail(', "\\"x": ' + "[" * 32 + "]" * 32)),
    ("key twice", "duplicate_key", with_tail(', "amount_minor": 1')),
    ("kind twice", "duplicate_key", with_tail(', "kind": "transaction"')),
    ("other kind twice", "duplicate_key", with_tail(', "kind": "login"')),
    ("unknown key twice", "duplicate_key", with_tail(', "x": 1, "x": 2')),
    ("key twice, once escaped", "duplicate_key", with_tail(', "amount\\u005fminor": 1')),
    ("key twice beside an odd text", "duplicate_key", good(merchant_id='":')[:-1] + b', "amount_minor": 1}'),
    ("key twice, blank before the colon", "duplicate_key", with_tail(', "amount_minor" : 1')),
    ("key twice, line end before the colon", "duplicate_key", with_tail(', "amount_minor"\n: 1')),
    ("empty object", "missing_field", b"{}"),
    ("no kind", "missing_field", without("kind")),
    ("unknown kind", "unknown_kind", good(kind="transfer")),
    ("kind a number", "unknown_kind", good(kind=1)),
    ("kind null", "unknown_kind", good(kind=None)),
    ("kind a list", "unknown_kind", good(kind=["login"])),
    ("newer version", "unknown_version", good(schema_version=2)),
    ("version a text", "unknown_version", good(schema_version="1")),
    ("version true", "unknown_version", good(schema_version=True)),
    ("version null", "unknown_version", good(schema_version=None)),
    ("amount a text", "wrong_type", good(amount_minor="1200")),
    ("amount with cents", "wrong_type", good(amount_minor=12.5)),
    ("amount a boolean", "wrong_type", good(amount_minor=True)),
    ("amount null", "wrong_type", good(amount_minor=None)),
    ("amount an object", "wrong_type", good(amount_minor={"value": 1})),
    ("time a text", "wrong_type", good(event_time_ms="2018-08-01")),
    ("time in float seconds", "wrong_type", good(event_time_ms=1533081600.5)),
    ("id a number", "wrong_type", good(event_id=7)),
    ("customer null", "wrong_type", good(customer_id=None)),
    ("merchant a number", "wrong_type", good(merchant_id=7)),
    ("flag a number", "wrong_type", good("offer_made", holdout=1)),
    ("amount negative", "out_of_range", good(amount_minor=-1)),
    ("amount huge", "out_of_range", good(amount_minor=10**13 + 1)),
    ("amount beyond 64 bits", "out_of_range", good(amount_minor=10**30)),
    ("number beyond double", "out_of_range", good("social_signal").replace(b"-0.5", b"1e400")),
    ("time negative", "out_of_range", good(event_time_ms=-1)),
    ("time in microseconds", "out_of_range", good(event_time_ms=NOW * 1000)),
    ("id empty", "out_of_range", good(event_id="")),
    ("id too long", "out_of_range", good(event_id="x" * 65)),
    ("customer empty", "out_of_range", good(customer_id="")),
    ("country of three letters", "out_of_range", good(country="FRA")),
    ("mcc of two digits", "out_of_range", good(mcc="54")),
    ("score beyond the scale", "out_of_range", good("bureau_report", score=1001)),
    ("term of no months", "out_of_range", good("loan_granted", term_months=0)),
    ("tick of no partition", "out_of_range", good("tick", partition=-1)),
    ("unknown currency", "unknown_currency", good(currency="XXX")),
    ("currency in small letters", "unknown_currency", good(currency="eur")),
    ("unknown currency of income", "unknown_currency", good("income", currency="BTC")),
    ("unknown direction", "unknown_value", good(direction="sideways")),
    ("unknown channel", "unknown_value", good(channel="fax")),
    ("unknown type", "unknown_value", good(type="gift")),
    ("unknown status", "unknown_value", good(status="maybe")),
    ("unknown scope", "unknown_value", good("indicator", scope="planet")),
    ("card number", "card_number", good(card_id="4111111111111111")),
    ("card number with blanks", "card_number", good(card_id="4111 1111 1111 1111")),
    ("card number with dashes", "card_number", good(customer_id="5500-0000-0000-0004")),
    ("card number of fifteen digits", "card_number", good(account_id="378282246310005")),
    ("card number as payee", "card_number", good("payee_added", payee_id="6011111111111117")),
    ("card number in a detail", "card_number", good("registry_change", detail="4111111111111111")),
    ("envelope of another version", "bad_envelope", json.dumps({"specversion": "0.3", "data": _plain()}).encode()),
    ("envelope with text inside", "bad_envelope", envelope(data="x")),
    ("envelope in an envelope", "bad_envelope", envelope(data={"specversion": "1.0", "data": _plain()})),
    ("envelope with null inside", "bad_envelope", envelope(data=None)),
    ("bad event in an envelope", "unknown_currency", envelope(data=_plain(currency="XXX"))),
    ("NaN in an envelope", "not_json", envelope(data=_plain(amount_minor=float("nan")))),
]


@pytest.mark.parametrize(("code", "data"), [pytest.param(c, d, id=n) for n, c, d in BAD])
def test_bad_input_is_refused_with_its_code(code: str, data: bytes | None) -> None:
    with pytest.raises(EventError) as caught:
        decode(data)
    assert caught.value.code == code, str(caught.value)
    assert len(str(caught.value)) < 1_000, "a message is for a person and a header"
    assert str(caught.value)
    # The next good event is not touched by what came before it.
    assert isinstance(decode(good()), Transaction)


def test_codes_are_declared_and_those_of_decode_are_all_reached() -> None:
    assert len(BAD) >= 40
    reached = {code for _, code, _ in BAD}
    # Key and time are checked beside `decode`; the order of control records is the engine's to check.
    beside = {"key_mismatch", "missing_key", "far_future", "bad_control"}
    assert reached == set(REJECT_CODES) - beside


def test_largest_event_is_accepted() -> None:
    data = good(x="y" * (EVENT_BYTES_MAX - len(good(x=""))))
    assert len(data) == EVENT_BYTES_MAX
    assert isinstance(decode(data), Transaction)


@pytest.mark.parametrize("cut", range(0, len(good()), 7))
def test_event_cut_anywhere_is_refused(cut: int) -> None:
    with pytest.raises(EventError) as caught:
        decode(good()[:cut])
    assert caught.value.code in ("empty", "not_json")


# --- key and time ---------------------------------------------------------------------------------------


def test_key_must_be_the_customer() -> None:
    event = decode(good(customer_id="é"))
    assert isinstance(event, Event)
    check_key(event, "é".encode())
    for key, code in (
        (None, "missing_key"),
        (b"", "key_mismatch"),
        (b"c-2", "key_mismatch"),
        (b"\xff", "key_mismatch"),
    ):
        with pytest.raises(EventError) as caught:
            check_key(event, key)
        assert caught.value.code == code


def test_far_future_is_judged_against_the_broker() -> None:
    event = decode(good())
    check_time(event, NOW - FUTURE_MAX_MS)
    check_time(event, NOW + 10**12)
    check_time(event, -1)
    with pytest.raises(EventError) as caught:
        check_time(event, NOW - FUTURE_MAX_MS - 1)
    assert caught.value.code == "far_future"


def test_cloudevents_binary_mode_fills_what_the_body_lacks() -> None:
    body = b'{"kind":"login","schema_version":1,"event_time_ms":1,"channel":"mobile","result":"ok"}'
    headers = [("ce_specversion", b"1.0"), ("ce_id", b"e-9"), ("ce_subject", b"c-9"), ("other", b"x")]
    event = decode(body, headers)
    assert isinstance(event, Event)
    assert (event.event_id, event.customer_id) == ("e-9", "c-9")
    with pytest.raises(EventError) as without:
        decode(body)
    assert without.value.code == "missing_field"
    with pytest.raises(EventError):
        decode(body, [("ce_specversion", b"0.3"), ("ce_id", b"e-9"), ("ce_subject", b"c-9")])


def test_cloudevents_headers_never_overrule_the_body() -> None:
    body = b'{"kind":"login","schema_version":1,"event_id":"e-1","event_time_ms":1,"channel":"mobile","result":"ok"}'
    event = decode(body, [("ce_specversion", b"1.0"), ("ce_id", b"e-9"), ("ce_subject", b"c-9")])
    assert isinstance(event, Event)
    assert (event.event_id, event.customer_id) == ("e-1", "c-9")
