"""Evidence grows for a better challenger and, whatever one looks at and when, seldom for one that is no better."""

from __future__ import annotations

import numpy as np

from models.governance.evidence import Evidence, log_loss


def stream(rng: np.random.Generator, n: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
    fraud = (rng.random(n) < rate).astype(float)
    signal = np.clip(rng.normal(-4.5, 1.0, n) + 3.0 * fraud, -12, 12)
    return fraud, signal


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_the_better_challenger_is_found() -> None:
    rng = np.random.default_rng(1)
    evidence = Evidence()
    for _ in range(60):
        fraud, signal = stream(rng, 200, 0.02)
        # The champion sees a blurred signal, the challenger the clear one.
        blurred = sigmoid(0.3 * signal + rng.normal(-2.6, 0.3, 200))
        evidence.add(blurred, sigmoid(signal), fraud)
    assert evidence.e_value() > 100
    assert evidence.gain() > 0


def test_equals_are_seldom_promoted_although_one_looks_after_every_batch() -> None:
    wrong = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        evidence = Evidence()
        for _ in range(40):
            fraud, signal = stream(rng, 50, 0.05)
            a, b = sigmoid(signal + rng.normal(0, 0.5, 50)), sigmoid(signal + rng.normal(0, 0.5, 50))
            evidence.add(a, b, fraud)
            if evidence.e_value() >= 20:
                wrong += 1
                break
    # At most 5 % by the theorem; with 300 runs more than 27 would be beyond chance (p < 0.001).
    assert wrong <= 15


def test_one_catastrophe_does_not_buy_a_promotion() -> None:
    evidence = Evidence()
    evidence.add(np.array([1e-9]), np.array([0.999]), np.array([1.0]))
    assert evidence.e_value() < 2
    assert evidence.frauds == 1


def test_the_order_within_a_batch_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    fraud, signal = stream(rng, 500, 0.05)
    a, b = sigmoid(signal), sigmoid(signal * 0.9)
    order = rng.permutation(500)
    one, other = Evidence(), Evidence()
    one.add(a, b, fraud)
    other.add(a[order], b[order], fraud[order])
    assert one == other


def test_log_loss_is_finite_at_the_ends() -> None:
    losses = log_loss(np.array([0.0, 1.0, 0.5]), np.array([1.0, 0.0, 1.0]))
    assert np.isfinite(losses).all()
    assert min(losses[0], losses[1]) > 13
