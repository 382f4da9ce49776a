"""The Fraud-Detection-Handbook's simulated card transactions, with labels that come a week later.

Le Borgne, Siblini, Lebichot and Bontempi, *Reproducible Machine Learning for Credit Card Fraud Detection*.
"""

from __future__ import annotations

from collections.abc import Iterator

from features.events import EVENT_TIME_MAX_MS, Event, Outcome, Transaction
from streams.sources.columns import amounts_minor, ids, times_ms
from streams.sources.labels import events_in_range
from streams.sources.ordering import in_time_order
from streams.sources.source import Labelled, Reject, Request, SourceError
from streams.sources.tables import Batch, column_names, read_batches, table_files
from streams.sources.times import DAY_MS

COLUMNS = ("TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT")
LABELS = ("TX_FRAUD", "TX_FRAUD_SCENARIO")
LABEL_DELAY_MS = 7 * DAY_MS
ID_COLUMN = COLUMNS[0]
_Row = tuple[str | None, int | None, str | None, str | None, int | None, str | None, str | None]


def read(request: Request) -> Iterator[Event]:
    """Transactions in the order of the files; the outcome of a fraud follows it by the label delay.

    Memory is one batch of rows and the frauds of one label delay.
    """
    return events_in_range(rows(request), request)


def has_labels(request: Request) -> bool:
    """Whether the files say which transactions were frauds."""
    return all(LABELS[0] in column_names(path) for path in table_files(request.path))


def rows(request: Request) -> Iterator[Labelled]:
    """Transactions before the end of the range, each with the outcome of a fraud; rows before the range too."""
    delay = LABEL_DELAY_MS if request.label_delay_ms is None else request.label_delay_ms
    tally, before = request.tally, request.before
    last = 0
    for batch in _batches(request):
        for number, row in zip(batch.numbers, _rows(batch), strict=True):
            tx, at, customer, terminal, amount, fraud, scenario = row
            if at is None or not 0 <= at <= EVENT_TIME_MAX_MS:
                tally.rows += 1
                tally.reject(Reject(batch.file, number, "wrong_type", "expected a time in TX_DATETIME, found none"))
                continue
            if at < last:
                raise SourceError(
                    f"expected rows in the order of TX_DATETIME, found row {number} of {batch.file} earlier than one "
                    "before it: sort by TX_DATETIME (a folder is read in the order of its file names)"
                )
            last = at
            if at >= before:
                return
            if tx is None or customer is None or terminal is None or amount is None or amount < 0:
                if request.wants(at):
                    tally.rows += 1
                    tally.reject(Reject(batch.file, number, "wrong_type", _fault(row)))
                continue
            outcome = _outcome(tx, customer, at + delay, scenario) if fraud == "1" else None
            event = Transaction(
                event_id="hb-" + tx, customer_id=customer, event_time_ms=at, schema_version=1,
                amount_minor=amount, currency="EUR", direction="debit", channel="pos", type="purchase",
                terminal_id=terminal, card_id="card-" + customer,
            )  # fmt: skip
            yield Labelled(event, outcome, tx)


def _batches(request: Request) -> Iterator[Batch]:
    files, labels = table_files(request.path), LABELS if request.outcomes else ()
    if request.sort:
        yield from in_time_order(files, COLUMNS, labels, request.tally, COLUMNS[1:2], _times)
        return
    for path in files:
        yield from read_batches(path, COLUMNS, labels, request.tally)


def _times(batch: Batch) -> list[int | None]:
    return times_ms(batch.columns["TX_DATETIME"])


def _rows(batch: Batch) -> Iterator[_Row]:
    columns = batch.columns
    nothing: list[str | None] = [None] * batch.rows
    return zip(
        ids(columns["TRANSACTION_ID"]),
        times_ms(columns["TX_DATETIME"]),
        ids(columns["CUSTOMER_ID"]),
        ids(columns["TERMINAL_ID"]),
        amounts_minor(columns["TX_AMOUNT"]),
        ids(columns["TX_FRAUD"]) if "TX_FRAUD" in columns else nothing,
        ids(columns["TX_FRAUD_SCENARIO"]) if "TX_FRAUD_SCENARIO" in columns else nothing,
        strict=True,
    )


def _outcome(tx: str, customer: str, known_ms: int, scenario: str | None) -> Outcome:
    event = {"typology": f"scenario_{scenario}"} if scenario not in (None, "0") else {}
    return Outcome(
        event_id=f"hb-{tx}-outcome", customer_id=customer, event_time_ms=known_ms, schema_version=1,
        outcome="fraud_confirmed", about_event_id="hb-" + tx, card_id="card-" + customer, **event,
    )  # fmt: skip


def _fault(row: _Row) -> str:
    if row[4] is None or row[4] < 0:
        return "expected an amount of zero or more in TX_AMOUNT, found none or a negative one"
    return "expected TRANSACTION_ID, CUSTOMER_ID and TERMINAL_ID, found one of them empty"
