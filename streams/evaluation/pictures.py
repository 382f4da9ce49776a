"""Pictures of a run as SVG: text stays text, so that the page can show it in either language; same data, same bytes."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from models.shaping import Floats
from streams.evaluation.metrics import Ranking, Truth
from streams.evaluation.texts import TEXTS, spans

BLUE, RED, GREY = "#2563a8", "#c0392b", "#8a8f98"
# A curve of more points looks the same.
_POINTS_MAX = 400
# What is lower lies at the edge of the pictures.
_LOWEST = 1e-4
_STYLE: Any = {
    "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.25, "legend.frameon": False,
    "text.parse_math": False,
}  # fmt: skip
_WORDS = dict(TEXTS.values())


def learning(curve: list[dict[str, Any]]) -> str:
    """AUC and average precision by week, over the frauds known when each began."""

    def draw(axes: Axes) -> None:
        places = list(range(len(curve)))
        behind = axes.twinx()
        behind.bar(places, [week["frauds_known"] for week in curve], color=GREY, alpha=0.25)
        behind.set_ylabel(TEXTS["known"][0], color=GREY)
        behind.grid(visible=False)
        for key, colour in (("auc", GREY), ("ap", BLUE)):
            values = [np.nan if week[key] is None else week[key] for week in curve]
            axes.plot(places, values, "o-", color=colour, label=TEXTS[key][0], markersize=3)
        axes.set_zorder(behind.get_zorder() + 1)
        axes.patch.set_visible(False)
        step = max(1, len(places) // 8)
        axes.set_xticks(places[::step], [week["week"] for week in curve][::step], rotation=30, ha="right")
        axes.set_xlabel(TEXTS["week"][0])
        axes.set_ylim(0, 1)
        axes.legend(loc="lower right")

    return _svg(draw, "learning", width=8)


def reliability(bins: list[dict[str, Any]]) -> str:
    """Observed against predicted share of frauds by bin, both on logarithmic scales."""

    def draw(axes: Axes) -> None:
        x = np.array([max(one["predicted"], _LOWEST) for one in bins])
        y = np.array([max(one["observed"], _LOWEST) for one in bins])
        low = np.array([max(one["observed_low"], _LOWEST) for one in bins])
        high = np.array([max(one["observed_high"], _LOWEST) for one in bins])
        axes.plot([_LOWEST, 1], [_LOWEST, 1], color=GREY, linestyle="--", linewidth=1, label=TEXTS["calibrated"][0])
        errors = np.array([np.maximum(0, y - low), np.maximum(0, high - y)])
        axes.errorbar(x, y, yerr=errors, fmt="o", color=BLUE, markersize=4, linewidth=1, label=TEXTS["bins"][0])
        _log_percent(axes, "x")
        _log_percent(axes, "y")
        axes.set_xlabel(TEXTS["predicted"][0])
        axes.set_ylabel(TEXTS["observed"][0])
        axes.legend(loc="upper left")

    return _svg(draw, "reliability")


def precision_recall(fraud: Truth, score: Floats, points: dict[str, tuple[float, float]]) -> str:
    """The curve, and where the budget and the policy stand on it: name → (recall, precision)."""

    def draw(axes: Axes) -> None:
        hits, rows = Ranking(fraud, score).curve()
        if len(hits) and hits[-1] > 0:
            keep = np.unique(np.searchsorted(hits, np.linspace(hits[0], hits[-1], _POINTS_MAX)))
            axes.plot(hits[keep] / hits[-1], hits[keep] / rows[keep], color=BLUE)
        axes.axhline(float(fraud.mean()), color=GREY, linestyle="--", linewidth=1, label=TEXTS["chance"][0])
        for (key, (recall, precision)), mark in zip(points.items(), "os", strict=False):
            axes.plot([recall], [precision], mark, color=RED, markersize=5, label=TEXTS[key][0])
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel(TEXTS["recall"][0])
        axes.set_ylabel(TEXTS["precision"][0])
        axes.legend(loc="upper right")

    return _svg(draw, "precision_recall")


def histogram(fraud: Truth, score: Floats) -> str:
    """How many good rows and frauds have which score, both on logarithmic scales."""

    def draw(axes: Axes) -> None:
        edges = np.logspace(np.log10(_LOWEST), 0, 41)
        at = np.clip(score, _LOWEST, 1)
        for mask, colour, key in ((~fraud, GREY, "good"), (fraud, RED, "fraud")):
            counts = np.histogram(at[mask], edges)[0]
            axes.stairs(counts, edges, color=colour, fill=True, alpha=0.45, label=TEXTS[key][0], baseline=0.5)
        axes.set_yscale("log")
        axes.set_ylim(bottom=0.5)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:,.0f}" if value >= 1 else ""))
        axes.yaxis.set_minor_formatter(NullFormatter())
        _log_percent(axes, "x")
        axes.set_xlabel(TEXTS["score"][0])
        axes.set_ylabel(TEXTS["rows"][0])
        axes.legend(loc="upper right")

    return _svg(draw, "histogram")


def typologies(budget: dict[str, Any], alerts: dict[str, Any]) -> str:
    """Recall of each kind of fraud, within the budget and by the policy's alerts."""
    names = list(budget)

    def draw(axes: Axes) -> None:
        places = np.arange(len(names))
        for shift, found, colour, key in ((-0.2, budget, BLUE, "budget"), (0.2, alerts, RED, "alerts")):
            recalls = [found[name]["recall"] or 0.0 for name in names]
            axes.barh(places + shift, recalls, height=0.38, color=colour, alpha=0.8, label=TEXTS[key][0])
        axes.set_yticks(places, names)
        axes.set_xlim(0, 1)
        axes.invert_yaxis()
        axes.set_xlabel(TEXTS["recall"][0])
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)

    return _svg(draw, "typologies", height=1.6 + 0.5 * len(names))


def _log_percent(axes: Axes, which: str) -> None:
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    (axes.set_xlim if which == "x" else axes.set_ylim)(_LOWEST, 1)
    axis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value * 100:g} %"))
    axis.set_minor_formatter(NullFormatter())


def _svg(draw: Callable[[Axes], None], name: str, width: float = 5.2, height: float = 3.6) -> str:
    # Ids are made from the salt: pictures on one page must not share them.
    with rc_context({**_STYLE, "svg.hashsalt": f"riskshift {name}"}):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure.add_subplot())
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]

    def translated(match: re.Match[str]) -> str:
        zh = _WORDS.get(match[2])
        return match[0] if zh is None else match[1] + spans(match[2], zh, "tspan") + match[3]

    return re.sub(r"(<text\b[^>]*>)([^<]+)(</text>)", translated, svg)
