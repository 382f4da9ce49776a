"""Berka and UCI: months unrolled, loans followed to their end; sex, age and marriage are never read."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.events import (
    BureauReport,
    Event,
    InstalmentDue,
    LoanGranted,
    Outcome,
    Profile,
    Repayment,
    Statement,
    Transaction,
    decode,
    encode,
)
from streams.sources import SourceError, open_source
from streams.sources.times import parse_time_ms

BERKA: dict[str, str] = {
    "account": "account_id;district_id;frequency;date\n1;18;POPLATEK MESICNE;930101\n2;1;POPLATEK MESICNE;930226\n",
    "client": "client_id;birth_number;district_id\n1;706213;18\n2;450204;5\n",
    "disp": "disp_id;client_id;account_id;type\n1;1;1;OWNER\n2;2;2;OWNER\n",
    "district": "A1;A2;A3\n1;Praha;Prague\n5;Kolin;central\n18;Pisek;south\n",
    "loan": "loan_id;account_id;date;amount;duration;payments;status\n"
    "7;1;930301;2000;2;1000.00;B\n8;2;930405;900;9;100;C\n",
    "order": "order_id;account_id;bank_to;account_to;amount;k_symbol\n"
    "1;1;YZ;55;999.70;UVER\n2;1;AB;77;200.00;LEASING\n",
    "card": "card_id;disp_id;type;issued\n9;1;classic;930201 00:00:00\n",
    "trans": "trans_id;account_id;date;type;operation;amount;balance;k_symbol;bank;account\n"
    "1;1;930101;PRIJEM;VKLAD;900.50;900.50;;;\n"
    "2;1;930201;VYDAJ;VYBER KARTOU;100;800.50; ;;0\n"
    "3;1;930205;VYDAJ;PREVOD NA UCET;200.00;600.50; ;AB;77\n"
    "4;1;930228;PRIJEM;;3.10;603.60;UROK;;\n"
    "5;1;930228;VYDAJ;VYBER;14.60;589.00;SLUZBY;;\n"
    "6;1;930312;VYDAJ;PREVOD NA UCET;999.70;-410.70;UVER;YZ;55\n"
    "7;2;930313;PRIJEM;PREVOD Z UCTU;5000;5000;DUCHOD;QR;66\n",
}


@pytest.fixture
def berka(tmp_path: Path) -> Path:
    for name, text in BERKA.items():
        (tmp_path / f"{name}.asc").write_text(text)
    return tmp_path


def _valid(events: list[Event]) -> list[Event]:
    assert [decode(encode(event)) for event in events] == events
    times = [event.event_time_ms for event in events]
    assert times == sorted(times)
    return events


def _of(events: list[Event], kind: type[Event]) -> list[Any]:
    return [event for event in events if type(event) is kind]


def test_berka_transactions_keep_hellers_balance_and_meaning(berka: Path) -> None:
    source = open_source("berka", berka)
    events = _valid(list(source))
    by_id = {e.event_id: e for e in _of(events, Transaction)}
    assert source.rows == len(by_id) == 7
    first = by_id["bk-1"]
    assert (first.amount_minor, first.balance_minor, first.currency, first.direction) == (
        90_050,
        90_050,
        "CZK",
        "credit",
    )
    assert (first.customer_id, first.type, first.channel, first.district) == ("1", "deposit", "branch", "Pisek")
    assert (by_id["bk-2"].type, by_id["bk-2"].channel, by_id["bk-2"].card_id) == ("cash", "atm", "card-9")
    # Blank in the transaction, known from the standing order to the same payee over the same amount.
    assert (by_id["bk-3"].category, by_id["bk-3"].payee_id) == ("loan_payment", "AB-77")
    assert (by_id["bk-4"].type, by_id["bk-4"].category) == ("deposit", "interest")
    assert (by_id["bk-5"].type, by_id["bk-5"].category) == ("fee", "fee")
    assert (by_id["bk-7"].category, by_id["bk-7"].direction) == ("pension", "credit")
    assert by_id["bk-6"].balance_minor == -41_070


def test_berka_loan_is_followed_from_grant_to_outcome(berka: Path) -> None:
    events = _valid(list(open_source("berka", berka)))
    granted = _of(events, LoanGranted)
    assert [(e.facility_id, e.amount_minor, e.term_months, e.instalment_minor) for e in granted] == [
        ("loan-7", 200_000, 2, 99_970), ("loan-8", 90_000, 9, 10_000),
    ]  # fmt: skip
    # The second instalment of loan 7 and all of loan 8 lie beyond the transactions: not missed, not listed.
    [due] = _of(events, InstalmentDue)
    assert (due.facility_id, due.amount_minor) == ("loan-7", 99_970)
    assert due.event_time_ms < parse_time_ms("1993-03-12") < due.due_time_ms < parse_time_ms("1993-03-13")
    [repaid] = _of(events, Repayment)
    assert (repaid.facility_id, repaid.amount_minor, repaid.event_time_ms) == (
        "loan-7",
        99_970,
        parse_time_ms("1993-03-12"),
    )
    [outcome] = _of(events, Outcome)
    assert (outcome.outcome, outcome.customer_id, outcome.event_time_ms) == (
        "default",
        "1",
        parse_time_ms("1993-05-01"),
    )


def test_berka_profile_comes_first_and_knows_where_the_owner_lives(berka: Path) -> None:
    events = list(open_source("berka", berka))
    assert type(events[0]) is Profile
    assert [(e.customer_id, e.district) for e in _of(events, Profile)] == [("1", "Pisek"), ("2", "Kolin")]


def test_berka_overlapping_files_give_each_transaction_once(berka: Path) -> None:
    whole = list(open_source("berka", berka))
    head, *rows = BERKA["trans"].splitlines()
    (berka / "trans_1.asc").write_text("\n".join([head, *rows[:5]]) + "\n")
    (berka / "trans_2.asc").write_text("\n".join([head, *rows[3:]]) + "\n")
    (berka / "trans.asc").unlink()
    assert list(open_source("berka", berka)) == whole


def test_berka_birth_number_does_not_matter_and_need_not_be_there(berka: Path) -> None:
    whole = list(open_source("berka", berka))
    (berka / "client.asc").write_text("client_id;district_id\n1;18\n2;5\n")
    assert list(open_source("berka", berka)) == whole


def test_berka_folder_without_loans_is_refused_by_name(berka: Path) -> None:
    (berka / "loan.asc").unlink()
    with pytest.raises(SourceError, match="table loan"):
        list(open_source("berka", berka))


def _clients(**changed: list[Any]) -> dict[str, list[Any]]:
    table: dict[str, list[Any]] = {
        "ID": [1, 2], "LIMIT_BAL": [20_000, 120_000], "SEX": [2, 1], "EDUCATION": [2, 0], "MARRIAGE": [1, 2],
        "AGE": [24, 50], "PAY_0": [2, -1], "default.payment.next.month": [1, 0],
    }  # fmt: skip
    for n in range(1, 7):
        table[f"BILL_AMT{n}"] = [1_000 * n, -10]
        table[f"PAY_AMT{n}"] = [0, 100 + n]
        if n > 1:
            table[f"PAY_{n}"] = [0, -2]
    return {**table, **changed}


def _uci(tmp_path: Path, table: dict[str, list[Any]]) -> Path:
    pq.write_table(pa.table(table), tmp_path / "uci.parquet")
    return tmp_path / "uci.parquet"


def test_uci_client_becomes_six_months_and_an_outcome(tmp_path: Path) -> None:
    source = open_source("uci-default", _uci(tmp_path, _clients()))
    events = _valid(list(source))
    assert source.rows == 2
    statements = [e for e in _of(events, Statement) if e.customer_id == "1"]
    # April first: BILL_AMT6.
    assert [e.balance_minor for e in statements] == [600_000, 500_000, 400_000, 300_000, 200_000, 100_000]
    assert (statements[0].limit_minor, statements[0].currency, statements[0].minimum_due_minor) == (
        2_000_000,
        "TWD",
        18_000,
    )
    assert datetime.fromtimestamp(statements[0].due_time_ms / 1_000).month == 5  # noqa: DTZ006
    assert [e.amount_minor for e in _of(events, Repayment)] == [10_600, 10_500, 10_400, 10_300, 10_200, 10_100]
    late = [e.days_past_due_max for e in _of(events, BureauReport) if e.customer_id == "1"]
    assert late == [0, 0, 0, 0, 0, 60]
    assert [(e.customer_id, e.outcome) for e in _of(events, Outcome)] == [("1", "default"), ("2", "paid_in_full")]
    assert {e.event_time_ms for e in _of(events, Outcome)} == {parse_time_ms("2005-10-31")}


def test_uci_sex_age_and_marriage_do_not_matter_and_need_not_be_there(tmp_path: Path) -> None:
    whole = list(open_source("uci-default", _uci(tmp_path, _clients())))
    without = {name: v for name, v in _clients().items() if name not in ("SEX", "AGE", "MARRIAGE")}
    assert list(open_source("uci-default", _uci(tmp_path, without))) == whole


def test_uci_client_with_a_gap_is_rejected_whole(tmp_path: Path) -> None:
    source = open_source("uci-default", _uci(tmp_path, _clients(BILL_AMT3=[None, 5])))
    assert {e.customer_id for e in source} == {"2"}
    assert (source.rows, source.rejected) == (2, 1)
