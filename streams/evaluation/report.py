"""The page: one HTML file without anything from outside, in English and Chinese."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from streams.evaluation.figures import Asked
from streams.evaluation.scores import UNKNOWN, Scored
from streams.evaluation.texts import TEXTS, both
from streams.sources.source import SourceError
from streams.sources.times import DAY_MS

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; color: #1d2430;
  max-width: 1080px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
p { max-width: 46rem; color: #4a5160; }
table { border-collapse: collapse; margin: .6rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #e2e5ea; text-align: right; }
th { font-weight: 600; color: #4a5160; } th:first-child, td:first-child { text-align: left; }
td small { color: #6b7280; } .pictures { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; } figcaption { color: #4a5160; }
svg { max-width: 100%; height: auto; }
svg text { font-family: inherit !important; }
input[name=lang] { margin: 0 .3rem 0 0; } label { margin-right: 1rem; color: #4a5160; }
#lang-en:checked ~ main .zh, #lang-zh:checked ~ main .en { display: none; }
"""


def write_report(path: Path, summary: dict[str, Any], scored: Scored, asked: Asked) -> None:
    """Write the page; the same figures give the same bytes.

    Raises
    ------
    SourceError
        When it cannot be written.
    """
    page = report(summary, scored, asked)
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise SourceError(
            f"expected to write the report to {path}, found: {error.strerror or error}: choose a file in a folder "
            "that exists and is yours"
        ) from None


def report(summary: dict[str, Any], scored: Scored, asked: Asked) -> str:
    """The page as HTML."""
    body = [f"<h1>{both('title')}</h1>", f"<p>{both('lead')}</p>", _counts(summary)]
    if summary["overall"] is None:
        body.append(f"<p>{both('nothing')}</p>")
    else:
        places = scored.within(asked.from_ms, asked.until_ms)
        places = places[scored.label[places] != UNKNOWN]
        body += _sections(summary, scored, places)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        # Not even a name from the file could make the page fetch something.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{TEXTS['title'][0]} · {TEXTS['title'][1]}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        '<input type="radio" name="lang" id="lang-en" checked><label for="lang-en">English</label>\n'
        '<input type="radio" name="lang" id="lang-zh"><label for="lang-zh" lang="zh-CN">中文</label>\n'
        "<main>\n" + "\n".join(body) + "\n</main>\n</body>\n</html>\n"
    )


def _sections(summary: dict[str, Any], scored: Scored, places: Any) -> list[str]:
    # Only here: matplotlib takes half a second to import.
    from streams.evaluation import pictures

    overall = summary["overall"]
    fraud, score = scored.fraud[places], scored.score[places]
    budget, alerts, bins = overall["budget"], overall["alerts"], overall["calibration"]["bins"]
    points = {
        key: (found["recall"], found["precision"])
        for key, found in (("budget", budget), ("alerts", alerts))
        if found["recall"] is not None and found["precision"] is not None
    }
    drawn = {"pr": pictures.precision_recall(fraud, score, points), "histogram": pictures.histogram(fraud, score)}
    kinds = {"recall": pictures.typologies(budget["typologies"], alerts["typologies"])} if budget["typologies"] else {}
    return [
        f"<h2>{both('ranking')}</h2>", f"<p>{both('ranking_text')}</p>", _ranking(summary), _pictures(drawn),
        f"<h2>{both('caught')}</h2>", f"<p>{both('caught_text')}</p>", _caught(budget, alerts), _pictures(kinds),
        f"<h2>{both('calibration')}</h2>", _fit(summary), _pictures({"": pictures.reliability(bins)}), _bins(bins),
        f"<h2>{both('learning')}</h2>", f"<p>{both('learning_text')}</p>",
        _pictures({"": pictures.learning(summary["learning_curve"])}), _weeks(summary["learning_curve"]),
    ]  # fmt: skip


def _counts(summary: dict[str, Any]) -> str:
    delay = summary["label_delay_ms"]
    late = both("own_times") if delay is None else f"{delay / DAY_MS:g} {both('days')}"
    rows = [(both("file"), f"{_escaped(summary['file'])} ({_escaped(summary['format'])})")]
    if "learned_from" in summary:
        learned = summary["learned_from"]
        rows.append((both("learned_from"), f"{_escaped(learned['file'])} ({_whole(learned['rows'])} {both('rows')})"))
    rows += [(both(key), _whole(summary[key])) for key in ("rows", "rejected", "scored")]
    if summary["not_scored"]:
        reasons = ", ".join(f"{_whole(n)} {_escaped(name)}" for name, n in summary["not_scored"].items())
        rows.append((both("not_scored"), reasons))
    rows += [
        (both("frauds"), _whole(summary["frauds"])), (both("label_delay"), late),
        (both("model_versions"), _whole(summary["model_versions"])),
    ]  # fmt: skip
    return f"<h2>{both('counts')}</h2>{_table((), rows)}"


