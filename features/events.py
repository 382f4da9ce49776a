"""Events at the door: `decode` turns bytes into one of `features.kinds`, or says with a code why not.

An event is a JSON object with `kind`, `schema_version`, `event_id`, `customer_id`, `event_time_ms` and the fields
of its kind; plain, or in a CloudEvents envelope. Unknown fields are passed over (a sender may be newer);
everything known is checked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Union, cast, get_args

import msgspec
from msgspec import UNSET

from features.currencies import Currency
from features.errors import EventError
from features.kinds import (
    ALL_KINDS,
    CONTROL_KINDS,
    CUSTOMER_KINDS,
    EVENT_TIME_MAX_MS,
    KINDS,
    SCHEMA_VERSION,
    ActionResult,
    Application,
    AuthResult,
    BureauReport,
    Category,
    Channel,
    CollateralValued,
    Control,
    DeviceChange,
    EmploymentChange,
    Event,
    Income,
    Indicator,
    InstalmentDue,
    LegalEvent,
    LimitChanged,
    LoanGranted,
    Login,
    OfferMade,
    Outcome,
    OutcomeType,
    PayeeAdded,
    Profile,
    RegistryChange,
    Repayment,
    SocialSignal,
    Statement,
    Switch,
    Tick,
    Transaction,
    TransactionType,
)

EVENT_BYTES_MAX = 65_536
# How far an event may lie ahead of the broker's own timestamp: a sender's clock may be wrong by minutes, not more.
FUTURE_MAX_MS = 15 * 60_000

REJECT_CODES = (
    "empty", "too_large", "bad_encoding", "not_json", "not_an_object", "too_deep", "duplicate_key",
    "unknown_kind", "unknown_version", "missing_field", "wrong_type", "out_of_range", "unknown_currency",
    "unknown_value", "key_mismatch", "missing_key", "far_future", "card_number", "bad_envelope", "bad_control",
)  # fmt: skip

__all__ = [
    "ALL_KINDS",
    "CONTROL_KINDS",
    "CURRENCIES",
    "CUSTOMER_KINDS",
    "EVENT_BYTES_MAX",
    "EVENT_TIME_MAX_MS",
    "FUTURE_MAX_MS",
    "KINDS",
    "REJECT_CODES",
    "SCHEMA_VERSION",
    "ActionResult",
    "Application",
    "AuthResult",
    "BureauReport",
    "Category",
    "Channel",
    "CollateralValued",
    "Control",
    "DeviceChange",
    "EmploymentChange",
    "Event",
    "Income",
    "Indicator",
    "InstalmentDue",
    "LegalEvent",
    "LimitChanged",
    "LoanGranted",
    "Login",
    "OfferMade",
    "Outcome",
    "OutcomeType",
    "PayeeAdded",
    "Profile",
    "RegistryChange",
    "Repayment",
    "SocialSignal",
    "Statement",
    "Switch",
    "Tick",
    "Transaction",
    "TransactionType",
    "check_key",
    "check_time",
    "decode",
    "encode",
]

# The checker cannot see a Union built at run time, so what the decoder gives is named once, here.
_decoder: msgspec.json.Decoder[Event | Control] = msgspec.json.Decoder(cast(Any, Union[ALL_KINDS]))  # noqa: UP007
_astuple = msgspec.structs.astuple
_encoder = msgspec.json.Encoder()


def encode(event: Event | Control) -> bytes:
    """Canonical JSON of an event, fields in declared order, absent fields left out."""
    return _encoder.encode(event)


Headers = Sequence[tuple[str, bytes]]


def decode(data: bytes | None, headers: Headers = ()) -> Event | Control:
    """Decode and validate one record.

    Parameters
    ----------
    data
        JSON bytes, at most `EVENT_BYTES_MAX`; plain, or a CloudEvents structured envelope.
    headers
        The record's headers; in CloudEvents binary mode `ce_id` and `ce_subject` fill what the body lacks.

    Returns
    -------
    One of `CUSTOMER_KINDS` or `CONTROL_KINDS`. About a microsecond for a 300-byte transaction.

    Raises
    ------
    EventError
        With a code of `REJECT_CODES` and a message that says what was expected and found.

    Examples
    --------
    >>> decode(b'{"kind":"login","schema_version":1,"event_id":"e","customer_id":"c","event_time_ms":1,'
    ...        b'"channel":"mobile","result":"ok"}').channel
    'mobile'
    """
    if not data:
        raise EventError("empty", "expected a JSON event, found an empty value (a tombstone?): send the whole event")
    if len(data) > EVENT_BYTES_MAX:
        raise EventError("too_large", f"expected at most {EVENT_BYTES_MAX} bytes, found {len(data)}: shorten the event")
    try:
        event = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return _decode_carefully(data, error, headers)
    # Every key once: as many colons as fields that are set, plus the tag. Cheap; what differs is looked at slowly.
    values = _astuple(event)
    if data.count(b":") != len(values) - values.count(UNSET) + 1 or not data.isascii():
        _check_text(data)
        _check_keys(data)
    if isinstance(event, Event):
        _check_card_number(event)
    return event


def check_key(event: Event, key: bytes | None) -> None:
    """Refuse an event whose record key is not its customer: it would live in the wrong partition."""
    if key is None:
        raise EventError("missing_key", "expected the customer_id as record key, found none: key events by customer_id")
    if key != event.customer_id.encode():
        raise EventError(
            "key_mismatch", f"expected the record key to be customer_id {event.customer_id!r}, found {key[:80]!r}"
        )


def check_time(event: Event | Control, broker_ms: int) -> None:
    """Refuse an event more than `FUTURE_MAX_MS` ahead of the broker's timestamp (negative: not known)."""
    if 0 <= broker_ms < event.event_time_ms - FUTURE_MAX_MS:
        raise EventError(
            "far_future",
            f"expected event_time_ms at most {FUTURE_MAX_MS} ms after the broker's {broker_ms}, "
            f"found {event.event_time_ms}: check the sender's clock and unit (milliseconds)",
        )


