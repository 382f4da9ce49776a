"""The canonical event records, one small typed struct per kind, decoded and validated in one step.

An event is a JSON object with `kind`, `schema_version`, `event_id`, `customer_id`, `event_time_ms` and
the fields of its kind. Unknown fields are passed over (a sender may be newer); everything known is
checked. `decode` is the only door: it returns an `Event` or raises `EventError` with a reason code.

Three kinds are *control* records, which workers write into the same partition's order: `tick` (stream
time), `switch` (a model or policy comes into force) and `indicator` (the world outside).
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Union, get_args

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from features.currencies import Currency
from features.errors import EventError

SCHEMA_VERSION = 1
EVENT_BYTES_MAX = 65_536
# 2100-01-01: beyond any event, and small enough that sums of times never overflow 64 bits.
EVENT_TIME_MAX_MS = 4_102_444_800_000
# How far an event may lie ahead of the broker's own timestamp: a sender's clock may be wrong by minutes, not more.
FUTURE_MAX_MS = 15 * 60_000

REJECT_CODES = (
    "empty", "too_large", "bad_encoding", "not_json", "not_an_object", "too_deep", "duplicate_key",
    "unknown_kind", "unknown_version", "missing_field", "wrong_type", "out_of_range", "unknown_currency",
    "unknown_value", "key_mismatch", "missing_key", "far_future", "card_number", "bad_envelope", "bad_control",
)  # fmt: skip

Id = Annotated[str, Meta(min_length=1, max_length=64)]
Label = Annotated[str, Meta(min_length=1, max_length=64)]
TimeMs = Annotated[int, Meta(ge=0, le=EVENT_TIME_MAX_MS)]
# 10^13 minor units: a hundred thousand million euro; sums over any window stay inside 64 bits.
Minor = Annotated[int, Meta(ge=0, le=10**13)]
SignedMinor = Annotated[int, Meta(ge=-(10**13), le=10**13)]
Country = Annotated[str, Meta(min_length=2, max_length=2)]
Mcc = Annotated[str, Meta(min_length=4, max_length=4)]
Ratio = Annotated[float, Meta(ge=0, le=1000)]
Days = Annotated[int, Meta(ge=0, le=36_500)]
Opt = UnsetType | None

Channel = Literal["pos", "ecom", "atm", "mobile", "online", "branch"]
TransactionType = Literal["purchase", "cash", "transfer", "deposit", "fee", "refund"]
Category = Literal[
    "salary", "pension", "benefit", "interest", "penalty_interest", "household", "insurance",
    "loan_payment", "rent", "gambling", "tax", "fee", "other",
]  # fmt: skip
OutcomeType = Literal[
    "fraud_confirmed", "false_positive", "chargeback", "default", "cured", "paid_in_full",
    "dispute_upheld", "campaign_response",
]  # fmt: skip


class Event(Struct, kw_only=True, frozen=True, gc=False, tag_field="kind"):
    """What every event carries. `event_id` is unique per customer; `event_time_ms` is UTC milliseconds."""

    event_id: Id
    customer_id: Id
    event_time_ms: TimeMs
    schema_version: Literal[1]


# --- card and account ---------------------------------------------------------------------------------


class Transaction(Event, frozen=True, tag="transaction"):
    """Money that moved, or was asked to. `billing_amount_minor` is the amount in the account's own currency."""

    amount_minor: Minor
    currency: Currency
    direction: Literal["debit", "credit"]
    channel: Channel
    type: TransactionType | Opt = UNSET
    status: Literal["approved", "declined", "reversed"] | Opt = UNSET
    billing_amount_minor: Minor | Opt = UNSET
    balance_minor: SignedMinor | Opt = UNSET
    category: Category | Opt = UNSET
    merchant_id: Id | Opt = UNSET
    terminal_id: Id | Opt = UNSET
    mcc: Mcc | Opt = UNSET
    country: Country | Opt = UNSET
    card_id: Id | Opt = UNSET
    account_id: Id | Opt = UNSET
    device_id: Id | Opt = UNSET
    payee_id: Id | Opt = UNSET
    district: Label | Opt = UNSET


