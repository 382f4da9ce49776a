"""The early-warning score: the probability of default within ninety days, from the indicators; and how it learns.

A sum of log-odds: every indicator adds its weight times its reading, so the reasons add up to the score. The
catalogue's weights (an expert's opinion, fitted on simulated towns) are the start; a River logistic regression learns
from samples of customers taken once in four weeks, when they are `HORIZON_MS` old: bad if a default became known since,
else good. Weights keep the sign the catalogue gives them and stay within `SPREAD` of the start, so that no series of
labels can turn the score on its head.
It sets nobody's price or limit: it says whom to look at.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Sequence
from typing import Any, Final

from msgspec import Struct

from features.facility import DAY_MS
from features.warning_catalogue import CODES, INDICATORS, ON
from models.linear import regression, weights_of

HORIZON_MS: Final = 90 * DAY_MS
SAMPLE_EVERY_MS: Final = 28 * DAY_MS
# How far a learned weight may go from the expert's, and the intercept from its start.
SPREAD, INTERCEPT_SPREAD = 1.5, 1.5
INTERCEPT = -4.7
_RATE, _STRENGTH, _INTERCEPT_RATE = 0.08, 4.0, 0.004
# Readings of samples are kept as bytes, one each.
_STEP = 200
# With so many customers' samples waiting, no new customer is sampled: a learner needs no more, and its checkpoint stays
# small.
SAMPLED_MAX = 50_000


class WarningWeights(Struct, array_like=True, frozen=True):
    """Log-odds per full reading, in catalogue order; `lessons` samples have taught them."""

    intercept: float
    weights: list[float]
    lessons: int = 0


EXPERT = WarningWeights(INTERCEPT, [indicator.expert for indicator in INDICATORS])


def contributions(readings: Sequence[float], model: WarningWeights = EXPERT) -> list[float]:
    """Log-odds each indicator adds; with the intercept they sum to the score's logit."""
    return [reading * weight for reading, weight in zip(readings, model.weights, strict=True)]


def probability(readings: Sequence[float], model: WarningWeights = EXPERT) -> float:
    """Probability of default within ninety days.

    Examples
    --------
    >>> calm = [0.0] * len(CODES)
    >>> round(probability(calm), 4)
    0.009
    >>> probability([1.0] + calm[1:]) > probability(calm)
    True
    """
    total = model.intercept
    for reading, weight in zip(readings, model.weights, strict=True):
        total += reading * weight
    return 1.0 / (1.0 + math.exp(-total)) if total > -700 else 0.0


def count_on(readings: Sequence[float]) -> int:
    """How many worsening indicators are there."""
    return sum(reading >= ON and indicator.expert > 0 for reading, indicator in zip(readings, INDICATORS, strict=True))


class WarningLearner:
    """Learns the weights; driven epoch by epoch by `models.learner`.

    Parameters
    ----------
    samples
        Per customer the samples that wait: (event time, readings in steps of 1/200). At most five each.
    """

    def __init__(self) -> None:
        self._samples: dict[str, list[tuple[int, bytes]]] = {}
        self._defaults: dict[str, int] = {}
        self._river = regression(
            dict(zip(CODES, EXPERT.weights, strict=True)), _RATE, _STRENGTH, INTERCEPT, _INTERCEPT_RATE
        )
        self._day = -1
        self.lessons = 0
        self.bad = 0

    def sample(self, customer_id: str, at_ms: int, readings: Sequence[float]) -> None:
        """Keep these readings until the customer's outcome is known, unless a sample is younger than four weeks."""
        if self._defaults.get(customer_id, -1) >= at_ms - HORIZON_MS:
            return  # in default: nothing is early any more
        kept = self._samples.get(customer_id)
        if kept is None:
            if len(self._samples) >= SAMPLED_MAX or phase(customer_id, at_ms) != 0:
                return
            kept = self._samples[customer_id] = []
        elif kept and at_ms - kept[-1][0] < SAMPLE_EVERY_MS:
            return
        kept.append((at_ms, bytes(round(reading * _STEP) for reading in readings)))

    def default(self, customer_id: str, at_ms: int) -> None:
        """A default became known."""
        self._defaults[customer_id] = max(at_ms, self._defaults.get(customer_id, -1))

    def mature(self, until_ms: int) -> bool:
        """Learn every sample old enough by `until_ms`, in order of time, once a day; whether there was any."""
        if until_ms // DAY_MS <= self._day:
            return False
        self._day = until_ms // DAY_MS
        due: list[tuple[int, str, bytes]] = []
        for customer_id, kept in self._samples.items():
            while kept and kept[0][0] <= until_ms - HORIZON_MS:
                due.append((kept[0][0], customer_id, kept.pop(0)[1]))
        due.sort()
        for at_ms, customer_id, packed in due:
            known_ms = self._defaults.get(customer_id, -1)
            bad = at_ms < known_ms <= at_ms + HORIZON_MS
            self._river.learn_one({code: step / _STEP for code, step in zip(CODES, packed, strict=True)}, bad)
            self.lessons += 1
            self.bad += bad
        for customer_id in [name for name, kept in self._samples.items() if not kept]:
            del self._samples[customer_id]
        for customer_id in [name for name, at_ms in self._defaults.items() if at_ms < until_ms - 2 * HORIZON_MS]:
            del self._defaults[customer_id]
        return bool(due)

    def weights(self) -> WarningWeights:
        """What is published: the learned weights within the expert's bounds and signs."""
        learned = weights_of(self._river, list(CODES)).tolist()
        held = [_held(weight, indicator.expert) for weight, indicator in zip(learned, INDICATORS, strict=True)]
        intercept = min(max(float(self._river.intercept), INTERCEPT - INTERCEPT_SPREAD), INTERCEPT + INTERCEPT_SPREAD)
        return WarningWeights(intercept, held, self.lessons)

    def dump(self) -> list[Any]:
        """Plain values for the checkpoint."""
        squares = [float(self._river.optimizer.g2[code]) for code in CODES]
        weights = weights_of(self._river, list(CODES)).tolist()
        samples = [[name, [list(each) for each in kept]] for name, kept in self._samples.items()]
        return [samples, list(self._defaults.items()), weights, squares, float(self._river.intercept),
                self.lessons, self.bad, self._day]  # fmt: skip

    def restore(self, data: list[Any]) -> None:
        """Take over what `dump` wrote; an empty list is a learner that begins."""
        if not data:
            return
        samples, defaults, weights, squares, intercept, self.lessons, self.bad, self._day = data
        self._samples = {name: [(at_ms, bytes(packed)) for at_ms, packed in kept] for name, kept in samples}
        self._defaults = dict(map(tuple, defaults))
        start: dict[Hashable, float] = dict(zip(CODES, weights, strict=True))
        self._river = regression(start, _RATE, _STRENGTH, intercept, _INTERCEPT_RATE)
        for code, square in zip(CODES, squares, strict=True):
            self._river.optimizer.g2[code] = square


def phase(customer_id: str, at_ms: int) -> int:
    """Week of four in which a customer's first sample is due: 0 is now; spreads customers evenly, by their id."""
    first = hashlib.blake2b(customer_id.encode(), digest_size=2).digest()[0]
    return (at_ms // (7 * DAY_MS) + first) % 4


def _held(weight: float, expert: float) -> float:
    low, high = expert - SPREAD, expert + SPREAD
    weight = min(max(weight, low), high)
    return max(weight, 0.0) if expert > 0 else min(weight, 0.0)