# --- the slow path: only for what failed or looks odd ---------------------------------------------------


# Far below the interpreter's own limit, which counts the calls that happen to be open: what is refused must not
# depend on who calls.
DEPTH_MAX = 32
_TOKENS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{}]', re.DOTALL)


class _RefusedError(ValueError):
    pass


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    for key, value in pairs:
        if key in keys:
            raise _RefusedError(key)
        keys[key] = value
    return keys


def _parse(data: bytes) -> Any:
    try:
        return json.loads(data, object_pairs_hook=_pairs)
    except _RefusedError as error:
        raise EventError("duplicate_key", f"expected every key once, found {str(error)[:80]!r} twice") from None
    except RecursionError:
        raise EventError("too_deep", "expected a flat event, found deep nesting") from None
    except ValueError as error:
        raise EventError("not_json", f"expected JSON, found {str(error)[:160]}") from None


def _check_text(data: bytes) -> None:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise EventError("bad_encoding", f"expected UTF-8, found {error.reason} at byte {error.start}") from None


def _check_depth(data: bytes) -> None:
    if data.count(b"[") + data.count(b"{") <= DEPTH_MAX:
        return
    depth = 0
    for token in _TOKENS.finditer(data):
        first = token[0][:1]
        depth += (first in b"[{") - (first in b"]}")
        if depth > DEPTH_MAX:
            raise EventError("too_deep", f"expected a flat event, found nesting deeper than {DEPTH_MAX}") from None


def _check_keys(data: bytes) -> None:
    _check_depth(data)
    _parse(data)


def _decode_carefully(data: bytes, error: Exception, headers: Headers) -> Event | Control:
    """Find out what is wrong, or that it is a CloudEvents envelope; say it with a code."""
    _check_text(data)
    _check_depth(data)
    if isinstance(error, RecursionError):
        raise EventError("too_deep", "expected a flat event, found deep nesting") from None
    if b"NaN" in data or b"Infinity" in data:
        try:
            json.loads(data, parse_constant=_refuse_constant)
        except _RefusedError as constant:
            raise EventError("not_json", f"expected JSON numbers, found {constant}: leave the field out") from None
        except (ValueError, RecursionError):
            pass
    value = _parse(data)
    if not isinstance(value, dict):
        raise EventError("not_an_object", f"expected a JSON object, found {_json_type(value)}")
    if "kind" not in value and "specversion" in value:
        return _decode_envelope(value)
    filled = _fill_from_headers(value, headers)
    if filled is not None:
        return decode(filled)
    kind = value.get("kind")
    if "kind" in value and (not isinstance(kind, str) or kind not in KINDS):
        raise EventError("unknown_kind", f"expected one of {', '.join(KINDS)}, found {str(kind)[:64]!r}")
    version = value.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION or isinstance(version, (bool, float)):
        raise EventError(
            "unknown_version",
            f"expected schema_version {SCHEMA_VERSION}, found {str(version)[:64]!r}: upgrade Riskshift",
        )
    raise EventError(_code_of(str(error)), f"{kind or 'event'}: {error}")


