"""The comparison as one HTML file without anything from outside, in English and Chinese."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from streams.evaluation.texts import spans
from streams.replay.diff import pictures
from streams.replay.diff.lines import money, percent, short, whole
from streams.replay.diff.texts import TEXTS, both
from streams.replay.errors import ReplayError

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; color: #1d2430;
  max-width: 1080px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; } h3 { font-size: 1rem; }
p { max-width: 46rem; color: #4a5160; } p.warn { color: #8a4b00; font-weight: 600; }
table { border-collapse: collapse; margin: .6rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #e2e5ea; text-align: right; vertical-align: top; }
th { font-weight: 600; color: #4a5160; } th:first-child, td:first-child, td.text { text-align: left; }
td small { color: #6b7280; } .grades td, .grades th { text-align: center; padding: .2rem .5rem; }
.gained { color: #c0392b; } .lost { color: #2563a8; } ul { margin: 0; padding-left: 1.1rem; text-align: left; }
svg { max-width: 100%; height: auto; } svg text { fill: #1d2430; }
input[name=lang] { margin: 0 .3rem 0 0; } label { margin-right: 1rem; color: #4a5160; }
#lang-en:checked ~ main .zh, #lang-zh:checked ~ main .en { display: none; }
"""


def write_page(path: Path, figures: dict[str, Any]) -> None:
    """Write the page; the same figures give the same bytes.

    Raises
    ------
    ReplayError
        When it cannot be written.
    """
    try:
        path.write_text(page(figures), encoding="utf-8")
    except OSError as error:
        raise ReplayError(
            f"expected to write the report to {path}, found: {error.strerror or error}: choose a file in a folder "
            "that exists and is yours"
        ) from None


def page(figures: dict[str, Any]) -> str:
    """The page as HTML."""
    names = (figures["a"]["name"], figures["b"]["name"])
    body = [f"<h1>{both('title')}</h1>", f"<p>{both('lead')}</p>"]
    if not figures["same_input"]:
        body.append(f'<p class="warn">{both("other_input")}</p>')
    body += [
        f"<h2>{both('figures')}</h2>", _sides(figures),
        f"<h2>{both('moved')}</h2>", _moved(figures["alerts"]),
        f"<h2>{both('per_day')}</h2>", pictures.per_day(figures["per_day"], names, figures["budget"])
        if figures["per_day"] else f"<p>{both('nothing')}</p>",
        f"<h2>{both('grades')}</h2>", _grades(figures["grades"]),
        f"<h2>{both('customers')}</h2>", _customers(figures["customers"]),
    ]  # fmt: skip
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        # Not even a name from the events could make the page fetch something.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{TEXTS['title'][0]} · {TEXTS['title'][1]}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        '<input type="radio" name="lang" id="lang-en" checked><label for="lang-en">English</label>\n'
        '<input type="radio" name="lang" id="lang-zh"><label for="lang-zh" lang="zh-CN">中文</label>\n'
        "<main>\n" + "\n".join(body) + "\n</main>\n</body>\n</html>\n"
    )


def _sides(figures: dict[str, Any]) -> str:
    sides = (figures["a"], figures["b"])
    rows: list[tuple[str, ...]] = [
        (both("policy"), *(_escaped(side["policy_version"]) for side in sides)),
        (both("model"), *(whole(side["model_version"]) for side in sides)),
        (both("events"), *(whole(side["events"]) for side in sides)),
        (both("n_alerts"), *(whole(side["alerts"]) for side in sides)),
        (both("alerts_a_day"), *(short(side["budget"]["alerts_a_day"], 1) for side in sides)),
    ]
    rows += [
        (both(key), *(whole(side["budget"][key]) for side in sides)) for key in ("most_a_day", "days_over", "beyond")
    ]
    rows.append((both("judged"), *(side["judged_until"] or "–" for side in sides)))
    rows.append((both("frauds"), *(whole(side["frauds"]) for side in sides)))
    rows += [(both(key), *(percent(side[key]) for side in sides)) for key in ("precision", "recall", "amount_recall")]
    rows += [(both(key), *(short(side[key]) for side in sides)) for key in ("ap", "auc")]
    leads = [side["lead"] for side in sides]
    rows += [
        (both("cases"), *(f"{whole(lead['cases_alerted'])} / {whole(lead['fraud_cases'])}" for lead in leads)),
        (both("hours"), *(short(lead["hours_median"], 1) for lead in leads)),
        (both("defaults"), *(f"{whole(lead['defaults_alerted'])} / {whole(lead['defaults'])}" for lead in leads)),
        (both("days"), *(short(lead["days_median"], 1) for lead in leads)),
        (both("exposure"), *(_escaped(money(side["exposure"])) for side in sides)),
    ]
    return _table(["", *(_escaped(side["name"]) for side in sides)], rows)


