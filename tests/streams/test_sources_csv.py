"""The mapping file: wrong ones are refused with what is possible, right ones give checked events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.events import Outcome, Transaction
from streams.sources import Reject, Source, SourceError, open_source
from streams.sources.times import DAY_MS, parse_time_ms

MAPPING = """\
kind = "transaction"
[fields]
event_id      = { column = "id", prefix = "p-" }
customer_id   = "who"
event_time_ms = { column = "hour", format = "hours", origin = "2018-01-01" }
amount_minor  = "amount"
balance_minor = "left"
currency      = { constant = "EUR" }
direction     = { constant = "debit" }
channel       = { column = "type", values = { CASH_OUT = "atm", PAYMENT = "pos" }, default = "online" }
[label]
column = "fraud"
delay  = "1d"
"""
ROWS = """\
id,who,hour,amount,left,type,fraud
1,c-1,0,1.005,10,CASH_OUT,0
2,c-2,1,2.50,,TRANSFER,1
3,c-1,30,3,-4.25,PAYMENT,0
"""
START = parse_time_ms("2018-01-01")


def _open(tmp_path: Path, mapping: str = MAPPING, rows: str = ROWS, **options: Any) -> Source:
    (tmp_path / "m.toml").write_text(mapping)
    (tmp_path / "rows.csv").write_text(rows)
    return open_source("csv", tmp_path / "rows.csv", mapping=tmp_path / "m.toml", **options)


def test_rows_become_events_and_labels_outcomes_in_time_order(tmp_path: Path) -> None:
    first, second, known, third = _open(tmp_path)
    assert first == Transaction(
        event_id="p-1", customer_id="c-1", event_time_ms=START, schema_version=1, amount_minor=100, currency="EUR",
        direction="debit", channel="atm", balance_minor=1_000,
    )  # fmt: skip
    assert isinstance(second, Transaction)
    assert isinstance(third, Transaction)
    assert (second.channel, second.amount_minor) == ("online", 250)
    assert (third.balance_minor, third.event_time_ms) == (-425, START + 30 * 3_600_000)
    assert isinstance(known, Outcome)
    assert (known.about_event_id, known.outcome) == ("p-2", "fraud_confirmed")
    assert known.event_time_ms == second.event_time_ms + DAY_MS


def test_parquet_gives_the_same_events_as_csv(tmp_path: Path) -> None:
    expected = list(_open(tmp_path))
    table = {
        "id": [1, 2, 3], "who": ["c-1", "c-2", "c-1"], "hour": [0, 1, 30], "amount": [1.005, 2.5, 3.0],
        "left": [10.0, None, -4.25], "type": ["CASH_OUT", "TRANSFER", "PAYMENT"], "fraud": [0, 1, 0],
    }  # fmt: skip
    pq.write_table(pa.table(table), tmp_path / "rows.parquet")
    assert list(open_source("csv", tmp_path / "rows.parquet", mapping=tmp_path / "m.toml")) == expected


def test_semicolons_quotes_and_a_byte_order_mark_are_understood(tmp_path: Path) -> None:
    expected = list(_open(tmp_path))
    quoted = "\ufeff" + "\n".join(";".join(f'"{v}"' for v in line.split(",")) for line in ROWS.splitlines())
    assert list(_open(tmp_path, rows=quoted)) == expected


def test_bad_rows_are_rejected_with_number_code_and_what_was_there(tmp_path: Path) -> None:
    bad = (
        "4,c-1,31,abc,1,PAYMENT,0\n"  # no amount
        "5,c-1,32,1,xyz,PAYMENT,0\n"  # an optional number that is none must not pass for absent
        "6,,33,1,1,PAYMENT,0\n"
        "7,c-1,34,-1,1,PAYMENT,0\n"
        "8,c-1,35,1,1,PAYMENT,perhaps\n"
        "9,4111111111111111,36,1,1,PAYMENT,0\n"
        "10,c-1,never,1,1,PAYMENT,0\n"
        "11,c-1,37,1\n"
        "12,c-1,38,1,1,PAYMENT,0\n"
    )
    rejects: list[Reject] = []
    source = _open(tmp_path, rows=ROWS + bad, on_reject=rejects.append)
    assert [e.event_id for e in source if isinstance(e, Transaction)] == ["p-1", "p-2", "p-3", "p-12"]
    assert (source.rows, source.rejected) == (12, 8)
    codes = {r.line: r.code for r in rejects if r.code != "wrong_type" or "columns" not in r.reason}
    assert [codes[n] for n in sorted(codes)] == [
        "wrong_type", "wrong_type", "missing_field", "out_of_range", "unknown_value", "card_number", "wrong_type",
    ]  # fmt: skip
    assert [(r.line, r.text) for r in rejects if "found 4" in r.reason] == [(11, "11,c-1,37,1")]
    assert "abc" in next(r.text for r in rejects if r.line == 4)


def test_unsorted_rows_are_refused_unless_sorting_is_asked_for(tmp_path: Path) -> None:
    head, *rows = ROWS.splitlines()
    backwards = "\n".join([head, *reversed(rows)])
    with pytest.raises(SourceError, match="sort = true"):
        list(_open(tmp_path, rows=backwards))
    assert list(_open(tmp_path, "sort = true\n" + MAPPING, rows=backwards)) == list(_open(tmp_path))


def test_event_id_defaults_to_file_and_row(tmp_path: Path) -> None:
    mapping = MAPPING.replace('event_id      = { column = "id", prefix = "p-" }\n', "")
    assert next(_open(tmp_path, mapping)).event_id == "rows-1"


def test_label_delay_and_outcomes_can_be_overridden(tmp_path: Path) -> None:
    [known] = [e for e in _open(tmp_path, label_delay_ms=5) if isinstance(e, Outcome)]
    assert known.event_time_ms == START + 3_600_000 + 5
    assert not [e for e in _open(tmp_path, outcomes=False) if isinstance(e, Outcome)]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"who"', '"whom"', "expected column whom .* found the columns id, who, hour, amount"),
        ("customer_id ", "costumer_id ", "no such field; possible are .*customer_id"),
        ('kind = "transaction"', 'kind = "payment"', "expected one of transaction, auth_result"),
        ('currency      = { constant = "EUR" }\n', "", "also needs currency"),
        ('format = "hours"', 'format = "fortnights"', "expected iso, ms, s, minutes, hours, days or a pattern"),
        ('origin = "2018-01-01"', 'origin = "once"', "fields.event_time_ms.origin: expected an ISO date"),
        ('{ constant = "EUR" }', '{ constant = "EUR", column = "c" }', "either column or constant, found both"),
        ('{ constant = "EUR" }', "7", "a column's name or a table"),
        ('prefix = "p-"', 'prefiks = "p-"', "no key 'prefiks'; possible are column"),
        ('delay  = "1d"', 'delay = "soon"', "label.delay: expected a duration"),
        ('delay  = "1d"', 'outcome = "bad"', "label.outcome: expected one of fraud_confirmed"),
        ("[fields]", "[fields", "expected TOML"),
    ],
)
def test_wrong_mapping_says_what_is_possible(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in MAPPING
    with pytest.raises(SourceError, match=message):
        list(_open(tmp_path, MAPPING.replace(old, new, 1)))


def test_absent_mapping_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(ROWS)
    with pytest.raises(SourceError, match=r"no\.toml"):
        list(open_source("csv", tmp_path / "rows.csv", mapping=tmp_path / "no.toml"))


@pytest.mark.parametrize("rows", ["", "\n\n"])
def test_empty_file_is_named(tmp_path: Path, rows: str) -> None:
    with pytest.raises(SourceError, match="header line"):
        list(_open(tmp_path, rows=rows))


def test_example_of_the_documentation_works(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "sources.md").read_text("utf-8")
    rows, mapping = (page.partition(f"```{kind}\n")[2].partition("```")[0] for kind in ("csv", "toml"))
    events = list(_open(tmp_path, mapping, rows))
    assert [type(event) for event in events] == [Transaction, Transaction, Outcome]
