"""One line of text per record, for people. Everything that came from outside is escaped."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson

from streams.tail import Record, text_of

_TEXT_MAX = 200
_SHOWN_BYTES = 120
# ANSI colour numbers, by severity of an alert.
SEVERITY_COLOURS = {"critical": "1;31", "high": "31", "medium": "33", "low": "36"}
_HEADER = "__connect.errors."


def escaped(value: object, at_most: int = _TEXT_MAX) -> str:
    """Text that cannot play with a terminal or forge a line: what is not printable is written as an escape.

    Examples
    --------
    >>> escaped("a\\nb\\x1b[2J")
    'a\\\\nb\\\\x1b[2J'
    """
    text = str(value)
    if len(text) > at_most:
        text = text[: at_most - 1] + "…"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def alert_line(record: Record, lang: str) -> tuple[str, str]:
    """Line of one record of the alerts topic, see `alert_text`."""
    return alert_text(record.value, lang)


def alert_text(value: bytes | None, lang: str) -> tuple[str, str]:
    """Time, severity, customer, title, reasons, what to do; and the severity, for its colour."""
    alert = _object(value)
    severity = str(alert.get("severity", "?"))
    parts = [
        _time(alert.get("event_time_ms")), f"{escaped(severity).upper():<8}",
        _whom(alert), _words(alert.get("title"), lang),
    ]  # fmt: skip
    title = _words(alert.get("title"), lang)
    # A signal is its own first reason; a person needs it once.
    texts = [_words(reason.get("text"), lang) for reason in _list(alert.get("reasons"))]
    reasons = "; ".join(text for text in texts if text != title)
    actions = ", ".join(_words(action.get("text"), lang) for action in _list(alert.get("actions")))
    return "  ".join(parts) + (f": {reasons}" if reasons else "") + (f" → {actions}" if actions else ""), severity


def _whom(alert: dict[str, Any]) -> str:
    # A model alert is about no customer.
    scope = alert.get("scope")
    if isinstance(scope, dict) and scope.get("type") == "model":
        return f"model {escaped(scope.get('id'))}"
    return f"customer {escaped(alert.get('customer_id'))}"


def risk_change_line(record: Record, _lang: str) -> tuple[str, str]:
    """Time, customer, sequence, present level and grade, and what moved."""
    if record.value is None:
        return f"{_time(record.timestamp_ms)}  customer {escaped(text_of(record.key))}  forgotten (tombstone)", ""
    change = _object(record.value)
    state = change.get("state")
    state = state if isinstance(state, dict) else {}
    moved = ", ".join(
        f"{escaped(c.get('path'))} {escaped(c.get('from'))} → {escaped(c.get('to'))}"
        for c in _list(change.get("changed"))
    )
    parts = [
        _time(change.get("event_time_ms")), f"customer {escaped(change.get('customer_id'))}",
        f"#{escaped(change.get('sequence'))}", f"fraud {escaped(state.get('fraud_level'))}",
        f"grade {escaped(state.get('grade') or '-')}", moved,
    ]  # fmt: skip
    return "  ".join(parts), ""


def decision_line(record: Record, _lang: str) -> tuple[str, str]:
    """Time, disposition, kind, customer and event; the fraud probability where there is one."""
    decision = _object(record.value)
    parts = [
        _time(decision.get("event_time_ms")), f"{escaped(decision.get('disposition')):<9}",
        escaped(decision.get("kind")), f"customer {escaped(decision.get('customer_id', '-'))}",
        escaped(decision.get("event_id")),
    ]  # fmt: skip
    if isinstance(probability := decision.get("fraud_probability"), float):
        parts.append(f"fraud {probability:.4f}")
    return "  ".join(parts), ""


def dead_letter_line(record: Record, _lang: str) -> tuple[str, str]:
    """Broker time, reason code, where it came from, what was wrong, and the beginning of the bytes."""
    headers = {name: text_of(value) or "" for name, value in record.headers}
    source = f"{headers.get(_HEADER + 'topic')}[{headers.get(_HEADER + 'partition')}]@{headers.get(_HEADER + 'offset')}"
    parts = [
        _time(record.timestamp_ms), escaped(headers.get("riskshift.reason.code", "?")), escaped(source),
        escaped(headers.get(_HEADER + "exception.message", "")), escaped(text_of(record.value), _SHOWN_BYTES),
    ]  # fmt: skip
    return "  ".join(parts), ""


LINES: dict[str, Callable[[Record, str], tuple[str, str]]] = {
    "alerts": alert_line,
    "risk-changes": risk_change_line,
    "decisions": decision_line,
    "dead-letters": dead_letter_line,
}


def _object(value: bytes | None) -> dict[str, Any]:
    try:
        parsed = orjson.loads(value or b"{}")
    except orjson.JSONDecodeError:
        parsed = None
    return parsed if isinstance(parsed, dict) else {"title": f"not JSON: {text_of(value)}"}


def _list(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _words(text: Any, lang: str) -> str:
    return escaped(text.get(lang) or text.get("en")) if isinstance(text, dict) else escaped(text)


def _time(at_ms: Any) -> str:
    if not isinstance(at_ms, int) or not 0 <= at_ms < 253_402_300_800_000:
        return f"{'-':<19}"
    return datetime.fromtimestamp(at_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
