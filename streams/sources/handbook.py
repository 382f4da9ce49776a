"""The Fraud-Detection-Handbook's simulated card transactions, with labels that come a week later.

Le Borgne, Siblini, Lebichot and Bontempi, *Reproducible Machine Learning for Credit Card Fraud Detection*.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from features.events import EVENT_TIME_MAX_MS, Event, Outcome, Transaction
from streams.sources.columns import amounts_minor, ids, times_ms
from streams.sources.source import Reject, Request, SourceError
from streams.sources.tables import Batch, read_batches, table_files
from streams.sources.times import DAY_MS

COLUMNS = ("TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT")
LABELS = ("TX_FRAUD", "TX_FRAUD_SCENARIO")
LABEL_DELAY_MS = 7 * DAY_MS
_Row = tuple[str | None, int | None, str | None, str | None, int | None, str | None, str | None]


def read(request: Request) -> Iterator[Event]:
    """Transactions in the order of the files; the outcome of a fraud follows it by the label delay.

    Memory is one batch of rows and the frauds of one label delay.
    """
    delay = LABEL_DELAY_MS if request.label_delay_ms is None else request.label_delay_ms
    since, before, tally = request.since, request.before, request.tally
    # All wait equally long, so first in is first out.
    waiting: deque[Outcome] = deque()
    last = 0
    for path in table_files(request.path):
        for batch in read_batches(path, COLUMNS, LABELS if request.outcomes else (), tally):
            for number, row in enumerate(_rows(batch), batch.first_row):
                tx, at, customer, terminal, amount, fraud, scenario = row
                if at is None or not 0 <= at <= EVENT_TIME_MAX_MS:
                    tally.rows += 1
                    tally.reject(Reject(batch.file, number, "wrong_type", "expected a time in TX_DATETIME, found none"))
                    continue
                if at < last:
                    raise SourceError(
                        f"expected rows in the order of TX_DATETIME, found row {number} of {path} earlier than one "
                        "before it: sort by TX_DATETIME (a folder is read in the order of its file names)"
                    )
                last = at
                while waiting and waiting[0].event_time_ms <= at:
                    outcome = waiting.popleft()
                    if since <= outcome.event_time_ms < before:
                        yield outcome
                if at >= before:
                    return
                wanted = at >= since
                tally.rows += wanted
                if tx is None or customer is None or terminal is None or amount is None or amount < 0:
                    if wanted:
                        tally.reject(Reject(batch.file, number, "wrong_type", _fault(row)))
                    continue
                if wanted:
                    yield Transaction(
                        event_id="hb-" + tx, customer_id=customer, event_time_ms=at, schema_version=1,
                        amount_minor=amount, currency="EUR", direction="debit", channel="pos", type="purchase",
                        terminal_id=terminal, card_id="card-" + customer,
                    )  # fmt: skip
                if fraud == "1" and at + delay >= since:
                    waiting.append(_outcome(tx, customer, at + delay, scenario))
    for outcome in waiting:
        if since <= outcome.event_time_ms < before:
            yield outcome


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
