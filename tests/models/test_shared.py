from __future__ import annotations

import random

import pytest

from models.shared import (
    DAY_MS,
    FRAUD_DAYS,
    FRAUDS_MAX,
    RECENT_HALF_LIFE_MS,
    TRAFFIC_DAYS,
    Counts,
    SharedIndicators,
    SharedTable,
)


def test_figures_equal_a_naive_count_over_all_events() -> None:
    for seed in range(5):
        rng = random.Random(seed)
        indicators = SharedIndicators()
        txs: list[tuple[str, int]] = []
        frauds: list[tuple[str, int]] = []
        for day in range(100):
            for _ in range(rng.randrange(6)):
                place = f"t{rng.randrange(4)}"
                at_ms = day * DAY_MS + rng.randrange(DAY_MS) - rng.choice([0, 0, DAY_MS if day else 0])
                txs.append((place, at_ms))
                indicators.update(place, None, at_ms)
                if rng.random() < 0.2:
                    known_ms = day * DAY_MS + rng.randrange(DAY_MS)
                    frauds.append((place, known_ms))
                    indicators.fraud_known(place, None, known_ms)
            if frauds and rng.random() < 0.1:
                place, known_ms = frauds.pop()
                indicators.fraud_withdrawn(place, None, known_ms)
            table = indicators.table((day + 1) * DAY_MS - 1)
            for place in ("t0", "t1", "t2", "t3"):
                n = sum(p == place and at // DAY_MS > day - TRAFFIC_DAYS for p, at in txs)
                m = sum(p == place and at // DAY_MS > day - FRAUD_DAYS for p, at in txs)
                f = sum(p == place and at // DAY_MS > day - FRAUD_DAYS for p, at in frauds)
                rate, fraud_rate, recent = table.terminal(place, (day + 1) * DAY_MS)
                assert rate == n / 7
                assert fraud_rate == min(1.0, (f + 0.1) / (m + 20))
                known = [at for p, at in frauds if p == place]
                if known and max(known) // DAY_MS > day - 70:
                    assert recent == 0.5 ** (((day + 1) * DAY_MS - max(known)) / RECENT_HALF_LIFE_MS)
                else:
                    assert recent == 0.0


def test_unknown_and_missing_places_get_the_prior() -> None:
    table = SharedTable({}, {})
    for place in ("x", "", None):
        assert table.terminal(place, 1) == (0.0, 0.005, 0.0)
        assert table.merchant(place, 1) == (0.0, 0.005)
    assert SharedTable({"t": Counts(0, 0, 0, -1)}, {}).terminal("t", 1) == (0.0, 0.005, 0.0)


def test_freshness_is_one_at_knowledge_and_half_after_seven_days() -> None:
    table = SharedTable({"t": Counts(7, 30, 1, 1000)}, {})
    at = [table.terminal("t", ms)[2] for ms in (0, 1000, 1000 + 7 * DAY_MS, 1000 + 14 * DAY_MS)]
    assert at == [1.0, 1.0, 0.5, 0.25]


def test_a_table_does_not_follow_later_updates() -> None:
    indicators = SharedIndicators()
    indicators.update("t", "m", 0)
    table = indicators.table(0)
    indicators.update("t", "m", 1)
    indicators.fraud_known("t", "m", 2)
    assert table.terminal("t", 2) == (1 / 7, 0.1 / 21, 0.0)
    assert indicators.table(3).terminal("t", 3)[0] == 2 / 7


def test_the_least_recently_touched_place_is_evicted_and_counted() -> None:
    indicators = SharedIndicators(entities_max=2)
    for place in ("a", "b", "a", "c"):
        indicators.update(place, None, 0)
    table = indicators.table(0)
    assert sorted(table.terminals) == ["a", "c"]
    assert indicators.evicted == 1


def test_a_place_nobody_visits_is_forgotten_without_counting_as_evicted() -> None:
    indicators = SharedIndicators()
    indicators.update("t", None, 0)
    assert "t" in indicators.table((FRAUD_DAYS - 1) * DAY_MS).terminals
    assert "t" not in indicators.table(FRAUD_DAYS * DAY_MS).terminals
    assert indicators.dump()[1][3] == []
    assert indicators.evicted == 0


def test_known_frauds_of_a_place_are_bounded() -> None:
    indicators = SharedIndicators()
    for n in range(FRAUDS_MAX + 50):
        indicators.fraud_known("t", None, n)
    assert indicators.table(1000).terminals["t"].fraud_30d == FRAUDS_MAX


@pytest.mark.parametrize("at", [0, 3, 17, 60])
def test_dump_and_load_go_on_as_if_nothing_had_happened(at: int) -> None:
    def step(indicators: SharedIndicators, n: int) -> None:
        rng = random.Random(n)
        indicators.update(f"t{rng.randrange(9)}", f"m{rng.randrange(3)}", n * DAY_MS // 2)
        if n % 4 == 0:
            indicators.fraud_known(f"t{rng.randrange(9)}", None, n * DAY_MS // 2)
        if n % 5 == 0:
            indicators.table(n * DAY_MS // 2)

    whole, other = SharedIndicators(6), SharedIndicators(6)
    for n in range(at):
        step(whole, n)
        step(other, n)
    other = SharedIndicators.load(other.dump())
    for n in range(at, 120):
        step(whole, n)
        step(other, n)
        if n % 7 == 0:
            a, b = whole.table(n * DAY_MS // 2), other.table(n * DAY_MS // 2)
            assert (a.terminals, a.merchants) == (b.terminals, b.merchants)
    assert whole.evicted == other.evicted > 0
