"""The page of events, written from `features.kinds` and the reject codes so that they cannot differ."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

from features import credit, hot
from features.events import (
    CONTROL_KINDS,
    CURRENCIES,
    CUSTOMER_KINDS,
    EVENT_BYTES_MAX,
    FUTURE_MAX_MS,
    REJECT_CODES,
    SCHEMA_VERSION,
)
from features.kinds import Control, Event, Transaction

_HEAD = """\
# Events

Written from `features/kinds.py` and `features/events.py` by `features.events_page.to_markdown()`; a test holds this
page to them. After a change, write the page anew: `python -m streams.pages`. JSON Schema: `schemas/event.json`.

An event is one JSON object of at most {size} bytes, UTF-8, in the topic `riskshift.events`. **The record key is the
`customer_id`**, so that one customer's events keep their order. Plain JSON, or CloudEvents 1.0: in structured mode the
event is the envelope's `data`; the envelope's `id` and `subject` stand in for an `event_id` and `customer_id` left out
there.

```json
{example}
```

- `event_id` is unique per customer. The last 32 of a customer are remembered: a repetition is a *duplicate*, recorded
  and not applied.
- `event_time_ms` is when it happened. More than 24 h before the customer's latest is *late*: recorded and not applied.
  More than {future} min ahead of the broker's timestamp is refused.
- Money is a whole number of minor units (`1200` with `EUR` is 12.00 euro). `card_id` and other ids are
  tokens: **a full card number is refused**.
- An optional field may be left out or null. Unknown fields are passed over; every known one is checked.
- `schema_version` is {version}. Fields are only ever added within a version.