def _moved(alerts: dict[str, Any]) -> str:
    parts = [_table(
        [both("both"), both("gained"), both("lost")],
        [(whole(alerts["both"]), whole(alerts["gained"]), whole(alerts["lost"]))],
    )]  # fmt: skip
    for key in ("by_typology", "by_severity", "by_rule"):
        if alerts[key]:
            rows = [
                (both(name) if name in TEXTS else _escaped(name),
                 *(whole(kind[what]) for what in ("both", "gained", "lost")))
                for name, kind in alerts[key].items()
            ]  # fmt: skip
            parts.append(f"<h3>{both(key)}</h3>" + pictures.gained_lost(alerts[key]))
            parts.append(_table(["", both("both"), both("gained"), both("lost")], rows))
    return "".join(parts)


def _grades(grades: dict[str, Any]) -> str:
    names, matrix = grades["names"], grades["matrix"]
    if not any(map(any, matrix)):
        return f"<p>{both('no_grades')}</p>"
    most = max(max(row) for row in matrix)
    head = "".join(f"<th>{name}</th>" for name in ["", *names])
    lines = []
    for i, row in enumerate(matrix):
        cells = []
        for j, count in enumerate(row):
            shade = 0.0 if not count else 0.12 + 0.6 * count / most
            colour = "37,99,168" if j < i else "192,57,43" if j > i else "138,143,152"
            style = f' style="background:rgba({colour},{shade:.2f})"' if count else ""
            cells.append(f"<td{style}>{whole(count) if count else ''}</td>")
        lines.append(f"<tr><th>{names[i]}</th>{''.join(cells)}</tr>")
    return f'<p>{both("grades_text")}</p><table class="grades"><tr>{head}</tr>{"".join(lines)}</table>'


def _customers(customers: Sequence[dict[str, Any]]) -> str:
    if not customers:
        return f"<p>{both('nothing')}</p>"
    head = [both(key) for key in ("customer", "distance", "gained", "lost", "frauds_known", "grade", "score", "why")]
    rows = []
    for one in customers:
        grade, score = one["grade"], one["score"]
        rows.append((
            _escaped(one["customer_id"]), short(one["distance"], 1), whole(one["gained"]), whole(one["lost"]),
            whole(one["frauds_known"]), "–" if grade is None else f"{grade['from']} → {grade['to']}",
            "–" if score is None else f"{percent(score['from'])} → {percent(score['to'])}", _why(one),
        ))  # fmt: skip
    return _table(head, rows)


def _why(one: dict[str, Any]) -> str:
    lines = []
    for what, sign in (("gained", "+"), ("lost", "−")):
        for alert in one[f"{what}_alerts"]:
            reasons = " · ".join(_text(reason["text"]) for reason in alert["reasons"][:2])
            lines.append(f'<li><b class="{what}">{sign}</b> {_text(alert["title"])} <small>{reasons}</small></li>')
    return f"<ul>{''.join(lines)}</ul>" if lines else ""


def _text(text: dict[str, str]) -> str:
    return spans(_escaped(text["en"]), _escaped(text["zh-CN"]))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = f"<tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>"
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table>{top}{body}</table>"


def _escaped(text: object) -> str:
    return html.escape(str(text))
