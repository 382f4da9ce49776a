from __future__ import annotations

import random

import pytest

from models.places import DAY_MS, FORGET_DAYS, FRAUD_DAYS, FRAUDS_MAX, SERIES_GAP_MS, TRAFFIC_DAYS
from models.shared import RECENT_HALF_LIFE_MS, Counts, SharedIndicators, SharedTable

NEUTRAL = (0.0, 0.005, *[0.0] * 6)


def test_figures_equal_a_naive_count_over_all_events() -> None:
    for seed in range(5):
        rng = random.Random(seed)
        indicators = SharedIndicators()
        txs: list[tuple[str, int]] = []
        frauds: list[tuple[str, int, int]] = []
        for day in range(100):
            for _ in range(rng.randrange(6)):
                place = f"t{rng.randrange(4)}"
                at_ms = day * DAY_MS + rng.randrange(DAY_MS) - rng.choice([0, 0, DAY_MS if day else 0])
                txs.append((place, at_ms))
                indicators.update(place, None, at_ms, place)
                if rng.random() < 0.2:
                    known_ms = day * DAY_MS + rng.randrange(DAY_MS)
                    frauds.append((place, known_ms, at_ms))
                    indicators.fraud_known(place, None, at_ms, known_ms, place)
            if frauds and rng.random() < 0.1:
                place, known_ms, at_ms = frauds.pop()
                indicators.fraud_withdrawn(place, None, at_ms, known_ms, place)
            table = indicators.table((day + 1) * DAY_MS - 1)
            for place in ("t0", "t1", "t2", "t3"):
                n = sum(p == place and at // DAY_MS > day - TRAFFIC_DAYS for p, at in txs)
                m = sum(p == place and at // DAY_MS > day - FRAUD_DAYS for p, at in txs)
                f = sum(p == place and at // DAY_MS > day - FRAUD_DAYS for p, at, _ in frauds)
                figures = table.terminal(place, (day + 1) * DAY_MS)
                rate, fraud_rate, week, month = figures[:4]
                assert rate == n / 7
                assert fraud_rate == min(1.0, (f + 0.1) / (m + 20))
                known = sorted(at for p, at, _ in frauds if p == place)
                assert week == sum(at // DAY_MS > day - TRAFFIC_DAYS for at in known)
                assert month == f
                traffic, device_rate, recent, device_age = table.device(place, (day + 1) * DAY_MS)
                assert (traffic, device_rate) == (rate, fraud_rate)
                old = [at for at in known if at // DAY_MS > day - FORGET_DAYS]
                if old:
                    first = max(b for a, b in zip([-(10**18), *old], old, strict=False) if b - a > SERIES_GAP_MS)
                    series = [at for p, known_ms, at in frauds if p == place and known_ms >= first]
                    age, span = figures[6:]
                    assert age == device_age == ((day + 1) * DAY_MS - min(series)) / DAY_MS
                    assert span == (max(series) - min(series)) / DAY_MS
                if known and max(known) // DAY_MS > day - 70:
                    assert recent == 0.5 ** (((day + 1) * DAY_MS - max(known)) / RECENT_HALF_LIFE_MS)
                else:
                    assert recent == 0.0


def test_unknown_and_missing_places_get_the_prior() -> None:
    table = SharedTable({}, {})
    for place in ("x", "", None):
        assert table.terminal(place, 1) == NEUTRAL
        assert table.merchant(place, 1) == (0.0, 0.005)
        assert table.device(place, 1) == (0.0, 0.005, 0.0, 0.0)
    assert SharedTable({"t": Counts(0, 0, 0, -1)}, {}).terminal("t", 1) == NEUTRAL


def test_freshness_is_one_at_knowledge_and_half_after_seven_days() -> None:
    table = SharedTable({}, {}, {"t": Counts(7, 30, 1, 1000)})
    at = [table.device("t", ms)[2] for ms in (0, 1000, 1000 + 7 * DAY_MS, 1000 + 14 * DAY_MS)]
    assert at == [1.0, 1.0, 0.5, 0.25]


def test_a_table_does_not_follow_later_updates() -> None:
    indicators = SharedIndicators()
    indicators.update("t", "m", 0)
    table = indicators.table(0)
    indicators.update("t", "m", 1)
    indicators.fraud_known("t", "m", 1, 2)
    assert table.terminal("t", 2) == (1 / 7, 0.1 / 21, *NEUTRAL[2:])
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
        indicators.fraud_known("t", None, n, n)
    assert indicators.table(1000).terminals["t"].fraud_30d == FRAUDS_MAX


@pytest.mark.parametrize("at", [0, 3, 17, 60])
def test_dump_and_load_go_on_as_if_nothing_had_happened(at: int) -> None:
    def step(indicators: SharedIndicators, n: int) -> None:
        rng = random.Random(n)
        indicators.update(f"t{rng.randrange(9)}", f"m{rng.randrange(3)}", n * DAY_MS // 2)
        if n % 4 == 0:
            indicators.fraud_known(f"t{rng.randrange(9)}", None, n * DAY_MS // 4, n * DAY_MS // 2)
        indicators.good_known(f"t{rng.randrange(9)}", None, n * DAY_MS // 3)
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


def test_good_ones_count_only_after_the_latest_fraud_and_a_new_fraud_starts_again() -> None:
    indicators = SharedIndicators()

    def figures(now_ms: int) -> tuple[float, float]:
        good, unbroken = indicators.table(now_ms).terminal("t", now_ms)[4:6]
        return good, unbroken

    indicators.update("t", None, 0)
    indicators.good_known("t", None, 0)
    assert figures(1) == (0.0, 0.0)  # no fraud is known: nothing to get over
    indicators.fraud_known("t", None, 100, DAY_MS)
    indicators.good_known("t", None, 99)
    assert figures(DAY_MS) == (0.0, 1.0)
    for at_ms in (101, 102):
        indicators.good_known("t", None, at_ms)
    assert figures(DAY_MS) == (2.0, 0.25)
    indicators.fraud_known("t", None, 50, DAY_MS)  # an older one, reported late, does not undo them
    assert figures(DAY_MS) == (2.0, 0.25)
    indicators.fraud_known("t", None, 200, DAY_MS)
    assert figures(DAY_MS) == (0.0, 1.0)


def test_a_long_silence_begins_a_new_series() -> None:
    indicators = SharedIndicators()
    for day in (1, 10, 30, 31):
        indicators.fraud_known("t", None, (day - 1) * DAY_MS, day * DAY_MS)
    assert indicators.table(40 * DAY_MS).terminal("t", 40 * DAY_MS)[6:] == (11.0, 1.0)


def test_a_withdrawn_fraud_is_the_one_meant() -> None:
    indicators = SharedIndicators()
    for at_ms in (5 * DAY_MS, 3 * DAY_MS, 4 * DAY_MS):
        indicators.fraud_known("t", None, at_ms, 9 * DAY_MS)
    indicators.fraud_withdrawn("t", None, 3 * DAY_MS, 9 * DAY_MS)
    indicators.fraud_withdrawn("t", None, 5 * DAY_MS, 8 * DAY_MS)  # none such is known
    assert indicators.table(10 * DAY_MS).terminal("t", 10 * DAY_MS)[6:] == (6.0, 1.0)


def test_good_news_of_an_unknown_place_makes_no_place() -> None:
    indicators = SharedIndicators()
    indicators.good_known("t", "m", 5)
    assert indicators.table(5).terminals == {}
