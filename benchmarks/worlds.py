"""Tables of transactions unlike the simulator's towns and the handbook, each with a mapping a stranger would write.

Where the signal lies differs from world to world: in the kind of shop, hour and amount together (`cards`), in a
transfer that empties an account and the cash that follows (`wallets`), in the card that was bought by thieves and the
shop's product (`shop`), in nothing but the event itself (`strangers`, `two-days`). Made from a seed; no real data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

HOUR_S, DAY_S = 3_600, 86_400
START_S = 1_704_067_200  # 2024-01-01, a Monday
Columns = dict[str, Any]

_CARDS = """
[fields]
event_time_ms = { column = "trans_time", format = "s" }
customer_id   = "cc_num"
amount_minor  = { column = "amt", digits = 2 }
currency      = { constant = "USD" }
direction     = { constant = "debit" }
channel       = { column = "kind", values = { net = "ecom" }, default = "pos" }
merchant_id   = "merchant"
[label]
column = "is_fraud"
"""
_BARE = """
[fields]
event_time_ms = { column = "trans_time", format = "s" }
customer_id   = "cc_num"
amount_minor  = { column = "amt", digits = 2 }
currency      = { constant = "USD" }
direction     = { constant = "debit" }
channel       = { constant = "pos" }
[label]
column = "is_fraud"
"""
_WALLETS = """
[fields]
event_time_ms = { column = "step", format = "hours", origin = "2024-01-01" }
customer_id   = "nameOrig"
amount_minor  = { column = "amount", digits = 2 }
currency      = { constant = "EUR" }
direction     = { column = "type", values = { CASH_IN = "credit" }, default = "debit" }
channel       = { column = "type", values = { PAYMENT = "pos", CASH_OUT = "atm" }, default = "mobile" }
type          = { column = "type", values = { CASH_IN = "deposit", CASH_OUT = "cash", TRANSFER = "transfer" }, default = "purchase" }
payee_id      = "nameDest"
merchant_id   = "nameDest"
[label]
column = "isFraud"
delay  = "3d"
"""  # noqa: E501
_SHOP = """
[fields]
event_id      = { column = "TransactionID", prefix = "s-" }
event_time_ms = { column = "TransactionDT", format = "s", origin = "2024-01-01" }
customer_id   = { columns = ["card1", "addr1"] }
amount_minor  = { column = "TransactionAmt", digits = 2 }
currency      = { constant = "USD" }
direction     = { constant = "debit" }
channel       = { constant = "ecom" }
merchant_id   = "ProductCD"
device_id     = { column = "DeviceInfo", optional = true }
[label]
column = "isFraud"
"""
_STRANGERS = """
[fields]
event_time_ms = { column = "day", format = "days", origin = "2024-01-01" }
customer_id   = "application"
amount_minor  = { column = "limit", digits = 0 }
currency      = { constant = "EUR" }
direction     = { constant = "debit" }
channel       = { column = "source", values = { INTERNET = "online", TELEAPP = "mobile" }, default = "branch" }
device_id     = "device_os"
[label]
column = "fraud_bool"
"""
_TWO_DAYS = """
[fields]
event_time_ms = { column = "Time", format = "s", origin = "2024-01-01" }
customer_id   = { constant = "everyone" }
amount_minor  = { column = "Amount", digits = 2 }
currency      = { constant = "EUR" }
direction     = { constant = "debit" }
channel       = { constant = "pos" }
[label]
column = "Class"
delay  = "6h"
"""


@dataclass(frozen=True, slots=True)
class World:
    """A table and how to read it; `make` gives its columns for a seed and a share of its usual size."""

    make: Callable[[np.random.Generator, float], Columns]
    mapping: str
    says: str

    def write(self, folder: Path, seed: int, size: float = 1.0) -> tuple[Path, Path]:
        """The table as Parquet and its mapping; time order is kept by `make`."""
        columns = self.make(np.random.default_rng([seed, 7]), size)
        table, mapping = folder / "table.parquet", folder / "mapping.toml"
        pq.write_table(pa.table(columns), table)
        mapping.write_text('kind = "transaction"\n' + self.mapping, "utf-8")
        return table, mapping


def _hours(rng: np.random.Generator, n: int, night: float) -> NDArray[np.float64]:
    """Seconds of the day: a share `night` between 22 and 4, else around noon and evening."""
    day = np.where(rng.random(n) < 0.5, rng.normal(12.5, 2.5, n), rng.normal(18, 2.5, n))
    return (np.where(rng.random(n) < night, rng.uniform(22, 28, n), day) % 24) * HOUR_S


# Usual amount, its spread, how often, and what thieves spend there and how often: 0 is not at all.
_KINDS: tuple[tuple[str, float, float, float, float, float], ...] = (
    ("gas_transport", 60, 0.3, 10, 11, 2), ("grocery_pos", 90, 0.5, 10, 310, 5), ("home", 45, 0.9, 9, 260, 0.5),
    ("shopping_pos", 40, 1.2, 9, 850, 2.5), ("kids_pets", 45, 0.9, 8, 20, 0.5), ("shopping_net", 45, 1.2, 7, 1000, 5),
    ("entertainment", 45, 0.9, 7, 500, 0.7), ("food_dining", 40, 0.7, 7, 120, 0.4),
    ("personal_care", 35, 0.9, 7, 25, 0.5),
    ("health", 40, 0.9, 6, 20, 0.4), ("misc_pos", 35, 1.2, 6, 220, 0.6), ("misc_net", 40, 1.2, 5, 790, 3),
    ("grocery_net", 50, 0.5, 3, 12, 0.4), ("travel", 20, 1.5, 3, 9, 0.3),
)  # fmt: skip


def _cards(rng: np.random.Generator, size: float, share: float = 0.006, days: int = 150, unit: float = 1.0) -> Columns:
    """Card holders with habits; now and then a card is used by thieves for a day or two, mostly late in the evening."""
    people = int(500 * size)
    name, usual, spread, often, stolen, thieves = (np.array(column) for column in zip(*_KINDS, strict=True))
    taste = rng.dirichlet(often / often.sum() * 20, people)
    pace = rng.gamma(2.5, 0.8 if days > 60 else 1.4, people) + 0.2
    who = np.repeat(np.arange(people), rng.poisson(pace * days))
    n = len(who)
    kind = (taste[who].cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    wealth = rng.lognormal(0, 0.35, people)
    amount = usual[kind] * wealth[who] * np.exp(rng.normal(0, spread[kind]) - spread[kind] ** 2 / 2)
    at = rng.integers(0, days, n) * DAY_S + _hours(rng, n, 0.15)
    cases = max(6, int(share * n / 9))
    victim = rng.integers(0, people, cases)
    count = rng.integers(5, 14, cases)
    owner = np.repeat(victim, count)
    m = len(owner)
    begin = np.repeat(rng.integers(0, days, cases), count) * DAY_S + rng.integers(0, 2, m) * DAY_S
    bad = rng.choice(len(name), m, p=thieves / thieves.sum())
    bad_amount = stolen[bad] * np.exp(rng.normal(0, 0.2, m))
    bad_at = begin + _hours(rng, m, 0.8)
    where = np.concatenate([kind, bad])
    return _ordered({
        "trans_time": START_S + np.concatenate([at, bad_at]).astype(np.int64),
        "cc_num": np.char.add("c", np.concatenate([who, owner]).astype(str)),
        "merchant": np.char.add(name[where], rng.integers(0, 50, n + m).astype(str)),
        "category": name[where],
        "kind": np.where(np.char.endswith(name[where], "net"), "net", "pos"),
        "amt": np.round(np.maximum(1, np.concatenate([amount, bad_amount])) * unit, 2),
        "is_fraud": np.concatenate([np.zeros(n, np.int64), np.ones(m, np.int64)]),
    }, "trans_time")  # fmt: skip


def _wallets(rng: np.random.Generator, size: float) -> Columns:
    """Mobile money for a month: nearly every sender is seen once; thieves transfer all there is, then cash it out."""
    n = int(250_000 * size)
    hours = 30 * 24
    weight = np.tile(np.array([1] * 7 + [8] * 13 + [4] * 4), 30)
    step = rng.choice(hours, n, p=weight / weight.sum())
    kind = rng.choice(
        np.array(["CASH_OUT", "PAYMENT", "CASH_IN", "TRANSFER", "DEBIT"]), n, p=[0.35, 0.34, 0.22, 0.084, 0.006]
    )
    level = {
        "CASH_OUT": (11.8, 0.9),
        "PAYMENT": (9.1, 0.9),
        "CASH_IN": (11.7, 0.9),
        "TRANSFER": (12.9, 1.3),
        "DEBIT": (8.0, 1.2),
    }
    amount = np.zeros(n)
    for name, (mean, spread) in level.items():
        of = kind == name
        amount[of] = rng.lognormal(mean, spread, int(of.sum()))
    dest = np.where(
        kind == "PAYMENT", np.char.add("M", rng.integers(0, 8_000, n).astype(str)),
        np.char.add("C", (rng.pareto(1.1, n) * 400).astype(np.int64).clip(0, 60_000).astype(str)),
    )  # fmt: skip
    cases = max(30, int(0.0008 * n))
    at = rng.integers(0, hours - 1, cases)
    loot = np.minimum(rng.lognormal(13.0, 1.6, cases), 1e7)
    mule = np.char.add("C", rng.integers(0, 60_000, cases).astype(str))
    sender = np.char.add("F", np.arange(2 * cases).astype(str))
    return _ordered({
        "step": np.concatenate([step, at, at + rng.integers(0, 2, cases)]),
        "type": np.concatenate([kind, np.full(cases, "TRANSFER"), np.full(cases, "CASH_OUT")]),
        "amount": np.round(np.concatenate([amount, loot, loot]), 2),
        "nameOrig": np.concatenate([np.char.add("N", np.arange(n).astype(str)), sender]),
        "nameDest": np.concatenate([dest, mule, np.char.add("C", rng.integers(0, 60_000, cases).astype(str))]),
        "isFraud": np.concatenate([np.zeros(n, np.int64), np.ones(2 * cases, np.int64)]),
    }, "step")  # fmt: skip


def _shop(rng: np.random.Generator, size: float) -> Columns:
    """An online shop's payments, one in thirty fraud: stolen cards stay for weeks, with ways of their own."""
    cards, days = int(6_000 * size), 150
    pace = rng.pareto(1.3, cards) * 6 + 1
    count = np.minimum(pace, 800).astype(np.int64)
    bad = rng.random(cards) < 0.05
    who = np.repeat(np.arange(cards), count)
    n = len(who)
    first = rng.uniform(0, days * 0.9, cards)
    stay = np.where(bad, rng.uniform(1, 25, cards), rng.uniform(10, 150, cards))
    at = (first[who] + rng.random(n) * np.minimum(stay[who], days - first[who])) * DAY_S
    stolen = bad[who] & (rng.random(n) < 0.75)
    product = np.where(
        stolen, rng.choice(np.array(["W", "C", "R", "H", "S"]), n, p=[0.25, 0.5, 0.05, 0.15, 0.05]),
        rng.choice(np.array(["W", "C", "R", "H", "S"]), n, p=[0.74, 0.11, 0.06, 0.06, 0.03]),
    )  # fmt: skip
    mean = np.select([product == "W", product == "C", product == "R", product == "H"], [4.5, 3.2, 4.9, 4.0], 3.8)
    amount = np.exp(rng.normal(mean + 0.25 * stolen, np.where(stolen, 0.9, 0.7)))
    device = np.where(stolen, rng.zipf(1.6, n) % 400, rng.zipf(1.4, n) % 900).astype(str)
    shown = rng.random(n) < np.where(product == "W", 0.02, 0.7)
    noise = rng.random(n) < 0.004
    return _ordered({
        "TransactionDT": at.astype(np.int64),
        "TransactionAmt": np.round(amount, 2),
        "ProductCD": product,
        "card1": np.char.add("k", who.astype(str)),
        "addr1": np.char.add("a", (who % 90).astype(str)),
        "DeviceInfo": np.where(shown, np.char.add("d", device), ""),
        "isFraud": (stolen | noise).astype(np.int64),
    }, "TransactionDT") | {"TransactionID": np.arange(n)}  # fmt: skip


