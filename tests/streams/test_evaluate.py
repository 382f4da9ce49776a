"""`riskshift evaluate` over a file it has never seen: once a row, never before the label is known, the same twice."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from streams.cli import main
from tests.streams.shop import DAY_S, DELAY_S, HEADER, START_S, Payment, Shop

Columns = dict[str, list[Any]]
Evaluate = Callable[..., tuple[dict[str, Any], Columns]]


@pytest.fixture
def evaluate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Evaluate:
    """Runs the command on a file beside its mapping; the figures, and the columns of the scores."""

    def run(file: Path, *options: str) -> tuple[dict[str, Any], Columns]:
        out = tmp_path / "scores.parquet"
        mapping = file.parent / "shop.toml"
        arguments = [str(file), "--format", "csv", "--mapping", str(mapping), "--scores", str(out), "--json"]
        assert main(["evaluate", *arguments, *options]) == 0
        return json.loads(capsys.readouterr().out), pq.read_table(out).to_pydict()

    return run


@pytest.fixture
def shop() -> Shop:
    return Shop()


def by_number(columns: Columns) -> dict[int, float]:
    return dict(zip(columns["Trans No."], columns["score"], strict=True))


def test_every_row_is_scored_once_under_its_own_id_with_its_label_and_time(
    evaluate: Evaluate, shop: Shop, tmp_path: Path
) -> None:
    summary, columns = evaluate(shop.write(tmp_path))
    assert columns["Trans No."] == [p.number for p in shop.payments]
    assert columns["label"] == [int(p.bad) for p in shop.payments]
    assert [round(at.timestamp()) for at in columns["event_time"]] == [START_S + p.at_s for p in shop.payments]
    assert all(0 < score < 1 for score in columns["score"])
    assert (summary["rows"], summary["scored"], summary["rejected"]) == (1_440, 1_440, 0)
    assert summary["frauds"] == sum(p.bad for p in shop.payments) > 50
    assert summary["label_delay_ms"] == DELAY_S * 1000
    assert summary["model_versions"] == len(set(columns["model_version"])) > 10


def test_no_label_moves_a_score_before_it_is_known(evaluate: Evaluate, shop: Shop, tmp_path: Path) -> None:
    until_s = 14 * DAY_S + 1_234
    _, honest = evaluate(shop.write(tmp_path))
    for payment in shop.payments:
        if payment.at_s + DELAY_S > until_s:
            payment.bad, payment.how = not payment.bad, ""
    _, lied_to = evaluate(shop.write(tmp_path))
    before = [place for place, payment in enumerate(shop.payments) if payment.at_s < until_s]
    assert [honest["score"][place] for place in before] == [lied_to["score"][place] for place in before]
    # The lies are heard as soon as they may be, so the test could fail.
    after = len(before)
    known = [place for place, payment in enumerate(shop.payments) if payment.at_s >= until_s + 6 * 3_600]
    assert honest["score"][after:] != lied_to["score"][after:]
    assert any(honest["score"][place] != lied_to["score"][place] for place in known[:200])


def test_a_till_that_leaks_is_seen_only_once_its_first_fraud_is_known(
    evaluate: Evaluate, shop: Shop, tmp_path: Path
) -> None:
    _, leaking = evaluate(shop.write(tmp_path))
    known_s = min(p.at_s for p in shop.payments if p.how == "till") + DELAY_S
    leaks = [place for place, p in enumerate(shop.payments) if p.till == "t-0"]
    for payment in shop.payments:
        if payment.how == "till":
            payment.bad, payment.how = False, ""
    _, quiet = evaluate(shop.write(tmp_path))
    early = [place for place in leaks if shop.payments[place].at_s < known_s]
    late = [place for place in leaks if shop.payments[place].at_s > known_s + DAY_S]
    assert len(early) > 15 < len(late)
    assert [leaking["score"][place] for place in early] == [quiet["score"][place] for place in early]
    raised = [leaking["score"][place] / quiet["score"][place] for place in late]
    assert float(np.median(raised)) > 1.5


def test_same_input_same_bytes(shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = shop.write(tmp_path)
    texts, files = [], []
    for turn in ("1", "2"):
        scores, report = tmp_path / f"{turn}.parquet", tmp_path / f"{turn}.html"
        options = ["--format", "csv", "--mapping", str(tmp_path / "shop.toml"), "--json"]
        assert main(["evaluate", str(file), *options, "--scores", str(scores), "--report", str(report)]) == 0
        figures = json.loads(capsys.readouterr().out)
        texts.append({k: v for k, v in figures.items() if k not in ("seconds", "events_per_second")})
        files.append((scores.read_bytes(), report.read_bytes()))
    assert texts[0] == texts[1]
    assert files[0] == files[1]


def test_seed_moves_the_intervals_and_nothing_else(evaluate: Evaluate, shop: Shop, tmp_path: Path) -> None:
    first, scores = evaluate(shop.write(tmp_path), "--seed", "1")
    second, again = evaluate(shop.write(tmp_path), "--seed", "2")
    assert scores == again
    assert first["overall"]["ap"] == second["overall"]["ap"]
    assert first["overall"]["ap_interval"] != second["overall"]["ap_interval"]
    low, high = first["overall"]["ap_interval"]
    assert low < first["overall"]["ap"] < high


def test_rejected_rows_are_counted_listed_and_not_scored(evaluate: Evaluate, shop: Shop, tmp_path: Path) -> None:
    file = shop.write(tmp_path)
    lines = file.read_text("utf-8").splitlines()
    bad = [
        '90001,3,100,"€ twelve",t-1,0,',
        '90002,,200,"€ 1,00",t-1,0,',
        '90003,3,300,"€ 1,00",t-1,perhaps,',
        '90004,3,yesterday,"€ 1,00",t-1,0,',
        "90005,3,400",
    ]
    file.write_text("\n".join([lines[0], *bad[:3], *lines[1:], *bad[3:]]) + "\n", encoding="utf-8")
    rejects = tmp_path / "rejects.jsonl"
    summary, columns = evaluate(file, "--rejects", str(rejects))
    assert (summary["rows"], summary["rejected"], summary["scored"]) == (1_445, 5, 1_440)
    assert not {90_001, 90_002, 90_003, 90_004, 90_005} & set(columns["Trans No."])
    listed = {r["line"]: r for r in map(json.loads, rejects.read_text("utf-8").splitlines())}
    assert {line: r["code"] for line, r in listed.items()} == {
        1: "wrong_type", 2: "missing_field", 3: "unknown_value", 1_444: "wrong_type", 1_445: "wrong_type",
    }  # fmt: skip
    assert all(r["reason"] for r in listed.values())


def test_rows_in_any_order_are_scored_in_the_order_of_time(evaluate: Evaluate, shop: Shop, tmp_path: Path) -> None:
    _, sorted_ = evaluate(shop.write(tmp_path))
    shuffled = list(shop.payments)
    random.Random(5).shuffle(shuffled)
    summary, columns = evaluate(shop.write(tmp_path, payments=shuffled))
    assert summary["scored"] == len(shop.payments)
    assert columns == sorted_


def test_label_delay_is_asked_for_and_rows_teach_at_that_age(evaluate: Evaluate, shop: Shop, tmp_path: Path) -> None:
    frauds = [p for p in shop.payments if p.bad]
    for delay_d in (2, 12):
        summary, _ = evaluate(shop.write(tmp_path), "--label-delay", f"{delay_d}d")
        assert summary["label_maturity_ms"] == delay_d * DAY_S * 1000
        heard = [p for p in frauds if p.at_s + delay_d * DAY_S < (shop.days - 1) * DAY_S]
        assert len(heard) <= summary["learner"]["outcomes_fraud"] <= len(frauds)
        # Some customers are held out and never teach.
        assert 0.7 * len(heard) <= summary["learner"]["frauds_learned"] <= len(frauds)


# --- a file to learn from -------------------------------------------------------------------------------


def halves(shop: Shop, day: int) -> tuple[list[Payment], list[Payment]]:
    return [p for p in shop.payments if p.at_s < day * DAY_S], [p for p in shop.payments if p.at_s >= day * DAY_S]


def test_learning_from_the_first_half_gives_the_scores_of_one_pass(
    evaluate: Evaluate, shop: Shop, tmp_path: Path
) -> None:
    _, whole = evaluate(shop.write(tmp_path))
    past, future = halves(shop, 12)
    learn = shop.write(tmp_path, "past.csv", past)
    summary, columns = evaluate(shop.write(tmp_path, "future.csv", future), "--learn", str(learn))
    assert columns["Trans No."] == [p.number for p in future]
    assert by_number(columns) == {p.number: by_number(whole)[p.number] for p in future}
    assert summary["learned_from"]["rows"] == len(past)
    assert (summary["rows"], summary["scored"]) == (len(future), len(future))
    _, alone = evaluate(tmp_path / "future.csv")
    assert alone["score"] != columns["score"]


def test_files_that_overlap_are_read_in_time_order_and_common_rows_once(
    evaluate: Evaluate, shop: Shop, tmp_path: Path
) -> None:
    _, whole = evaluate(shop.write(tmp_path))
    past, future = halves(shop, 12)
    overlap = [p for p in past if p.at_s >= 8 * DAY_S] + future
    learn = shop.write(tmp_path, "past.csv", past)
    summary, columns = evaluate(shop.write(tmp_path, "some.csv", overlap), "--learn", str(learn))
    assert summary["not_scored"] == {}
    assert by_number(columns) == {p.number: by_number(whole)[p.number] for p in overlap}


def test_a_file_without_labels_is_scored_after_learning(evaluate: Evaluate, shop: Shop, tmp_path: Path) -> None:
    past, future = halves(shop, 12)
    learn = shop.write(tmp_path, "past.csv", past)
    for payment in future:
        payment.bad, payment.how = False, ""
    _, silent = evaluate(shop.write(tmp_path, "future.csv", future), "--learn", str(learn))
    file = tmp_path / "unlabelled.csv"
    rows = [HEADER.removesuffix(",is bad?,how"), *(p.line().rsplit(",", 2)[0] for p in future)]
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    summary, columns = evaluate(file, "--learn", str(learn))
    assert columns["score"] == silent["score"]
    assert set(columns["label"]) == {None}
    assert summary["overall"] is None
    assert summary["frauds"] is None


def test_rows_without_ids_of_two_files_of_one_name_are_not_taken_for_each_other(
    evaluate: Evaluate, shop: Shop, tmp_path: Path
) -> None:
    past, future = halves(shop, 12)
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    # The same customers within a day, so that a repeated id would be a duplicate.
    learn = shop.write(tmp_path / "old", payments=past[-40:])
    file = shop.write(tmp_path / "new", payments=future[:40])
    for folder in ("old", "new"):
        mapping = tmp_path / folder / "shop.toml"
        lines = mapping.read_text("utf-8").splitlines()
        mapping.write_text("\n".join(line for line in lines if "event_id" not in line), encoding="utf-8")
    summary, columns = evaluate(file, "--learn", str(learn))
    assert (summary["scored"], summary["not_scored"]) == (40, {})
    assert columns["row"] == list(range(1, 41))
