"""The tables of docs/early-warnings.md, from the catalogue and from `results/early-warning.json`.

python -m benchmarks.early_warning_page        writes them into the page, between its marks
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from features.warning_catalogue import INDICATORS, LISTED, REFERENCES

HOME = Path(__file__).resolve().parent.parent
PAGE, RESULT = HOME / "docs" / "early-warnings.md", HOME / "benchmarks" / "results" / "early-warning.json"
_BEGIN, _END = "<!-- {}: python -m benchmarks.early_warning_page -->", "<!-- end of {} -->"


def tables(figures: dict[str, Any]) -> dict[str, str]:
    """Markdown of each table, by its mark."""
    return {
        "found": _found(figures),
        "beside": _beside(figures),
        "others": _others(figures),
        "shocks": _shocks(figures),
        "moves": _moves(figures),
        "indicators": _indicators(figures),
        "listed": "\n".join(
            ["| code | what | 含义 | source |", "|---|---|---|---|"]
            + [f"| `{it.code}` | {it.en} | {it.zh} | {it.source} |" for it in LISTED]
        ),
        "references": "\n".join(f"- **{theme}**: {reference}." for theme, reference in REFERENCES.items()),
    }


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _row(*cells: Any) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _found(figures: dict[str, Any]) -> str:
    lines = [
        _row("town", "defaulters", "alerted before the first missed due", "median days before", "healthy who owe",
             "healthy alerted per quarter", "recoveries found"),
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, it in figures["scenarios"].items():
        back = it["recoveries"]
        lines.append(_row(
            f"`{name}`", it["defaulters"], f"{it['found_before_first_missed']} ({_percent(it['found_ratio'])})",
            it["days_ahead_median"], it["healthy"], _percent(it["healthy_alerted_per_quarter"]),
            f"{back['cleared']} of {back['alerted_and_recovered_in_time']}",
        ))  # fmt: skip
    every = figures["all"]
    lines.append(_row(
        "all", every["defaulters"], f"**{every['found_before_first_missed']} ({_percent(every['found_ratio'])})**", "",
        sum(it["healthy"] for it in figures["scenarios"].values()),
        f"**{_percent(every['healthy_alerted_per_quarter'])}**",
        f"{every['recoveries_found']} of {every['recoveries_of']}",
    ))  # fmt: skip
    return "\n".join(lines)


def _beside(figures: dict[str, Any]) -> str:
    lines = [
        _row("town", "our alerts", "the rule's", "the rule finds, at its own volume", "equal volume", "we find",
             "the rule finds"),
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, it in figures["scenarios"].items():
        rule, equal = it["rule"], it["at_equal_volume"]
        lines.append(_row(
            f"`{name}`", it["volume_cells"], rule["cells"], rule["found"], equal["cells"], equal["ours"], equal["rule"]
        ))  # fmt: skip
    every = figures["all"]
    lines.append(_row("all", "", "", every["rule_found"], "", every["at_equal_volume_ours"],
                      every["at_equal_volume_rule"]))  # fmt: skip
    return "\n".join(lines)


def _others(figures: dict[str, Any]) -> str:
    rules = list(next(iter(figures["scenarios"].values()))["healthy_per_quarter_by_rule"])
    lines = [_row("town", *(f"`{rule}`" for rule in rules)), "|---" * (len(rules) + 1) + "|"]
    for name, it in figures["scenarios"].items():
        lines.append(_row(f"`{name}`", *(_percent(it["healthy_per_quarter_by_rule"][rule]) for rule in rules)))
    return "\n".join(lines)


def _shocks(figures: dict[str, Any]) -> str:
    lines = [
        _row("town", "shock", "group", "struck", "community alerts", "days until", "struck when alerted",
             "members' alerts named / later ones with the parent", "other community alerts"),
        "|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, it in figures["scenarios"].items():
        other = it["community"]["other_alerts"]
        for shock in it["community"]["planted"]:
            lines.append(_row(
                f"`{name}`", shock["kind"], shock["group"], shock["struck"], shock["alerts"],
                shock["days_until_alert"], shock["struck_when_alerted"],
                f"{shock['members_alerts_named']} / {shock['members_alerts_with_parent']}", other,
            ))  # fmt: skip
        if not it["community"]["planted"]:
            lines.append(_row(f"`{name}`", "none", "", "", "", "", "", "", other))
    return "\n".join(lines)


def _moves(figures: dict[str, Any]) -> str:
    lines = [
        _row("town", "customers reviewed", "moves on and off the list", "with three or more in 30 days",
             "moves without hysteresis", "three or more in 30 days without", "days that hysteresis keeps, median",
             "customers whose grade moves three times in 30 days"),
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, town in figures["scenarios"].items():
        it = town["flapping"]
        lines.append(_row(
            f"`{name}`", it["customers_reviewed"], it["moves"], it["flapping"], it["moves_without_hysteresis"],
            it["flapping_without_hysteresis"], it["delay_days_to_leave_median"], it["grade_flapping"],
        ))  # fmt: skip
    return "\n".join(lines)


def _indicators(figures: dict[str, Any]) -> str:
    measured = {row["indicator"]: row for row in figures["lift"]}
    lines = [
        _row("code", "what", "含义", "source", "theme", "weight", "before default", "healthy", "lift"),
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for it in INDICATORS:
        row = measured[it.code]
        lift = f"{row['lift']:g}" if row["defaulters"] else "not met"
        lines.append(_row(
            f"`{it.code}`", it.en, it.zh, it.source, it.theme, it.expert, _percent(row["before_default"]),
            _percent(row["healthy"]), lift,
        ))  # fmt: skip
    return "\n".join(lines)


def written(page: str, figures: dict[str, Any]) -> str:
    """The page with its tables as they should be."""
    for name, table in tables(figures).items():
        begin, end = _BEGIN.format(name), _END.format(name)
        head, _, rest = page.partition(begin)
        _, _, tail = rest.partition(end)
        page = f"{head}{begin}\n{table}\n{end}{tail}"
    return page


def main() -> None:
    """Write the page."""
    figures = json.loads(RESULT.read_text("utf-8"))["figures"]
    PAGE.write_text(written(PAGE.read_text("utf-8"), figures), "utf-8")


if __name__ == "__main__":
    main()
