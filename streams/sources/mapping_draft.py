"""A draft of a mapping file, from the columns of a table: what each seems to be, what is assumed, what is missing."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streams.sources.column_looks import Look, looks_of
from streams.sources.column_words import LABELS, LEFT_OUT, NAMES, POSITIVE, TYPOLOGIES, WORDS

_NEEDED = ("customer_id", "event_time_ms", "amount_minor")
_IDS = ("merchant_id", "terminal_id", "device_id", "payee_id", "card_id")


@dataclass(slots=True)
class Draft:
    """A drafted mapping.

    Attributes
    ----------
    fields
        Event field → its value in the mapping, with the reason.
    assumed
        Fields nobody found a column for, and what was put instead.
    missing
        Fields that are needed and were not found: the draft is not complete.
    unused
        Columns that became nothing, with their look.
    """

    fields: dict[str, tuple[Any, str]] = field(default_factory=dict)
    label: dict[str, Any] | None = None
    assumed: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    sort: bool = False


def draft_of(path: Path) -> Draft:
    """The draft for a table; raises `SourceError` when it cannot be read."""
    looks = {look.name: look for look in looks_of(path)}
    draft, used = Draft(), set[str]()
    label = _label(looks, draft)
    used.update(label)
    _time(looks, draft, used)
    _amount(looks, draft, used)
    _customer(looks, draft, used)
    _event_id(looks, draft, used)
    _rest(looks, draft, used)
    _assume(draft)
    draft.missing = [name for name in _NEEDED if name not in draft.fields]
    for name, look in looks.items():
        if name not in used:
            why = " (left out on purpose)" if _plain(name) in LEFT_OUT else ""
            draft.unused.append(f"{name}: {look.described}{why}")
    return draft


def as_toml(draft: Draft, source: str) -> str:
    """The draft as a mapping file with its reasons as comments."""
    lines = [f"# Drafted from {source}. Look at every line; docs/sources.md explains the keys.",
             'kind = "transaction"', f"sort = {'true' if draft.sort else 'false'}", "", "[fields]"]  # fmt: skip
    for name in draft.missing:
        lines.append(f"# MISSING: {name} has no column; put one here, or {{ constant = ... }}")
        lines.append(f'# {name} = "..."')
    width = max([0, *(len(name) for name in draft.fields)])
    for name, (value, why) in draft.fields.items():
        lines.append(f"{name:<{width}} = {_toml(value)}  # {why}")
    if draft.label is not None:
        lines += ["", "[label]", *(f"{key} = {_toml(value)}" for key, value in draft.label.items())]
    if draft.unused:
        lines += ["", "# Not mapped:", *(f"#   {line}" for line in draft.unused)]
    return "\n".join(re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", " ", line) for line in lines) + "\n"


def _best(event_field: str, looks: dict[str, Look], used: set[str], kinds: tuple[str, ...]) -> Look | None:
    """The unused column whose name speaks for the field, the earlier of the list first."""
    for exact in (True, False):
        for wanted in NAMES[event_field]:
            for name, look in looks.items():
                plain = _plain(name)
                fits = plain == wanted if exact else len(wanted) > 3 and (plain.startswith(wanted) or wanted in plain)
                if fits and name not in used and look.kind in kinds and plain not in LEFT_OUT:
                    return look
    return None


def _label(looks: dict[str, Look], draft: Draft) -> list[str]:
    for wanted in LABELS:
        for name, look in looks.items():
            values = sorted({value.lower() for value in look.values})
            if _plain(name) != wanted or not 1 <= look.distinct <= 2:
                continue
            positive = [value for value in values if value in POSITIVE]
            if not positive and look.distinct == 2:
                continue
            draft.label = {"column": name, "outcome": "fraud_confirmed", "delay": "7d"}
            if positive and positive[0] not in ("1", "true", "yes", "y", "t"):
                draft.label["positive"] = positive
                draft.label["negative"] = [value for value in values if value not in positive]
            kinds = [n for n in looks if _plain(n) in TYPOLOGIES]
            if kinds:
                draft.label["typology"] = kinds[0]
            return [name, *kinds[:1]]
    return []


def _time(looks: dict[str, Look], draft: Draft, used: set[str]) -> None:
    look = _best("event_time_ms", looks, used, ("time",)) or next(
        (look for look in looks.values() if look.kind == "time" and look.name not in used), None
    )
    clock = next((look for look in looks.values() if look.kind == "clock" and look.name not in used), None)
    if look is None:
        steps = _best("event_time_ms", looks, used, ("whole",))
        if steps is None:
            return
        unit = {"step": "hours", "hour": "hours", "day": "days", "minute": "minutes"}.get(_plain(steps.name), "s")
        value: Any = {"column": steps.name, "format": unit, "origin": "2020-01-01"}
        why = f"ASSUMED: {unit} from an origin nobody told; correct both"
        draft.fields["event_time_ms"] = (value, why)
        draft.sort = not steps.ascending
        used.add(steps.name)
        return
    date_only = look.form in ("%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d") or (
        look.form == "iso" and all(len(value) == 10 for value in look.values)
    )
    if date_only and clock is not None:
        date = "%Y-%m-%d" if look.form == "iso" else look.form
        value = {"columns": [look.name, clock.name], "format": f"{date} {clock.form}"}
        used.add(clock.name)
        draft.sort = True
    else:
        value = look.name if look.form == "iso" else {"column": look.name, "format": look.form}
        draft.sort = not look.ascending
    # Only the first rows were looked at.
    draft.sort = draft.sort or look.rows >= 50_000
    why = f"times such as {look.values[0]}"
    if look.form in ("%d/%m/%Y", "%m/%d/%Y", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S"):
        why += "; check which is the day and which the month"
    draft.fields["event_time_ms"] = (value, why)
    used.add(look.name)


def _amount(looks: dict[str, Look], draft: Draft, used: set[str]) -> None:
    look = _best("amount_minor", looks, used, ("number", "money", "whole"))
    if look is None:
        return
    value: dict[str, Any] = {"column": look.name}
    if look.kind == "money":
        value["strip"] = look.form
    if look.kind == "number" and look.form == ",":
        value["decimal"] = ","
    cents = look.name.lower().endswith(("cents", "minor"))
    if cents:
        value["digits"] = 0
    if look.low < 0:
        value["absolute"] = True
        draft.fields["direction"] = (
            {"column": look.name, "sign": ["credit", "debit"]}, "ASSUMED: negative amounts leave the account"
        )  # fmt: skip
        if look.kind == "money":
            draft.fields["direction"][0]["strip"] = look.form
    why = f"{look.low:g} to {look.high:g}" + ("" if cents else "; ASSUMED to be whole units, not cents")
    draft.fields["amount_minor"] = (value if len(value) > 1 else look.name, why)
    used.add(look.name)


def _customer(looks: dict[str, Look], draft: Draft, used: set[str]) -> None:
    look = _best("customer_id", looks, used, ("text", "whole", "number"))
    why = ""
    if look is None:
        # Who comes back: many of them, each several times.
        taken = {best.name for name in ("event_id", *_IDS) if (best := _best(name, looks, used, ("text", "whole")))}
        who = [it for it in looks.values() if it.kind in ("text", "whole") and it.name not in used | taken]
        who = [it for it in who if 10 <= it.distinct <= it.rows / 2 and _plain(it.name) not in LEFT_OUT]
        if not who:
            return
        look, why = max(who, key=lambda it: it.distinct), "; ASSUMED: its name does not say so, but its values repeat"
    used.add(look.name)
    draft.fields["customer_id"] = (_id_value(look), f"{look.distinct:,} different in {look.rows:,} rows{why}")


def _event_id(looks: dict[str, Look], draft: Draft, used: set[str]) -> None:
    look = _best("event_id", looks, used, ("text", "whole"))
    if look is not None and look.unique:
        used.add(look.name)
        draft.fields["event_id"] = (_id_value(look), "another one in every row")


def _rest(looks: dict[str, Look], draft: Draft, used: set[str]) -> None:
    for name in _IDS:
        look = _best(name, looks, used, ("text", "whole"))
        if look is None:
            continue
        value = _id_value(look)
        value = {"column": value} if isinstance(value, str) else value
        draft.fields[name] = ({**value, "optional": True}, f"{look.distinct:,} different")
        used.add(look.name)
    for name, width in (("mcc", 4), ("country", 2)):
        look = _best(name, looks, used, ("text", "whole"))
        if look is not None and all(len(value) <= width for value in look.values):
            value = {"column": look.name, "optional": True} | ({"width": 4} if name == "mcc" else {})
            draft.fields[name] = (value, f"such as {look.values[0]}")
            used.add(look.name)
    look = _best("currency", looks, used, ("text",))
    if look is not None and all(re.fullmatch("[A-Z]{3}", value) for value in look.values):
        draft.fields["currency"] = (look.name, f"such as {look.values[0]}")
        used.add(look.name)
    for name in ("channel", "type", "direction"):
        _words(name, looks, draft, used)


def _words(name: str, looks: dict[str, Look], draft: Draft, used: set[str]) -> None:
    # One column may say several things: CASH_OUT is a channel, a type and a direction.
    look = _best(name, looks, set(), ("text",)) or _best("type", looks, set(), ("text",))
    if look is None or look.distinct > len(look.values) or name in draft.fields:
        return
    values = {}
    for value in look.values:
        for meaning, words in WORDS[name].items():
            if any(_plain(value) == word for word in words):
                values[value] = meaning
                break
    if not values:
        return
    default = {"channel": "online", "type": None, "direction": "debit"}[name]
    known: dict[str, Any] = {"column": look.name, "values": dict(sorted(values.items()))}
    rest = [value for value in look.values if value not in values]
    known |= {"optional": True} if default is None else {"default": default}
    why = f"{len(values)} of {look.distinct} values known"
    draft.fields[name] = (known, why + (f"; not {', '.join(rest[:4])}" if rest else ""))
    used.add(look.name)


def _assume(draft: Draft) -> None:
    channel = "pos" if "terminal_id" in draft.fields else "online"
    for name, constant in (("currency", "EUR"), ("direction", "debit"), ("channel", channel)):
        if name not in draft.fields:
            draft.assumed[name] = constant
            draft.fields[name] = ({"constant": constant}, "ASSUMED: no column says so; correct it")


def _id_value(look: Look) -> Any:
    long = any(len(value) > 64 for value in look.values)
    # Card numbers are refused; a token stands for them.
    digits = [value for value in look.values if value.isdigit() and 13 <= len(value) <= 19]
    return {"column": look.name, "hash": True} if long or digits else look.name


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(_toml(one) for one in value)}]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_toml(one)}" for key, one in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)
