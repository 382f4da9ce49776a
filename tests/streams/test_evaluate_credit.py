"""`riskshift evaluate --target default`: what it prints, writes and refuses; and the public data, where they are."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streams.cli import main
from streams.evaluation.credit_figures import by_grade, ks
from streams.evaluation.credit_run import is_held_out
from streams.sources.uci_default import LABELS, MONTHS

DATA = os.environ.get("RISKSHIFT_DATA", "")
public = pytest.mark.skipif(not DATA, reason="set RISKSHIFT_DATA to the folder of the public data sets")


def clients(path: Path, first: int, count: int, *, labels: bool = True) -> Path:
    """A file of clients: those who are late default more often than not."""
    rng = random.Random(first)
    columns: dict[str, list[Any]] = {"ID": list(range(first, first + count)), "LIMIT_BAL": [100_000] * count}
    late = [rng.random() < 0.3 for _ in range(count)]
    for _, n, pay in MONTHS:
        columns[f"PAY_{pay}"] = [rng.choice((1, 2, 3)) if it else rng.choice((-1, 0)) for it in late]
        columns[f"BILL_AMT{n}"] = [rng.randrange(0, 90_000) for _ in range(count)]
        columns[f"PAY_AMT{n}"] = [rng.randrange(0, 5_000) for _ in range(count)]
    if labels:
        columns[LABELS[0]] = [int(rng.random() < (0.7 if it else 0.1)) for it in late]
    pq.write_table(pa.table(columns), path)
    return path


def evaluated(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    assert main(["evaluate", *map(str, arguments), "--target", "default", "--json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_one_file_teaches_and_another_is_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    learn, test = clients(tmp_path / "learn.parquet", 1, 400), clients(tmp_path / "test.parquet", 9_000, 150)
    out = tmp_path / "scores.parquet"
    found = evaluated(capsys, test, "--format", "uci-default", "--learn", learn, "--scores", out)
    assert (found["subjects"], found["cards"], found["learner"]["lessons"] > 300) == (150, 2, True)
    card = found["scorecard"]
    assert card["auc"] > 0.7
    assert card["gini"] == pytest.approx(2 * card["auc"] - 1)
    assert card["auc_interval"][0] < card["auc"] < card["auc_interval"][1]
    assert sum(row["subjects"] for row in card["grades"]) == 150
    table = pq.read_table(out)
    assert table["ID"].type == pa.int64()
    assert sorted(table["ID"].to_pylist()) == list(range(9_000, 9_150))
    assert {"score", "challenger", "card_version", "event_time"} <= set(table.column_names)
    assert set(table["card_version"].to_pylist()) == {2}
    # The same scores, whether the scored file says how it ended or not: its outcomes teach nothing.
    blind = clients(tmp_path / "blind.parquet", 9_000, 150, labels=False)
    again = evaluated(capsys, blind, "--format", "uci-default", "--learn", learn, "--scores", tmp_path / "b.parquet")
    assert again["scorecard"] is None
    scores = pq.read_table(tmp_path / "b.parquet").sort_by("ID")["score"]
    assert scores == table.sort_by("ID")["score"]


def test_of_one_file_a_quarter_is_scored_and_never_learned_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = evaluated(capsys, clients(tmp_path / "all.parquet", 1, 500), "--format", "uci-default")
    held = sum(is_held_out(str(n)) for n in range(1, 501))
    assert found["subjects"] == held
    assert found["learner"]["outcomes_default"] + found["learner"]["outcomes_paid_in_full"] == 500 - held


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--format", "handbook"), "expected format uci-default or berka with --target default"),
        (("--format", "berka", "--learn", "."), "expected no --learn with berka"),
        (("--format", "uci-default", "--report", "r.html"), "expected no --report"),
        (("--format", "uci-default", "--learn", "nowhere"), "found nothing there"),
    ],
)
def test_what_cannot_be_judged_is_refused(arguments, says, tmp_path, capsys) -> None:
    file = clients(tmp_path / "all.parquet", 1, 5)
    assert main(["evaluate", str(file), *arguments, "--target", "default"]) == 1
    assert says in capsys.readouterr().err


def test_without_outcomes_and_without_a_file_to_learn_from_there_is_nothing_to_do(tmp_path, capsys) -> None:
    file = clients(tmp_path / "all.parquet", 1, 5, labels=False)
    assert main(["evaluate", str(file), "--format", "uci-default", "--target", "default"]) == 1
    assert "give one with --learn FILE" in capsys.readouterr().err


def test_kolmogorov_smirnov_against_a_count() -> None:
    rng = np.random.default_rng(1)
    bad, score = rng.random(300) < 0.3, rng.integers(0, 20, 300) / 20
    gaps = [abs((score[bad] >= at).mean() - (score[~bad] >= at).mean()) for at in np.unique(score)]
    assert ks(bad, score) == pytest.approx(max(gaps))
    assert ks(np.zeros(3, bool), np.zeros(3)) is None


def test_grades_are_those_of_the_master_scale() -> None:
    rows = by_grade(np.array([False, True, True]), np.array([0.0005, 0.5, 0.9]))
    assert [(row["grade"], row["subjects"], row["default_rate"]) for row in rows] == [("AAA", 1, 0.0), ("C", 2, 1.0)]


@public
@pytest.mark.timeout(900)
def test_clients_never_seen_are_ranked_as_promised(capsys: pytest.CaptureFixture[str]) -> None:
    file = next((Path(DATA) / "uci_default").glob("*.parquet"))
    found = evaluated(capsys, file, "--format", "uci-default")
    assert found["scorecard"]["auc"] >= 0.760
    assert found["challenger"]["auc"] >= 0.775


@public
@pytest.mark.timeout(900)
def test_loans_are_ranked_at_their_grant(capsys: pytest.CaptureFixture[str]) -> None:
    found = evaluated(capsys, Path(DATA) / "berka", "--format", "berka")
    assert found["scorecard"]["auc"] >= 0.85
    assert found["learner"]["lessons"] < found["subjects"], "loans that run have no outcome yet"
