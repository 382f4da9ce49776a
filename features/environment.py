"""The world's figures (macro, industry, district) against their own past: moving baselines, one per figure.

A figure is judged only against what it was itself: its fading mean and spread over about twelve readings. Which way is
bad lies in its name (`BAD_WHEN_HIGH`, `BAD_WHEN_LOW`); a figure with another name is kept and says nothing. District
figures are kept for those who look after communities: no view of a customer reads them.
"""

from __future__ import annotations

import msgspec

FIGURES_MAX = 256
STRESS_MAX = 6.0
# Readings a baseline remembers, about, and how many it wants before it judges.
_READINGS, _READINGS_MIN = 12, 4
# A spread below this share of the level is taken for it: a figure that never moved would else shout at a hair.
_SPREAD_SHARE_MIN = 0.02
BAD_WHEN_HIGH = frozenset(("arrears_ratio", "bankruptcies", "default_ratio", "interest_rate", "unemployment"))
BAD_WHEN_LOW = frozenset(("employment", "gdp_growth", "house_prices", "orders", "output", "retail_sales", "wages"))


class Baseline(msgspec.Struct, array_like=True):
    """One figure: the newest value, its time, and mean and spread of the readings before it."""

    at_ms: int
    value: float
    mean: float
    spread: float = 0.0
    readings: int = 1

    def observe(self, at_ms: int, value: float) -> None:
        """Take a reading: the one before joins the past; an older one is passed over."""
        if at_ms < self.at_ms:
            return
        if self.readings > 1:
            step = max(1 / self.readings, 1 / _READINGS)
            off = abs(self.value - self.mean)
            self.mean += step * (self.value - self.mean)
            self.spread += step * (off - self.spread)
        self.readings += 1
        self.at_ms, self.value = at_ms, value

    def deviation(self) -> float:
        """The newest value above its past, in spreads; 0 while the past is short.

        Examples
        --------
        >>> rate = Baseline(0, 4.0, 4.0)
        >>> for month, value in enumerate((4.1, 3.9, 4.0, 6.0), 1):
        ...     rate.observe(month, value)
        >>> rate.deviation() > 3
        True
        """
        if self.readings <= _READINGS_MIN:
            return 0.0
        spread = max(self.spread, _SPREAD_SHARE_MIN * abs(self.mean), 1e-9)
        return float((self.value - self.mean) / spread)


class Environment(msgspec.Struct, array_like=True):
    """Baselines by `scope/scope_id/name`, at most `FIGURES_MAX`; the one not heard of for longest goes first."""

    figures: dict[str, Baseline] = {}

    def observe(self, scope: str, scope_id: str, name: str, at_ms: int, value: float) -> None:
        """Take a reading of a figure."""
        key = f"{scope}/{scope_id}/{name}"
        known = self.figures.get(key)
        if known is not None:
            known.observe(at_ms, value)
            return
        if len(self.figures) >= FIGURES_MAX:
            del self.figures[min(self.figures, key=lambda each: (self.figures[each].at_ms, each))]
        self.figures[key] = Baseline(at_ms, value, value)

    def stress(self, scope: str, scope_id: str) -> float:
        """How far the worst of the scope's figures lies on its bad side, in spreads, 0..`STRESS_MAX`.

        Examples
        --------
        >>> Environment().stress("industry", "nobody_knows")
        0.0
        """
        prefix, worst = f"{scope}/{scope_id}/", 0.0
        for key, figure in self.figures.items():
            if key.startswith(prefix):
                name = key[len(prefix) :]
                side = (name in BAD_WHEN_HIGH) - (name in BAD_WHEN_LOW)
                worst = max(worst, side * figure.deviation())
        return min(STRESS_MAX, worst)
