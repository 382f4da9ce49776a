"""Figures of a run: the handbook's published protocol, calibration, alerts, planted cases."""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection_run import Run
from models.hats import STEP
from models.shaping import CLIP, Floats
from streams.evaluation.calibration import calibration
from streams.town import Planted, Town

DAY_MS = 86_400_000
# A case counts as caught by an alert on its customer while it went on, or so long after.
CAUGHT_WITHIN_MS = 3 * DAY_MS
FRAUDS = ("card_theft", "terminal_compromise", "account_takeover")
_FRAUD_RULES_NOT = ("grade_", "default", "income_", "instalment_", "dpd_")
CARDS = 100


def by_week(run: Run, starts: list[int], origin_ms: int) -> dict[str, Any]:
    """Each test week (its first day counts from `origin_ms`), and the mean of them."""
    scores = np.array([s.probability for s in run.scored])
    fraud = np.array([s.fraud for s in run.scored])
    customers = np.unique(np.array([s.customer_id for s in run.scored]), return_inverse=True)[1]
    days = np.array([(s.event_time_ms - origin_ms) // DAY_MS for s in run.scored])
    alerted = np.array([s.alerted for s in run.scored])
    pooled: list[NDArray[np.intp]] = []
    weeks = {str(np.datetime64(origin_ms, "ms").astype("datetime64[D]") + start): None for start in starts}
    table: dict[str, Any] = dict(weeks)
    for name, start in zip(weeks, starts, strict=True):
        kept, cp100 = _protocol(customers, days, fraud, scores, start)
        y, p = fraud[kept], scores[kept]
        pooled.append(kept)
        week = (days >= start) & (days < start + 7) & alerted
        table[name] = {
            "transactions": len(y), "frauds": int(y.sum()),
            "auc": auc(y, p), "ap": average_precision(y, p), "cp100": cp100,
            "observed_over_expected": float(y.sum() / p.sum()), "slope": slope(y, p),
            "alerts_per_day": float(week.sum() / 7),
            "alert_precision": float(fraud[week].mean()) if week.any() else 0.0,
        }  # fmt: skip
    mean = {key: float(np.mean([table[week][key] for week in weeks])) for key in ("auc", "ap", "cp100", "slope")}
    rows = np.concatenate(pooled)
    weights = {} if run.last is None else dict(_weights(run))
    return {
        "weeks": table, "mean": mean, "pooled": calibration(fraud[rows], scores[rows]),
        "events": run.events, "seconds": round(run.seconds, 1),
        "microseconds_per_event": round(run.seconds / run.events * 1e6, 1), "learner": run.counters, "weights": weights,
    }  # fmt: skip


def of_towns(runs: list[tuple[Town, Run]], warm_days: int) -> dict[str, Any]:
    """Per typology recall and time to alert; false alerts per 1,000 customer-days after `warm_days`."""
    planted: Counter[str] = Counter()
    caught: Counter[str] = Counter()
    minutes: dict[str, list[float]] = {}
    levels: Counter[str] = Counter()
    rules: Counter[str] = Counter()
    false_rules: Counter[str] = Counter()
    true_alerts = false_alerts = 0
    first_days = 0
    customer_days = 0.0
    y: list[bool] = []
    p: list[float] = []
    for town, run in runs:
        config = town.config
        customer_days += (config.people + config.firm_count) * (config.days - warm_days)
        cases: dict[str, list[Planted]] = {}
        for case in town.planted:
            for customer_id in case.customer_ids:
                cases.setdefault(customer_id, []).append(case)
        alerts = [a for a in run.alerts if not a.rule.startswith(_FRAUD_RULES_NOT)]
        warm_ms = config.start_ms + warm_days * DAY_MS
        for alert in alerts:
            of_case = any(
                case.start_ms <= alert.event_time_ms <= case.end_ms + 14 * DAY_MS
                for case in cases.get(alert.customer_id, ())
            )
            if alert.event_time_ms < warm_ms:
                first_days += not of_case
                continue
            rules[alert.rule] += 1
            levels[str(alert.level_to)] += 1
            true_alerts += of_case
            false_alerts += not of_case
            if not of_case:
                false_rules[alert.rule] += 1
        truth = {event_id for case in town.planted if case.typology in FRAUDS for event_id in case.event_ids}
        late = [s for s in run.scored if s.event_time_ms >= warm_ms]
        y += [s.event_id in truth for s in late]
        p += [s.probability for s in late]
        times: dict[str, list[int]] = {}
        for alert in alerts:
            times.setdefault(alert.customer_id, []).append(alert.event_time_ms)
        for case in town.planted:
            if case.typology not in (*FRAUDS, "bust_out"):
                continue
            planted[case.typology] += 1
            hits = [
                at
                for c in case.customer_ids
                for at in times.get(c, ())
                if case.start_ms <= at <= case.end_ms + CAUGHT_WITHIN_MS
            ]
            if hits:
                caught[case.typology] += 1
                minutes.setdefault(case.typology, []).append((min(hits) - case.start_ms) / 60_000)
    labels, scores = np.array(y), np.array(p)
    return {
        "cases": {
            t: {
                "planted": planted[t],
                "caught": caught[t],
                "median_minutes_to_alert": round(median(minutes[t])) if t in minutes else None,
            }
            for t in sorted(planted)
        },
        "false_alerts_per_1000_customer_days": false_alerts / customer_days * 1000,
        "false_alerts_before_warm": first_days,
        "alerts": true_alerts + false_alerts, "alert_precision": true_alerts / max(1, true_alerts + false_alerts),
        "by_level": dict(levels), "by_rule": dict(rules), "false_by_rule": dict(false_rules),
        "auc": auc(labels, scores), "ap": average_precision(labels, scores),
        "observed_over_expected": float(labels.sum() / scores.sum()), "slope": slope(labels, scores),
        "microseconds_per_event": round(sum(r.seconds for _, r in runs) / sum(r.events for _, r in runs) * 1e6, 1),
        "weights": dict(_weights(runs[-1][1])) if runs[-1][1].last else {},
    }  # fmt: skip


def auc(y: NDArray[np.bool_], p: Floats) -> float:
    """Area under the ROC curve; ties count half."""
    _, rank, counts = np.unique(p, return_inverse=True, return_counts=True)
    upto = np.cumsum(counts)
    mid = upto - (counts - 1) / 2
    positives = int(y.sum())
    negatives = len(y) - positives
    return float((mid[rank][y].sum() - positives * (positives + 1) / 2) / max(1, positives * negatives))


def average_precision(y: NDArray[np.bool_], p: Floats) -> float:
    """Sum of precision times the step of recall, at each different score."""
    order = np.argsort(-p, kind="stable")
    hits = np.cumsum(y[order])
    last = np.flatnonzero(np.append(np.diff(p[order]) != 0, True))
    precision = hits[last] / (last + 1)
    return float((precision * np.diff(hits[last], prepend=0)).sum() / max(1, hits[-1]))


def slope(y: NDArray[np.bool_], p: Floats) -> float:
    """Slope of a logistic regression of the truth on the score's own logit; 1 is calibrated."""
    x = np.log(np.clip(p, 1e-9, 1 - 1e-9) / np.clip(1 - p, 1e-9, 1))
    design = np.column_stack([np.ones_like(x), x])
    b = np.array([0.0, 1.0])
    for _ in range(50):
        q = 1 / (1 + np.exp(-np.clip(design @ b, -30, 30)))
        step = np.linalg.solve(
            design.T @ (design * (q * (1 - q))[:, None]) + 1e-9 * np.eye(2), design.T @ (np.asarray(y) - q)
        )
        # Far from the answer Newton's full step overshoots.
        b = b + step / max(1.0, float(np.abs(step).max()) / 0.5)
    return float(b[1])


def _protocol(
    customers: NDArray[np.int64], days: NDArray[np.int64], fraud: NDArray[np.bool_], scores: Floats, start: int
) -> tuple[NDArray[np.int64], float]:
    # The published protocol: known frauds' customers are left out from the day they are known.
    known = set(customers[fraud & (days >= start - 14) & (days < start - 7)].tolist())
    kept, found, precision = [], set[int](), []
    for day in range(start, start + 7):
        known |= set(customers[fraud & (days == day - 8)].tolist())
        today = np.flatnonzero(days == day)
        today = today[~np.isin(customers[today], list(known))]
        kept.append(today)
        best: dict[int, float] = {}
        for c, score in zip(customers[today].tolist(), scores[today].tolist(), strict=True):
            best[c] = max(best.get(c, -1.0), score)
        bad = set(customers[today[fraud[today]]].tolist())
        top = [c for c in sorted(best, key=lambda c: -best[c]) if c not in found][:CARDS]
        hits = [c for c in top if c in bad]
        precision.append(len(hits) / CARDS)
        found |= set(hits)
    return np.concatenate(kept), float(np.mean(precision))


def _weights(run: Run) -> list[tuple[str, float]]:
    """What one unit above the centre of each feature adds, in logits, without the tree."""
    from models.prior import CONTRIBUTION_NAMES

    assert run.last is not None
    fraud = run.last.fraud
    one_up = int((CLIP + 1.0) / STEP)
    pairs = [*zip(CONTRIBUTION_NAMES, fraud.curves[:, one_up].tolist(), strict=True), ("intercept", fraud.intercept)]
    return [(name, round(weight, 2)) for name, weight in pairs]
