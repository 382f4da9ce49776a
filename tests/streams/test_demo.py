"""The demonstration ends with its summary and leaves nothing behind, whoever ends it."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from alerts.community import NO_CUSTOMER
from alerts.model_alerts import encode_model_alert, model_alert
from alerts.texts import load as load_texts
from models.governance.records import News
from streams.demo import Demo
from streams.settings import load
from tests.streams.harness import Running

pytestmark = pytest.mark.tansu  # starts an embedded broker of its own

FIGURES = {"events", "sent", "alerts", "dead_letters", "planted", "caught", "snapshots", "restarts", "seconds"}


def _check(demo: Running, status: int, temp: Path) -> dict[str, Any]:
    assert status == 0, demo.errors
    said = demo.said
    assert len(said) == len(demo.lines), "every line of standard output is JSON"
    assert [list(line) for line in said] == [["alert"]] * (len(said) - 1) + [["summary"]]
    summary: dict[str, Any] = said[-1]["summary"]
    assert set(summary) >= FIGURES
    assert summary["alerts"] == len(said) - 1
    assert summary["restarts"] == 0, demo.errors
    assert "Traceback" not in "\n".join(demo.errors)
    assert demo.left_over() == []
    assert list(temp.iterdir()) == [], "the temporary folder is gone"
    return summary


def test_demo_for_a_while_shows_alerts_then_its_summary_and_leaves_nothing(tmp_path: Path) -> None:
    demo = Running("demo", "--for", "15s", "--json", env={"TMPDIR": str(tmp_path)}, cwd=tmp_path)
    with demo:
        summary = _check(demo, demo.wait(60), tmp_path)
    assert 0 < summary["events"] <= summary["sent"], demo.errors
    assert summary["alerts"] > 0
    assert summary["planted"] >= summary["caught"]
    for alert in (line["alert"] for line in demo.said[:-1]):
        assert alert["alert_id"]
        assert alert["title"]["en"]
        assert alert["title"]["zh-CN"]


def test_ctrl_c_ends_the_demo_with_its_summary_and_leaves_nothing(tmp_path: Path) -> None:
    with Running("demo", "--json", env={"TMPDIR": str(tmp_path)}, cwd=tmp_path) as demo:
        demo.wait_until(lambda: bool(demo.lines), 60, "first alert")
        summary = _check(demo, demo.stop(signal.SIGINT), tmp_path)
    assert summary["alerts"] > 0


def test_ctrl_c_before_anything_is_ready_ends_the_demo_too(tmp_path: Path) -> None:
    with Running("demo", "--json", env={"TMPDIR": str(tmp_path)}, cwd=tmp_path) as demo:
        demo.wait_until(lambda: any("embedded broker on" in line for line in demo.errors), 60, "broker")
        _check(demo, demo.stop(signal.SIGINT), tmp_path)


def test_an_alert_about_models_or_a_community_is_a_note_and_no_customers() -> None:
    notes: list[str] = []
    demo = Demo(lambda _alert, _value: pytest.fail("it is about no customer"), notes.append)
    settings, _ = load(environ={})
    news = News("drift_inputs", 1_735_689_600_000, "amount_last", 7, {"before": 1.0, "after": 2.0})
    alert = model_alert(news, "models-1", load_texts())
    key, value, _headers = encode_model_alert(alert)
    demo._take(settings, settings.topic_alerts, key, value)
    assert notes == [f"model alert: {alert.title.en}"]
    assert demo.tally.alerts == 0
    assert set(NO_CUSTOMER) == {b"model", b"community"}
