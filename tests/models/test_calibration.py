from __future__ import annotations

import numpy as np
import pytest

from models.calibration import DOUBT, HIGH, KNOTS, LOW, PIVOT, Calibrator, calibrate, doubt


def spread() -> np.ndarray:
    return np.concatenate([np.linspace(LOW - 5, HIGH + 5, 3_001), np.arange(LOW, HIGH + 1.0)])


def test_it_starts_as_the_identity() -> None:
    margins = spread()
    assert np.abs(calibrate(Calibrator().heights(), margins) - margins).max() < 1e-12


def learned(scale: float, lessons: int = 40_000) -> Calibrator:
    """The ensemble exaggerates by `scale`."""
    rng = np.random.default_rng(1)
    calibrator = Calibrator()
    for number, margin in enumerate(rng.normal(-1.0, 3.0, size=lessons).tolist()):
        calibrator.learn_one(margin, bool(rng.random() < 1 / (1 + np.exp(-margin / scale))), 1.0)
        if number % 200 == 0:
            calibrator.mean.advance(0.05)
    return calibrator


def test_it_learns_how_much_the_ensemble_exaggerates() -> None:
    calibrator = learned(2.0)
    for margin in (-4.0, -2.0, 2.0, 4.0):
        (got,) = calibrate(calibrator.heights(), np.array([margin])).tolist()
        assert abs(margin) / 2 - 0.5 < abs(got) < abs(margin) - 0.4


@pytest.mark.parametrize("scale", [0.7, 2.0])
def test_compiled_is_rivers_own_answer(scale: float) -> None:
    calibrator = learned(scale, 3_000)
    margins = spread()[::37]
    expected = [calibrator.calibrate_one(margin) for margin in margins.tolist()]
    assert np.abs(calibrate(calibrator.heights(), margins) - expected).max() < 1e-9


def test_it_never_falls_whatever_was_learned() -> None:
    calibrator = Calibrator()
    rng = np.random.default_rng(2)
    calibrator.mean.weights = rng.normal(scale=5.0, size=KNOTS + 1)
    calibrator.mean.weights[-1] = -3.0
    margins = np.sort(spread())
    assert (np.diff(calibrate(calibrator.heights(), margins)) >= 0).all()


def test_few_frauds_are_doubted_none_and_many_are_not() -> None:
    shares = [doubt(frauds) for frauds in (0, 5, 45, 500, 20_000)]
    assert shares[0] == 0.0
    assert shares[0] < shares[1] < shares[2] > shares[3] > shares[4]
    assert shares[2] > 0.5 * DOUBT > 50 * shares[4]


def test_doubt_brings_margins_nearer_to_the_pivot_and_keeps_their_order() -> None:
    calibrator = Calibrator()
    calibrator.frauds = 45
    margins = spread()
    found = calibrate(calibrator.heights(), margins)
    inside = (margins > LOW) & (margins < HIGH)
    expected = PIVOT + (1 - doubt(45)) * (margins - PIVOT)
    assert np.abs(found - expected)[inside].max() < 1e-9
    assert (np.diff(calibrate(calibrator.heights(), np.sort(margins))) >= 0).all()
