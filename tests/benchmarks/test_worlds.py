"""The tables of the batch rival: readable through their own mappings, with frauds, the same for the same seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.batch_rival import scored_by_us
from benchmarks.worlds import WORLDS
from features.catalogue import NAMES
from streams.sources.labelled import open_labelled


@pytest.mark.parametrize("name", WORLDS)
def test_every_row_is_read_in_time_order_and_some_are_frauds(name: str, tmp_path: Path) -> None:
    table, mapping = WORLDS[name].write(tmp_path, seed=3, size=0.02)
    source = open_labelled("csv", table, mapping=mapping)
    rows = list(source.rows)
    assert source.tally.rejected == 0
    times = [row.event.event_time_ms for row in rows]
    assert times == sorted(times)
    frauds = sum(row.outcome is not None for row in rows)
    assert 0 < frauds < 0.2 * len(rows)


def test_a_seed_says_it_all() -> None:
    one, same, other = (WORLDS["cards"].make(np.random.default_rng(seed), 0.02) for seed in (1, 1, 2))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["amt"], other["amt"])


def test_vectors_lie_beside_their_scores(tmp_path: Path) -> None:
    table, mapping = WORLDS["wallets"].write(tmp_path, seed=3, size=0.01)
    scored, vectors, delay_ms = scored_by_us("csv", table, mapping, None)
    assert vectors.shape == (len(scored), len(NAMES) + 1)
    assert np.array_equal(vectors[:, NAMES.index("amount_last")], scored.amount_minor.astype(np.float32))
    assert delay_ms == 3 * 86_400_000