def _strangers(rng: np.random.Generator, size: float) -> Columns:
    """Applications: nobody comes twice, so all there is to see is the event itself."""
    n, days = int(150_000 * size), 240
    limit = rng.choice(np.array([200, 500, 1000, 1500, 2000]), n, p=[0.48, 0.17, 0.12, 0.17, 0.06])
    system = rng.choice(
        np.array(["linux", "windows", "macintosh", "x11", "other"]), n, p=[0.33, 0.26, 0.05, 0.01, 0.35]
    )
    source = np.where(rng.random(n) < 0.99, "INTERNET", "TELEAPP")
    margin = (
        -5.6 + 1.0 * (limit >= 1500) + 0.4 * (limit == 2000) + 1.1 * (system == "windows") - 0.4 * (system == "linux")
    )
    fraud = rng.random(n) < 1 / (1 + np.exp(-margin - 0.8 * (system == "windows") * (limit >= 1500)))
    return _ordered({
        "day": np.sort(rng.integers(0, days, n)), "limit": limit, "device_os": system, "source": source,
        "application": np.char.add("x", np.arange(n).astype(str)), "fraud_bool": fraud.astype(np.int64),
    }, "day")  # fmt: skip


def _two_days(rng: np.random.Generator, size: float) -> Columns:
    """Two days of payments of which only time and amount are told: small test payments, and large ones at night."""
    n = int(120_000 * size)
    at = np.concatenate([_hours(rng, n // 2, 0.12), DAY_S + _hours(rng, n - n // 2, 0.12)])
    amount = rng.lognormal(3.1, 1.6, n)
    m = int(0.0035 * n)
    small = rng.random(m) < 0.5
    bad_at = np.where(rng.random(m) < 0.5, 0, DAY_S) + _hours(rng, m, 0.5)
    bad = np.where(small, rng.choice([0.76, 1.0, 99.99], m), rng.lognormal(5.5, 1, m))
    return _ordered({
        "Time": np.concatenate([at, bad_at]).astype(np.int64),
        "Amount": np.round(np.concatenate([amount, bad]), 2),
        "Class": np.concatenate([np.zeros(n, np.int64), np.ones(m, np.int64)]),
    }, "Time")  # fmt: skip


def _ordered(columns: Columns, by: str) -> Columns:
    order = np.argsort(columns[by], kind="stable")
    return {name: np.asarray(values)[order] for name, values in columns.items()}


WORLDS: dict[str, World] = {
    "cards": World(_cards, _CARDS, "kind of shop, hour and amount together"),
    "cards-rare": World(lambda rng, size: _cards(rng, size, share=0.001), _CARDS, "the same, 0.1 % fraud"),
    "cards-heavy": World(lambda rng, size: _cards(rng, size, share=0.05), _CARDS, "the same, 5 % fraud"),
    "cards-short": World(lambda rng, size: _cards(rng, 1.5 * size, days=28), _CARDS, "the same, four weeks"),
    "cards-large": World(lambda rng, size: _cards(rng, size, unit=15_000.0), _CARDS, "the same, amounts as in rupiah"),
    "cards-small": World(lambda rng, size: _cards(rng, size, unit=0.02), _CARDS, "the same, amounts a fiftieth"),
    "cards-bare": World(_cards, _BARE, "the same, neither shop nor channel told"),
    "wallets": World(_wallets, _WALLETS, "a transfer that empties, then cash; senders seen once"),
    "shop": World(_shop, _SHOP, "stolen cards for weeks, 3 % fraud"),
    "strangers": World(_strangers, _STRANGERS, "nobody comes twice"),
    "two-days": World(_two_days, _TWO_DAYS, "time and amount only, two days"),
}
