"""A small file of card payments with columns that nobody else would name so, its mapping and its truth."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

DAY_S = 86_400
START_S = 1_700_006_400  # 2023-11-15, midnight UTC
HEADER = 'Trans No., cust ref ,"when, s",value (EUR),till,is bad?,how'
MAPPING = """\
kind = "transaction"
[fields]
event_id      = { column = "Trans No.", prefix = "shop-" }
customer_id   = { column = "cust ref", prefix = "c-" }
event_time_ms = { column = "when, s", format = "s", origin = "2023-11-15" }
amount_minor  = { column = "value (EUR)", strip = "€ ", decimal = "," }
currency      = { constant = "EUR" }
direction     = { constant = "debit" }
channel       = { constant = "pos" }
terminal_id   = "till"
[label]
column   = "is bad?"
typology = "how"
delay    = "5d"
"""
DELAY_S = 5 * DAY_S


@dataclass(slots=True)
class Payment:
    number: int
    customer: int
    at_s: int
    cents: int
    till: str
    bad: bool
    how: str = ""

    def line(self) -> str:
        amount = f'"€ {self.cents // 100},{self.cents % 100:02}"'
        return f"{self.number},{self.customer},{self.at_s},{amount},{self.till},{int(self.bad)},{self.how}"


@dataclass(slots=True)
class Shop:
    """`days` of payments of some customers; from day 6 on till t-0 leaks, and a few customers are robbed."""

    days: int = 24
    customers: int = 30
    seed: int = 1
    payments: list[Payment] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng = random.Random(self.seed)
        usual = [rng.uniform(15, 90) for _ in range(self.customers)]
        seconds = sorted(rng.sample(range(self.days * DAY_S), self.customers * self.days * 2))
        for number, at_s in enumerate(seconds, 1_001):
            customer, till = rng.randrange(self.customers), rng.randrange(10)
            cents = round(100 * usual[customer] * rng.uniform(0.5, 1.6))
            leaks = till == 0 and at_s >= 6 * DAY_S and rng.random() < 0.7
            robbed = customer % 13 == 5 and at_s >= 10 * DAY_S and rng.random() < 0.25
            how = "till" if leaks else "robbery" if robbed else ""
            cents = cents * 6 if robbed else cents
            self.payments.append(Payment(number, customer, at_s, cents, f"t-{till}", bool(how), how))

    def write(self, folder: Path, name: str = "shop.csv", payments: list[Payment] | None = None) -> Path:
        """The table, beside its mapping `shop.toml`."""
        (folder / "shop.toml").write_text(MAPPING, encoding="utf-8")
        lines = [HEADER, *(p.line() for p in (self.payments if payments is None else payments))]
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return folder / name
