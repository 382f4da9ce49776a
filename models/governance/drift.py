"""Has the world changed? River's ADWIN on loss at maturity, on inputs and on volume.

A. Bifet and R. Gavaldà, *Learning from Time-Changing Data with Adaptive Windowing*, SDM 2007. Loss is watched
over all lessons (where more missed frauds show), and on frauds and on goods apart (where worse scores show).
Everything is brought into 0..1, as ADWIN's bound asks.
"""

from __future__ import annotations

import pickle
from typing import Any, NamedTuple

import numpy as np
from river import drift as river_drift

from features.catalogue import INDEX
from models.governance.rules import DriftRules
from models.learning.unpickler import load_river
from models.shaping import Floats, shape_columns
from models.shared import DAY_MS

_HOUR_MS = DAY_MS // 24
# A log-loss of this many nats counts as 1: beyond it a score was as wrong as it can be.
_LOSS_MAX = 7.0
# Before that every customer is new, and novelty falls by itself.
_WARM_MS = 30 * DAY_MS
_INPUTS = ("amount_zscore_baseline", "novelty_count_7d", "amount_last")
_ROWS = np.array([INDEX[name] for name in _INPUTS], dtype=np.intp)
# What an hour of the day is expected to bring follows slowly.
_EXPECT = 0.1
_KINDS = {"loss": "drift_loss", "loss_fraud": "drift_loss", "loss_good": "drift_loss", "volume": "drift_volume"}


class Alarm(NamedTuple):
    """A stream changed: its mean before and now, both 0..1."""

    kind: str
    stream: str
    before: float
    after: float


class DriftMonitor:
    """One ADWIN per stream; cheap enough for every learned example (a fifth of a microsecond)."""

    def __init__(self, rules: DriftRules) -> None:
        self.rules = rules
        names = ("loss", "loss_fraud", "loss_good", "anomaly", *_INPUTS, "volume")
        # Frauds are few: that window is looked at with every one of them, elsewhere with every 32nd value.
        clocks = {"loss": 8, "loss_fraud": 1}
        self._windows = {name: river_drift.ADWIN(delta=rules.delta, clock=clocks.get(name, 32)) for name in names}
        self._alarmed_ms: dict[str, int] = {}
        self._first_ms = -1
        self._hour, self._count = -1, 0
        self._expected: list[float] = [0.0] * 24

    def losses(self, fraud: Floats, loss: Floats, at_ms: int) -> list[Alarm]:
        """Losses of matured examples under the recorded champion's score, in learning order; shape (n,), nats."""
        scaled = np.minimum(loss / _LOSS_MAX, 1.0)
        alarms = self._feed("loss", scaled.tolist(), at_ms, rising=True)
        alarms += self._feed("loss_fraud", scaled[fraud > 0.5].tolist(), at_ms, rising=True)
        return alarms + self._feed("loss_good", scaled[fraud <= 0.5].tolist(), at_ms, rising=True)

    def inputs(self, vectors: Floats, anomalies: Floats, at_ms: int) -> list[Alarm]:
        """What comes in: shape (n, SIZE) raw features, (n,) anomaly scores."""
        alarms = self._feed("anomaly", anomalies.tolist(), at_ms)
        shaped = shape_columns(vectors)[_ROWS]
        squashed = 0.5 + 0.5 * shaped / (1.0 + np.abs(shaped))
        for name, column in zip(_INPUTS, squashed, strict=True):
            alarms += self._feed(name, column.tolist(), at_ms)
        return alarms

    def volume(self, events: int, at_ms: int) -> list[Alarm]:
        """Scored events of one epoch; judged hour by hour against the same hour of earlier days."""
        if self._first_ms < 0:
            self._first_ms = at_ms
        hour = at_ms // _HOUR_MS
        if hour == self._hour:
            self._count += events
            return []
        done, count, self._hour, self._count = self._hour, self._count, hour, events
        if done < 0:
            return []
        place = done % 24
        expected = self._expected[place]
        self._expected[place] = float(count) if expected == 0.0 else expected + _EXPECT * (count - expected)
        if expected == 0.0:
            return []
        return self._feed("volume", [count / (count + expected) if count else 0.0], at_ms)

    def _feed(self, name: str, values: list[float], at_ms: int, rising: bool = False) -> list[Alarm]:
        window, found = self._windows[name], None
        for value in values:
            before = window.estimation
            window.update(value)
            if window.drift_detected and (not rising or window.estimation > before):
                found = Alarm(_KINDS.get(name, "drift_inputs"), name, before, window.estimation)
        if found is None or self._first_ms < 0 or at_ms - self._first_ms < _WARM_MS:
            return []
        if at_ms - self._alarmed_ms.get(name, -self.rules.quiet_ms) < self.rules.quiet_ms:
            return []
        self._alarmed_ms[name] = at_ms
        return [found]

    def dump(self) -> tuple[list[Any], bytes]:
        """Plain values and River's windows for the checkpoint."""
        plain = [dict(self._alarmed_ms), self._first_ms, self._hour, self._count, list(self._expected)]
        return plain, pickle.dumps(self._windows, protocol=5)

    @classmethod
    def load(cls, rules: DriftRules, plain: list[Any], river: bytes) -> DriftMonitor:
        """Restore what `dump` wrote."""
        monitor = cls(rules)
        monitor._alarmed_ms, monitor._first_ms, monitor._hour, monitor._count, monitor._expected = plain
        monitor._windows = load_river(river)
        return monitor
