"""A comparison as lines of text, for people at a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_CUSTOMERS_SHOWN = 5


def lines(figures: dict[str, Any]) -> Iterator[str]:
    """Both sides, what was gained and lost, grades, and the customers it matters to most."""
    a, b = figures["a"], figures["b"]
    if not figures["same_input"]:
        yield "note: the two replays read different events"
    yield f"{'':<34}{a['name'][:22]:>24}{b['name'][:22]:>24}"

    def line(name: str, one: str, other: str) -> str:
        return f"{name:<34}{one:>24}{other:>24}"

    yield line("policy", a["policy_version"], b["policy_version"])
    for name in ("events", "alerts"):
        yield line(name, whole(a[name]), whole(b[name]))
    yield line("judged: events until", *(side["judged_until"] or "–" for side in (a, b)))
    yield line("frauds among them", whole(a["frauds"]), whole(b["frauds"]))
    yield line("alerts a day", *(short(side["budget"]["alerts_a_day"], 1) for side in (a, b)))
    yield line(f"days above {figures['budget']} alerts", *(whole(side["budget"]["days_over"]) for side in (a, b)))
    for name in ("precision", "recall", "amount_recall"):
        yield line(name.replace("_", " "), percent(a[name]), percent(b[name]))
    yield line("average precision", short(a["ap"]), short(b["ap"]))
    yield line("fraud cases alerted in time", *(_of(s["lead"], "cases_alerted", "fraud_cases") for s in (a, b)))
    yield line("hours before the last fraud", *(short(s["lead"]["hours_median"], 1) for s in (a, b)))
    if a["lead"]["defaults"]:
        yield line("defaults alerted before", *(_of(s["lead"], "defaults_alerted", "defaults") for s in (a, b)))
    yield line("amounts in alerts", money(a["exposure"]), money(b["exposure"]))
    alerts = figures["alerts"]
    yield ""
    yield f"alerts: {alerts['both']:,} in both, {alerts['gained']:,} gained, {alerts['lost']:,} lost"
    for key in ("by_severity", "by_typology"):
        for name, kind in alerts[key].items():
            yield f"  {name:<32}{kind['both']:>8,} both {kind['gained']:>8,} gained {kind['lost']:>8,} lost"
    grades = figures["grades"]
    if grades["worse"] or grades["better"]:
        yield f"grades: {grades['worse']:,} customers worse, {grades['better']:,} better"
    if figures["customers"]:
        yield "to whom it matters most:"
    for one in figures["customers"][:_CUSTOMERS_SHOWN]:
        why = [f"{sign}{a['title']['en']}" for what, sign in (("gained", "+"), ("lost", "-"))
               for a in one[f"{what}_alerts"][:1]]  # fmt: skip
        yield f"  {one['customer_id']:<20} distance {one['distance']:.1f}  {'; '.join(why)}"


def short(value: float | None, digits: int = 3) -> str:
    """A number, or a dash."""
    return "–" if value is None else f"{value:,.{digits}f}"


def whole(value: int | None) -> str:
    """A whole number with thousands, or a dash."""
    return "–" if value is None else f"{value:,}"


def percent(value: float | None) -> str:
    """A share, or a dash."""
    return "–" if value is None else f"{value * 100:.3g} %"


def money(amounts: dict[str, int]) -> str:
    """Minor units by currency, as major ones of two decimals, or a dash."""
    return ", ".join(f"{currency} {amount / 100:,.0f}" for currency, amount in amounts.items()) or "–"


def _of(lead: dict[str, Any], part: str, whole_name: str) -> str:
    return f"{whole(lead[part])} of {whole(lead[whole_name])}"
