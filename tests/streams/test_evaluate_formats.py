"""What can be evaluated and what is refused; what people see; rows on disk and in memory are one thing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from alerts.policy import load_policy
from features.events import Outcome, Transaction, encode
from streams.cli import main
from streams.evaluation import RunSettings, Scores, drive
from streams.sources.labelled import open_labelled
from streams.town import Town, TownConfig
from tests.streams.shop import Shop


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("town") / "town.jsonl"
    events = Town(TownConfig(people=30, days=25, seed=3, card_thefts=60)).events()
    path.write_bytes(b"".join(encode(event) + b"\n" for event in events))
    return path


def test_events_bring_their_own_outcomes(town: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "scores.parquet"
    assert main(["evaluate", str(town), "--format", "events", "--scores", str(out), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    events = [row.event for row in open_labelled("events", town).rows]
    truth = {o.about_event_id for o in events if isinstance(o, Outcome) and o.outcome == "fraud_confirmed"}
    scores = pq.read_table(out).to_pydict()
    spent = {e.event_id for e in events if isinstance(e, Transaction) and e.direction == "debit"}
    assert set(scores["event_id"]) <= spent
    assert len(scores["event_id"]) == len(set(scores["event_id"])) == summary["scored"] > 500
    marked = {i for i, label in zip(scores["event_id"], scores["label"], strict=True) if label == 1}
    assert marked == truth & set(scores["event_id"]) != set()
    assert summary["label_delay_ms"] is None
    assert summary["not_scored"]["no_transaction"] > 0
    assert summary["scored"] + sum(summary["not_scored"].values()) == summary["rows"] - sum(
        isinstance(e, Outcome) for e in events
    )
    assert set(summary["overall"]["budget"]["typologies"]) <= {"card_theft", "terminal_compromise", "account_takeover"}


def test_a_later_outcome_corrects_an_earlier_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = {"customer_id": "c", "schema_version": 1}
    spend = {
        **base, "kind": "transaction", "amount_minor": 100, "currency": "EUR", "direction": "debit", "channel": "pos",
    }  # fmt: skip
    told = {**base, "kind": "outcome"}
    lines: list[dict[str, Any]] = [
        {**spend, "event_id": "a", "event_time_ms": 1_000},
        {**spend, "event_id": "b", "event_time_ms": 2_000},
        {**told, "event_id": "1", "event_time_ms": 9_000, "outcome": "fraud_confirmed", "about_event_id": "a"},
        {**told, "event_id": "2", "event_time_ms": 9_001, "outcome": "chargeback", "about_event_id": "b"},
        {**told, "event_id": "3", "event_time_ms": 9_002, "outcome": "dispute_upheld", "about_event_id": "a"},
    ]
    file, out = tmp_path / "e.jsonl", tmp_path / "s.parquet"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    assert main(["evaluate", str(file), "--format", "events", "--scores", str(out), "--json"]) == 0
    assert pq.read_table(out).column("label").to_pylist() == [0, 1]
    assert json.loads(capsys.readouterr().out)["frauds"] == 1


@pytest.mark.parametrize(
    ("change", "options", "says"),
    [
        (("[label]", "[lable]"), (), "no key 'lable'"),
        (('[label]\ncolumn   = "is bad?"\ntypology = "how"\ndelay    = "5d"\n', ""), (), r"expected a \[label\]"),
        (("delay    =", 'outcome = "default"\ndelay    ='), (), "expected one of fraud_confirmed, chargeback"),
        (('column   = "is bad?"', 'column   = "was bad?"'), (), "expected column was bad?"),
        (("", ""), ("--learn", "nowhere.csv"), "nowhere.csv"),
        (("", ""), ("--scores", "no/folder/s.parquet"), "expected the folder of"),
        (("", ""), ("--report", "no/folder/r.html"), "expected the folder of"),
        (("", ""), ("--label-delay", "soon"), "expected a duration"),
        (("", ""), ("--test-weeks", "2023-11-20T12:00"), "expected days such as"),
    ],
)
def test_what_cannot_be_evaluated_is_said_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str], options: tuple[str, ...], says: str
) -> None:
    file = Shop(days=2, customers=3).write(tmp_path)
    mapping = tmp_path / "shop.toml"
    assert change[0] in mapping.read_text("utf-8")
    mapping.write_text(mapping.read_text("utf-8").replace(*change), "utf-8")
    try:
        status = main(["evaluate", str(file), "--format", "csv", "--mapping", str(mapping), *options])
    except SystemExit as ended:
        status = int(ended.code or 0)
    error = capsys.readouterr().err.strip()
    assert status in (1, 2)
    assert len(error.splitlines()) == 1
    assert says.replace("\\", "") in error


@pytest.mark.parametrize(("fmt", "says"), [("berka", "how loans ended"), ("uci-default", "who defaulted")])
def test_formats_that_know_of_no_fraud_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fmt: str, says: str
) -> None:
    assert main(["evaluate", str(tmp_path), "--format", fmt]) == 1
    assert says in capsys.readouterr().err


def test_events_take_no_label_delay(town: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(town), "--format", "events", "--label-delay", "3d"]) == 1
    assert "leave --label-delay out" in capsys.readouterr().err


def test_people_see_figures_and_machines_get_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = Shop(days=24, customers=20).write(tmp_path)
    arguments = ["evaluate", str(file), "--format", "csv", "--mapping", str(tmp_path / "shop.toml")]
    arguments += ["--test-weeks", "2023-11-29", "--card-top", "5", "--budget", "3", "--from", "2023-11-25"]
    assert main([*arguments, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert main(arguments) == 0
    text = capsys.readouterr().out
    week = summary["weeks"]["2023-11-29"]
    line = next(line for line in text.splitlines() if line.startswith("2023-11-29") and "CP" not in line)
    assert line.split()[:6] == [
        "2023-11-29", f"{week['transactions']:,}", str(week["frauds"]), f"{week['auc']:.3f}", f"{week['ap']:.3f}",
        f"{week['cp5']:.3f}",
    ]  # fmt: skip
    assert "3 highest scores a day" in text
    assert "robbery" in text
    assert summary["overall"]["from"] >= "2023-11-25"
    assert summary["scored"] > summary["overall"]["transactions"]
    assert {"slope", "intercept", "observed_over_expected", "brier", "brier_skill", "bins"} == set(
        summary["overall"]["calibration"]
    )


def test_until_ends_the_reading(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop = Shop(days=10, customers=10)
    arguments = [str(shop.write(tmp_path)), "--format", "csv", "--mapping", str(tmp_path / "shop.toml")]
    assert main(["evaluate", *arguments, "--until", "2023-11-19", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scored"] == sum(p.at_s < 4 * 86_400 for p in shop.payments)


def test_where_rows_are_kept_moves_no_score(tmp_path: Path) -> None:
    file = Shop(days=20, customers=30).write(tmp_path)

    def scores(rows_max: int) -> list[float]:
        source = open_labelled("csv", file, mapping=tmp_path / "shop.toml")
        board = Scores(source.id_column, integer_ids=True, labelled=True)
        settings = RunSettings(policy=load_policy(), rows_max=rows_max)
        run = drive(source.rows, (), board, settings)
        assert run.rows == 1_200
        return board.finish().score.tolist()

    assert scores(rows_max=4) == scores(rows_max=1_000)


def test_ids_with_leading_zeros_stay_text(tmp_path: Path) -> None:
    file = Shop(days=2, customers=3).write(tmp_path)
    lines = file.read_text("utf-8").splitlines()
    file.write_text("\n".join([lines[0], *("0" + line for line in lines[1:])]) + "\n", "utf-8")
    out = tmp_path / "s.parquet"
    arguments = ["--format", "csv", "--mapping", str(tmp_path / "shop.toml"), "--scores", str(out), "--json"]
    assert main(["evaluate", str(file), *arguments]) == 0
    assert pq.read_table(out).column("Trans No.").to_pylist()[0] == "01001"


def test_nothing_but_rejected_rows_is_nothing_and_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = Shop(days=2, customers=3).write(tmp_path)
    lines = file.read_text("utf-8").splitlines()
    file.write_text("\n".join([lines[0], *(line.replace("€", "£") for line in lines[1:])]) + "\n", "utf-8")
    out, page = tmp_path / "s.parquet", tmp_path / "r.html"
    arguments = ["evaluate", str(file), "--format", "csv", "--mapping", str(tmp_path / "shop.toml")]
    assert main([*arguments, "--scores", str(out), "--report", str(page), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["scored"], summary["rejected"], summary["overall"]) == (0, summary["rows"], None)
    assert pq.read_table(out).num_rows == 0
    assert main(arguments) == 0
    assert "0 of 12 rows scored" in capsys.readouterr().out


def test_labels_with_times_of_their_own_are_heard_then(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shop = Shop()
    file = shop.write(tmp_path)
    lines = file.read_text("utf-8").splitlines()
    told = [
        f"{line},{payment.at_s + (9 + payment.number % 3) * 86_400}"
        for line, payment in zip(lines[1:], shop.payments, strict=True)
    ]
    file.write_text("\n".join([lines[0] + ",told", *told]) + "\n", "utf-8")
    mapping = tmp_path / "shop.toml"
    known = 'known = { column = "told", format = "s", origin = "2023-11-15" }\n'
    mapping.write_text(mapping.read_text("utf-8") + known, "utf-8")
    assert main(["evaluate", str(file), "--format", "csv", "--mapping", str(mapping), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["label_delay_ms"] is None
    assert summary["label_maturity_ms"] == 5 * 86_400_000
    heard = [p for p in shop.payments if p.bad and p.at_s + (9 + p.number % 3) * 86_400 < 23 * 86_400]
    # They come after the row was taught as good, and correct it.
    assert summary["learner"]["outcomes_fraud"] >= len(heard) > 10
    assert summary["learner"]["labels_corrected"] > 0
    first = min(p.at_s + (9 + p.number % 3) * 86_400 for p in shop.payments if p.bad)
    weeks = summary["learning_curve"]
    assert weeks[1]["frauds_known"] == 0
    assert weeks[-1]["frauds_known"] > 0
    assert first > 14 * 86_400
