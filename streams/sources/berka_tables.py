"""The small tables of the PKDD'99 data set: accounts, clients, districts, loans, standing orders, cards."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.events import Event, InstalmentDue, LoanGranted, Outcome, OutcomeType, Profile
from streams.sources.columns import amounts_minor, ids, times_ms
from streams.sources.source import Reject, Request, SourceError, Tally
from streams.sources.tables import is_table, read_batches, read_table
from streams.sources.times import DAY_MS, parse_time_ms, to_ms

# Instalments are paid on the twelfth in this data; announced ten days before, due when that day is over.
INSTALMENT_DAY = 12
ANNOUNCED_MS = 10 * DAY_MS
# The data end here; a loan then "running, client in debt" is taken to have defaulted on that day.
END_MS = parse_time_ms("1998-12-31")


@dataclass(frozen=True, slots=True)
class Loan:
    """One loan; `instalment_minor` is what the standing order pays where there is one."""

    facility_id: str
    account: str
    granted_ms: int
    amount_minor: int
    months: int
    instalment_minor: int
    status: str


@dataclass(frozen=True, slots=True)
class Bank:
    """What is known beside the transactions; keys are account ids."""

    opened_ms: dict[str, int]
    district_of: dict[str, str]
    loan_of: dict[str, Loan]
    orders: dict[tuple[str, str, int], str]
    cards: dict[str, list[tuple[int, str]]]
    last_seen_ms: dict[str, int]

    def card_at(self, account: str, at_ms: int) -> str | None:
        """The card last issued to the account by `at_ms`."""
        issued = [card for since, card in self.cards.get(account, ()) if since <= at_ms]
        return issued[-1] if issued else None

    def events(self, request: Request) -> Iterator[Event]:
        """Profiles, loans, instalments and outcomes in time order."""
        streams = [self._profiles(), self._granted(), self._instalments()]
        if request.outcomes:
            streams.append(self._outcomes(request.label_delay_ms or 0))
        return heapq.merge(*streams, key=lambda event: event.event_time_ms)

    def _profiles(self) -> Iterator[Event]:
        for account, opened in sorted(self.opened_ms.items(), key=lambda item: (item[1], int(item[0]))):
            district = {"district": self.district_of[account]} if account in self.district_of else {}
            yield Profile(
                event_id=f"bk-{account}-profile", customer_id=account, event_time_ms=opened, schema_version=1,
                customer_type="individual", customer_since_ms=opened, country="CZ", **district,
            )  # fmt: skip

    def _granted(self) -> Iterator[Event]:
        for loan in sorted(self.loan_of.values(), key=lambda loan: (loan.granted_ms, loan.facility_id)):
            yield LoanGranted(
                event_id=f"bk-{loan.facility_id}-granted", customer_id=loan.account, event_time_ms=loan.granted_ms,
                schema_version=1, facility_id=loan.facility_id, amount_minor=loan.amount_minor, currency="CZK",
                instalment_minor=loan.instalment_minor, term_months=loan.months, product="personal_loan",
            )  # fmt: skip

    def _instalments(self) -> Iterator[Event]:
        # Only as far as the account's transactions reach: beyond, a payment not seen was not missed, just not listed.
        due = (
            InstalmentDue(
                event_id=f"bk-{loan.facility_id}-due-{number}", customer_id=loan.account, schema_version=1,
                event_time_ms=max(loan.granted_ms, day - ANNOUNCED_MS), facility_id=loan.facility_id,
                amount_minor=loan.instalment_minor, due_time_ms=day + DAY_MS - 1, currency="CZK",
            )
            for loan in self.loan_of.values()
            for number, day in enumerate(_instalment_days(loan), 1)
            if day <= self.last_seen_ms.get(loan.account, -1)
        )  # fmt: skip
        yield from sorted(due, key=lambda event: (event.event_time_ms, event.event_id))

    def _outcomes(self, delay_ms: int) -> Iterator[Event]:
        known = []
        for loan in self.loan_of.values():
            ends = _add_months(loan.granted_ms, loan.months)
            outcomes: dict[str, tuple[OutcomeType, int]] = {
                "A": ("paid_in_full", ends), "B": ("default", ends), "D": ("default", END_MS),
            }  # fmt: skip
            if loan.status in outcomes:
                outcome, at = outcomes[loan.status]
                known.append(
                    Outcome(
                        event_id=f"bk-{loan.facility_id}-outcome",
                        customer_id=loan.account,
                        event_time_ms=at + delay_ms,
                        schema_version=1,
                        outcome=outcome,
                        facility_id=loan.facility_id,
                    )
                )
        yield from sorted(known, key=lambda event: (event.event_time_ms, event.event_id))


def loan_ends(folder: Path) -> dict[str, bool]:
    """For each loan whether it went bad: B and D did, A and C did not; other statuses are left out."""
    request = Request(folder, None, None, None, None, True, Tally())
    bad = {"A": False, "C": False, "B": True, "D": True}
    loans = _loans(folder, {}, request).values()
    return {loan.facility_id: bad[loan.status] for loan in loans if loan.status in bad}


def source_files(folder: Path, name: str) -> list[Path]:
    """Tables of a folder called `name` (`trans.asc`, `trans_1993.parquet`), in the order of their names."""
    if not folder.is_dir():
        raise SourceError(f"expected the folder that holds trans, account, loan, ..., found the file {folder}")
    files = sorted(p for p in folder.iterdir() if is_table(p) and p.name.split(".")[0].split("_")[0].lower() == name)
    if not files:
        raise SourceError(f"expected a table {name} (.parquet, .asc or .csv) in {folder}, found none")
    return files


def date_column(column: Any) -> list[int | None]:
    """Dates: timestamps, ISO text, or the original's YYMMDD, with or without a time after it."""
    return times_ms(column, _date)


