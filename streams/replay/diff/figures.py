"""All figures of a comparison, ready for JSON; what is undefined is null. `docs/replay.md` says what each means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.evaluation.figures import day_text
from streams.evaluation.metrics import Ranking
from streams.replay.diff.customers import most_different
from streams.replay.diff.tables import SEPARATOR, ReplayTables, Scored, Truths
from streams.replay.work import DAY_MS

BUDGET_PER_DAY = 100
# Alerts of one case: those of the same customer before the case's first fraud at most so long.
LEAD_MAX_MS = 7 * DAY_MS
GRADES = ("AAA", "AA", "A", "BBB", "BB", "B", "CCC", "CC", "C", "D")
Alert = dict[str, Any]


def compared(before: ReplayTables, after: ReplayTables, budget: int = BUDGET_PER_DAY) -> dict[str, Any]:
    """What differs from `before` to `after`.

    Alerts are the same when scope, source event and rule are: the policy's version does not count.
    """
    truths = before.truths()
    truths_after = after.truths()
    # A replay that heard more (a later end) knows more of both.
    truths = Truths(
        truths.fraud | truths_after.fraud, truths.typology | truths_after.typology,
        truths.default_ms | truths_after.default_ms,
    )  # fmt: skip
    alerts = (before.alerts(), after.alerts())
    keyed = tuple({alert_key(alert): alert for alert in of_one} for of_one in alerts)
    lost = [alert for key, alert in keyed[0].items() if key not in keyed[1]]
    gained = [alert for key, alert in keyed[1].items() if key not in keyed[0]]
    both = [(keyed[0][key], keyed[1][key]) for key in keyed[0] if key in keyed[1]]
    scored = (before.scored(), after.scored())
    grades = (before.grades(), after.grades())
    return {
        "a": _side(before, alerts[0], scored[0], truths, budget),
        "b": _side(after, alerts[1], scored[1], truths, budget),
        "same_input": before.manifest["input_hash"] == after.manifest["input_hash"],
        "alerts": {
            "both": len(both), "gained": len(gained), "lost": len(lost),
            "severity_changed": sum(one["severity"] != other["severity"] for one, other in both),
            "by_rule": _by(lambda alert: alert["rule"], lost, gained, both),
            "by_severity": _by(lambda alert: alert["severity"], lost, gained, both),
            "by_typology": _by(lambda alert: _typology(alert, truths), lost, gained, both),
        },
        "grades": transitions(*grades),
        "per_day": _per_day(*alerts),
        "budget": budget,
        "customers": most_different(lost, gained, scored, grades, truths),
    }  # fmt: skip


def alert_key(alert: Alert) -> tuple[str, ...]:
    """What makes an alert the same under two policies: all but the version."""
    scope = alert["scope"]
    return (alert["customer_id"], scope["type"], scope["id"], alert["source_event_id"], alert["rule"])


def transitions(before: dict[str, str], after: dict[str, str]) -> dict[str, Any]:
    """Customers by last grade in both: rows from, columns to; None where there is no grade."""
    names = [*GRADES, "none"]
    matrix = np.zeros((len(names), len(names)), np.int64)
    for customer in sorted(before.keys() | after.keys()):
        matrix[names.index(before.get(customer, "none")), names.index(after.get(customer, "none"))] += 1
    worse = sum(int(matrix[i, j]) for i in range(len(GRADES)) for j in range(i + 1, len(GRADES)))
    better = sum(int(matrix[i, j]) for i in range(len(GRADES)) for j in range(i))
    return {"names": names, "matrix": matrix.tolist(), "worse": worse, "better": better}


def _side(tables: ReplayTables, alerts: Sequence[Alert], scored: Scored, truths: Truths, budget: int) -> dict[str, Any]:
    manifest = tables.manifest
    return {
        "name": tables.name, "folder": str(tables.folder), "policy_version": manifest["policy_version"],
        "model_version": manifest.get("model_version"), "mode": manifest.get("mode"),
        "output_hash": manifest["output_hash"], "events": manifest["events"], "alerts": len(alerts),
        "changes": manifest.get("changes"), "days": _days(scored),
        **_quality(scored, alerts, truths, _maturity_ms(manifest)), "budget": _budget(alerts, scored, budget),
        "exposure": _exposure(alerts),
    }  # fmt: skip


def _quality(scored: Scored, alerts: Sequence[Alert], truths: Truths, maturity_ms: int) -> dict[str, Any]:
    """Of events: alerts by what became known; of scores: their ranking.

    Only of events so old at the end that what is to be known of them is known; silence then means good.
    """
    judged = scored.time_ms <= (scored.time_ms.max() - maturity_ms if len(scored.time_ms) else 0)
    fraud = np.array([truths.fraud.get(key, False) for key in scored.key.tolist()], np.bool_) & judged
    found: dict[str, Any] = {
        "judged": int(judged.sum()),
        "judged_until": day_text(scored.time_ms[judged].max()) if judged.any() else None,
        "frauds": int(fraud.sum()), "lead": _lead(alerts, scored, truths, fraud),
    }  # fmt: skip
    if not fraud.any():
        return found | dict.fromkeys(("precision", "recall", "amount_recall", "ap", "auc"))
    alerted = scored.alerted & judged
    hit, amount = fraud & alerted, scored.amount_minor
    ranking = Ranking(fraud[judged], scored.score[judged])
    return found | {
        "precision": _share(hit.sum(), alerted.sum()), "recall": _share(hit.sum(), fraud.sum()),
        "amount_recall": _share(amount[hit].sum(), amount[fraud].sum()),
        "ap": ranking.average_precision(), "auc": ranking.auc(),
    }  # fmt: skip


def _maturity_ms(manifest: dict[str, Any]) -> int:
    return int(manifest["options"].get("label_maturity_ms") or 0)


def _lead(alerts: Sequence[Alert], scored: Scored, truths: Truths, fraud: NDArray[np.bool_]) -> dict[str, Any]:
    """How long before (negative: after) the last fraud of a customer's case, and before a default, was the first alert.

    A case is a customer's frauds without a gap of a week. An alert counts for it from a week before its first fraud
    to its last one.
    """
    times: dict[str, list[int]] = {}
    for alert in alerts:
        times.setdefault(alert["customer_id"], []).append(alert["event_time_ms"])
    cases: list[tuple[str, int, int]] = []
    order = np.flatnonzero(fraud)
    order = order[np.lexsort((scored.time_ms[order], scored.customer[order].astype(str)))] if len(order) else order
    for place in order.tolist():
        customer, at = scored.customer[place], int(scored.time_ms[place])
        if cases and cases[-1][0] == customer and at - cases[-1][2] <= LEAD_MAX_MS:
            cases[-1] = (customer, cases[-1][1], at)
        else:
            cases.append((customer, at, at))
    leads = []
    for customer, first, last in cases:
        within = [at for at in times.get(customer, ()) if first - LEAD_MAX_MS <= at <= last]
        if within:
            leads.append((last - within[0]) / 3_600_000)
    credit = []
    for customer, at_ms in sorted(truths.default_ms.items()):
        earlier = [at for at in times.get(customer, ()) if at <= at_ms]
        if earlier:
            credit.append((at_ms - earlier[0]) / DAY_MS)
    return {
        "fraud_cases": len(cases), "cases_alerted": len(leads), "hours_median": _median(leads),
        "defaults": len(truths.default_ms), "defaults_alerted": len(credit), "days_median": _median(credit),
    }  # fmt: skip


def _budget(alerts: Sequence[Alert], scored: Scored, budget: int) -> dict[str, Any]:
    per_day = Counter(alert["event_time_ms"] // DAY_MS for alert in alerts)
    days = _days(scored)
    return {
        "alerts_a_day": len(alerts) / days if days else None, "most_a_day": max(per_day.values(), default=0),
        "days_over": sum(count > budget for count in per_day.values()),
        "beyond": sum(max(0, count - budget) for count in per_day.values()),
    }  # fmt: skip


def _exposure(alerts: Sequence[Alert]) -> dict[str, int]:
    """Minor units at stake in alerts, by currency, each event once."""
    amounts: Counter[str] = Counter()
    for amount, currency, _event in sorted({
        (alert["amount_minor"], alert["currency"], (alert["customer_id"], alert["source_event_id"]))
        for alert in alerts if "amount_minor" in alert and "currency" in alert
    }):  # fmt: skip
        amounts[currency] += amount
    return dict(sorted(amounts.items()))


def _by(
    name: Any, lost: Iterable[Alert], gained: Iterable[Alert], both: Iterable[tuple[Alert, Alert]]
) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {}
    for what, alerts in (("lost", lost), ("gained", gained), ("both", (after for _before, after in both))):
        for alert in alerts:
            found.setdefault(name(alert), Counter())[what] += 1
    return {key: {what: found[key][what] for what in ("both", "gained", "lost")} for key in sorted(found)}


def _typology(alert: Alert, truths: Truths) -> str:
    key = f"{alert['customer_id']}{SEPARATOR}{alert['source_event_id']}"
    if truths.fraud.get(key):
        return truths.typology[key]
    return "no fraud known"


def _per_day(before: Sequence[Alert], after: Sequence[Alert]) -> list[dict[str, Any]]:
    counts = [Counter(alert["event_time_ms"] // DAY_MS for alert in alerts) for alerts in (before, after)]
    days = sorted(counts[0].keys() | counts[1].keys())
    if not days:
        return []
    return [
        {"day": day_text(day * DAY_MS), "a": counts[0][day], "b": counts[1][day]}
        for day in range(days[0], min(days[-1], days[0] + 20_000) + 1)
    ]


def _days(scored: Scored) -> int:
    return len(np.unique(scored.time_ms // DAY_MS))


def _share(part: Any, whole: Any) -> float | None:
    return float(part / whole) if whole else None


def _median(values: list[float]) -> float | None:
    return float(np.median(values)) if values else None
