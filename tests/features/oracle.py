"""Brute force: every feature of `features.catalogue` from the full list of applied events, by definition.

No state is carried but the list itself and the flags already found; nothing here is fast.
"""

from __future__ import annotations

from math import log1p, sqrt

from features.events import ActionResult, DeviceChange, Event, Login, Outcome, PayeeAdded, Transaction

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
WINDOWS = {"1h": (HOUR, 5 * MINUTE), "1d": (DAY, HOUR), "7d": (7 * DAY, DAY), "30d": (30 * DAY, DAY)}


def inside(t: int, now: int, window: str) -> bool:
    """Whether the start of the event's bucket lies in (now - size, now]."""
    size, bucket = WINDOWS[window]
    return now - size < t // bucket * bucket <= now


def accepted(events: list[Event]) -> list[Event]:
    """Leave out duplicates (among the last 32 different ids) and what is more than 24 h late."""
    ids: list[str] = []
    out: list[Event] = []
    latest = -1
    for event in events:
        if event.event_id in ids[-32:]:
            continue
        ids.append(event.event_id)
        if event.event_time_ms < latest - DAY:
            continue
        latest = max(latest, event.event_time_ms)
        out.append(event)
    return out


def is_spending(event: Event) -> bool:
    return (
        isinstance(event, Transaction)
        and event.direction == "debit"
        and event.status != "reversed"
        and type_of(event) in ("purchase", "cash", "transfer", "fee")
    )


def type_of(tx: Transaction) -> str:
    return tx.type or ("cash" if tx.channel == "atm" else "purchase")


def amount_of(tx: Transaction) -> int:
    return tx.billing_amount_minor if isinstance(tx.billing_amount_minor, int) else tx.amount_minor


def recent(values: list[str], limit: int) -> list[str]:
    """Return the `limit` different values used last."""
    found: list[str] = []
    for value in reversed(values):
        if value not in found:
            found.append(value)
    return found[:limit]


def fresh(times: list[int], now: int, days: int) -> float:
    return 0.5 ** ((now - max(times)) / (days * DAY)) if times else 0.0