def read_bank(request: Request) -> Bank:
    """Read the small tables, and the last date of each account from the transactions."""
    folder, tally = request.path, request.tally
    account = _table(folder, "account", ("account_id", "district_id", "date"), tally)
    districts = _names_of_districts(folder, tally)
    opened = dict(_pairs(ids(account["account_id"]), date_column(account["date"])))
    place = dict(_pairs(ids(account["account_id"]), ids(account["district_id"])))
    place |= _owners_districts(folder, tally)
    orders, loan_orders = _orders(folder, tally)
    return Bank(
        opened_ms=opened,
        district_of={key: districts[value] for key, value in place.items() if value in districts},
        loan_of=_loans(folder, loan_orders, request),
        orders=orders,
        cards=_cards(folder, tally),
        last_seen_ms=_last_seen(folder, Tally()),
    )


def _table(folder: Path, name: str, columns: tuple[str, ...], tally: Tally) -> dict[str, Any]:
    return read_table(source_files(folder, name)[0], columns, (), tally)


def _pairs(keys: list[Any], values: list[Any]) -> Iterator[tuple[Any, Any]]:
    return ((key, value) for key, value in zip(keys, values, strict=True) if key is not None and value is not None)


def _names_of_districts(folder: Path, tally: Tally) -> dict[str, str]:
    table = _table(folder, "district", ("A1", "A2"), tally)
    return dict(_pairs(ids(table["A1"]), ids(table["A2"])))


def _owners_districts(folder: Path, tally: Tally) -> dict[str, str]:
    # Where the owner lives, which may differ from the branch. `birth_number` stays unread.
    client = _table(folder, "client", ("client_id", "district_id"), tally)
    home = dict(_pairs(ids(client["client_id"]), ids(client["district_id"])))
    disp = _table(folder, "disp", ("account_id", "client_id", "type"), tally)
    rows = zip(ids(disp["account_id"]), ids(disp["client_id"]), ids(disp["type"]), strict=True)
    return {account: home[client] for account, client, kind in rows if account and kind == "OWNER" and client in home}