def _ranking(summary: dict[str, Any]) -> str:
    overall, weeks = summary["overall"], summary.get("weeks", {})
    cards = next(key for key in overall if key.startswith("cp"))
    head = [both(key) for key in ("period", "rows", "frauds", "auc", "ap")] + [f"{both('cards')} {cards[2:]}"]
    rows = []
    for name, figures in [*weeks.items(), *([("mean", summary["mean"])] if weeks else []), ("all", overall)]:
        shown = both(name) if name in TEXTS else name
        if name == "all":
            shown += f" <small>{str(figures['from'])[:10]} – {str(figures['until'])[:10]}</small>"
        rows.append((
            shown, _whole(figures.get("transactions")), _whole(figures.get("frauds")),
            _with_range(figures, "auc"), _with_range(figures, "ap"), _short(figures[cards]),
        ))  # fmt: skip
    return _table(head, rows)


def _caught(budget: dict[str, Any], alerts: dict[str, Any]) -> str:
    shares = ("precision", "recall", "amount_recall")
    head = ["", both("a_day"), *(both(key) for key in shares)]
    names = {"budget": f"{budget['alerts_a_day']} {both('budget')}", "alerts": both("alerts")}
    rows = [
        (names[key], _short(found["flagged_a_day"], 1), *(_percent(found[share]) for share in shares))
        for key, found in (("budget", budget), ("alerts", alerts))
    ]
    kinds = [
        (both(name) if name in TEXTS else _escaped(name), _whole(kind["frauds"]), _percent(kind["recall"]),
         _percent(alerts["typologies"][name]["recall"]))
        for name, kind in budget["typologies"].items()
    ]  # fmt: skip
    of_kinds = [both("typology"), both("frauds")] + [f"{both('recall')}: {both(key)}" for key in ("budget", "alerts")]
    return _table(head, rows) + (_table(of_kinds, kinds) if kinds else "")


def _fit(summary: dict[str, Any]) -> str:
    keys = ("slope", "intercept", "observed_over_expected", "brier", "brier_skill")
    periods = {"mean": summary["mean"]} if "mean" in summary else {}
    rows = [
        (both(name), *(_short(figures["calibration"][key], 4 if key == "brier" else 3) for key in keys))
        for name, figures in {**periods, "all": summary["overall"]}.items()
    ]
    return _table([both("period"), *(both(key) for key in keys)], rows)


def _bins(bins: list[dict[str, Any]]) -> str:
    head = [
        both(key) for key in ("score", "rows", "frauds", "predicted", "observed", "interval", "observed_over_expected")
    ]
    return _table(head, [
        (
            f"{_percent(one['from'])} – {_percent(one['until'])}", _whole(one["n"]), _whole(one["frauds"]),
            _percent(one["predicted"]), _percent(one["observed"]),
            f"{_percent(one['observed_low'])} – {_percent(one['observed_high'])}",
            _short(one["observed_over_expected"], 2),
        )
        for one in bins
    ])  # fmt: skip


def _weeks(curve: list[dict[str, Any]]) -> str:
    head = [both(key) for key in ("week", "rows", "frauds", "known", "auc", "ap")]
    keys = ("transactions", "frauds", "frauds_known")
    return _table(head, [
        (week["week"], *(_whole(week[key]) for key in keys), _short(week["auc"]), _short(week["ap"])) for week in curve
    ])  # fmt: skip


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = f"<tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>" if head else ""
    return (
        f"<table>{top}{''.join('<tr>' + ''.join(f'<td>{cell}</td>' for cell in row) + '</tr>' for row in rows)}</table>"
    )


def _pictures(svgs: dict[str, str]) -> str:
    figures = [
        f"<figure>{f'<figcaption>{both(key)}</figcaption>' if key else ''}{svg}</figure>" for key, svg in svgs.items()
    ]
    return f'<div class="pictures">{"".join(figures)}</div>' if figures else ""


def _with_range(figures: dict[str, Any], key: str) -> str:
    bounds = figures.get(f"{key}_interval")
    small = "" if bounds is None else f" <small>[{bounds[0]:.3f}, {bounds[1]:.3f}]</small>"
    return _short(figures[key]) + small


def _short(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _whole(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value * 100:.3g} %"


def _escaped(text: object) -> str:
    return html.escape(str(text))
