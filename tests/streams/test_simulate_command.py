"""`riskshift simulate`: files, summary, refusals, an orderly end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from features.events import Event, decode
from streams.cli import main, simulate
from streams.send import SendSummary

ROOT = Path(__file__).parents[2]
SMALL = ["simulate", "--people", "40", "--days", "15"]


def test_file_summary_and_planted_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, planted = tmp_path / "town.jsonl", tmp_path / "planted.json"
    assert main([*SMALL, "--out", str(out), "--planted", str(planted), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    events = [decode(line) for line in out.read_bytes().splitlines()]
    cases = json.loads(planted.read_text())
    assert summary["events"] == len(events) > 500
    assert sum(summary["planted"].values()) == len(cases) > 0
    assert {i for case in cases for i in case["event_ids"]} <= {e.event_id for e in events}
    assert summary["stopped"] is False
    assert {"seconds", "events_per_second"} <= set(summary)


def test_options_reach_the_town(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "town.jsonl"
    assert main([*SMALL, "--start", "2024-02-28", "--card-thefts", "0", "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["planted"]["card_theft"] == 0
    assert decode(out.read_bytes().splitlines()[0]).event_time_ms == 1_709_078_400_000


def test_events_go_to_the_topic_at_the_rate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: dict[str, Any] = {}

    async def send(broker: str, topic: str, events: Iterable[Event], **rest: Any) -> SendSummary:
        asked.update(rest, broker=broker, topic=topic)
        return SendSummary(sum(1 for _ in events), 0.5, 10)

    monkeypatch.setattr(simulate, "send_events", send)
    assert main([*SMALL, "--broker", "b:1", "--topic", "t", "--rate", "250"]) == 0
    assert (asked["broker"], asked["topic"], asked["rate"]) == ("b:1", "t", 250.0)
    assert "planted: 1 card_theft" in capsys.readouterr().out


@pytest.mark.parametrize("options", [["--rate", "0"], ["--rate", "fast"], ["--start", "soon"], ["--people", "x"]])
def test_wrong_options_are_refused(options: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["simulate", *options])
    assert refused.value.code == 2


@pytest.mark.parametrize(
    "options", [["--days", "0"], ["--out", "/nowhere/x"], ["--out", "-", "--planted", "/nowhere/x"]]
)
def test_what_cannot_be_done_is_one_sentence(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, *options]) == 1
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.startswith("riskshift simulate: ")
    assert "expected" in written.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_the_summary(tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "town.jsonl"
    command = [sys.executable, "-m", "streams", "simulate", "--people", "300", "--days", "3660", "--json"]
    with subprocess.Popen(
        [*command, "--out", str(out)], cwd=ROOT, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as process:
        deadline = time.monotonic() + 60
        while not (out.exists() and out.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(number)
        printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    summary = json.loads(printed)
    assert summary["stopped"] is True
    lines = out.read_bytes().splitlines()
    assert summary["events"] == len(lines)
    decode(lines[-1])