What cannot become an event goes to the dead letters, byte for byte, with one of the [reject codes](#reject-codes);
the next event is not delayed.

## Every event

{common}

## Customers' events

{customer_index}

No feature or credit rule reads {unread} yet: such events are checked, recorded as decisions, and change nothing.

{customer_kinds}

## Control records

Written by Riskshift itself into a partition's order, with a null key; a sender has no reason to make them. `indicator`
is the one that others send, to `riskshift.world`.

{control_common}

{control_kinds}

## Reject codes

In the header `riskshift.reason.code` of a dead letter; `riskshift send --rejects` uses the same ones.

| code | what was found | what the sender should do |
|---|---|---|
{codes}

## Currencies

ISO 4217, {currency_count} codes in use: {currencies}.
"""

# code: what was found, what to do.
REJECTS: dict[str, tuple[str, str]] = {
    "empty": ("no value at all, a tombstone perhaps", "send the whole event; events cannot be deleted by key"),
    "too_large": (f"more than {EVENT_BYTES_MAX} bytes", "shorten the event; it has no field for documents"),
    "bad_encoding": ("bytes that are not UTF-8", "encode as UTF-8"),
    "not_json": ("text that is not JSON; NaN and Infinity are not JSON either", "leave out a number that is not known"),
    "not_an_object": ("JSON, but a list, a string or a number", "one object a record"),
    "too_deep": ("deep nesting", "an event is flat"),
    "duplicate_key": ("a key twice in one object", "write every key once"),
    "unknown_kind": ("a `kind` that is not on this page", "correct it, or upgrade Riskshift"),
    "unknown_version": ("another `schema_version`", f"send {SCHEMA_VERSION}, or upgrade Riskshift"),
    "missing_field": ("a required field is not there", "add it"),
    "wrong_type": ("a field of another type, `\"12\"` for `12`", "send the type of this page"),
    "out_of_range": ("a number or a length outside its bounds", "look at the unit first: milliseconds, minor units"),
    "unknown_currency": ("a currency that is not listed below", "send the ISO 4217 code in capitals"),
    "unknown_value": ("a value that is not among those listed", "send one of the listed ones"),
    "key_mismatch": ("a record key that is not the `customer_id`", "key events by `customer_id`"),
    "missing_key": ("no record key", "key events by `customer_id`"),
    "far_future": ("a time too far ahead of the broker's", "look at the sender's clock and unit (milliseconds)"),
    "card_number": ("what looks like a full card number in an id or text", "send tokens, never numbers"),
    "bad_envelope": ("a CloudEvents envelope without usable `data`", "put the event into `data`"),
    "bad_control": ("a control record with a key, for another partition or of an unknown version", "do not send these"),
}  # fmt: skip

_EXAMPLE = (
    '{"kind": "transaction", "schema_version": 1, "event_id": "e-1", "customer_id": "c-1",\n'
    ' "event_time_ms": 1533081600000, "amount_minor": 1200, "currency": "EUR", "direction": "debit",\n'
    ' "channel": "pos", "merchant_id": "m-1", "terminal_id": "t-1", "country": "FR", "card_id": "tok_1"}'
)
_READ = (Transaction, *hot._LEARN, *credit._LEARN)
_UNITS = {"_ms": "ms, UTC", "_minor": "minor units", "_months": "months", "_days": "days", "_6m": "count"}


def to_markdown() -> str:
    """Return the whole page, ending in one newline."""
    return _HEAD.format(
        size=f"{EVENT_BYTES_MAX:,}",
        future=FUTURE_MAX_MS // 60_000,
        version=SCHEMA_VERSION,
        example=_EXAMPLE,
        common=_table(Event, ()),
        customer_index="\n".join(f"- [`{_tag(kind)}`](#{_tag(kind)}): {_says(kind)}" for kind in CUSTOMER_KINDS),
        unread=", ".join(f"`{_tag(kind)}`" for kind in CUSTOMER_KINDS if kind not in _READ),
        customer_kinds="\n\n".join(_section(kind, Event) for kind in CUSTOMER_KINDS),
        control_common=_table(Control, ()),
        control_kinds="\n\n".join(_section(kind, Control) for kind in CONTROL_KINDS),
        codes="\n".join(f"| `{code}` | {REJECTS[code][0]} | {REJECTS[code][1]} |" for code in REJECT_CODES),
        currency_count=len(CURRENCIES),
        currencies=" ".join(sorted(CURRENCIES)),
    )


def _section(kind: type[Event] | type[Control], base: type[Any]) -> str:
    return f"### {_tag(kind)}\n\n{_says(kind)}\n\n{_table(kind, base.__struct_fields__)}"


def _tag(kind: type[Event] | type[Control]) -> str:
    return str(kind.__struct_config__.tag)


def _says(kind: type[Any]) -> str:
    return " ".join(inspect.cleandoc(kind.__doc__ or "").split())


def _table(kind: type[Any], without: tuple[str, ...]) -> str:
    info = msgspec.inspect.type_info(kind)
    assert isinstance(info, msgspec.inspect.StructType)  # noqa: S101  # every kind is a struct
    rows = ["| field | | type | values | unit |", "|---|---|---|---|---|"]
    if not without:
        rows.append("| `kind` | required | text | the name of its section | |")
    for field in info.fields:
        if field.name not in without:
            kind_of, values = _describe(field.type)
            needed = "required" if field.required else ""
            rows.append(f"| `{field.name}` | {needed} | {kind_of} | {values} | {_unit(field.name)} |")
    return "\n".join(rows)


def _unit(name: str) -> str:
    return next((unit for suffix, unit in _UNITS.items() if name.endswith(suffix)), "")


def _describe(kind: msgspec.inspect.Type) -> tuple[str, str]:
    """Name of a type and what it allows, in words."""
    if isinstance(kind, msgspec.inspect.UnionType):
        return _describe(next(one for one in kind.types if not isinstance(one, msgspec.inspect.NoneType)))
    if isinstance(kind, msgspec.inspect.LiteralType):
        if set(kind.values) == CURRENCIES:
            return "text", "[ISO 4217](#currencies)"
        return ("number" if isinstance(kind.values[0], int) else "text"), ", ".join(f"`{v}`" for v in kind.values)
    if isinstance(kind, msgspec.inspect.StrType):
        low, high = kind.min_length or 0, kind.max_length
        return "text", f"{low} characters" if low == high else f"{low} to {high} characters"
    if isinstance(kind, msgspec.inspect.BoolType):
        return "true or false", ""
    if isinstance(kind, (msgspec.inspect.IntType, msgspec.inspect.FloatType)):
        whole = isinstance(kind, msgspec.inspect.IntType)
        return ("whole number" if whole else "number"), f"{_number(kind.ge)} .. {_number(kind.le)}".strip()
    raise TypeError(f"expected a type this page has words for, found {kind}: add them to features/events_page.py")


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else f"{value:,}".replace(",", "_")
