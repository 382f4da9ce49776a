"""One event updates the customer's hot row and, for spending, gives the fraud vector.

The rules, which `docs/features.md` and the oracle of the tests share:

- *Time.* T is the customer's latest event time, this event included; it never moves back. Windows, tenure and
  freshness are as of T; what the event itself is (night, weekend, gap) is as of its own time.
- *Spending* is a debit of type purchase, cash, transfer or fee that is not reversed. It is scored. A missing type
  means cash at an `atm`, else purchase; a missing status means approved. Credits, refunds, deposits and reversed
  transactions move the time and nothing else.
- *Declined* spending is scored and counted in `decline_count_1d`, and teaches nothing: no sums, memories or baseline.
- *Novelty* is 1 only against a memory that is not empty and does not hold the id. Only approved spending fills the
  memories, so a device bound by a thief is still new when the money moves.
- *Home country* is the majority vote of approved spending: a vote for the holder adds one (at most 30), against
  it takes one, and at none left the challenger holds it.
- *Baseline* of log1p(amount): read before the event is learned. An amount with |z| > 3, once the weight is 10, is an
  outlier and is not learned. At least five in a row on one side, over at least a day, become the new level: a
  changed customer is accepted, an evening of theft is not. Weights halve in 90 days, in whole days.
- *Unusual* is approved spending with z > 2; `unusual_count_7d` counts what came before the event, `unusual_sum_7d`
  adds up its z, in thousandths.
- *Unknown* is neutral: ratios 1, z 0, shares and gap at the catalogue's centre.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log1p, sqrt
from typing import Any, Protocol

from features.events import ActionResult, DeviceChange, Event, Login, Outcome, PayeeAdded, Transaction
from features.row import (
    CHANNELS,
    COUNTRIES_MAX,
    DEVICES_MAX,
    MERCHANTS_MAX,
    PAYEES_MAX,
    SHARE_ONE,
    TERMINALS_MAX,
    HotRow,
    decay,
    learn_amount,
    meet,
    vote,
)
from features.windows import DAY, HOUR, MONTH, WEEK, add, advance, count_of, since

LATE_MAX_MS = 86_400_000
BASELINE_WEIGHT_MIN = 3.0
Z_MAX = 20.0
# Unusual for the customer, and by far not yet an outlier: one says little, several in a week do.
UNUSUAL_Z, UNUSUAL_ONE = 2.0, 1000
RATIO_UNKNOWN, GAP_UNKNOWN_S = 1.0, 22_025.0

_DAY_MS = 86_400_000
_SPENDING = frozenset(("purchase", "cash", "transfer", "fee"))
_REMOTE = frozenset(("ecom", "mobile", "online"))
_CHANNEL_PLACE = {name: place for place, name in enumerate(CHANNELS)}
# Spread of a customer of whom little is known, as if seen in this many earlier amounts.
_PRIOR_WEIGHT, _PRIOR_VARIANCE = 3.0, 0.64
# Shares start at the catalogue's centre, worth two transactions.
_SHARE_WEIGHT, _NIGHT_PRIOR, _CHANNEL_PRIOR = 2 * SHARE_ONE, 0.1, 0.6
_H_MS, _D_MS, _W_MS, _M_MS = HOUR.bucket_ms, DAY.bucket_ms, WEEK.bucket_ms, MONTH.bucket_ms
_H_BACK, _D_BACK, _W_BACK, _M_BACK = (s.buckets_max - 1 for s in (HOUR, DAY, WEEK, MONTH))


TerminalFigures = tuple[float, float, float, float, float, float, float, float]
DeviceFigures = tuple[float, float, float, float]


class SharedLookup(Protocol):
    """Indicators that cross customers, from the snapshot in force."""

    def terminal(self, terminal_id: str, at_ms: int) -> TerminalFigures:
        """The eight figures of a terminal, in the order of the catalogue."""

    def merchant(self, merchant_id: str, at_ms: int) -> tuple[float, float]:
        """Transactions per day and fraud rate of a merchant."""

    def device(self, device_id: str, at_ms: int) -> DeviceFigures:
        """The four figures of a device, in the order of the catalogue."""


_NEUTRAL_TERMINAL: TerminalFigures = (0.0, 0.005, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
_NEUTRAL_MERCHANT = (0.0, 0.005)
_NEUTRAL_DEVICE: DeviceFigures = (0.0, 0.005, 0.0, 0.0)


class _NoShared:
    def terminal(self, terminal_id: str, at_ms: int) -> TerminalFigures:  # noqa: ARG002
        return _NEUTRAL_TERMINAL

    def merchant(self, merchant_id: str, at_ms: int) -> tuple[float, float]:  # noqa: ARG002
        return _NEUTRAL_MERCHANT

    def device(self, device_id: str, at_ms: int) -> DeviceFigures:  # noqa: ARG002
        return _NEUTRAL_DEVICE


NO_SHARED: SharedLookup = _NoShared()


def is_late(row: HotRow, event_time_ms: int) -> bool:
    """Whether an event is more than 24 h behind the customer's latest: it is recorded, not applied."""
    return event_time_ms < row.latest_ms - LATE_MAX_MS