class AuthResult(Event, frozen=True, tag="auth_result"):
    """What the authorisation system answered to a transaction."""

    transaction_id: Id
    result: Literal["approved", "declined", "step_up_passed", "step_up_failed"]
    card_id: Id | Opt = UNSET
    reason: Label | Opt = UNSET


class ActionResult(Event, frozen=True, tag="action_result"):
    """What became of an action that Riskshift recommended (freeze applied, call outcome)."""

    action: Label
    result: Literal["applied", "refused", "failed", "confirmed_fraud", "confirmed_genuine", "no_answer"]
    card_id: Id | Opt = UNSET
    alert_id: Id | Opt = UNSET
    by: Label | Opt = UNSET


class Login(Event, frozen=True, tag="login"):
    """A sign-in to the bank's channels."""

    channel: Channel
    result: Literal["ok", "failed"]
    device_id: Id | Opt = UNSET
    country: Country | Opt = UNSET


class DeviceChange(Event, frozen=True, tag="device_change"):
    """A new device was bound to the customer."""

    device_id: Id
    channel: Channel | Opt = UNSET


class PayeeAdded(Event, frozen=True, tag="payee_added"):
    """A new payee was set up."""

    payee_id: Id
    country: Country | Opt = UNSET
    channel: Channel | Opt = UNSET


# --- credit -------------------------------------------------------------------------------------------


class Application(Event, frozen=True, tag="application"):
    """A request for credit."""

    product: Label
    amount_minor: Minor
    currency: Currency
    term_months: Annotated[int, Meta(ge=0, le=600)] | Opt = UNSET
    stated_income_minor: Minor | Opt = UNSET
    channel: Channel | Opt = UNSET


class OfferMade(Event, frozen=True, tag="offer_made"):
    """An offer of the bank to the customer; `holdout` marks those who deliberately got none."""

    campaign_id: Id
    product: Label
    holdout: bool | UnsetType = UNSET


class Statement(Event, frozen=True, tag="statement"):
    """A card or loan statement: what is due and how much of the limit is used."""

    facility_id: Id
    balance_minor: SignedMinor
    minimum_due_minor: Minor
    due_time_ms: TimeMs
    limit_minor: Minor | Opt = UNSET
    currency: Currency | Opt = UNSET


class Repayment(Event, frozen=True, tag="repayment"):
    """Money paid towards a facility."""

    facility_id: Id
    amount_minor: Minor
    currency: Currency | Opt = UNSET
    returned: bool | UnsetType = UNSET


class LoanGranted(Event, frozen=True, tag="loan_granted"):
    """A loan was paid out."""

    facility_id: Id
    amount_minor: Minor
    currency: Currency
    instalment_minor: Minor
    term_months: Annotated[int, Meta(ge=1, le=600)]
    product: Label | Opt = UNSET


class InstalmentDue(Event, frozen=True, tag="instalment_due"):
    """An instalment falls due at `due_time_ms`; if it is not paid then, it is missed."""

    facility_id: Id
    amount_minor: Minor
    due_time_ms: TimeMs
    currency: Currency | Opt = UNSET


class LimitChanged(Event, frozen=True, tag="limit_changed"):
    """The limit of a facility is now `limit_minor`."""

    facility_id: Id
    limit_minor: Minor
    currency: Currency | Opt = UNSET


class CollateralValued(Event, frozen=True, tag="collateral_valued"):
    """A collateral was valued."""

    facility_id: Id
    collateral_id: Id
    value_minor: Minor
    currency: Currency | Opt = UNSET


# --- person or firm -----------------------------------------------------------------------------------


class Profile(Event, frozen=True, tag="profile"):
    """Who the customer is, as far as credit may look at it."""

    customer_type: Literal["individual", "enterprise"]
    occupation: Label | Opt = UNSET
    employer_id: Id | Opt = UNSET
    education_band: Label | Opt = UNSET
    customer_since_ms: TimeMs | Opt = UNSET
    district: Label | Opt = UNSET
    industry: Label | Opt = UNSET
    country: Country | Opt = UNSET


