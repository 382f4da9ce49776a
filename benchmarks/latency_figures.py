"""From the times of sending and reading to percentiles, whole and by stage."""

from __future__ import annotations

from typing import Any


def summary(values: list[float]) -> dict[str, Any]:
    """Count, p50, p90, p99, p99.9 and max by nearest rank, in the values' unit, to a hundredth."""
    ranked = sorted(values)
    if not ranked:
        return {"count": 0}
    found = {f"p{percent}": ranked[max(0, int(-(-len(ranked) * percent // 100)) - 1)] for percent in (50, 90, 99, 99.9)}
    return {"count": len(ranked)} | {name: round(value, 2) for name, value in (found | {"max": ranked[-1]}).items()}


def figures_of(
    times: dict[str, tuple[float, float, float, int]],
    targets: set[str],
    decisions: list[tuple[str, float, int]],
    alerts: list[tuple[str, float, int]],
    wall_minus_monotonic: float,
) -> dict[str, Any]:
    """Latencies in milliseconds, whole and by stage; what never came or came twice is counted."""
    alert_at = {event_id: (at, ms) for event_id, at, ms in reversed(alerts)}
    decided_at = {event_id: (at, ms) for event_id, at, ms in reversed(decisions)}
    stages: dict[str, list[float]] = {"handed_over_late": [], "acknowledged": [], "event_to_alert_appended": [],
                                      "alert_appended_to_readable": []}  # fmt: skip
    for event_id, (intended, handed, acknowledged, appended_ms) in times.items():
        stages["handed_over_late"].append((handed - intended) * 1000)
        stages["acknowledged"].append((acknowledged - intended) * 1000)
        if event_id in targets and event_id in alert_at:
            at, alert_ms = alert_at[event_id]
            stages["event_to_alert_appended"].append(float(alert_ms - appended_ms))
            stages["alert_appended_to_readable"].append((at + wall_minus_monotonic) * 1000 - alert_ms)
    measured = [event_id for event_id, _at, _ms in alerts if event_id in times]
    return {
        "event_to_alert_ms": summary([(alert_at[e][0] - times[e][0]) * 1000 for e in targets if e in alert_at]),
        "event_to_decision_ms": summary(
            [(decided_at[e][0] - t[0]) * 1000 for e, t in times.items() if e in decided_at]
        ),
        "alerts_missing": len(targets - alert_at.keys()),
        "alerts_twice": len(measured) - len(set(measured)),
        "alerts_of_calm_customers": len(set(measured) - targets),
        "decisions_missing": len(times.keys() - decided_at.keys()),
        "stages_ms": {name: summary(values) for name, values in stages.items()},
    }