def _refuse_constant(name: str) -> Any:
    raise _RefusedError(name)


def _code_of(message: str) -> str:
    if "missing required field" in message:
        return "missing_field"
    if message.startswith("Invalid enum value"):
        return "unknown_currency" if "currency" in message.rpartition("$.")[2] else "unknown_value"
    if "of range" in message or " >= " in message or " <= " in message or "length" in message:
        return "out_of_range"
    return "wrong_type" if message.startswith(("Expected", "Invalid")) else "not_json"


def _json_type(value: Any) -> str:
    return {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}.get(type(value), "a number")


def _decode_envelope(envelope: dict[str, Any]) -> Event | Control:
    """CloudEvents 1.0 structured mode: the event is `data`; `id` and `subject` fill what it lacks."""
    if envelope.get("specversion") != "1.0":
        raise EventError("bad_envelope", f"expected CloudEvents 1.0, found {str(envelope.get('specversion'))[:16]!r}")
    data = envelope.get("data")
    if not isinstance(data, dict) or "specversion" in data:
        raise EventError("bad_envelope", "expected the event object in `data` of the CloudEvents envelope")
    filled = dict(data)
    if isinstance(envelope.get("id"), str):
        filled.setdefault("event_id", envelope["id"])
    if isinstance(envelope.get("subject"), str):
        filled.setdefault("customer_id", envelope["subject"])
    return decode(json.dumps(filled).encode())


def _fill_from_headers(body: dict[str, Any], headers: Headers) -> bytes | None:
    """CloudEvents 1.0 binary mode: the body with id and subject from the headers, if it lacks them; else None."""
    attributes = dict(headers)
    if attributes.get("ce_specversion") != b"1.0":
        return None
    lacking = {
        field: attributes[name].decode(errors="replace")
        for field, name in (("event_id", "ce_id"), ("customer_id", "ce_subject"))
        if field not in body and attributes.get(name)
    }
    return json.dumps({**body, **lacking}).encode() if lacking else None


# Networks by leading digits and length: Visa, Mastercard, Amex, Discover, JCB, UnionPay, Diners.
def _looks_like_card_number(text: str) -> bool:
    digits = text.replace(" ", "").replace("-", "")
    if not (13 <= len(digits) <= 19 and digits.isdigit() and digits.isascii()):
        return False
    if digits[0] not in "23456" or (len(digits) == 15 and digits[:2] not in ("34", "37")):
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (1 + place % 2)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


# Where a sender might put a card number by mistake; merchant and terminal numbers look alike and are none.
_CARD_FIELDS = ("customer_id", "card_id", "account_id", "payee_id", "facility_id", "detail", "reason")
# Per kind the fields it has, and how all are read at once (one twice, so that it is a tuple even of one).
_card_fields_of = {c: tuple(f for f in _CARD_FIELDS if f in c.__struct_fields__) for c in CUSTOMER_KINDS}
_card_texts_of = {c: attrgetter(*fields, "customer_id") for c, fields in _card_fields_of.items()}
_CARD_DIGITS_MIN = 13


def _check_card_number(event: Event) -> None:
    kind = type(event)
    for place, text in enumerate(_card_texts_of[kind](event)):
        # A token begins with a letter: most are done with here.
        if text and text[0] <= "9" and len(text) >= _CARD_DIGITS_MIN and _looks_like_card_number(text):
            raise EventError(
                "card_number",
                f"expected a token in {_card_fields_of[kind][place]}, found what looks like a full card number: "
                "send tokens, never numbers",
            )


CURRENCIES: frozenset[str] = frozenset(get_args(Currency))
