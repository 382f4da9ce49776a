"""The figures against their definitions, by brute force and by hand; the published protocol on the published file."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest

from streams.evaluation import Asked, Scored, evaluated
from streams.evaluation.calibration import bins, calibration, recalibrated, wilson
from streams.evaluation.metrics import Ranking, auc, average_precision, intervals
from streams.evaluation.protocol import card_precision, days_between, published_week
from streams.sources.labelled import open_labelled
from streams.sources.times import DAY_MS, parse_time_ms


def scored_of(
    days: list[float], scores: list[float], labels: list[int], customers: list[int] | None = None, **columns: list[int]
) -> Scored:
    """Rows as they would have been scored, by day since 1970."""
    n = len(days)
    customer = np.array(customers or list(range(n)), np.int32)
    typology = np.array(columns.get("typology", [-1] * n), np.int16)
    return Scored(
        np.array([round(day * DAY_MS) for day in days], np.int64), np.array(scores), np.array(labels, np.int8),
        customer,
        np.array(columns.get("card", customer), np.int32), np.array(columns.get("amount", [100] * n), np.int64),
        typology, ("till", "robbery"), np.ones(n, np.int32), np.array(columns.get("alerted", [0] * n), np.bool_),
        np.array(columns.get("known_ms", []), np.int64),
    )  # fmt: skip


# --- ranking --------------------------------------------------------------------------------------------


def test_areas_equal_their_definitions_with_ties() -> None:
    rng = random.Random(1)
    for _ in range(30):
        n = rng.randrange(5, 60)
        y = np.array([True, False, *[rng.random() < 0.3 for _ in range(n)]])
        p = np.array([rng.randrange(6) / 5 for _ in y])
        pairs = [(a > b) + 0.5 * (a == b) for a in p[y] for b in p[~y]]
        assert auc(y, p) == pytest.approx(np.mean(pairs))
        area, before = 0.0, 0.0
        for level in sorted(set(p.tolist()), reverse=True):
            recall = y[p >= level].sum() / y.sum()
            area += y[p >= level].mean() * (recall - before)
            before = recall
        assert average_precision(y, p) == pytest.approx(area)


def test_weights_count_like_repeated_rows() -> None:
    rng = np.random.default_rng(3)
    y, p = rng.random(200) < 0.2, rng.integers(0, 30, 200) / 30
    times = rng.integers(0, 4, 200)
    ranking, repeated = Ranking(y, p), Ranking(np.repeat(y, times), np.repeat(p, times))
    assert ranking.auc(times.astype(float)) == pytest.approx(repeated.auc())
    assert ranking.average_precision(times.astype(float)) == pytest.approx(repeated.average_precision())


def test_areas_of_one_kind_of_row_are_undefined() -> None:
    p = np.array([0.1, 0.2])
    assert auc(np.array([True, True]), p) is None
    assert auc(np.array([False, False]), p) is None
    assert average_precision(np.array([False, False]), p) is None
    assert average_precision(np.array([True, True]), p) == 1.0
    assert average_precision(np.zeros(0, np.bool_), np.zeros(0)) is None


def test_intervals_are_wider_when_frauds_share_a_customer() -> None:
    rng = np.random.default_rng(4)
    y = rng.random(4_000) < 0.1
    p = np.clip(rng.normal(0.3 + 0.3 * y, 0.2), 0.001, 0.999)
    alone = np.arange(4_000, dtype=np.int32)
    # Ten customers have all the frauds: drawing customers then moves many rows together.
    together = np.where(y, alone % 10, alone + 10).astype(np.int32)
    wide, narrow = (intervals(y, p, customers, seed=0)[1] for customers in (together, alone))
    assert wide is not None
    assert narrow is not None
    assert narrow[0] < average_precision(y, p) < narrow[1]
    assert wide[1] - wide[0] > 1.5 * (narrow[1] - narrow[0])


# --- calibration ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stretch", "shift"), [(0.5, 0.0), (1.0, 0.7), (2.0, 0.0)])
def test_slope_and_intercept_find_how_a_score_was_bent(stretch: float, shift: float) -> None:
    rng = np.random.default_rng(2)
    logit = rng.normal(-2, 1.5, size=60_000)
    y = rng.random(60_000) < 1 / (1 + np.exp(-logit))
    found = recalibrated(y, 1 / (1 + np.exp(-(logit - shift) / stretch)))
    assert found is not None
    assert found[0] == pytest.approx(stretch, rel=0.06)
    assert found[1] == pytest.approx(shift, abs=0.08)


def test_calibration_of_four_rows_by_hand() -> None:
    y, p = np.array([True, False, True, False]), np.array([0.9, 0.2, 0.6, 0.3])
    figures = calibration(y, p)
    assert figures["observed_over_expected"] == pytest.approx(1.0)
    assert figures["brier"] == pytest.approx((0.01 + 0.04 + 0.16 + 0.09) / 4)
    # Always saying the base rate, one half, would cost 0.25.
    assert figures["brier_skill"] == pytest.approx(1 - 0.075 / 0.25)
    assert [(one["from"], one["n"], one["frauds"]) for one in figures["bins"]] == [
        (0.2, 1, 0), (0.3, 1, 0), (0.6, 1, 1), (0.9, 1, 1),
    ]  # fmt: skip


def test_bins_hold_every_row_once_and_scores_at_the_ends() -> None:
    p = np.array([0.0, 0.001, 0.5, 1.0])
    found = bins(np.array([False, False, True, True]), p)
    assert sum(one["n"] for one in found) == 4
    assert [(one["from"], one["until"]) for one in found] == [(0.0, 0.001), (0.001, 0.003), (0.5, 0.6), (0.9, 1.0)]
    assert wilson(0, 10)[0] == 0.0


def test_calibration_without_frauds_or_rows_is_undefined() -> None:
    nothing = calibration(np.zeros(3, np.bool_), np.array([0.1, 0.2, 0.3]))
    assert nothing["slope"] is None
    assert nothing["brier_skill"] is None
    assert calibration(np.zeros(0, np.bool_), np.zeros(0))["brier"] is None


# --- protocol -------------------------------------------------------------------------------------------


def test_known_customers_are_left_out_from_the_day_they_are_known() -> None:
    # Labels seven days late, week of day 100: known at its start are frauds of days 86 to 92.
    rows = [
        (85, 1, 1), (86, 2, 1), (92, 3, 1), (93, 4, 1), (94, 5, 0),
        (100, 1, 0), (100, 2, 0), (100, 3, 0), (100, 4, 0), (101, 4, 0), (102, 4, 0), (106, 5, 0), (107, 5, 0),
    ]  # fmt: skip
    scored = scored_of([r[0] + 0.5 for r in rows], [0.5] * len(rows), [r[2] for r in rows], [r[1] for r in rows])
    kept = published_week(scored, 100, 7).kept
    # Customer 4's fraud of day 93 is known on day 101: eight days later, as published.
    assert [(rows[place][0], rows[place][1]) for place in kept] == [(100, 1), (100, 4), (106, 5)]


def test_card_precision_takes_the_best_score_a_card_and_leaves_found_ones_out() -> None:
    days = [0.1, 0.2, 0.3, 0.4, 0.5, 1.1, 1.2, 1.3]
    cards = [1, 1, 2, 3, 4, 1, 2, 5]
    scores = [0.1, 0.9, 0.8, 0.7, 0.6, 0.99, 0.5, 0.4]
    labels = [0, 1, 0, 1, 1, 1, 1, 0]
    scored = scored_of(days, scores, labels, cards)
    by_day = days_between(scored, np.arange(len(days)))
    # Day 0: cards 1 and 2 are on top, 1 is bad. Day 1: card 1 was found, cards 2 and 5 follow, 2 is bad.
    assert card_precision(scored, by_day, top=2) == [0.5, 0.5]
    assert card_precision(scored, by_day, top=10) == [0.3, 0.1]


def test_a_card_is_bad_by_any_of_its_rows_of_the_day() -> None:
    scored = scored_of([0.1, 0.2], [0.9, 0.1], [0, 1], [1, 1])
    assert card_precision(scored, days_between(scored, np.arange(2)), top=1) == [1.0]


def test_the_published_protocol_leaves_the_published_counts() -> None:
    folder = os.environ.get("RISKSHIFT_DATA")
    if not folder:
        pytest.skip("RISKSHIFT_DATA is not set: it names the folder with handbook/transactions.parquet")
    start = parse_time_ms("2018-08-08")
    source = open_labelled("handbook", Path(folder) / "handbook" / "transactions.parquet", until_ms=start + 7 * DAY_MS)
    rows = [row for row in source.rows if row.event.event_time_ms >= start - 21 * DAY_MS]
    customers = {row.event.customer_id: number for number, row in enumerate(rows)}
    # The amount is as good a score as any: frauds are dearer, so the figures must say better than chance.
    scored = scored_of(
        [row.event.event_time_ms / DAY_MS for row in rows],
        [1 - 100 / (100 + row.event.amount_minor) for row in rows],  # type: ignore[attr-defined]  # transactions
        [int(row.outcome is not None) for row in rows],
        [customers[row.event.customer_id] for row in rows],
    )
    week = evaluated(scored, Asked(weeks_ms=(start,)))["weeks"]["2018-08-08"]
    assert (week["transactions"], week["frauds"]) == (58_264, 385)
    assert 0.5 < week["auc"] < 0.9
    assert 0 < week["cp100"] < 0.42


# --- together -------------------------------------------------------------------------------------------


def test_budget_is_the_highest_scores_of_each_day() -> None:
    scored = scored_of(
        [0.1, 0.2, 0.3, 1.1, 1.2, 1.3], [0.1, 0.9, 0.5, 0.3, 0.2, 0.1], [0, 1, 1, 0, 1, 0],
        amount=[1, 700, 200, 1, 100, 1], typology=[-1, 0, 1, -1, 1, -1], alerted=[0, 1, 0, 1, 0, 0],
    )  # fmt: skip
    overall = evaluated(scored, Asked(budget=1))["overall"]
    assert overall["budget"] == {
        "alerts_a_day": 1, "flagged": 2, "flagged_a_day": 1.0, "precision": 0.5, "recall": pytest.approx(1 / 3),
        "amount_recall": 0.7,
        "typologies": {"robbery": {"frauds": 2, "recall": 0.0}, "till": {"frauds": 1, "recall": 1.0}},
    }  # fmt: skip
    assert overall["alerts"]["flagged"] == 2
    assert overall["alerts"]["recall"] == pytest.approx(1 / 3)
    assert evaluated(scored, Asked(budget=2))["overall"]["budget"]["recall"] == 1.0


def test_period_bounds_the_figures_and_not_the_learning_curve() -> None:
    scored = scored_of(
        [0.5, 3.5, 8.5, 15.5], [0.1, 0.2, 0.3, 0.9], [0, 0, 0, 1], known_ms=[7 * DAY_MS, 13 * DAY_MS, 15 * DAY_MS]
    )
    figures = evaluated(scored, Asked(from_ms=3 * DAY_MS, until_ms=15 * DAY_MS))
    assert (figures["overall"]["transactions"], figures["overall"]["frauds"]) == (2, 0)
    assert figures["overall"]["ap"] is None
    assert [(w["week"], w["transactions"], w["frauds_known"]) for w in figures["learning_curve"]] == [
        ("1970-01-01", 2, 0), ("1970-01-08", 1, 1), ("1970-01-15", 1, 2),
    ]  # fmt: skip


def test_mean_is_of_the_weeks_and_together_counts_no_row_twice() -> None:
    rng = np.random.default_rng(5)
    n = 3_000
    labels = (rng.random(n) < 0.1).astype(int).tolist()
    scores = [min(0.99, 0.1 + 0.3 * label + 0.5 * noise) for label, noise in zip(labels, rng.random(n), strict=True)]
    scored = scored_of(np.sort(rng.random(n) * 30 + 100).tolist(), scores, labels)
    weeks = (114 * DAY_MS, 117 * DAY_MS)
    figures = evaluated(scored, Asked(weeks_ms=weeks, card_top=20))
    both = list(figures["weeks"].values())
    for key in ("auc", "ap", "cp20"):
        assert figures["mean"][key] == pytest.approx((both[0][key] + both[1][key]) / 2)
    assert figures["weeks_together"]["transactions"] < both[0]["transactions"] + both[1]["transactions"]


def test_unknown_labels_are_in_no_figure() -> None:
    scored = scored_of([0.1, 0.2, 0.3], [0.1, 0.9, 0.99], [0, 1, -1])
    overall = evaluated(scored, Asked())["overall"]
    assert (overall["transactions"], overall["frauds"], overall["ap"]) == (2, 1, 1.0)
