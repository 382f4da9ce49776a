"""A customer's recent months: worst arrears, use of limits, bills paid, money in and out; and a level that moves.

Entry 0 of every list is the month of the latest event, the next the month before it; at most `STATUS_MONTHS`
or `FLOW_MONTHS` entries. Months are calendar months, UTC. An event older than the present month counts in it.
Amounts are kept in units of `LEVEL_MINOR` minor units, rounded: eight significant bytes saved where nobody needs cents.
"""

from __future__ import annotations

import msgspec

from features.facility import DAY_MS

STATUS_MONTHS, FLOW_MONTHS = 12, 6
# Classes of arrears: 0 none, 1 up to 30 days, ... 9 more than 240.
CLASS_DAYS, CLASS_MAX = 30, 9
NO_BILL = -1
LEVEL_MINOR = 100
_RATIO_MAX = 9.0
# Balances a level remembers, about; the square of a balance stays far below the largest float.
_LEVEL_EVENTS_MAX = 60
_SPREAD_MIN = 12


def month_of(at_ms: int) -> tuple[int, int]:
    """Calendar month since 1970-01, and the time at which it ends.

    Examples
    --------
    >>> month_of(0), month_of(1_583_020_800_000 - 1)[0]  # the last moment of February 2020
    ((0, 2678400000), 601)
    """
    # Days to a civil date by Howard Hinnant's chrono algorithm: years begin in March.
    days = at_ms // DAY_MS + 719_468
    era_days = days % 146_097
    era_year = (era_days - era_days // 1_460 + era_days // 36_524 - era_days // 146_096) // 365
    year_days = era_days - (365 * era_year + era_year // 4 - era_year // 100)
    march_month = (5 * year_days + 2) // 153
    year = era_year + days // 146_097 * 400 + (march_month >= 10)
    month = (march_month + 2) % 12
    return (year - 1970) * 12 + month, _month_begins(year + (month == 11), (month + 1) % 12)


def _month_begins(year: int, month: int) -> int:
    march_month, year = (month - 2) % 12, year - (month < 2)
    era, era_year = divmod(year, 400)
    days = era_year * 365 + era_year // 4 - era_year // 100 + (153 * march_month + 2) // 5
    return (era * 146_097 + days - 719_468) * DAY_MS


def class_of(days_past_due: int) -> int:
    """Class of arrears.

    Examples
    --------
    >>> [class_of(days) for days in (0, 1, 30, 31, 89, 90, 999)]
    [0, 1, 1, 2, 3, 3, 9]
    """
    return min(CLASS_MAX, -(-days_past_due // CLASS_DAYS))


class Months(msgspec.Struct, array_like=True):
    """See the module.

    `status` is the worst class of arrears, `used` per mille of the limits drawn at the last statement, `paid` percent
    of what was billed (`NO_BILL` where nothing was), `repaid` what was paid in percent of the limits; `inflow`,
    `outflow` and `low` (the smallest balance) and `balance` (the last) in `LEVEL_MINOR` minor units; `mean` and
    `square` of balances fade over about sixty of them.
    """

    month: int = -1
    ends_ms: int = -1
    status: list[int] = []
    used: list[int] = []
    paid: list[int] = []
    repaid: list[int] = []
    inflow: list[int] = []
    outflow: list[int] = []
    low: list[int] = []
    billed_minor: int = 0
    paid_minor: int = 0
    balance: int = 0
    balances: int = 0
    mean: float = 0.0
    square: float = 0.0

    def reach(self, at_ms: int) -> None:
        """Begin a new month when `at_ms` is past the present one."""
        if at_ms < self.ends_ms:
            return
        month, self.ends_ms = month_of(at_ms)
        gone = min(STATUS_MONTHS, month - self.month) if self.month >= 0 else 1
        self.month = month
        self.billed_minor = self.paid_minor = 0
        for history, most, empty in (
            (self.status, STATUS_MONTHS, 0), (self.used, FLOW_MONTHS, NO_BILL), (self.paid, FLOW_MONTHS, NO_BILL),
            (self.repaid, FLOW_MONTHS, NO_BILL), (self.inflow, FLOW_MONTHS, 0), (self.outflow, FLOW_MONTHS, 0),
        ):  # fmt: skip
            history[:0] = [empty] * gone
            del history[most:]
        # A month begins with the balance the one before ended with.
        self.low[:0] = [self.balance] * gone
        del self.low[FLOW_MONTHS:]

    def late(self, days_past_due: int) -> None:
        """Arrears were seen: they count for the present month if they are its worst."""
        found = class_of(days_past_due)
        if self.status and found > self.status[0]:
            self.status[0] = found

    def billed(self, statement_minor: int, paid_minor: int, limit_minor: int, used_minor: int) -> None:
        """A statement: what the one before asked for and what was paid of it; the limits and what is used of them."""
        self.billed_minor += max(0, statement_minor)
        self.paid_minor += paid_minor
        if self.billed_minor > 0:
            self.paid[0] = round(100 * min(_RATIO_MAX, self.paid_minor / self.billed_minor))
        if limit_minor > 0:
            self.used[0] = round(1000 * min(_RATIO_MAX, max(0, used_minor) / limit_minor))
            self.repaid[0] = round(100 * min(_RATIO_MAX, self.paid_minor / limit_minor))

    def booked(self, balance_minor: int, amount_minor: int, credit: bool) -> None:
        """A booking on an account: money in or out, and the balance after it."""
        balance, amount = balance_minor // LEVEL_MINOR, amount_minor // LEVEL_MINOR
        if credit:
            self.inflow[0] += amount
        else:
            self.outflow[0] += amount
        if not self.balances or balance < self.low[0]:
            # The first money that comes in is no low: an account begins empty.
            self.low[0] = balance
        self.balance = balance
        if self.balances < _LEVEL_EVENTS_MAX:
            self.balances += 1
        step = 1 / self.balances
        self.mean += step * (balance - self.mean)
        self.square += step * (float(balance) * balance - self.square)

    def spread(self) -> float:
        """Spread of recent balances in relation to their mean, 0 to 9; -1 before twelve balances.

        Examples
        --------
        >>> Months(balances=20, mean=100.0, square=12_500.0).spread()
        0.5
        """
        if self.balances < _SPREAD_MIN:
            return -1.0
        variance = max(0.0, self.square - self.mean * self.mean)
        return float(min(_RATIO_MAX, variance**0.5 / self.mean)) if self.mean > 0 else _RATIO_MAX
