"""Is the challenger better than the champion? Evidence that may be looked at after every label.

An e-process over differences of log-loss (champion minus challenger, positive speaks for the challenger), each
clipped to ±`BOUND`. Under "the challenger is on average no better", it exceeds 1/α at *any* time with probability
at most α (Ville). Choe and Ramdas, *Comparing Sequential Forecasters*, Operations Research 2023, Theorem 2, with the
empirical-Bernstein ψ of Howard, Ramdas, McAuliffe and Sekhon, *Time-uniform, nonparametric, nonasymptotic
confidence sequences*, Annals of Statistics 2021. The bets are a fixed grid: their average is an e-process too.
"""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct

from models.shaping import Floats

# Largest difference one label may speak with, nats; the scale of the bets follows from it.
BOUND = 1.0
_RANGE = 2 * BOUND
# Bets as shares of the largest allowed, 1 / range.
_BETS = tuple(share / _RANGE for share in (0.02, 0.05, 0.1, 0.2, 0.4, 0.7))
_PSI = tuple((-math.log1p(-_RANGE * bet) - _RANGE * bet) / _RANGE**2 for bet in _BETS)
# A probability of 0 or 1 would cost without bound; the snapshot's are clipped alike for both.
_EPSILON = 1e-6


def log_loss(probability: Floats, fraud: Floats) -> Floats:
    """Log-loss of each event in nats; probabilities are clipped to 1e-6 from both ends."""
    p = np.clip(probability, _EPSILON, 1.0 - _EPSILON)
    result: Floats = -np.where(fraud > 0.5, np.log(p), np.log1p(-p))
    return result


class Evidence(Struct):
    """What held-out labels say about one challenger so far; bets and bounds are module constants.

    Examples
    --------
    >>> better = Evidence()
    >>> better.add(np.full(400, 0.9), np.full(400, 0.1), np.zeros(400))
    >>> better.e_value() > 1e9, Evidence().e_value()
    (True, 1.0)
    """

    frauds: int = 0
    goods: int = 0
    # Sum of clipped differences, their squared distances from the mean before them, and of plain differences.
    total: float = 0.0
    spread: float = 0.0
    plain: float = 0.0

    def add(self, champion: Floats, challenger: Floats, fraud: Floats) -> None:
        """Labels of one epoch: both probabilities and the truth (0 or 1), shape (n,).

        Events of one call share the mean before it, so the order among them does not matter.
        """
        difference = log_loss(champion, fraud) - log_loss(challenger, fraud)
        clipped = np.clip(difference, -BOUND, BOUND)
        seen = self.frauds + self.goods
        mean = self.total / seen if seen else 0.0
        # fsum: the same answer whatever the machine's vector width.
        self.total += math.fsum(clipped.tolist())
        self.spread += math.fsum(((clipped - mean) ** 2).tolist())
        self.plain += math.fsum(difference.tolist())
        frauds = int(fraud.sum())
        self.frauds += frauds
        self.goods += len(fraud) - frauds

    def e_value(self) -> float:
        """Evidence against "no better": 1 is none, 20 is what α = 0.05 asks for; capped at 1e12."""
        logs = [bet * self.total - psi * self.spread for bet, psi in zip(_BETS, _PSI, strict=True)]
        return min(1e12, sum(math.exp(min(30.0, log)) for log in logs) / len(logs))

    def gain(self) -> float:
        """Mean plain difference of log-loss in nats; positive: the challenger is better; 0 before any label."""
        seen = self.frauds + self.goods
        return self.plain / seen if seen else 0.0
