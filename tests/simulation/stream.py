"""A small seeded stream of events for the simulated world, with everything that happens to streams in it.

A few customers a partition: spending, credit with timers, outcomes; duplicates, late, bad and control records.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import msgspec

from features.events import (
    ActionResult,
    DeviceChange,
    Event,
    Income,
    InstalmentDue,
    LoanGranted,
    Login,
    Outcome,
    PayeeAdded,
    Repayment,
    Switch,
    Tick,
    Transaction,
    encode,
)
from tests.simulation.versions import POLICIES

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
_BAD = (
    b"{", b"", b"[]", b"\xff", b'{"kind":"wire","schema_version":1}',
    b'{"kind":"login","schema_version":1,"event_id":"x","customer_id":"nobody","event_time_ms":1,'
    b'"channel":"mobile","result":"ok"}',
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Input:
    """One record to come: at which virtual second, where, what."""

    at_s: float
    partition: int
    key: bytes | None
    value: bytes


def draw(
    rng: random.Random, partitions: int, count: int, bursts_s: list[float], begin_ms: int, live: bool
) -> list[Input]:
    """Some inputs, by time.

    Parameters
    ----------
    rng
        Everything follows from it.
    partitions, count, bursts_s
        Input partitions; about how many records; virtual seconds after which most of them come.
    begin_ms
        Wall clock at virtual second 0.
    live
        Whether event time is the wall clock's; else it runs through the forty days before.
    """
    customers = [f"c-{number}" for number in range(partitions * rng.randint(1, 4))]
    spread_s = rng.choice((0.05, 0.5, 5.0))
    times = sorted(rng.choice(bursts_s) + min(rng.expovariate(1 / spread_s), 4 * spread_s) for _ in range(count))
    seconds = times[-1]
    inputs: list[Input] = []
    sent: list[Input] = []
    for number, at_s in enumerate(times):
        share = at_s / seconds
        at_ms = begin_ms + int(at_s * 1000) if live else begin_ms - 40 * DAY_MS + int(40 * DAY_MS * share)
        place = rng.randrange(len(customers))
        customer, partition = customers[place], place % partitions
        dice = rng.random()
        if dice < 0.06 and sent:
            again = rng.choice(sent[-20:])
            inputs.append(Input(at_s, again.partition, again.key, again.value))
            continue
        if dice < 0.10:
            inputs.append(Input(at_s, partition, customer.encode(), rng.choice(_BAD)))
            continue
        if dice < 0.12:
            inputs.append(Input(at_s, partition, None, encode(_control(rng, number, partition, at_ms))))
            continue
        if dice < 0.17:
            at_ms -= rng.choice((1_000, HOUR_MS, 30 * HOUR_MS))
        elif not live:
            at_ms += rng.randrange(-HOUR_MS, HOUR_MS)
        event = _event(rng, f"e-{number}", customer, at_ms)
        inputs.append(Input(at_s, partition, customer.encode(), encode(event)))
        sent.append(inputs[-1])
    return inputs


def _control(rng: random.Random, number: int, partition: int, at_ms: int) -> Tick | Switch:
    if rng.random() < 0.5:
        return Tick(event_id=f"t-{number}", event_time_ms=at_ms, schema_version=1, partition=partition)
    return Switch(
        event_id=f"s-{number}",
        event_time_ms=at_ms,
        schema_version=1,
        partition=partition,
        model_version=1,
        policy_version=POLICIES[0],
    )


def _event(rng: random.Random, event_id: str, customer: str, at_ms: int) -> Event:
    base: dict[str, Any] = {
        "event_id": event_id,
        "customer_id": customer,
        "event_time_ms": at_ms,
        "schema_version": 1,
    }
    card, loan = f"{customer}-card-{rng.randrange(2)}", f"{customer}-loan"
    dice = rng.random()
    if dice < 0.60:
        transfer = rng.random() < 0.2
        return Transaction(
            **base,
            amount_minor=int(10 ** rng.uniform(2, 6)),
            currency="EUR",
            direction="debit" if rng.random() < 0.9 else "credit",
            channel=rng.choice(("pos", "ecom", "atm", "mobile")),
            type="transfer" if transfer else rng.choice(("purchase", "cash")),
            status="approved" if rng.random() < 0.85 else "declined",
            merchant_id=f"m-{rng.randrange(6)}",
            terminal_id=f"t-{rng.randrange(6)}",
            country=rng.choice(("FR", "FR", "FR", "US", "BR")),
            card_id=card,
            device_id=f"d-{rng.randrange(4)}",
            payee_id=f"p-{rng.randrange(4)}" if transfer else msgspec.UNSET,
        )
    if dice < 0.66:
        return Login(**base, channel="mobile", result=rng.choice(("ok", "failed")), device_id=f"d-{rng.randrange(4)}")
    if dice < 0.69:
        return DeviceChange(**base, device_id=f"d-{rng.randrange(9)}")
    if dice < 0.72:
        return PayeeAdded(**base, payee_id=f"p-{rng.randrange(9)}")
    if dice < 0.78:
        return Income(
            **base,
            amount_minor=200_000,
            currency="EUR",
            source="salary",
            payer_id="firm",
            expected_days=rng.randint(1, 9),
        )
    if dice < 0.82:
        return LoanGranted(
            **base, facility_id=loan, amount_minor=900_000, currency="EUR", instalment_minor=30_000, term_months=36
        )
    if dice < 0.89:
        due_ms = at_ms + rng.choice((-DAY_MS, 0, 10_000, DAY_MS))
        return InstalmentDue(**base, facility_id=loan, amount_minor=30_000, due_time_ms=due_ms)
    if dice < 0.93:
        return Repayment(**base, facility_id=loan, amount_minor=rng.choice((10_000, 30_000, 60_000)))
    if dice < 0.97:
        verdict = rng.choice(("fraud_confirmed", "false_positive", "default", "cured"))
        return Outcome(**base, outcome=verdict, about_event_id="e-1", card_id=card, facility_id=loan)
    return ActionResult(**base, action="freeze_card", result=rng.choice(("applied", "confirmed_genuine")), card_id=card)
