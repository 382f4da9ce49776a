"""Two policies over the same events: what the comparison says, and that its page opens without a network."""

from __future__ import annotations

import json
import os
import shutil
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from features.events import encode
from streams.replay.diff.figures import alert_key, transitions
from streams.replay.diff.page import page
from streams.town import Town, TownConfig
from tests.streams.harness import riskshift


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`base` under the shipped policy, `strict` under one that alerts much earlier; a town with planted frauds."""
    folder = tmp_path_factory.mktemp("runs")
    town = Town(TownConfig(people=150, days=45, seed=4)).events()
    (folder / "town.jsonl").write_bytes(b"\n".join(encode(event) for event in islice(town, 15_000)))
    policy = Path("policies/default.toml").read_text("utf-8")
    strict = policy.replace('version = "default-2"', 'version = "strict"').replace("enter = 0.25", "enter = 0.05")
    strict = strict.replace("exit = 0.12", "exit = 0.02").replace("enter = 0.10", "enter = 0.04")
    (folder / "strict.toml").write_text(strict.replace("exit = 0.05", "exit = 0.01"), "utf-8")
    for name, options in {"base": [], "strict": ["--policy", folder / "strict.toml"]}.items():
        done = riskshift(
            "replay", folder / "town.jsonl", "--format", "events", "--out", folder / name, "--processes", "1",
            "--label-maturity", "2d", *options, timeout_s=200,
        )  # fmt: skip
        assert done.status == 0, done.err
    return folder


@pytest.fixture(scope="module")
def figures(runs: Path) -> dict[str, Any]:
    done = riskshift("diff", runs / "base", runs / "strict", "--out", runs / "report.html", "--budget", "3", "--json")
    assert done.status == 0, done.err
    found: dict[str, Any] = done.objects()[-1]
    return found


def test_alerts_are_matched_without_the_policys_version(figures: dict[str, Any]) -> None:
    alerts = figures["alerts"]
    assert figures["same_input"]
    assert (figures["a"]["policy_version"], figures["b"]["policy_version"]) == ("default-2", "strict")
    assert alerts["both"] > 0
    assert alerts["gained"] > alerts["lost"]
    assert alerts["both"] + alerts["lost"] == figures["a"]["alerts"]
    assert alerts["both"] + alerts["gained"] == figures["b"]["alerts"]
    for key in ("by_rule", "by_severity", "by_typology"):
        for what in ("both", "gained", "lost"):
            assert sum(kind[what] for kind in alerts[key].values()) == alerts[what], key


def test_a_policy_that_alerts_earlier_catches_more_for_a_price(figures: dict[str, Any]) -> None:
    base, strict = figures["a"], figures["b"]
    assert base["frauds"] == strict["frauds"] > 0
    assert strict["recall"] >= base["recall"] > 0
    # Thresholds move alerts, never scores: the model heard the same.
    assert strict["ap"] == base["ap"] > 0
    assert sum(day["b"] for day in figures["per_day"]) == strict["alerts"]
    assert strict["budget"]["beyond"] == sum(max(0, day["b"] - 3) for day in figures["per_day"])


def test_customers_come_with_reasons_most_different_first(figures: dict[str, Any]) -> None:
    customers = figures["customers"]
    assert 0 < len(customers) <= 50
    distances = [one["distance"] for one in customers]
    assert distances == sorted(distances, reverse=True)
    reasons = [reason for one in customers for alert in one["gained_alerts"] for reason in alert["reasons"]]
    assert reasons
    assert all(reason["text"]["en"] and reason["text"]["zh-CN"] for reason in reasons)


def test_a_replay_beside_itself_differs_in_nothing(runs: Path) -> None:
    same = riskshift("diff", runs / "base", runs / "base", "--json").objects()[-1]
    assert (same["alerts"]["gained"], same["alerts"]["lost"], same["customers"]) == (0, 0, [])
    assert same["alerts"]["both"] == same["a"]["alerts"] > 0
    assert (same["grades"]["worse"], same["grades"]["better"]) == (0, 0)
    assert sum(map(sum, same["grades"]["matrix"])) > 0


def test_transitions_count_customers_by_last_grade() -> None:
    found = transitions({"a": "AA", "b": "BB", "c": "C"}, {"a": "A", "b": "BB", "d": "AAA"})
    at = found["names"].index
    matrix = found["matrix"]
    assert (found["worse"], found["better"]) == (1, 0)
    assert matrix[at("AA")][at("A")] == matrix[at("BB")][at("BB")] == 1
    assert matrix[at("C")][at("none")] == matrix[at("none")][at("AAA")] == 1


def test_an_alert_is_known_by_all_but_the_policy() -> None:
    alert = {"customer_id": "c", "scope": {"type": "card", "id": "k"}, "source_event_id": "e", "rule": "r",
             "alert_id": "1", "policy_version": "p"}  # fmt: skip
    assert alert_key(alert) == alert_key(alert | {"alert_id": "2", "policy_version": "q"})
    assert alert_key(alert) != alert_key(alert | {"rule": "other"})


def test_terminal_says_the_same_in_lines(runs: Path, figures: dict[str, Any]) -> None:
    out = riskshift("diff", runs / "base", runs / "strict").out
    assert f"{figures['alerts']['gained']:,} gained" in out
    assert "to whom it matters most:" in out


def test_names_cannot_become_html(figures: dict[str, Any]) -> None:
    evil = json.loads(json.dumps(figures))
    evil["a"]["name"] = evil["customers"][0]["customer_id"] = "<script>alert(1)</script>"
    assert "<script" not in page(evil)


def test_an_unfinished_replay_is_no_replay(tmp_path: Path) -> None:
    (tmp_path / "x" / ".progress").mkdir(parents=True)
    done = riskshift("diff", tmp_path / "x", tmp_path / "x")
    assert done.status == 1
    assert "go on with riskshift replay" in done.err


def test_page_opens_in_a_browser_without_a_network(runs: Path, figures: dict[str, Any], tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = os.environ.get("RISKSHIFT_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium: apt install chromium, or name one in RISKSHIFT_CHROMIUM")
    with playwright.sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            tab = browser.new_page(offline=True, viewport={"width": 1200, "height": 900})
            faults: list[str] = []
            asked: list[str] = []
            tab.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
            tab.on("request", lambda request: asked.append(request.url))
            tab.goto((runs / "report.html").as_uri())
            assert tab.inner_text("h1") == "What would have happened"
            assert tab.is_visible("svg.per_day")
            assert tab.locator("svg.gained_lost rect").count() > 0
            assert tab.locator("table.grades td").count() == len(figures["grades"]["names"]) ** 2
            tab.click("#lang-zh")
            assert tab.inner_text("h1") == "如果当时换一种做法"
            assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            tab.screenshot(path=str(tmp_path / "report.png"), full_page=True)
            assert (tmp_path / "report.png").stat().st_size > 10_000
        finally:
            browser.close()
    assert faults == []
    assert len(asked) == 1, asked
