"""The rhythm of a customer's income: when money should come, how much, and when silence becomes a signal.

Salary, pension and a firm's revenue count. Payments within three days of a pay day belong to it: the
same amount is the same money told twice, another amount adds to it. The interval is the sender's
`expected_days`, or learnt as a decayed mean once three intervals are known and they are regular; a
longer gap counts at most one and a half times the mean, so that one missed pay day does not stretch it.
Income is missed when the expected day and a grace (a fifth of the interval, at least three days) have passed.
"""

from __future__ import annotations

import msgspec

from features.facility import DAY_MS, Signal

SAME_PAY_DAY_MS = 3 * DAY_MS
INTERVALS_MIN = 3
GRACE_RATIO, GRACE_MIN_DAYS = 0.2, 3.0
IRREGULAR_RATIO = 0.35
_LONG_GAP_RATIO = 1.5
_SPEED_MIN = 0.25
_KINDS = ("income_missed", "income_missed_twice")


class IncomeRhythm(msgspec.Struct, array_like=True):
    """What is known of a customer's income; `mean_minor` is the decayed mean of the pay days before the last."""

    last_ms: int = -1
    last_minor: int = 0
    last_payment_minor: int = 0
    mean_minor: float = 0.0
    pay_days: int = 0
    given_days: int = 0
    interval_days: float = 0.0
    spread_days: float = 0.0
    intervals: int = 0
    # How many of `_KINDS` have fired since the last pay day.
    missed: int = 0

    def receive(self, at_ms: int, amount_minor: int, expected_days: int | None) -> None:
        """Take one payment; one that is older than the last pay day by more than three days is passed over."""
        if expected_days is not None:
            self.given_days = expected_days
        if self.last_ms >= 0 and at_ms - self.last_ms < SAME_PAY_DAY_MS:
            if self.last_ms - at_ms < SAME_PAY_DAY_MS and amount_minor != self.last_payment_minor:
                self.last_minor += amount_minor
                self.last_payment_minor = amount_minor
            return
        if self.last_ms >= 0:
            self._learn_interval((at_ms - self.last_ms) / DAY_MS)
            self.mean_minor += max(1 / self.pay_days, _SPEED_MIN) * (self.last_minor - self.mean_minor)
        self.pay_days += 1
        self.last_ms = at_ms
        self.last_minor = self.last_payment_minor = amount_minor
        self.missed = 0

    def _learn_interval(self, days: float) -> None:
        self.intervals += 1
        speed = max(1 / self.intervals, _SPEED_MIN)
        if self.intervals > INTERVALS_MIN:
            days = min(days, self.interval_days * _LONG_GAP_RATIO)
        off = abs(days - self.interval_days) if self.intervals > 1 else 0.0
        self.spread_days += speed * (off - self.spread_days)
        self.interval_days += speed * (days - self.interval_days)

    def expected_days(self) -> float:
        """Days from one pay day to the next; 0 when none is expected."""
        if self.given_days:
            return float(self.given_days)
        regular = self.spread_days <= IRREGULAR_RATIO * self.interval_days
        return self.interval_days if self.intervals >= INTERVALS_MIN and regular else 0.0

    def overdue_days(self, at_ms: int) -> float:
        """Days since income was expected; 0 within the grace or when none is expected."""
        days = self.expected_days()
        if not days or self.last_ms < 0:
            return 0.0
        overdue = (at_ms - self.last_ms) / DAY_MS - days
        return overdue if overdue >= _grace_days(days) else 0.0

    def drop_ratio(self) -> float:
        """How far the last pay day's amount fell short of the mean before it, 0 to 1."""
        return min(1.0, max(0.0, 1 - self.last_minor / self.mean_minor)) if self.mean_minor > 0 else 0.0

    def monthly_minor(self) -> float:
        """Mean income of a month; 0 when unknown. An unknown interval counts as a month."""
        if not self.pay_days:
            return 0.0
        mean = self.mean_minor if self.pay_days > 1 else float(self.last_minor)
        return mean * 30.0 / (self.expected_days() or 30.0)

    def next_due(self) -> Signal | None:
        """Return the next signal that silence brings, if any."""
        days = self.expected_days()
        if not days or self.last_ms < 0 or self.missed >= len(_KINDS):
            return None
        due_ms = self.last_ms + round(((self.missed + 1) * days + _grace_days(days)) * DAY_MS)
        return Signal(_KINDS[self.missed], due_ms, "income")

    def fired(self) -> None:
        """Note that `next_due` has fired."""
        self.missed += 1


def _grace_days(days: float) -> float:
    return max(GRACE_MIN_DAYS, GRACE_RATIO * days)