class Income(Event, frozen=True, tag="income"):
    """Money earned: a salary, a pension, a firm's revenue. `expected_days` is the pay rhythm where known."""

    amount_minor: Minor
    currency: Currency
    source: Literal["salary", "pension", "benefit", "revenue", "other"]
    payer_id: Id | Opt = UNSET
    expected_days: Annotated[int, Meta(ge=1, le=400)] | Opt = UNSET


class BureauReport(Event, frozen=True, tag="bureau_report"):
    """A report of a credit bureau."""

    score: Annotated[int, Meta(ge=0, le=1000)] | Opt = UNSET
    open_facilities: Annotated[int, Meta(ge=0, le=1000)] | Opt = UNSET
    days_past_due_max: Days | Opt = UNSET
    inquiries_6m: Annotated[int, Meta(ge=0, le=1000)] | Opt = UNSET
    bureau: Label | Opt = UNSET


class EmploymentChange(Event, frozen=True, tag="employment_change"):
    """A job began or ended."""

    change: Literal["started", "ended", "changed"]
    employer_id: Id | Opt = UNSET
    industry: Label | Opt = UNSET


class LegalEvent(Event, frozen=True, tag="legal_event"):
    """A court or enforcement event."""

    type: Literal["lawsuit", "judgment", "enforcement", "insolvency", "lifted"]
    amount_minor: Minor | Opt = UNSET
    currency: Currency | Opt = UNSET


class RegistryChange(Event, frozen=True, tag="registry_change"):
    """A change in a firm's public registry entry."""

    type: Literal["owner", "director", "address", "capital", "status", "filing_late"]
    detail: Annotated[str, Meta(max_length=256)] | Opt = UNSET


class SocialSignal(Event, frozen=True, tag="social_signal"):
    """Opt-in signal from social media; kept, never scored unless switched on."""

    source: Label
    value: Annotated[float, Meta(ge=-1, le=1)]


class Outcome(Event, frozen=True, tag="outcome"):
    """The truth about an earlier event or facility, as it became known at `event_time_ms`."""

    outcome: OutcomeType
    about_event_id: Id | Opt = UNSET
    facility_id: Id | Opt = UNSET
    card_id: Id | Opt = UNSET
    typology: Label | Opt = UNSET
    by: Label | Opt = UNSET


# --- control: no customer -----------------------------------------------------------------------------


class Control(Struct, kw_only=True, frozen=True, gc=False, tag_field="kind"):
    """What every control record carries; its Kafka key is null and it belongs to one partition."""

    event_id: Id
    event_time_ms: TimeMs
    schema_version: Literal[1]


class Tick(Control, frozen=True, tag="tick"):
    """Stream time has reached `event_time_ms` in this partition: silence before it is certain."""

    partition: Annotated[int, Meta(ge=0)]


class Switch(Control, frozen=True, tag="switch"):
    """From the next event on, this partition is scored with these versions."""

    partition: Annotated[int, Meta(ge=0)]
    model_version: Annotated[int, Meta(ge=0)]
    policy_version: Label


class Indicator(Control, frozen=True, tag="indicator"):
    """A figure about the world: macro, industry or district."""

    scope: Literal["macro", "industry", "district"]
    scope_id: Label
    name: Label
    value: Annotated[float, Meta(ge=-1e15, le=1e15)]
    unit: Label | Opt = UNSET


CUSTOMER_KINDS: tuple[type[Event], ...] = (
    Transaction, AuthResult, ActionResult, Login, DeviceChange, PayeeAdded,
    Application, OfferMade, Statement, Repayment, LoanGranted, InstalmentDue, LimitChanged, CollateralValued,
    Profile, Income, BureauReport, EmploymentChange, LegalEvent, RegistryChange, SocialSignal, Outcome,
)  # fmt: skip
CONTROL_KINDS: tuple[type[Control], ...] = (Tick, Switch, Indicator)
KINDS: dict[str, type[Event] | type[Control]] = {
    str(c.__struct_config__.tag): c for c in (*CUSTOMER_KINDS, *CONTROL_KINDS)
}