def update(row: HotRow, event: Event, shared: SharedLookup) -> list[float] | None:
    """Take one event into the row; for spending, return its vector.

    The caller has asked `HotRow.remember` and `is_late` before: this function does neither.

    Parameters
    ----------
    row
        Changed in place.
    event
        Any customer event.
    shared
        Indicators in force; `NO_SHARED` where there are none.

    Returns
    -------
    `SIZE` floats in the order of `features.catalogue.NAMES` for spending, declined included; else None.
    O(1) amortised.
    """
    at = event.event_time_ms
    if at > row.latest_ms:
        row.latest_ms = at
        if row.first_seen_ms < 0:
            row.first_seen_ms = at
    if type(event) is Transaction:
        return _spend(row, event, shared)
    learn = _LEARN.get(type(event))
    if learn is not None:
        learn(row, event)
    return None


def _spend(row: HotRow, tx: Transaction, shared: SharedLookup) -> list[float] | None:
    channel, status = tx.channel, tx.status
    kind = tx.type or ("cash" if channel == "atm" else "purchase")
    if tx.direction != "debit" or kind not in _SPENDING or status == "reversed":
        return None
    at, now = tx.event_time_ms, row.latest_ms
    billed = tx.billing_amount_minor
    amount = billed if isinstance(billed, int) else tx.amount_minor
    approved = status != "declined"

    day = now // _DAY_MS
    if day > row.decay_day:
        decay(row, day)
    channels, place = row.channels, _CHANNEL_PLACE[channel]
    known = sum(channels) + _SHARE_WEIGHT
    night_share = (row.night + _SHARE_WEIGHT * _NIGHT_PRIOR) / known
    channel_share = (channels[place] + _SHARE_WEIGHT * _CHANNEL_PRIOR) / known
    largest, weight, level = row.largest_minor, row.weight, log1p(amount)
    z = 0.0
    if weight >= BASELINE_WEIGHT_MIN:
        spread = sqrt((row.m2 + _PRIOR_WEIGHT * _PRIOR_VARIANCE) / (weight + _PRIOR_WEIGHT))
        z = min(Z_MAX, max(-Z_MAX, (level - row.mean) / spread))
    max_ratio = amount / largest if largest else RATIO_UNKNOWN

    merchant_new = terminal_new = device_new = country_new = payee_new = foreign = 0.0
    terminal, merchant, device = _NEUTRAL_TERMINAL, _NEUTRAL_MERCHANT, _NEUTRAL_DEVICE
    if name := tx.merchant_id:
        merchant = shared.merchant(name, at)
        merchant_new, memory = meet(row.merchants, name, MERCHANTS_MAX)
        if approved:
            row.merchants = memory
    if name := tx.terminal_id:
        terminal = shared.terminal(name, at)
        terminal_new, memory = meet(row.terminals, name, TERMINALS_MAX)
        if approved:
            row.terminals = memory
    if name := tx.device_id:
        device = shared.device(name, at)
        device_new, memory = meet(row.devices, name, DEVICES_MAX)
        if approved:
            row.devices = memory
    if name := tx.payee_id:
        payee_new, memory = meet(row.payees, name, PAYEES_MAX)
        if approved:
            row.payees = memory
    if name := tx.country:
        foreign = 1.0 if row.home and name != row.home else 0.0
        country_new, memory = meet(row.countries, name, COUNTRIES_MAX)
        if approved:
            row.countries = memory
            vote(row, name)

    oldest_1h, oldest_1d, oldest_7d = now // _H_MS - _H_BACK, now // _D_MS - _D_BACK, now // _W_MS - _W_BACK
    oldest_30d = now // _M_MS - _M_BACK
    spent_1h, spent_1d, spent_30d = row.spent_1h, row.spent_1d, row.spent_30d
    novel, strange = row.novel_7d, row.unusual_7d
    hour = at // _D_MS
    night = hour % 24 < 6
    advance(novel, oldest_7d)
    advance(strange, oldest_7d)
    unusual_count, unusual_sum = (strange[2], strange[3]) if strange else (0, 0)
    if approved:
        add(spent_1h, at // _H_MS, oldest_1h, 1, amount)
        add(spent_1d, hour, oldest_1d, 1, amount)
        add(spent_30d, at // _M_MS, oldest_30d, 1, amount)
        if merchant_new or terminal_new:
            add(novel, at // _W_MS, oldest_7d, int(merchant_new + terminal_new), 0)
        if z > UNUSUAL_Z:
            add(strange, at // _W_MS, oldest_7d, 1, round(z * UNUSUAL_ONE))
        learn_amount(row, amount, level, z, at)
        if not row.run:
            channels[place] += SHARE_ONE
            if night:
                row.night += SHARE_ONE
    else:
        add(row.declined_1d, hour, oldest_1d, 1, 0)
        advance(spent_1h, oldest_1h)
        advance(spent_1d, oldest_1d)
        advance(spent_30d, oldest_30d)
    count_1h, sum_1h = (spent_1h[2], spent_1h[3]) if spent_1h else (0, 0)
    count_1d, sum_1d = (spent_1d[2], spent_1d[3]) if spent_1d else (0, 0)
    count_30d, sum_30d = (spent_30d[2], spent_30d[3]) if spent_30d else (0, 0)
    # Both are kept by the day, so the week is the newest part of the month.
    count_7d, sum_7d = since(spent_30d, oldest_7d)

    tenure = (now - row.first_seen_ms) / _DAY_MS
    days = 30.0 if tenure > 30.0 else max(1.0, tenure)
    last = row.last_tx_ms
    gap = GAP_UNKNOWN_S if last < 0 else max(0, at - last) / 1000
    if at > last:
        row.last_tx_ms = at
    return [
        float(amount), float(kind == "cash"), float(kind == "transfer"), float(channel in _REMOTE),
        float(night), float((hour // 24 + 3) % 7 >= 5),
        float(count_1h), float(count_1d), float(count_7d), float(count_30d),
        float(sum_1h), float(sum_1d), float(sum_7d), float(sum_30d),
        float(count_of(row.declined_1d, oldest_1d)),
        count_1d * days / count_30d if count_30d else RATIO_UNKNOWN,
        z, max_ratio, float(amount), z, float(unusual_count), unusual_sum / UNUSUAL_ONE, night_share, channel_share,
        merchant_new, terminal_new, device_new, country_new, payee_new, foreign, float(novel[2] if novel else 0),
        gap, tenure,
        float(count_of(row.login_failed_1d, oldest_1d)),
        _fresh(row.device_change_ms, now, 1), _fresh(row.payee_added_ms, now, 1), _fresh(row.fraud_ms, now, 30),
        *terminal, *merchant, *device,
    ]  # fmt: skip


def _fresh(since_ms: int, now_ms: int, half_life_days: int) -> float:
    """1 now, half after the half-life, 0 if it never was."""
    return 0.5 ** ((now_ms - since_ms) / (half_life_days * _DAY_MS)) if since_ms >= 0 else 0.0


def _learn_login(row: HotRow, event: Login) -> None:
    if event.result == "failed":
        add(row.login_failed_1d, event.event_time_ms // _D_MS, row.latest_ms // _D_MS - _D_BACK, 1, 0)


def _learn_device(row: HotRow, event: DeviceChange) -> None:
    row.device_change_ms = max(row.device_change_ms, event.event_time_ms)


def _learn_payee(row: HotRow, event: PayeeAdded) -> None:
    row.payee_added_ms = max(row.payee_added_ms, event.event_time_ms)


def _learn_outcome(row: HotRow, event: Outcome) -> None:
    if event.outcome == "fraud_confirmed":
        row.fraud_ms = max(row.fraud_ms, event.event_time_ms)


def _learn_action(row: HotRow, event: ActionResult) -> None:
    if event.result == "confirmed_fraud":
        row.fraud_ms = max(row.fraud_ms, event.event_time_ms)


_LEARN: dict[type[Event], Callable[[HotRow, Any], None]] = {
    Login: _learn_login,
    DeviceChange: _learn_device,
    PayeeAdded: _learn_payee,
    Outcome: _learn_outcome,
    ActionResult: _learn_action,
}
