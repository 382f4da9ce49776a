"""The recorded stream says what it said: a difference is a change of behaviour, and is read in review."""

from __future__ import annotations

import json

from tests.golden.regenerate import BYTES_MAX, EXPECTED, STREAM, expected, read_stream


def test_the_golden_stream_is_decided_as_recorded() -> None:
    found, recorded = expected().splitlines(), EXPECTED.read_text("utf-8").splitlines()
    for number, (now, then) in enumerate(zip(found, recorded, strict=False), 1):
        assert now == then, (
            f"line {number} of {EXPECTED.name}: behaviour changed; if that is meant, run "
            "`python -m tests.golden.regenerate` and read the diff"
        )
    assert len(found) == len(recorded)


def test_the_golden_stream_has_everything_in_it() -> None:
    lines = [json.loads(line) for line in EXPECTED.read_text("utf-8").splitlines()]
    assert {line["disposition"] for line in lines if "disposition" in line} == {
        "decision",
        "duplicate",
        "late",
        "control",
        "derived",
    }
    alerts = {line["alert"] for line in lines if "alert" in line}
    assert alerts >= {"income_missed", "level_high", "level_elevated"}
    assert {line["cause"]["kind"] for line in lines if "risk_change" in line} >= {"transaction", "signal", "expiry"}
    assert len({line["dead_letter"] for line in lines if "dead_letter" in line}) >= 4
    assert sum("row" in line for line in lines) == 4
    offsets = [line["offset"] for line in lines if "offset" in line and line.get("disposition") != "derived"]
    assert offsets == list(range(len(read_stream())))


def test_the_golden_files_stay_small_enough_to_review() -> None:
    assert STREAM.stat().st_size + EXPECTED.stat().st_size < BYTES_MAX