class Baseline:
    """Weighted observations `(value, weight, day)`; every question sums over all of them."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, float, int]] = []
        self.kept_m2: list[tuple[float, int]] = []
        self.largest = 0
        self.run: list[tuple[float, int, int, int]] = []

    def weight(self, day: int) -> float:
        return sum(w * 0.5 ** ((day - d) / 90) for _, w, d in self.seen)

    def mean(self, day: int) -> float:
        return sum(x * w * 0.5 ** ((day - d) / 90) for x, w, d in self.seen) / self.weight(day)

    def m2(self, day: int) -> float:
        mean = self.mean(day)
        own = sum((x - mean) ** 2 * w * 0.5 ** ((day - d) / 90) for x, w, d in self.seen)
        return own + sum(m2 * 0.5 ** ((day - d) / 90) for m2, d in self.kept_m2)

    def z(self, amount: int, day: int) -> float:
        if self.weight(day) < 3:
            return 0.0
        spread = sqrt((self.m2(day) + 3 * 0.64) / (self.weight(day) + 3))
        return max(-20.0, min(20.0, (log1p(amount) - self.mean(day)) / spread))

    def learn(self, amount: int, t: int, day: int) -> bool:
        """Return whether the amount was ordinary, or became so."""
        z = self.z(amount, day)
        if self.weight(day) < 10 or abs(z) <= 3:
            self.run = []
            self.seen.append((log1p(amount), 1.0, day))
            self.largest = max(self.largest, amount)
            return True
        side = 1 if z > 0 else -1
        if self.run and self.run[0][3] != side:
            self.run = []
        self.run.append((round(log1p(amount), 6), amount, t, side))
        if len(self.run) < 5 or t - self.run[0][2] < DAY:
            return False
        kept = self.m2(day) * 5 / self.weight(day)
        self.seen = [(sum(r[0] for r in self.run) / len(self.run), 5.0, day)]
        self.kept_m2 = [(kept, day)]
        self.largest = max(r[1] for r in self.run)
        self.run = []
        return True


def vectors(events: list[Event]) -> list[dict[str, float] | None]:
    """Return one vector by name per applied event, None where there is none (shared indicators left out)."""
    out: list[dict[str, float] | None] = []
    baseline = Baseline()
    ordinary: list[tuple[int, str, bool]] = []
    novel: dict[int, int] = {}
    unusual: list[tuple[int, float]] = []
    home, votes = "", 0
    for place, event in enumerate(events):
        before, upto = events[:place], events[: place + 1]
        now = max(e.event_time_ms for e in upto)
        if not is_spending(event):
            out.append(None)
            continue
        t, amount, day = event.event_time_ms, amount_of(event), now // DAY
        approved = event.status != "declined"
        taught = [e for e in before if is_spending(e) and e.status != "declined"]
        spent = [e for e in upto if is_spending(e) and e.status != "declined"]
        v: dict[str, float] = {
            "amount_last": amount,
            "is_cash": type_of(event) == "cash",
            "is_transfer": type_of(event) == "transfer",
            "is_remote": event.channel in ("ecom", "mobile", "online"),
            "is_night": t // HOUR % 24 < 6,
            "is_weekend": (t // DAY + 3) % 7 in (5, 6),
        }
        for window in WINDOWS:
            hits = [e for e in spent if inside(e.event_time_ms, now, window)]
            v[f"tx_count_{window}"] = len(hits)
            v[f"amount_sum_{window}"] = sum(amount_of(e) for e in hits)
        v["decline_count_1d"] = sum(
            is_spending(e) and e.status == "declined" and inside(e.event_time_ms, now, "1d") for e in upto
        )
        v["tenure"] = (now - events[0].event_time_ms) / DAY
        days = min(30.0, max(1.0, v["tenure"]))
        v["tx_rate_ratio_1d"] = v["tx_count_1d"] / (v["tx_count_30d"] / days) if v["tx_count_30d"] else 1.0

        v["amount_zscore_baseline"] = baseline.z(amount, day)
        v["amount_excess"] = amount
        v["amount_zscore_excess"] = v["amount_zscore_baseline"]
        strange = [z for i, z in unusual if inside(events[i].event_time_ms, now, "7d")]
        v["unusual_count_7d"], v["unusual_sum_7d"] = len(strange), sum(round(z, 3) for z in strange)
        v["amount_max_ratio_baseline"] = amount / baseline.largest if baseline.largest else 1.0
        total = sum(0.5 ** ((day - d) / 90) for d, _, _ in ordinary) + 2
        nights = sum(0.5 ** ((day - d) / 90) for d, _, night in ordinary if night)
        same = sum(0.5 ** ((day - d) / 90) for d, channel, _ in ordinary if channel == event.channel)
        v["night_share_baseline"] = (nights + 2 * 0.1) / total
        v["channel_share_baseline"] = (same + 2 * 0.6) / total

        for name, limit in (("merchant", 16), ("terminal", 16), ("device", 4), ("country", 8), ("payee", 8)):
            field = "country" if name == "country" else f"{name}_id"
            known = recent([getattr(e, field) for e in taught if getattr(e, field)], limit)
            value = getattr(event, field)
            v[f"{name}_new"] = bool(value and known and value not in known)
        v["country_foreign"] = bool(event.country and home and event.country != home)
        if approved:
            if v["amount_zscore_baseline"] > 2:
                unusual.append((place, v["amount_zscore_baseline"]))
            novel[place] = int(v["merchant_new"]) + int(v["terminal_new"])
            if event.country and event.country == home:
                votes = min(30, votes + 1)
            elif event.country:
                home, votes = (event.country, 1) if votes == 0 else (home, votes - 1)
            if baseline.learn(amount, t, day):
                ordinary.append((day, event.channel, t // HOUR % 24 < 6))
        v["novelty_count_7d"] = sum(n for i, n in novel.items() if inside(events[i].event_time_ms, now, "7d"))

        scored = [e.event_time_ms for e in before if is_spending(e)]
        v["gap_since_last"] = max(0, t - max(scored)) / 1000 if scored else 22_025.0
        failed = [e for e in upto if isinstance(e, Login) and e.result == "failed"]
        v["login_failed_count_1d"] = sum(inside(e.event_time_ms, now, "1d") for e in failed)
        v["device_change_recent"] = fresh([e.event_time_ms for e in upto if isinstance(e, DeviceChange)], now, 1)
        v["payee_added_recent"] = fresh([e.event_time_ms for e in upto if isinstance(e, PayeeAdded)], now, 1)
        truth = [
            e.event_time_ms
            for e in upto
            if (isinstance(e, Outcome) and e.outcome == "fraud_confirmed")
            or (isinstance(e, ActionResult) and e.result == "confirmed_fraud")
        ]
        v["fraud_confirmed_recent"] = fresh(truth, now, 30)
        out.append(v)
    return out
