"""The PKDD'99 financial data set: a Czech bank's accounts, transactions and loans, 1993 to 1998.

The customer is the account. `birth_number` holds age and sex and is never read. `berka_tables.py` reads
the small tables; here the transactions stream past them.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any, Literal

from features.events import Category, Channel, Event, Repayment, Transaction, TransactionType
from streams.sources.berka_tables import Bank, date_column, read_bank, source_files
from streams.sources.columns import amounts_minor, ids
from streams.sources.source import Reject, Request, SourceError, Tally
from streams.sources.tables import read_batches

COLUMNS = ("trans_id", "account_id", "date", "type", "operation", "amount", "balance", "k_symbol", "bank", "account")
EXACT = ("amount_exact", "balance_exact")

_DIRECTIONS: dict[str | None, Literal["debit", "credit"]] = {"PRIJEM": "credit", "VYDAJ": "debit", "VYBER": "debit"}
_OPERATIONS: dict[str | None, tuple[TransactionType, Channel]] = {
    "VKLAD": ("deposit", "branch"),
    "VYBER": ("cash", "branch"),
    "VYBER KARTOU": ("cash", "atm"),
    "PREVOD Z UCTU": ("transfer", "branch"),
    "PREVOD NA UCET": ("transfer", "branch"),
}
# What the bank books by itself has no operation, or is called a withdrawal though nobody came.
_BOOKED: dict[str | None, TransactionType] = {"UROK": "deposit", "SLUZBY": "fee", "SANKC. UROK": "fee"}
_CATEGORIES: dict[str | None, Category] = {
    "UROK": "interest", "SANKC. UROK": "penalty_interest", "SLUZBY": "fee", "SIPO": "household",
    "POJISTNE": "insurance", "UVER": "loan_payment", "LEASING": "loan_payment", "DUCHOD": "pension",
}  # fmt: skip
_Row = tuple[Any, ...]


def read(request: Request) -> Iterator[Event]:
    """Profiles, loans, instalments, transactions and outcomes, merged in time order.

    Memory: the small tables, the last date of every account, and one day of transactions.
    """
    bank = read_bank(request)
    # Stable: at the same moment what the bank knows (a profile, a loan) comes before what happens on the account.
    merged = heapq.merge(bank.events(request), _transactions(bank, request), key=lambda event: event.event_time_ms)
    for event in merged:
        if event.event_time_ms >= request.before:
            return
        if event.event_time_ms >= request.since:
            yield event


def _transactions(bank: Bank, request: Request) -> Iterator[Event]:
    files = source_files(request.path, "trans")
    rows = heapq.merge(*(_rows(path, request.tally) for path in files), key=lambda row: row[0])
    day, seen = -1, set[str]()
    for row in rows:
        at, trans = row[0], row[1]
        if at != day:
            day, seen = at, set()
        if trans in seen:
            # Files may overlap; a transaction is one however often it is listed.
            continue
        seen.add(trans)
        if request.since <= at < request.before:
            request.tally.rows += 1
        yield from _events(bank, row)


def _rows(path: Any, tally: Tally) -> Iterator[_Row]:
    last = 0
    for batch in read_batches(path, COLUMNS, EXACT, tally):
        columns = batch.columns
        amounts, balances = (_exact(columns, name) for name in ("amount", "balance"))
        texts = [
            ids(columns[name])
            for name in ("trans_id", "account_id", "type", "operation", "k_symbol", "bank", "account")
        ]
        values = zip(date_column(columns["date"]), *texts, amounts, balances, strict=True)
        for number, row in zip(batch.numbers, values, strict=True):
            at, trans, account, kind, amount = row[0], row[1], row[2], row[3], row[8]
            if (
                at is None
                or trans is None
                or account is None
                or kind not in _DIRECTIONS
                or amount is None
                or amount < 0
            ):
                tally.rows += 1
                tally.reject(
                    Reject(
                        path.name, number, "wrong_type", "expected date, ids, amount and a type of PRIJEM, VYDAJ, VYBER"
                    )
                )
                continue
            if at < last:
                raise SourceError(
                    f"expected rows in the order of date, found row {number} of {path} earlier than one before it: "
                    "sort it by date"
                )
            last = at
            yield row


def _exact(columns: dict[str, Any], name: str) -> list[int | None]:
    rounded = amounts_minor(columns[name])
    if f"{name}_exact" not in columns:
        return rounded
    exact = amounts_minor(columns[f"{name}_exact"])
    return [whole if cents is None else cents for cents, whole in zip(exact, rounded, strict=True)]


def _events(bank: Bank, row: _Row) -> Iterator[Event]:
    at, trans, account, kind, operation, symbol, partner_bank, partner, amount, balance = row
    partner = None if partner in (None, "0", "0.0") else partner.removesuffix(".0")
    payee = f"{partner_bank or ''}-{partner}" if partner else None
    direction = _DIRECTIONS[kind]
    if symbol is None and payee and direction == "debit":
        # A standing order says what its payments are for, where the payment itself does not.
        symbol = bank.orders.get((account, payee, amount))
    how, channel = _OPERATIONS.get(operation, ("deposit" if direction == "credit" else "fee", "branch"))
    optional: dict[str, Any] = {}
    if symbol in _CATEGORIES:
        optional["category"] = _CATEGORIES[symbol]
    if payee and direction == "debit":
        optional["payee_id"] = payee
    if balance is not None:
        optional["balance_minor"] = balance
    if operation == "VYBER KARTOU" and (card := bank.card_at(account, at)):
        optional["card_id"] = card
    if account in bank.district_of:
        optional["district"] = bank.district_of[account]
    yield Transaction(
        event_id=f"bk-{trans}", customer_id=account, event_time_ms=at, schema_version=1, amount_minor=amount,
        currency="CZK", direction=direction, channel=channel, type=_BOOKED.get(symbol, how), account_id=account,
        country="CZ", **optional,
    )  # fmt: skip
    loan = bank.loan_of.get(account)
    if symbol == "UVER" and loan is not None and loan.granted_ms <= at:
        yield Repayment(
            event_id=f"bk-{trans}-repayment", customer_id=account, event_time_ms=at, schema_version=1,
            facility_id=loan.facility_id, amount_minor=amount, currency="CZK",
        )  # fmt: skip
