"""`docs/early-warnings.md` says what the catalogue and the benchmark's result say."""

from __future__ import annotations

import json

from benchmarks.early_warning_page import PAGE, RESULT, written
from features.warning_catalogue import CODES, LISTED


def test_the_tables_are_those_of_the_result() -> None:
    page = PAGE.read_text("utf-8")
    figures = json.loads(RESULT.read_text("utf-8"))["figures"]
    assert written(page, figures) == page, "docs/early-warnings.md is old: python -m benchmarks.early_warning_page"


def test_every_indicator_is_on_the_page_and_most_have_a_measured_lift() -> None:
    page = PAGE.read_text("utf-8")
    assert [code for code in (*CODES, *(it.code for it in LISTED)) if f"| `{code}` |" not in page] == []
    lift = json.loads(RESULT.read_text("utf-8"))["figures"]["lift"]
    assert sum(row["defaulters"] > 0 for row in lift) >= 20


def test_only_check_scenarios_are_in_the_result() -> None:
    scenarios = json.loads(RESULT.read_text("utf-8"))["figures"]["scenarios"]
    assert scenarios
    assert all(name.startswith("check-") for name in scenarios)
