"""Drift alarms: loss that rises, inputs or volume that move; not at the start, not twice a week."""

from __future__ import annotations

import numpy as np

from features.catalogue import INDEX, SIZE
from models.governance.drift import Alarm, DriftMonitor
from models.governance.rules import DriftRules, ModelRules
from models.learner import Learner
from tests.models.conftest import random_vectors

HOUR_MS, DAY_MS = 3_600_000, 86_400_000


def run(monitor: DriftMonitor, first_day: int, days: int, loss: float, rng: np.random.Generator) -> list[Alarm]:
    alarms: list[Alarm] = []
    for hour in range(first_day * 24, (first_day + days) * 24):
        at_ms = hour * HOUR_MS
        alarms += monitor.volume(100, at_ms)
        fraud = (rng.random(20) < 0.1).astype(float)
        alarms += monitor.losses(fraud, np.where(fraud > 0, rng.exponential(loss, 20), 0.01), at_ms)
    return alarms


def test_a_rise_of_the_loss_alarms_once_a_week_and_a_fall_does_not() -> None:
    rng = np.random.default_rng(1)
    monitor = DriftMonitor(DriftRules())
    assert run(monitor, 0, 60, 1.0, rng) == []
    alarms = run(monitor, 60, 5, 5.0, rng)
    assert {alarm.kind for alarm in alarms} == {"drift_loss"}
    streams = [alarm.stream for alarm in alarms]
    assert "loss_fraud" in streams
    assert len(streams) == len(dict.fromkeys(streams))
    assert all(alarm.after > alarm.before for alarm in alarms)
    assert run(monitor, 75, 20, 0.5, rng) == []


def test_nothing_alarms_in_the_first_month() -> None:
    rng = np.random.default_rng(2)
    monitor = DriftMonitor(DriftRules())
    assert run(monitor, 0, 15, 0.5, rng) + run(monitor, 15, 14, 5.0, rng) == []


def test_volume_is_judged_against_the_same_hour() -> None:
    monitor = DriftMonitor(DriftRules())
    rng = np.random.default_rng(3)
    alarms: list[Alarm] = []
    for hour in range(50 * 24):
        # Day and night differ tenfold, every day: no news.
        alarms += monitor.volume(int(rng.poisson(300 if hour % 24 > 7 else 30)), hour * HOUR_MS)
    assert alarms == []
    for hour in range(50 * 24, 55 * 24):
        alarms += monitor.volume(int(rng.poisson(900 if hour % 24 > 7 else 90)), hour * HOUR_MS)
    assert [(alarm.kind, alarm.stream) for alarm in alarms] == [("drift_volume", "volume")]


def test_an_input_that_moves_is_named() -> None:
    monitor = DriftMonitor(DriftRules())
    place = INDEX["novelty_count_7d"]
    alarms: list[Alarm] = []
    for day in range(60):
        rows = random_vectors(200, day)
        rows[:, place] = 1.0 if day < 45 else 6.0
        monitor.volume(1, day * DAY_MS)
        alarms += monitor.inputs(rows, np.full(200, 0.5), day * DAY_MS)
    assert [(alarm.kind, alarm.stream) for alarm in alarms] == [("drift_inputs", "novelty_count_7d")]
    assert rows.shape[1] == SIZE


def test_a_monitor_restored_goes_on_as_if_nothing_was() -> None:
    whole, half = DriftMonitor(DriftRules()), DriftMonitor(DriftRules())
    for monitor in (whole, half):
        run(monitor, 0, 40, 1.0, np.random.default_rng(4))
    restored = DriftMonitor.load(DriftRules(), *half.dump())
    rng, again = np.random.default_rng(5), np.random.default_rng(5)
    assert run(whole, 40, 20, 3.0, rng) == run(restored, 40, 20, 3.0, again) != []


def test_a_loss_alarm_quickens_the_candidates_only_if_the_rules_say_so() -> None:
    quickened = {}
    for react in (True, False):
        learner = Learner(1, rules=ModelRules(drift=DriftRules(react=react)))
        before = learner.council.champion.model.dump()
        learner._react([Alarm("drift_loss", "loss", 0.1, 0.3)], 40 * DAY_MS)
        quickened[react] = learner.council.champion.model.dump() != before
        assert [news.kind for news in learner.take_news()[0]] == ["drift_loss"]
    assert quickened == {True: True, False: False}
