"""Whatever arrives, the worker goes on: bad records become dead letters, the good one behind each is decided."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from alerts.records import DEAD_LETTER_HEADERS
from features.events import REJECT_CODES
from streams.send import Raw, partition_of
from streams.tail import Record
from tests.streams.account import Account
from tests.streams.harness import Deployment

PARTITIONS = 2
# One customer per partition: every good event follows a bad one of the same customer.
CUSTOMERS = ("c-0", "c-1")
START_MS = 1_533_081_600_000
# Any sender's own, which must come through: an empty value, bytes that are no text, a name twice.
HEADERS: tuple[Any, ...] = (("trace", b"\x00\xff"), ("empty", b""), ("none", None), ("trace", b"2"))
_THEIRS = object()


@dataclass(frozen=True)
class Case:
    """One bad record; `{customer}` and `{partition}` in `value` are filled in. `key` is the customer unless given."""

    name: str
    code: str
    value: bytes | None
    key: Any = _THEIRS

    def record(self, partition: int) -> Raw:
        """The record as it is sent to `partition`."""
        customer = CUSTOMERS[partition].encode()
        key = customer if self.key is _THEIRS else self.key
        if self.value is None:
            return key, None, HEADERS
        value = self.value.replace(b"{customer}", customer).replace(b"{partition}", b"%d" % partition)
        return key, value, HEADERS


def _event(**changes: Any) -> bytes:
    event = {
        "event_id": "bad", "kind": "transaction", "schema_version": 1, "customer_id": "{customer}",
        "event_time_ms": START_MS, "amount_minor": 1200, "currency": "EUR", "direction": "debit", "channel": "pos",
    } | changes  # fmt: skip
    return json.dumps({name: value for name, value in event.items() if value != "absent"}).encode()


def _literal(text: str, field: str = "amount_minor") -> bytes:
    # What json.dumps would never write.
    return _event(**{field: "@@"}).replace(b'"@@"', text.encode())


def _control(kind: str, **changes: Any) -> bytes:
    return json.dumps(
        {"event_id": "forged", "kind": kind, "schema_version": 1, "event_time_ms": START_MS} | changes
    ).encode()


def _envelope(data: Any, **changes: Any) -> bytes:
    return json.dumps({"specversion": "1.0", "id": "e", "source": "/s", "type": "t", "data": data} | changes).encode()


def _cases() -> list[Case]:
    soon_ms = int(time.time() * 1000) + 3_600_000
    plain = _event()
    twice = b'"amount_minor": 5, "currency"'
    return [
        Case("empty", "empty", b""),
        Case("tombstone", "empty", None),
        Case("null without key", "empty", None, None),
        Case("null with an empty key", "empty", None, b""),
        Case("spaces", "not_json", b"   "),
        Case("words", "not_json", b"hello"),
        Case("xml", "not_json", b"<event/>"),
        Case("single quotes", "not_json", plain.replace(b'"', b"'")),
        Case("cut short", "not_json", plain[:60]),
        Case("trailing garbage", "not_json", plain + b" garbage"),
        Case("two events", "not_json", plain + plain),
        Case("byte order mark", "not_json", b"\xef\xbb\xbf" + plain),
        Case("UTF-16", "bad_encoding", plain.decode().encode("utf-16")),
        Case("bad UTF-8", "bad_encoding", _event(card_id="@@").replace(b"@@", b"\xff\xfe")),
        Case("bad UTF-8 in an unknown field", "bad_encoding", _event(note="@@").replace(b"@@", b"\xc3\x28")),
        Case("lone surrogate", "not_json", _event(card_id="@@").replace(b"@@", b"\\ud800")),
        Case("raw control character", "not_json", _event(card_id="a@@b").replace(b"@@", b"\n")),
        Case("array", "not_an_object", b"[" + plain + b"]"),
        Case("string", "not_an_object", b'"hi"'),
        Case("number", "not_an_object", b"42"),
        Case("null", "not_an_object", b"null"),
        Case("NaN", "not_json", _literal("NaN")),
        Case("Infinity", "not_json", _literal("Infinity")),
        Case("-Infinity", "not_json", _literal("-Infinity")),
        Case("NaN in an unknown field", "not_json", _literal("NaN", "note")),
        Case("huge integer", "out_of_range", _literal("9" * 30)),
        Case("integer of 5000 digits", "not_json", _literal("9" * 5000)),
        Case("1e400", "out_of_range", _literal("1e400")),
        Case("deep arrays", "too_deep", _literal("[" * 20_000 + "]" * 20_000, "note")),
        Case("deep objects", "too_deep", _literal('{"a":' * 8_000 + "1" + "}" * 8_000, "note")),
        # Near the interpreter's own limit, where the call stack of the day would decide.
        Case("rather deep arrays", "too_deep", _literal("[" * 900 + "]" * 900, "note")),
        Case("deep and never closed", "too_deep", b"[" * 60_000),
        Case("string of a megabyte", "too_large", _event(card_id="x" * 1_000_000)),
        Case("duplicate key", "duplicate_key", plain.replace(b'"currency"', twice)),
        Case(
            "duplicate key, space before the colon", "duplicate_key",
            plain.replace(b'"currency"', twice.replace(b'":', b'" \t:')),
        ),
        Case("duplicate key, escaped", "duplicate_key", plain.replace(b'"currency"', twice.replace(b"_", b"\\u005f"))),
        Case("unknown kind", "unknown_kind", _event(kind="teleport")),
        Case("kind that is no text", "unknown_kind", _event(kind=["transaction"])),
        Case("missing kind", "missing_field", _event(kind="absent")),
        Case("missing field", "missing_field", _event(currency="absent")),
        Case("unknown version", "unknown_version", _event(schema_version=9)),
        Case("version as text", "unknown_version", _event(schema_version="1")),
        Case("version true", "unknown_version", _event(schema_version=True)),
        Case("amount as text", "wrong_type", _event(amount_minor="1200")),
        Case("fractional amount", "wrong_type", _event(amount_minor=12.5)),
        Case("amount true", "wrong_type", _event(amount_minor=True)),
        Case("amount null", "wrong_type", _event(amount_minor=None)),
        Case("customer as number", "wrong_type", _event(customer_id=5)),
        Case("negative amount", "out_of_range", _event(amount_minor=-1)),
        Case("negative time", "out_of_range", _event(event_time_ms=-1)),
        Case("unknown currency", "unknown_currency", _event(currency="XXQ")),
        Case("unknown channel", "unknown_value", _event(channel="pigeon")),
        Case("too long id", "out_of_range", _event(event_id="x" * 65)),
        Case("empty id", "out_of_range", _event(event_id="")),
        Case("full card number", "card_number", _event(card_id="4111111111111111")),
        Case("full card number with spaces", "card_number", _event(card_id="4111 1111 1111 1111")),
        Case("full card number as customer", "card_number", _event(customer_id="5500005555555559")),
        Case("time in nanoseconds", "out_of_range", _event(event_time_ms=START_MS * 1_000_000)),
        Case("an hour ahead of the broker", "far_future", _event(event_time_ms=soon_ms)),
        Case("another customer's key", "key_mismatch", plain, b"somebody-else"),
        Case("key that is no text", "key_mismatch", plain, b"\xff\x00"),
        Case("no key", "missing_key", plain, None),
        Case("envelope of another version", "bad_envelope", _envelope({}, specversion="0.3")),
        Case("envelope around text", "bad_envelope", _envelope("event")),
        Case("envelope in an envelope", "bad_envelope", _envelope({"specversion": "1.0", "data": {}})),
        Case("envelope around half an event", "missing_field", _envelope({"kind": "login", "schema_version": 1})),
        Case("forged tick with a key", "bad_control", _control("tick", partition=0)),
        Case("tick for another partition", "bad_control", _control("tick", partition=7), None),
        Case(
            "tick far ahead", "far_future",
            _control("tick", partition="{partition}", event_time_ms=soon_ms).replace(b'"{partition}"', b"{partition}"),
            None,
        ),
        Case("tick without partition", "missing_field", _control("tick"), None),
        *(
            Case(
                f"switch to unknown version {version}", "bad_control",
                _control("switch", partition="@@", model_version=version, policy_version="unknown-1")
                .replace(b'"@@"', b"{partition}"),
                None,
            )
            for version in (1, 987_654, 987_655, 987_656)
        ),
    ]  # fmt: skip


def _good(partition: int, number: int) -> Raw:
    """A valid event in one of the three forms in turn: plain, CloudEvents structured, CloudEvents binary."""
    customer = CUSTOMERS[partition]
    event = json.loads(_event(event_id=f"good-{number}", event_time_ms=START_MS + number * 60_000))
    event["customer_id"] = customer
    key = customer.encode()
    if number % 3 == 0:
        return key, json.dumps(event).encode(), ()
    if number % 3 == 1:
        # Identity and subject from the envelope alone.
        inner = {name: value for name, value in event.items() if name not in ("event_id", "customer_id")}
        return key, _envelope(inner, id=event["event_id"], subject=customer), ()
    attributes = {"ce_specversion": b"1.0", "ce_type": b"bank.transaction", "ce_source": b"/core", "ce_id": b"x-1"}
    return key, json.dumps(event).encode(), [*attributes.items(), ("content-type", b"application/json")]


def test_every_kind_of_bad_input_is_a_dead_letter_and_the_next_good_event_is_decided(
    any_broker: str, prefix: str, tmp_path: Path
) -> None:
    assert [partition_of(customer.encode(), PARTITIONS) for customer in CUSTOMERS] == [0, 1]
    cases = _cases()
    sent = [
        [record for n, case in enumerate(cases) for record in (case.record(p), _good(p, n))] for p in range(PARTITIONS)
    ]
    with Deployment(any_broker, prefix, tmp_path, PARTITIONS) as deployment:
        deployment.declare()
        with deployment.worker() as worker:
            before = worker.pids()
            for partition, records in enumerate(sent):
                deployment.send_raw(records, partition)
            account = deployment.drain(30)
            assert worker.restarts == []
            assert worker.pids() == before
        assert worker.stop() == 0
        dead = {_source(record): record for record in deployment.read("dead-letters")}
    _check_account(account, sent)
    for partition, records in enumerate(sent):
        for number, case in enumerate(cases):
            key, value, _headers = records[2 * number]
            _check_dead_letter(case, dead[partition, 2 * number], key, value, f"{prefix}.events")
            assert account.kind((partition, 2 * number + 1)) == "decision", f"the good event after {case.name!r}"


def _check_account(account: Account, sent: list[list[Raw]]) -> None:
    assert len(account.inputs) == sum(map(len, sent))
    for (partition, offset), record in account.inputs.items():
        assert (record.key, record.value) == sent[partition][offset][:2]
    assert not account.invented()
    assert not account.twice()
    assert account.counts() == {"dead_letter": len(account.inputs) // 2, "decision": len(account.inputs) // 2}


def _source(record: Record) -> tuple[int, int]:
    headers = dict(record.headers)
    place = (headers["__connect.errors.partition"], headers["__connect.errors.offset"])
    return int(place[0] or b"-1"), int(place[1] or b"-1")


def _check_dead_letter(case: Case, dead: Record, key: bytes | None, value: bytes | None, topic: str) -> None:
    headers = dict(dead.headers)
    assert headers["riskshift.reason.code"] == case.code.encode(), f"{case.name}: {headers}"
    assert (dead.key, dead.value) == (key, value), case.name
    assert dead.headers[: len(HEADERS)] == HEADERS, case.name
    assert tuple(name for name, _value in dead.headers[len(HEADERS) :]) == DEAD_LETTER_HEADERS
    assert headers["__connect.errors.topic"] == topic.encode()
    assert dead.partition == _source(dead)[0], "output goes to the partition its input came from"
    # For a person: what was expected, in one line of bounded length.
    message = (headers["__connect.errors.exception.message"] or b"").decode()
    assert message
    assert len(message) <= 1_000


def test_the_cases_cover_every_reason_code() -> None:
    cases = _cases()
    assert len({case.name for case in cases}) == len(cases) >= 30
    assert {case.code for case in cases} == set(REJECT_CODES)


@pytest.mark.parametrize("number", range(3))
def test_the_good_forms_differ(number: int) -> None:
    _key, value, headers = _good(0, number)
    assert (b"specversion" in (value or b""), bool(headers)) == ((False, False), (True, False), (False, True))[number]
