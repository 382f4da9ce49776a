"""`riskshift config` shows where each value came from, and `--check` refuses what a worker would refuse."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from streams.cli import main
from streams.settings import Settings
from streams.tail import Record, tail

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("RISKSHIFT_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, object]]:
    assert main(["config", "--json", *arguments]) == 0
    return {line["name"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}


def test_every_setting_is_shown_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys)
    assert list(lines) == list(Settings.__dataclass_fields__)
    assert {line["origin"] for line in lines.values()} == {"default"}
    assert all(line["value"] == line["default"] for line in lines.values())


def test_origin_is_option_then_variable_then_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "riskshift.toml").write_text('broker = "f:1"\ntopic_prefix = "file"\nbatch_max = 7\n')
    monkeypatch.setenv("RISKSHIFT_BROKER", "e:1")
    monkeypatch.setenv("RISKSHIFT_BATCH_MAX", "8")
    lines = shown(capsys, "--broker", "o:1")
    seen = {name: (lines[name]["value"], lines[name]["origin"]) for name in ("broker", "topic_prefix", "batch_max")}
    assert seen == {
        "broker": ("o:1", "--broker"),
        "topic_prefix": ("file", "riskshift.toml"),
        "batch_max": (8, "RISKSHIFT_BATCH_MAX"),
    }


def test_a_misspelt_variable_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RISKSHIFT_BATCHMAX", "8")
    assert main(["config"]) == 0
    assert "did you mean RISKSHIFT_BATCH_MAX?" in capsys.readouterr().err


def test_check_says_ok_and_makes_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["config", "--check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "ok": True,
        "settings": len(Settings.__dataclass_fields__),
        "changed": 0,
    }
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("BATCH_MAX", "0", "expected batch_max in 1..20000, found 0"),
        ("POLICY", "nowhere.toml", "expected a policy file at nowhere.toml"),
        ("POLICY", "bad.toml", "policy: "),
        ("SIGNING_KEY_FILE", "open.key", "chmod 600"),
        ("SIGNING_KEY_FILE", "bad.toml/key", "cannot"),
    ],
)
def test_check_refuses_what_a_worker_would_refuse(
    name: str,
    value: str,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "bad.toml").write_text("version = 1\n")
    (tmp_path / "open.key").write_text("0123456789abcdef0123456789abcdef")
    (tmp_path / "open.key").chmod(0o644)
    monkeypatch.setenv(f"RISKSHIFT_{name}", value)
    assert main(["config", "--check"]) == 1
    answer = capsys.readouterr()
    assert said in answer.err
    assert answer.out == ""


@pytest.mark.parametrize(
    "command", [["send", "e.jsonl", "--format", "events"], ["simulate", "--people", "20", "--days", "2"]]
)
def test_prefix_of_the_file_reaches_who_sends(
    command: list[str],
    tansu: str,
    prefix: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    Path("e.jsonl").write_bytes((EXAMPLES / "events.jsonl").read_bytes())
    Path("riskshift.toml").write_text(f'broker = "{tansu}"\ntopic_prefix = "{prefix}"\n')
    assert main(["topics", "--create", "--partitions", "1"]) == 0
    assert main([*command, "--json"]) == 0
    sent = json.loads(capsys.readouterr().out.splitlines()[-1])
    count = sent.get("sent", sent.get("events"))
    assert count > 0
    assert len(tail_events(tansu, prefix)) == count


def tail_events(broker: str, prefix: str) -> list[Record]:
    async def read() -> list[Record]:
        return [record async for record in tail(broker, f"{prefix}.events", from_beginning=True, until_end=True)]

    return asyncio.run(read())
