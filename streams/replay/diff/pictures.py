"""Pictures of a comparison as SVG, drawn from the figures alone; the same figures give the same bytes."""

from __future__ import annotations

import html
from typing import Any

from streams.replay.diff.texts import TEXTS, both

BLUE, RED, GREY = "#2563a8", "#c0392b", "#8a8f98"
_POINTS_MAX = 400


def per_day(days: list[dict[str, Any]], names: tuple[str, str], budget: int) -> str:
    """Two lines, alerts a day, and the budget; of many days the largest of each few."""
    step = -(-len(days) // _POINTS_MAX) or 1
    points = [
        {"day": some[0]["day"], "a": max(d["a"] for d in some), "b": max(d["b"] for d in some)}
        for some in (days[place : place + step] for place in range(0, len(days), step))
    ]
    width, height, left, bottom = 960, 260, 48, 34
    top = max([budget, *(max(p["a"], p["b"]) for p in points)]) * 1.08 or 1.0

    def x(place: float) -> float:
        return left + (width - left - 45) * place / max(1, len(points) - 1)

    def y(value: float) -> float:
        return 12 + (height - bottom - 12) * (1 - value / top)

    parts = [_axis(left, y(0), width - 10, y(0)), _axis(left, 12, left, y(0))]
    for share in (0, 0.5, 1):
        parts.append(_text(left - 6, y(top * share / 1.08) + 4, f"{top * share / 1.08:,.0f}", "end"))
    for place in sorted({round(n * (len(points) - 1) / 6) for n in range(7)}):
        parts.append(_text(x(place), height - 12, points[place]["day"], "middle"))
    parts.append(
        f'<line x1="{left}" y1="{y(budget):.1f}" x2="{width - 10}" y2="{y(budget):.1f}" stroke="{GREY}" '
        'stroke-dasharray="5 4"/>'
    )
    parts.append(
        f'<text x="{width - 12}" y="{y(budget) - 5:.1f}" text-anchor="end" fill="{GREY}">{_word("budget")}</text>'
    )
    for key, colour in (("a", BLUE), ("b", RED)):
        line = " ".join(f"{x(place):.1f},{y(point[key]):.1f}" for place, point in enumerate(points))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
    for place, (name, colour) in enumerate(zip(names, (BLUE, RED), strict=True)):
        parts.append(f'<rect x="{left + 10 + place * 220}" y="4" width="12" height="12" fill="{colour}"/>')
        parts.append(_text(left + 28 + place * 220, 14, name[:30]))
    return _svg(width, height, parts, "per_day")


def gained_lost(kinds: dict[str, dict[str, int]]) -> str:
    """For each kind a bar to the right of what is gained and to the left of what is lost."""
    row, middle, reach = 26, 480, 230
    most = max([1, *(max(kind["gained"], kind["lost"]) for kind in kinds.values())])
    parts = []
    for place, (name, kind) in enumerate(kinds.items()):
        y = 10 + place * row
        lost, gained = (reach * kind[what] / most for what in ("lost", "gained"))
        parts.append(_text(190, y + 14, name, "end", shown=_word(name)))
        parts.append(f'<rect x="{middle - lost:.1f}" y="{y}" width="{lost:.1f}" height="18" fill="{BLUE}"/>')
        parts.append(f'<rect x="{middle}" y="{y}" width="{gained:.1f}" height="18" fill="{RED}"/>')
        parts.append(_text(middle - lost - 6, y + 14, f"{-kind['lost']:,}" if kind["lost"] else "", "end"))
        parts.append(_text(middle + gained + 6, y + 14, f"+{kind['gained']:,}" if kind["gained"] else ""))
    height = 14 + row * len(kinds)
    parts.append(_axis(middle, 4, middle, height - 4))
    return _svg(800, height, parts, "gained_lost")


def _word(name: str) -> str:
    if name not in TEXTS:
        return html.escape(name[:40])
    return both(name).replace("<span", "<tspan").replace("</span>", "</tspan>")


def _text(x: float, y: float, text: str, anchor: str = "start", shown: str | None = None) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(text) if shown is None else shown}</text>'
    )


def _axis(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1}" y1="{y1:.1f}" x2="{x2}" y2="{y2:.1f}" stroke="#c3c8d0"/>'


def _svg(width: int, height: int, parts: list[str], name: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" class="{name}" font-size="12">{"".join(parts)}</svg>'
    )
