"""Default of credit card clients (Taiwan 2005, Yeh and Lien): one row a client, unrolled into six months.

SEX, MARRIAGE and AGE are never read: they must not be inputs of a credit decision.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from features.events import BureauReport, Event, Outcome, OutcomeType, Profile, Repayment, Statement
from streams.sources.columns import amounts_minor, ids
from streams.sources.source import Reject, Request, SourceError
from streams.sources.tables import column_names, read_table, table_files
from streams.sources.times import parse_time_ms

# Month, and what the columns of that month end with: PAY_0 is September, though BILL_AMT1 is too.
MONTHS = (("04", "6", "6"), ("05", "5", "5"), ("06", "4", "4"), ("07", "3", "3"), ("08", "2", "2"), ("09", "1", "0"))
LABELS = ("default.payment.next.month", "default payment next month")
EDUCATION = {"1": "graduate_school", "2": "university", "3": "high_school"}
# Not in the data. Clients who kept revolving (PAY 0) paid 3 % of the bill before, or a little more.
MINIMUM_RATIO = 0.03
DAYS_PER_MONTH_LATE = 30
# Days of the month, not in the data either: paid before it is due, then looked at, then billed anew.
REPAID, DUE, REPORTED, BILLED = "12", "15", "20", "25"
_Columns = dict[str, Any]


def read(request: Request) -> Iterator[Event]:
    """Six times repayment, status and statement of every client, then the outcome at the end of October 2005.

    The file's columns are held in memory, about 200 bytes a client.
    """
    files = table_files(request.path)
    if len(files) != 1:
        raise SourceError(f"expected one table of clients, found {len(files)} in {request.path}: name the file")
    present = column_names(files[0])
    label = next((name for name in LABELS if name in present), LABELS[0] if request.outcomes else "")
    needed = ["ID", "LIMIT_BAL", *filter(None, (label,))]
    needed += [name for _, n, pay in MONTHS for name in (f"PAY_{pay}", f"BILL_AMT{n}", f"PAY_AMT{n}")]
    table = read_table(files[0], needed, ("EDUCATION",), request.tally)
    clients = _clients(table, label, files[0].name, request)
    for event in _events(clients, label, request):
        if request.since <= event.event_time_ms < request.before:
            yield event


def has_labels(path: Path) -> bool:
    """Whether the file says who defaulted."""
    return any(name in column_names(table_files(path)[0]) for name in LABELS)


def _clients(table: _Columns, label: str, file: str, request: Request) -> _Columns:
    # Plain lists; a client with any gap is left out whole, as half a history would look like good conduct.
    lists: _Columns = {
        name: amounts_minor(column) if "AMT" in name or name == "LIMIT_BAL" else ids(column)
        for name, column in table.items()
    }
    if "EDUCATION" not in lists:
        lists["EDUCATION"] = ["0"] * len(lists["ID"])
    required = [values for name, values in lists.items() if name != "EDUCATION"]
    good = []
    for place in range(len(lists["ID"])):
        request.tally.rows += 1
        fault = None
        if any(values[place] is None for values in required) or lists["LIMIT_BAL"][place] < 0:
            fault = "expected a number in every column of the client, found a gap or a negative limit"
        elif label and lists[label][place] not in ("0", "1"):
            fault = f"expected 0 or 1 in {label}, found {lists[label][place]!r}"
        elif not all(_is_status(lists[f"PAY_{pay}"][place]) for _, _, pay in MONTHS):
            fault = "expected a status of -2 to 12 in every PAY_ column"
        if fault:
            request.tally.reject(Reject(file, place + 1, "wrong_type", fault))
        else:
            good.append(place)
    if len(good) == len(lists["ID"]):
        return lists
    return {name: [values[place] for place in good] for name, values in lists.items()}


def _is_status(text: str) -> bool:
    return text.lstrip("-").isdigit() and -2 <= int(text) <= 12


def _events(clients: _Columns, label: str, request: Request) -> Iterator[Event]:
    names: list[str] = clients["ID"]
    opened = _day("04", "01")
    for client, education in zip(names, clients["EDUCATION"], strict=True):
        band: dict[str, Any] = {"education_band": EDUCATION[education]} if education in EDUCATION else {}
        yield Profile(
            event_id=f"uci-{client}-profile", customer_id=client, event_time_ms=opened, schema_version=1,
            customer_type="individual", country="TW", **band,
        )  # fmt: skip
    for month, n, pay in MONTHS:
        yield from _month(clients, month, n, pay)
    if not request.outcomes:
        return
    known = _day("10", "31") + (request.label_delay_ms or 0)
    for client, defaulted in zip(names, clients[label], strict=True):
        outcome: OutcomeType = "default" if defaulted == "1" else "paid_in_full"
        yield Outcome(
            event_id=f"uci-{client}-outcome", customer_id=client, event_time_ms=known, schema_version=1,
            outcome=outcome, facility_id=f"cc-{client}",
        )  # fmt: skip


def _month(clients: _Columns, month: str, n: str, pay: str) -> Iterator[Event]:
    names: list[str] = clients["ID"]
    at = _day(month, REPAID)
    for client, amount in zip(names, clients[f"PAY_AMT{n}"], strict=True):
        if amount > 0:
            yield Repayment(
                event_id=f"uci-{client}-{month}-repayment", customer_id=client, event_time_ms=at, schema_version=1,
                facility_id=f"cc-{client}", amount_minor=amount, currency="TWD",
            )  # fmt: skip
    at = _day(month, REPORTED)
    for client, status in zip(names, clients[f"PAY_{pay}"], strict=True):
        yield BureauReport(
            event_id=f"uci-{client}-{month}-status", customer_id=client, event_time_ms=at, schema_version=1,
            days_past_due_max=max(0, int(status)) * DAYS_PER_MONTH_LATE, bureau="issuer",
        )  # fmt: skip
    at, due = _day(month, BILLED), _day(f"{int(month) + 1:02d}", DUE)
    for client, bill, limit in zip(names, clients[f"BILL_AMT{n}"], clients["LIMIT_BAL"], strict=True):
        yield Statement(
            event_id=f"uci-{client}-{month}-statement", customer_id=client, event_time_ms=at, schema_version=1,
            facility_id=f"cc-{client}", balance_minor=bill, minimum_due_minor=round(max(0, bill) * MINIMUM_RATIO),
            due_time_ms=due, limit_minor=limit, currency="TWD",
        )  # fmt: skip


def _day(month: str, day: str) -> int:
    return parse_time_ms(f"2005-{month}-{day}")
