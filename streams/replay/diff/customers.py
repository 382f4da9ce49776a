"""Whom a change of policy or model matters to most, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from alerts.records import SEVERITIES
from streams.replay.diff.tables import SEPARATOR, Scored, Truths

CUSTOMERS_MAX = 50
_GRADES = ("AAA", "AA", "A", "BBB", "BB", "B", "CCC", "CC", "C", "D")
_EXAMPLES_MAX = 3


def most_different(
    lost: Sequence[dict[str, Any]], gained: Sequence[dict[str, Any]], scored: tuple[Scored, Scored],
    grades: tuple[dict[str, str], dict[str, str]], truths: Truths,
) -> list[dict[str, Any]]:  # fmt: skip
    """At most `CUSTOMERS_MAX` customers, the most different first, ties by name.

    The distance adds up, for each alert on one side only, its severity (info 1 to critical 5), for a grade its
    steps, and the largest difference of a score, in logits.
    """
    distance: Counter[str] = Counter()
    alerts: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for what, some in (("lost", lost), ("gained", gained)):
        for alert in some:
            customer = alert["customer_id"]
            distance[customer] += SEVERITIES.index(alert["severity"]) + 1
            alerts.setdefault(customer, {"lost": [], "gained": []})[what].append(alert)
    moves = _moves(*scored)
    for customer, (logits, _before, _after, _event) in moves.items():
        distance[customer] += logits  # type: ignore[assignment]  # a float is as good
    graded = {}
    for customer in grades[0].keys() & grades[1].keys():
        before, after = grades[0][customer], grades[1][customer]
        if before != after:
            graded[customer] = (before, after)
            distance[customer] += abs(_GRADES.index(after) - _GRADES.index(before))
    frauds = Counter(key.partition(SEPARATOR)[0] for key, fraud in truths.fraud.items() if fraud)
    ranked = sorted((customer for customer in distance if distance[customer] > 0), key=lambda c: (-distance[c], c))
    return [
        _one(customer, distance[customer], alerts.get(customer), graded.get(customer), moves.get(customer), frauds)
        for customer in ranked[:CUSTOMERS_MAX]
    ]


def _moves(before: Scored, after: Scored) -> dict[str, tuple[float, float, float, str]]:
    """By customer the event whose score moved most: logits, both probabilities, event."""
    if len(before.key) == len(after.key) and bool(np.all(before.key == after.key)):
        at = np.arange(len(before.key))
        key, customer, first, second = before.key, before.customer, before.score, after.score[at]
    else:
        places = {key: place for place, key in enumerate(after.key.tolist())}
        found = [(place, places[key]) for place, key in enumerate(before.key.tolist()) if key in places]
        ours, theirs = np.array(found, np.int64).reshape(-1, 2).T
        key, customer, first, second = before.key[ours], before.customer[ours], before.score[ours], after.score[theirs]
    if not len(key):
        return {}
    moved = np.abs(_logit(second) - _logit(first))
    some = np.flatnonzero(moved > 0)
    order = some[np.lexsort((some, -moved[some]))]
    result: dict[str, tuple[float, float, float, str]] = {}
    for place in order.tolist():
        if customer[place] not in result:
            event = key[place].partition(SEPARATOR)[2]
            result[customer[place]] = (float(moved[place]), float(first[place]), float(second[place]), event)
    return result


def _logit(p: Any) -> Any:
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))


def _one(
    customer: str, distance: float, alerts: Any, grade: tuple[str, str] | None,
    move: tuple[float, float, float, str] | None, frauds: Counter[str],
) -> dict[str, Any]:  # fmt: skip
    found: dict[str, Any] = {"customer_id": customer, "distance": round(float(distance), 3)}
    found["frauds_known"] = frauds[customer]
    for what in ("gained", "lost"):
        of_kind = alerts[what] if alerts else []
        found[what] = len(of_kind)
        found[f"{what}_alerts"] = [_alert(alert) for alert in of_kind[:_EXAMPLES_MAX]]
    found["grade"] = None if grade is None else {"from": grade[0], "to": grade[1]}
    found["score"] = None if move is None else {"event_id": move[3], "from": move[1], "to": move[2]}
    return found


def _alert(alert: dict[str, Any]) -> dict[str, Any]:
    kept = {name: alert[name] for name in ("alert_id", "rule", "severity", "event_time_ms", "source_event_id", "title")}
    kept["reasons"] = [
        {"code": reason["code"], "contribution": reason["contribution"], "text": reason["text"]}
        for reason in alert["reasons"]
    ]
    return kept
