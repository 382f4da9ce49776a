"""Replays of a real deployment: as it was, byte for byte, and under another policy."""

from __future__ import annotations

import json
import time
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from features.events import encode
from streams.replay.topics import merged_by_time, ranges_of
from streams.replay.work import Record
from streams.town import Town, TownConfig
from tests.streams.harness import Deployment, riskshift

LEARNING = {
    "RISKSHIFT_TICK_EVERY_MS": "3600000",
    "RISKSHIFT_LEARN_EVERY_MS": "3600000",
    "RISKSHIFT_PUBLISH_EVERY_MS": "86400000",
    "RISKSHIFT_PUBLISH_EVERY_S": "0.2",
    "RISKSHIFT_LABEL_MATURITY_MS": "172800000",
}


def town_records(events: int = 8_000) -> list[tuple[bytes, bytes, tuple[()]]]:
    town = Town(TownConfig(people=120, days=30, seed=5)).events()
    return [(event.customer_id.encode(), encode(event), ()) for event in islice(town, events)]


def replayed(deployment: Deployment, out: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    done = riskshift(
        "replay", deployment.prefix, "--format", "topic", "--broker", deployment.broker, "--state", deployment.state,
        "--out", out, "--json", *arguments, timeout_s=200,
    )  # fmt: skip
    assert done.out, done.err
    return done.status, json.loads(done.out.splitlines()[-1]), done.err


@pytest.mark.timeout(280)
def test_as_recorded_is_what_was_said_live(tansu: str, prefix: str, tmp_path: Path) -> None:
    records = town_records()
    with Deployment(tansu, prefix, tmp_path, partitions=4) as deployment:
        deployment.declare()
        with deployment.worker(workers=2, learner=True, env=LEARNING) as worker:
            deployment.send_raw([*records, (b"c-x", b"not json", ())])
            deployment.drain()
            deadline = time.monotonic() + 60
            while not any(value["kind"] == "switch" for value in deployment.values("decisions")):
                assert time.monotonic() < deadline, "nothing that was learned came into force"
                time.sleep(0.3)
        assert worker.stop() == 0
        status, manifest, errors = replayed(deployment, tmp_path / "live", "--check")
        assert (status, manifest["check"]) == (0, {"equal": True, "difference": None}), errors
        assert manifest["events"] == len(records) + 1
        assert manifest["dead_letters"] == 1
        # Something was learned, so that switches were followed, and something was alerted.
        assert manifest["model_version"] > 1
        assert manifest["alerts"] > 0

        # A part of one partition, and one customer, are as they were too.
        status, part, errors = replayed(deployment, tmp_path / "part", "--check", "--offsets", "1:10-300")
        assert (status, part["check"]["equal"], part["events"]) == (0, True, 290), errors
        customer = records[0][0].decode()
        status, part, errors = replayed(deployment, tmp_path / "one", "--check", "--customers", customer)
        assert (status, part["check"]["equal"]) == (0, True), errors
        assert part["events"] == sum(key == records[0][0] for key, _value, _headers in records)
        done = riskshift(
            "explain", customer, "--broker", tansu, "--topic-prefix", prefix, "--state", deployment.state, "--json"
        )
        timeline = done.objects()[-1]["timeline"]
        live = [value for value in deployment.values("decisions") if value.get("customer_id") == customer]
        assert [m.get("fraud_probability") for m in timeline] == [value.get("fraud_probability") for value in live]
        assert len(timeline) > 5

        policy = (Path("policies") / "default.toml").read_text("utf-8")
        strict = tmp_path / "strict.toml"
        strict.write_text(policy.replace('version = "default-2"', 'version = "strict"'), "utf-8")
        hashes = set()
        for processes in ("1", "2"):
            status, other, errors = replayed(
                deployment, tmp_path / f"new{processes}", "--policy", str(strict), "--processes", processes
            )
            assert status == 0, errors
            assert (other["events"], other["policy_version"]) == (len(records) + 1, "strict")
            hashes.add(other["output_hash"])
        assert len(hashes) == 1


def test_a_difference_is_found_and_said(tansu: str, prefix: str, tmp_path: Path) -> None:
    with Deployment(tansu, prefix, tmp_path, partitions=1) as deployment:
        deployment.declare()
        with deployment.worker(workers=1) as worker:
            deployment.send_raw(town_records(200))
            deployment.drain()
        assert worker.stop() == 0
        # An event nobody answered: the replay says more than was said live.
        deployment.send_raw([(b"c-new", town_records(1)[0][1].replace(town_records(1)[0][0], b"c-new"), ())])
        status, manifest, errors = replayed(deployment, tmp_path / "live", "--check")
        assert status == 1
        difference = manifest["check"]["difference"]
        assert (difference["topic"], difference["live"]) == ("decisions", None)
        assert '"customer_id":"c-new"' in difference["replayed"]
        assert "expected what was said live" in errors


def test_offsets_as_people_write_them() -> None:
    ranges = ranges_of("0:5-9,3:-7")
    assert ranges is not None
    assert [(p, r.start, r.end) for p, r in ranges.items()] == [(0, 5, 9), (3, 0, 7)]
    with pytest.raises(Exception, match="expected offsets such as"):
        ranges_of("0:5")


def test_partitions_are_merged_by_the_time_they_have_reached() -> None:
    def stream(*times: int) -> Any:
        return iter([(Record(offset, b"k", b"v"), at) for offset, at in enumerate(times)])

    merged = [(p, r.offset, at) for p, r, at in merged_by_time({0: stream(1, 9, 3, 20), 1: stream(-1, 8, 30)})]
    # A late record and one without a time count at the time their partition had reached.
    assert merged == [(1, 0, 0), (0, 0, 1), (1, 1, 8), (0, 1, 9), (0, 2, 9), (0, 3, 20), (1, 2, 30)]