def _orders(folder: Path, tally: Tally) -> tuple[dict[tuple[str, str, int], str], dict[str, int]]:
    table = _table(folder, "order", ("account_id", "bank_to", "account_to", "amount", "k_symbol"), tally)
    orders, loans = {}, {}
    columns = (ids(table[name]) for name in ("account_id", "bank_to", "account_to", "k_symbol"))
    for account, bank, to, symbol, amount in zip(*columns, amounts_minor(table["amount"]), strict=True):
        if account and to and symbol and amount is not None:
            orders[account, f"{bank or ''}-{to}", amount] = symbol
            if symbol == "UVER":
                loans[account] = amount
    return orders, loans


def _loans(folder: Path, loan_orders: dict[str, int], request: Request) -> dict[str, Loan]:
    path = source_files(folder, "loan")[0]
    table = read_table(
        path, ("loan_id", "account_id", "date", "amount", "duration", "payments", "status"), (), request.tally
    )
    texts = (ids(table[name]) for name in ("loan_id", "account_id", "duration", "status"))
    numbers = (amounts_minor(table[name]) for name in ("amount", "payments"))
    loans: dict[str, Loan] = {}
    for number, row in enumerate(zip(*texts, date_column(table["date"]), *numbers, strict=True), 1):
        loan, account, months, status, granted, amount, payment = row
        if None in row or not months.isdigit() or not 1 <= int(months) <= 600:
            request.tally.rows += 1
            request.tally.reject(
                Reject(path.name, number, "wrong_type", "expected every column of the loan, found a gap")
            )
            continue
        instalment = loan_orders.get(account, payment)
        loans[account] = Loan(f"loan-{loan}", account, granted, amount, int(months), instalment, status)
    return loans


def _cards(folder: Path, tally: Tally) -> dict[str, list[tuple[int, str]]]:
    disp = _table(folder, "disp", ("disp_id", "account_id"), tally)
    account_of = dict(_pairs(ids(disp["disp_id"]), ids(disp["account_id"])))
    card = _table(folder, "card", ("card_id", "disp_id", "issued"), tally)
    cards: dict[str, list[tuple[int, str]]] = {}
    for name, owner, issued in zip(
        ids(card["card_id"]), ids(card["disp_id"]), date_column(card["issued"]), strict=True
    ):
        if name and owner in account_of and issued is not None:
            cards.setdefault(account_of[owner], []).append((issued, f"card-{name}"))
    return {account: sorted(issued) for account, issued in cards.items()}


def _last_seen(folder: Path, uncounted: Tally) -> dict[str, int]:
    last: dict[str, int] = {}
    for path in source_files(folder, "trans"):
        for batch in read_batches(path, ("account_id", "date"), (), uncounted):
            for account, at in _pairs(ids(batch.columns["account_id"]), date_column(batch.columns["date"])):
                last[account] = max(at, last.get(account, at))
    return last


def _instalment_days(loan: Loan) -> Iterator[int]:
    granted = datetime.fromtimestamp(loan.granted_ms // 1_000, UTC)
    first = granted.year * 12 + granted.month - 1 + (granted.day >= INSTALMENT_DAY)
    for month in range(first, first + loan.months):
        yield to_ms(datetime(month // 12, month % 12 + 1, INSTALMENT_DAY, tzinfo=UTC))


def _add_months(at_ms: int, months: int) -> int:
    moment = datetime.fromtimestamp(at_ms // 1_000, UTC)
    month = moment.year * 12 + moment.month - 1 + months
    # The 28th exists in every month; a loan granted on the 31st ends a few days early rather than not at all.
    return to_ms(datetime(month // 12, month % 12 + 1, min(moment.day, 28), tzinfo=UTC))


def _date(value: Any) -> int | None:
    text = str(value).split(" ")[0]
    try:
        if len(text) == 6 and text.isdigit():
            return to_ms(datetime(1900 + int(text[:2]), int(text[2:4]), int(text[4:]), tzinfo=UTC))
        return parse_time_ms(text)
    except ValueError:
        return None
