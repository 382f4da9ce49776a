"""The figures by brute force, and the published protocol on the published file."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest

from benchmarks.detection import DAY_MS, HANDBOOK_START_MS
from benchmarks.detection_figures import auc, average_precision, by_week, slope
from benchmarks.detection_run import Run, Scored, drive
from features.events import Outcome, Transaction
from streams.sources import open_source
from streams.town import Town, TownConfig


def test_auc_and_average_precision_equal_their_definitions_with_ties() -> None:
    rng = random.Random(1)
    for _ in range(20):
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


@pytest.mark.parametrize("stretch", [0.5, 1.0, 2.0])
def test_slope_finds_how_much_too_sure_a_score_is(stretch: float) -> None:
    rng = np.random.default_rng(2)
    logit = rng.normal(-2, 1.5, size=40_000)
    y = rng.random(40_000) < 1 / (1 + np.exp(-logit))
    assert slope(y, 1 / (1 + np.exp(-logit / stretch))) == pytest.approx(stretch, rel=0.06)


def test_a_small_town_is_scored_learned_and_the_same_twice() -> None:
    def run(without: tuple[str, ...] = ()) -> Run:
        town = Town(TownConfig(people=25, days=14, seed=3))
        return drive(town.events(), Run(without=without), progress=lambda _line: None)

    first, second, blind = run(), run(), run(("merchant_new", "device_new", "country_foreign"))
    assert first.scored == second.scored
    assert len(first.scored) == len(blind.scored) > 300
    assert [s.probability for s in first.scored] != [s.probability for s in blind.scored]
    assert first.counters["labels_learned"] > 0
    assert first.last is not None
    assert first.last.version > 1


def test_the_published_protocol_leaves_the_published_counts() -> None:
    folder = os.environ.get("RISKSHIFT_DATA")
    if not folder:
        pytest.skip("RISKSHIFT_DATA is not set: it names the folder with handbook/transactions.parquet")
    run, places = Run(), dict[object, Scored]()
    start_ms, day = HANDBOOK_START_MS, 129  # 2018-08-08
    events = open_source(
        "handbook",
        Path(folder) / "handbook" / "transactions.parquet",
        from_ms=start_ms + (day - 21) * DAY_MS,
        until_ms=start_ms + (day + 7) * DAY_MS,
        label_delay_ms=0,
    )
    for event in events:
        if isinstance(event, Transaction):
            # The amount is as good a score as any: frauds are dearer, so the figures must say better than chance.
            scored = Scored(
                event.event_id, event.customer_id, event.event_time_ms, 1 - 100 / (100 + event.amount_minor)
            )
            places[event.event_id] = scored
            run.scored.append(scored)
        elif isinstance(event, Outcome):
            places[event.about_event_id].fraud = True
    run.events = len(run.scored)
    week = by_week(run, [day], start_ms)["weeks"]["2018-08-08"]
    assert (week["transactions"], week["frauds"]) == (58_264, 385)
    assert 0.5 < week["auc"] < 0.9
    assert 0 < week["cp100"] < 0.42
