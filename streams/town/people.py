"""Who lives in the town: people and firms, their work, accounts, cards and credit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from streams.town.config import DAY_MS, TownConfig
from streams.town.places import district_name
from streams.town.planted import Case

INDUSTRIES: Final = ("retail", "manufacturing", "hospitality", "health", "construction", "transport", "public", "it")
_EDUCATION: Final = ("basic", "secondary", "vocational", "degree")
DEBIT, CREDIT = 0, 1
_REST_DAYS: Final = 60
# Frauds by others: after a rest, their victim may be in another case.
STRANGERS: Final = ("card_theft", "terminal_compromise", "account_takeover")


@dataclass(slots=True)
class CardLine:
    """A credit card's facility. `style` is how its owner pays: `full`, `part` or `minimum`."""

    facility_id: str
    limit_minor: int
    statement_day: int
    style: str
    used_minor: int = 0
    closed: bool = False


@dataclass(slots=True)
class Loan:
    """A loan with equal instalments, granted on day `granted_day` of the town."""

    facility_id: str
    amount_minor: int
    instalment_minor: int
    term_months: int
    granted_day: int
    due_day: int
    paid_minor: int = 0
    closed: bool = False


@dataclass(slots=True)
class Missed:
    """A due that was not paid: the event that announced it, and what is still owed of it."""

    facility_id: str
    event_id: str
    amount_minor: int


@dataclass(slots=True)
class Person:
    """A customer: a person, or a firm (`firm` true). Money in minor units; `index` counts people, then firms."""

    index: int
    customer_id: str
    firm: bool
    district: str
    occupation: str
    industry: str
    education: str
    employer_id: str | None
    since_ms: int
    income_minor: int
    pay_day: int
    rent_minor: int
    balance_minor: int
    account_id: str
    device_id: str
    cards: list[str]
    line: CardLine | None = None
    loan: Loan | None = None
    # Days after the due date on which an honest but late payer pays; 0 for the punctual.
    late_days: int = 0
    devices: int = 1
    payees: int = 0
    employed: bool = True
    benefit: bool = False
    # From when to when the customer pays nothing; `None`: not at all, and never again.
    stop_ms: int | None = None
    resume_ms: int | None = None
    missed: list[Missed] = field(default_factory=list)
    # The planted case the customer is part of: one at a time, so that the truth stays simple.
    case: Case | None = None
    # How the salary comes: its share of the usual, days after pay day, and whether it goes to another bank.
    salary_share: float = 1.0
    salary_late_days: float = 0.0
    salary_elsewhere: bool = False
    # Standing orders: days after their day, and whether insurance is paid at all.
    rent_late_days: float = 0.0
    insured: bool = True
    # Whether dues are paid in the last hours before they are due.
    last_moment: bool = False

    def free(self, at_ms: int) -> bool:
        """Whether a case may begin with this customer: in none yet, or in a stranger's fraud long ago."""
        if self.case is None:
            return True
        return self.case.typology in STRANGERS and at_ms > self.case.end_ms + _REST_DAYS * DAY_MS

    @property
    def overdraft_minor(self) -> int:
        """How far the current account may go below zero."""
        return self.income_minor // 2

    @property
    def main_card(self) -> int:
        """Place of the card that is used most."""
        return CREDIT if self.line is not None else DEBIT

    def pays(self, at_ms: int) -> bool:
        """Whether the customer pays what is due at `at_ms`."""
        if self.stop_ms is None or at_ms < self.stop_ms:
            return True
        return self.resume_ms is not None and at_ms >= self.resume_ms


def build(config: TownConfig, rng: np.random.Generator) -> list[Person]:
    """Draw people, then firms. Balances start at a third to three monthly incomes."""
    n, firms = config.people, config.firm_count
    u = rng.random((n + firms, 10))
    income = np.exp(rng.normal(np.log(240_000), 0.32, size=n))
    revenue = np.exp(rng.normal(np.log(1_500_000), 0.6, size=firms))
    whole = rng.integers(0, 1 << 30, size=(n + firms, 8)).tolist()
    people: list[Person] = []
    for i in range(n + firms):
        firm = i >= n
        draw, pick = u[i].tolist(), whole[i]
        monthly = round(float(revenue[i - n] if firm else income[i]), -2)
        occupation = "firm" if firm else _occupation(draw[0])
        if occupation == "retired":
            monthly = monthly * 0.75
        works = occupation == "employee"
        employer = f"firm_{pick[0] % firms:05d}" if firms and draw[1] < 0.4 else f"employer_{pick[0] % 200:03d}"
        person = Person(
            index=i,
            customer_id=f"firm_{i - n:05d}" if firm else f"cust_{i:06d}",
            firm=firm,
            district=district_name(pick[1] % config.districts),
            occupation=occupation,
            industry=INDUSTRIES[pick[2] % len(INDUSTRIES)],
            education=_EDUCATION[pick[3] % len(_EDUCATION)],
            employer_id=employer if works else None,
            since_ms=max(0, config.start_ms - (30 + pick[4] % 5_000) * DAY_MS),
            income_minor=int(monthly),
            pay_day=(1, 5, 10, 15, 25, 28)[pick[5] % 6],
            rent_minor=int(monthly * (0.22 + 0.1 * draw[2])),
            balance_minor=int(monthly * (0.35 + 2.5 * draw[3] ** 2)),
            account_id=f"acct_{i:06d}",
            device_id=f"dev_{i:06d}_1",
            cards=[f"card_{2 * i:06d}"],
            employed=works,
            late_days=1 + pick[6] % 6 if draw[4] < 0.08 else 0,
        )
        if not firm and draw[5] < 0.6:
            person.cards.append(f"card_{2 * i + 1:06d}")
            style = "full" if draw[6] < 0.6 else "part" if draw[6] < 0.9 else "minimum"
            limit = int(monthly * (0.8 + 1.7 * draw[7])) // 10_000 * 10_000 + 50_000
            person.line = CardLine(f"cc_{i:06d}", limit, 1 + pick[7] % 28, style)
        if draw[8] < (0.5 if firm else 0.28):
            person.loan = _loan(config, i, monthly, draw[9], pick[7])
        people.append(person)
    return people


def _occupation(draw: float) -> str:
    return "employee" if draw < 0.74 else "retired" if draw < 0.9 else "self_employed"


def _loan(config: TownConfig, index: int, monthly: float, draw: float, pick: int) -> Loan:
    term = (12, 24, 36, 48, 60)[pick % 5]
    amount = int(monthly * (1.5 + 0.08 * term * draw)) // 10_000 * 10_000 + 100_000
    instalment = int(amount * (1 + 0.004 * term) / term)
    # Most loans are there when the town begins, the others come in its first half.
    day = 0 if draw < 0.6 else pick % max(1, config.days // 2)
    return Loan(f"loan_{index:06d}", amount, instalment, term, day, 1 + (pick // 7) % 28)
