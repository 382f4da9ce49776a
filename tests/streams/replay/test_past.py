"""One customer's past: what the replay said of it, to the number; and what an edit changes."""

from __future__ import annotations

import json
import math
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pytest

from features.events import Transaction, encode
from streams.replay import past
from streams.replay.errors import ReplayError
from streams.replay.work import Record
from streams.town import Town, TownConfig
from tests.streams.harness import riskshift


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("past")
    town = Town(TownConfig(people=120, days=40, seed=4)).events()
    (folder / "town.jsonl").write_bytes(b"\n".join(encode(event) for event in islice(town, 10_000)))
    done = riskshift(
        "replay", folder / "town.jsonl", "--format", "events", "--out", folder / "run", "--processes", "1",
        "--label-maturity", "2d", timeout_s=200,
    )  # fmt: skip
    assert done.status == 0, done.err
    return folder / "run"


@pytest.fixture(scope="module")
def alerted(run: Path) -> dict[str, Any]:
    """A scored event that was alerted, not its customer's first."""
    alerts = pyarrow.dataset.dataset(run / "alerts").to_table().to_pylist()
    records = [json.loads(alert["record"]) for alert in alerts]
    return next(record for record in records if "fraud_probability" in record and not record["rule"].startswith("no"))


def explained(customer: str, run: Path, *options: str | Path) -> dict[str, Any]:
    done = riskshift("explain", customer, run, "--json", *options)
    assert done.status == 0, done.err
    found: dict[str, Any] = done.objects()[-1]
    return found


def test_past_is_what_the_replay_said(run: Path, alerted: dict[str, Any]) -> None:
    table = pyarrow.dataset.dataset(run / "decisions").to_table().to_pylist()
    customers = sorted({row["customer_id"] for row in table if row["customer_id"]})[:6]
    for customer in [alerted["customer_id"], *customers]:
        said = [
            (row["event_id"], row["disposition"], row["fraud_probability"], row["grade"], row["model_version"])
            for row in table
            if row["customer_id"] == customer
        ]
        again = [
            (m["event_id"], m["disposition"], m.get("fraud_probability"), m.get("grade"), m["model_version"])
            for m in explained(customer, run)["timeline"]
        ]
        assert again == said, customer
    assert max(row["model_version"] for row in table) > 3


def test_reasons_sum_to_the_score(run: Path, alerted: dict[str, Any]) -> None:
    timeline = explained(alerted["customer_id"], run)["timeline"]
    scores = [moment["score"] for moment in timeline if moment["score"]]
    assert len(scores) > 10
    for score, moment in zip(scores, [m for m in timeline if m["score"]], strict=True):
        total = score["intercept"] + sum(reason["contribution"] for reason in score["reasons"]) + score["calibration"]
        assert total == pytest.approx(score["margin"], abs=1e-9)
        assert 1 / (1 + math.exp(-total)) == pytest.approx(moment["fraud_probability"], abs=1e-9)


def test_a_moment_shows_what_was_so_far(run: Path, alerted: dict[str, Any]) -> None:
    at_ms = alerted["event_time_ms"]
    until = explained(alerted["customer_id"], run, "--at", str(at_ms))
    assert until["timeline"][-1]["event_time_ms"] <= at_ms
    assert alerted["source_event_id"] in [moment["event_id"] for moment in until["timeline"]]
    assert alerted["alert_id"] in [alert["alert_id"] for m in until["timeline"] for alert in m["alerts"]]
    before = explained(alerted["customer_id"], run, "--at", str(at_ms - 1))
    assert len(before["timeline"]) < len(until["timeline"])


def test_an_event_left_out_is_gone_and_so_is_its_alert(run: Path, alerted: dict[str, Any]) -> None:
    event_id = alerted["source_event_id"]
    found = explained(alerted["customer_id"], run, "--without", event_id)
    gone = next(one for one in found["differences"] if one["event_id"] == event_id)
    assert gone["after"] is None
    assert alerted["rule"] in gone["before"]["alerts"]
    # Nothing before it can have changed.
    assert all(one["event_time_ms"] >= alerted["event_time_ms"] for one in found["differences"])


def test_a_field_set_and_an_event_added_change_what_follows(run: Path, alerted: dict[str, Any], tmp_path: Path) -> None:
    customer, event_id = alerted["customer_id"], alerted["source_event_id"]
    found = explained(customer, run, "--set", event_id, "amount_minor=1")
    assert [one["event_id"] for one in found["differences"]][:1] == [event_id]
    added = Transaction(
        event_id="added", customer_id=customer, event_time_ms=alerted["event_time_ms"] - 60_000, schema_version=1,
        amount_minor=90_000, currency="EUR", direction="debit", channel="ecom",
    )  # fmt: skip
    (tmp_path / "more.jsonl").write_bytes(encode(added) + b"\n")
    found = explained(customer, run, "--with", tmp_path / "more.jsonl")
    first = found["differences"][0]
    assert (first["event_id"], first["before"]) == ("added", None)


def test_what_cannot_be_edited_is_said(run: Path, alerted: dict[str, Any], tmp_path: Path) -> None:
    customer = alerted["customer_id"]
    (tmp_path / "bad.jsonl").write_text('{"kind": "nothing"}\n')
    for options, reason in (
        (("--without", "e-none"), "expected an event 'e-none' of this customer"),
        (("--set", alerted["source_event_id"], "amount_minor=-5"), "expected an event, found"),
        (("--with", str(tmp_path / "bad.jsonl")), "expected an event, found"),
    ):
        done = riskshift("explain", customer, run, *options)
        assert done.status == 1
        assert reason in done.err
    assert "found none: check the id" in riskshift("explain", "nobody", run).err


def test_a_file_is_explained_without_a_replay(run: Path, alerted: dict[str, Any]) -> None:
    found = explained(alerted["customer_id"], run.parent / "town.jsonl", "--format", "events")
    assert {moment["model_version"] for moment in found["timeline"]} == {1}
    lines = riskshift("explain", alerted["customer_id"], run.parent / "town.jsonl", "--format", "events", "--all").out
    assert "intercept" in lines


def test_events_keep_their_places_among_controls() -> None:
    def purchase(event_id: str, at_ms: int) -> bytes:
        return encode(Transaction(
            event_id=event_id, customer_id="c", event_time_ms=at_ms, schema_version=1, amount_minor=1,
            currency="EUR", direction="debit", channel="pos",
        ))  # fmt: skip

    items: list[past.Item] = [Record(0, b"c", purchase("a", 10)), Record(1, b"c", purchase("b", 30))]
    names = [past.event_of(item).event_id for item in past.inserted(items, [purchase("n", 20)])]  # type: ignore[arg-type]
    assert names == ["a", "n", "b"]
    moved = past.changed(items, "b", {"event_time_ms": 5})
    assert [past.event_of(item).event_id for item in moved] == ["b", "a"]  # type: ignore[arg-type]
    with pytest.raises(ReplayError):
        past.without(items, ["z"])