# mypy cannot see a Union built at run time, so the decoder's type is named once, here.
_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Union[(*CUSTOMER_KINDS, *CONTROL_KINDS)])  # noqa: UP007
_astuple = msgspec.structs.astuple
_encoder = msgspec.json.Encoder()


def encode(event: Event | Control) -> bytes:
    """Canonical JSON of an event, fields in declared order, absent fields left out."""
    return _encoder.encode(event)


def decode(data: bytes | None) -> Event | Control:
    """Decode and validate one record value.

    Parameters
    ----------
    data
        JSON bytes, at most `EVENT_BYTES_MAX`; plain, or a CloudEvents structured envelope.

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
        return _decode_carefully(data, error)
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


class _DuplicateKey(ValueError):
    pass


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    for key, value in pairs:
        if key in keys:
            raise _DuplicateKey(key)
        keys[key] = value
    return keys


def _parse(data: bytes) -> Any:
    try:
        return json.loads(data, object_pairs_hook=_pairs)
    except _DuplicateKey as error:
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


def _check_keys(data: bytes) -> None:
    _parse(data)


def _decode_carefully(data: bytes, error: Exception) -> Event | Control:
    """Find out what is wrong, or that it is a CloudEvents envelope; say it with a code."""
    _check_text(data)
    if isinstance(error, RecursionError):
        raise EventError("too_deep", "expected a flat event, found deep nesting") from None
    if b"NaN" in data or b"Infinity" in data:
        try:
            json.loads(data, parse_constant=_refuse_constant)
        except _DuplicateKey as constant:
            raise EventError("not_json", f"expected JSON numbers, found {constant}: leave the field out") from None
        except (ValueError, RecursionError):
            pass
    value = _parse(data)
    if not isinstance(value, dict):
        raise EventError("not_an_object", f"expected a JSON object, found {_json_type(value)}")
    if "kind" not in value and "specversion" in value and "data" in value:
        return _decode_envelope(value)
    kind = value.get("kind")
    if "kind" in value and (not isinstance(kind, str) or kind not in KINDS):
        raise EventError("unknown_kind", f"expected one of {', '.join(KINDS)}, found {str(kind)[:64]!r}")
    version = value.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION or isinstance(version, (bool, float)):
        raise EventError(
            "unknown_version", f"expected schema_version {SCHEMA_VERSION}, found {str(version)[:64]!r}: upgrade Riskshift"
        )
    raise EventError(_code_of(str(error), value), f"{kind or 'event'}: {error}")


def _refuse_constant(name: str) -> Any:
    raise _DuplicateKey(name)


def _code_of(message: str, value: dict[str, Any]) -> str:
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
    data = envelope["data"]
    if not isinstance(data, dict) or "specversion" in data:
        raise EventError("bad_envelope", "expected the event object in `data` of the CloudEvents envelope")
    filled = dict(data)
    if isinstance(envelope.get("id"), str):
        filled.setdefault("event_id", envelope["id"])
    if isinstance(envelope.get("subject"), str):
        filled.setdefault("customer_id", envelope["subject"])
    return decode(json.dumps(filled).encode())


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
_card_fields_of = {
    c: tuple(f for f in _CARD_FIELDS if f in c.__struct_fields__) for c in CUSTOMER_KINDS
}  # fields present per kind, looked up once


def _check_card_number(event: Event) -> None:
    for field in _card_fields_of[type(event)]:
        text = getattr(event, field)
        if text and len(text) >= 13 and _looks_like_card_number(text):
            raise EventError(
                "card_number",
                f"expected a token in {field}, found what looks like a full card number: send tokens, never numbers",
            )


def kinds_by_field(field: str) -> tuple[str, ...]:
    """Names of the kinds that have `field`; for documents and messages."""
    return tuple(name for name, kind in KINDS.items() if field in kind.__struct_fields__)


CURRENCIES: frozenset[str] = frozenset(get_args(Currency))
