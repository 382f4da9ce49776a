"""Mapping files for the tables one meets: several columns a field, dirty amounts, tokens, odd times, late truths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.events import Outcome, Transaction
from streams.sources import Reject, SourceError, open_source
from streams.sources.labelled import open_labelled
from streams.sources.times import DAY_MS, parse_time_ms

NEEDED = {
    "customer_id": '"who"',
    "event_time_ms": '{ column = "when", format = "s" }',
    "amount_minor": '"amount"',
    "currency": '{ constant = "USD" }',
    "direction": '{ constant = "debit" }',
    "channel": '{ constant = "pos" }',
}
Table = dict[str, list[Any]]


def rows_of(tmp_path: Path, table: Table, label: str = "", csv: bool = False, **fields: str) -> list[Transaction]:
    """Transactions of a table whose other needed columns are filled in."""
    return [e for e in events_of(tmp_path, table, label, csv, **fields) if isinstance(e, Transaction)]


def events_of(
    tmp_path: Path, table: Table, label: str = "", csv: bool = False, rejects: list[Reject] | None = None, **fields: str
) -> list[Any]:
    n = len(next(iter(table.values())))
    table = {"who": ["c"] * n, "when": list(range(n)), "amount": [1.0] * n} | table
    mapping = "[fields]\n" + "".join(f"{name} = {value}\n" for name, value in (NEEDED | fields).items()) + label
    (tmp_path / "m.toml").write_text(mapping, encoding="utf-8")
    if csv:
        lines = [",".join(table), *(",".join(map(str, row)) for row in zip(*table.values(), strict=True))]
        file = tmp_path / "t.csv"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    else:
        file = tmp_path / "t.parquet"
        pq.write_table(pa.table(table), file)
    keep = None if rejects is None else rejects.append
    return list(open_source("csv", file, mapping=tmp_path / "m.toml", on_reject=keep))


# --- ids ------------------------------------------------------------------------------------------------


def test_ids_are_put_together_from_columns(tmp_path: Path) -> None:
    table = {"card1": [7, 7, None], "zip": ["04", None, None], "t": [1, 2, 3]}
    customers = '{ columns = ["card1", "zip"], prefix = "k-" }'
    rejects: list[Reject] = []
    events = events_of(tmp_path, table, rejects=rejects, customer_id=customers)
    assert [e.customer_id for e in events] == ["k-7-04", "k-7-"]
    # Nothing at all is no id.
    assert [(r.line, r.code) for r in rejects] == [(3, "missing_field")]


def test_card_numbers_become_tokens_that_depend_on_the_secret(tmp_path: Path) -> None:
    table = {"cc": ["4111111111111111", "4111111111111111", "5500005555555559"]}
    rejects: list[Reject] = []
    assert events_of(tmp_path, table, rejects=rejects, customer_id='"cc"') == []
    assert {r.code for r in rejects} == {"card_number"}
    plain = [e.customer_id for e in rows_of(tmp_path, table, customer_id='{ column = "cc", hash = true }')]
    keyed = [e.customer_id for e in rows_of(tmp_path, table, customer_id='{ column = "cc", hash = "our secret" }')]
    assert plain[0] == plain[1] != plain[2]
    assert len(plain[0]) == 16
    assert not set(plain) & set(keyed)


def test_long_names_fit_as_tokens_and_short_codes_are_filled_up(tmp_path: Path) -> None:
    table = {"shop": ["x" * 200], "code": [742]}
    [event] = rows_of(
        tmp_path, table, merchant_id='{ column = "shop", hash = true }', mcc='{ column = "code", width = 4 }'
    )
    assert (len(str(event.merchant_id)), event.mcc) == (16, "0742")


# --- amounts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "keys", "minor"),
    [
        ("$1234.50", 'strip = "$"', 123_450),
        ("$ 1,234.50", 'strip = "$, "', 123_450),
        ("1.234,50 EUR", 'strip = ". EUR", decimal = ","', 123_450),
        ("-12.5", "absolute = true", 1_250),
        ("1234", "digits = 0", 1_234),
    ],
)
def test_amounts_as_people_write_them(tmp_path: Path, text: str, keys: str, minor: int) -> None:
    [event] = rows_of(tmp_path, {"amount": [text]}, amount_minor=f'{{ column = "amount", {keys} }}')
    assert event.amount_minor == minor


def test_numbers_are_not_stripped(tmp_path: Path) -> None:
    [event] = rows_of(tmp_path, {"amount": [12.5]}, amount_minor='{ column = "amount", strip = ".", decimal = "," }')
    assert event.amount_minor == 1_250


def test_sign_of_the_amount_is_the_direction(tmp_path: Path) -> None:
    table = {"amount": ["$5.00", "$-7.00", "$0"]}
    events = rows_of(
        tmp_path, table, amount_minor='{ column = "amount", strip = "$", absolute = true }',
        direction='{ column = "amount", strip = "$", sign = ["debit", "credit"] }',
    )  # fmt: skip
    assert [(e.amount_minor, e.direction) for e in events] == [(500, "debit"), (700, "credit"), (0, "debit")]


# --- times ----------------------------------------------------------------------------------------------

DAY = parse_time_ms("2018-04-03")


@pytest.mark.parametrize("csv", [False, True])
@pytest.mark.parametrize(
    ("table", "field", "expected"),
    [
        ({"d": [2], "s": [61]}, '{ columns = ["d", "s"], format = ["days", "s"], origin = "2018-04-01" }', 61_000),
        ({"d": ["2018-04-03"], "m": [5]}, '{ columns = ["d", "m"], format = ["iso", "minutes"] }', 300_000),
        ({"d": ["03.04.2018"], "t": ["06:07"]}, '{ columns = ["d", "t"], format = "%d.%m.%Y %H:%M" }', 22_020_000),
        (
            {"y": [2018], "m": [4], "d": [3], "t": ["06:07"]},
            '{ columns = ["y", "m", "d", "t"], separator = "/", format = "%Y/%m/%d/%H:%M" }',
            22_020_000,
        ),
        ({"t": [1_522_713_600]}, '{ column = "t", format = "s" }', 0),
        ({"t": [1_522_713_600_500]}, '{ column = "t", format = "ms" }', 500),
        ({"t": ["2018-04-03T02:00:00+02:00"]}, '"t"', 0),
        ({"t": ["2018-04-03 00:00:01.25"]}, '"t"', 1_250),
    ],
)
def test_times_as_files_have_them(tmp_path: Path, table: Table, field: str, expected: int, csv: bool) -> None:
    [event] = rows_of(tmp_path, table, csv=csv, event_time_ms=field)
    assert event.event_time_ms == DAY + expected


# --- missing and unusable -------------------------------------------------------------------------------


def test_an_optional_column_may_be_missing_and_its_odd_values_are_left_out(tmp_path: Path) -> None:
    country = '{ column = "land", optional = true }'
    assert rows_of(tmp_path, {"x": [1]}, country=country)[0].country is not None  # unset, not refused
    table = {"land": ["FR", "France", None]}
    events = rows_of(tmp_path, table, country=country, mcc='{ column = "mcc", optional = true, default = "5411" }')
    assert [str(e.country) for e in events] == ["FR", "UNSET", "UNSET"]
    assert {e.mcc for e in events} == {"5411"}
    # Without it the row is refused: what is there and wrong must not pass for absent.
    rejects: list[Reject] = []
    events = events_of(tmp_path, table, rejects=rejects, country='"land"')
    assert (len(events), [(r.line, r.code) for r in rejects]) == (2, [(2, "out_of_range")])


def test_an_optional_field_saves_no_row_that_is_wrong_elsewhere(tmp_path: Path) -> None:
    table = {"land": ["France"], "amount": ["much"]}
    rejects: list[Reject] = []
    assert events_of(tmp_path, table, rejects=rejects, country='{ column = "land", optional = true }') == []
    assert "amount_minor" in rejects[0].reason


# --- labels ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", [1, 1.0, True, "1", "true", "Yes", "Y", "t"])
def test_fraud_as_files_mark_it(tmp_path: Path, mark: Any) -> None:
    good = {bool: False, int: 0, float: 0.0}.get(type(mark), "No")
    events = events_of(tmp_path, {"bad": [mark, good]}, '[label]\ncolumn = "bad"\n')
    assert [e.about_event_id for e in events if isinstance(e, Outcome)] == ["t-1"]


def test_labels_become_known_at_a_column_s_time_or_after_the_delay(tmp_path: Path) -> None:
    day_s = DAY_MS // 1000
    table = {"bad": [1, 1, 1, 1], "told": [9 * day_s, None, 3 * day_s, 0], "when": [0, day_s, 2 * day_s, 3 * day_s]}
    label = '[label]\ncolumn = "bad"\ndelay = "20d"\nknown = { column = "told", format = "s" }\n'
    outcomes = [e for e in events_of(tmp_path, table, label) if isinstance(e, Outcome)]
    # Row 4 says it was known before it happened; nothing is.
    assert [(o.about_event_id, o.event_time_ms // DAY_MS) for o in outcomes] == [
        ("t-3", 3), ("t-4", 3), ("t-1", 9), ("t-2", 21),
    ]  # fmt: skip
    times = [e.event_time_ms for e in events_of(tmp_path, table, label)]
    assert times == sorted(times)
    source = open_labelled("csv", tmp_path / "t.parquet", mapping=tmp_path / "m.toml")
    assert source.label_delay_ms is None
    asked = open_labelled("csv", tmp_path / "t.parquet", mapping=tmp_path / "m.toml", label_delay_ms=5)
    assert [row.outcome.event_time_ms - row.event.event_time_ms for row in asked.rows if row.outcome] == [5] * 4


def test_positive_values_that_are_usually_negative_may_be_said(tmp_path: Path) -> None:
    label = '[label]\ncolumn = "genuine"\npositive = "no"\nnegative = ["yes"]\n'
    events = events_of(tmp_path, {"genuine": ["yes", "no"]}, label)
    assert [e.about_event_id for e in events if isinstance(e, Outcome)] == ["t-2"]


# --- headers and mistakes -------------------------------------------------------------------------------


def test_headers_with_commas_spaces_and_no_name_are_found(tmp_path: Path) -> None:
    fields = {"event_id": '{ column = "", prefix = "n" }', "amount_minor": '"amt, USD"'}
    mapping = "[fields]\n" + "".join(f"{name} = {value}\n" for name, value in (NEEDED | fields).items())
    (tmp_path / "m.toml").write_text(mapping, encoding="utf-8")
    (tmp_path / "t.csv").write_text(',who , when,"amt, USD"\n7,c,5,1.50\n', encoding="utf-8")
    [event] = open_source("csv", tmp_path / "t.csv", mapping=tmp_path / "m.toml")
    assert (event.event_id, event.customer_id, event.event_time_ms) == ("n7", "c", 5_000)


def test_a_column_twice_is_refused_only_where_it_is_read(tmp_path: Path) -> None:
    mapping = "[fields]\n" + "".join(f"{name} = {value}\n" for name, value in NEEDED.items())
    (tmp_path / "m.toml").write_text(mapping, encoding="utf-8")
    (tmp_path / "t.csv").write_text("who,when,amount,x,x\nc,5,1.50,1,2\n", encoding="utf-8")
    assert len(list(open_source("csv", tmp_path / "t.csv", mapping=tmp_path / "m.toml"))) == 1
    (tmp_path / "t.csv").write_text("who,when,amount,who\nc,5,1.50,1\n", encoding="utf-8")
    with pytest.raises(SourceError, match="expected column who once"):
        list(open_source("csv", tmp_path / "t.csv", mapping=tmp_path / "m.toml"))


@pytest.mark.parametrize(
    ("fields", "label", "says"),
    [
        ({"customer_id": '{ columns = ["who"] }'}, "", "two columns or more"),
        ({"customer_id": '{ column = "who", columns = ["a", "b"] }'}, "", "either column or constant, found both"),
        ({"customer_id": '{ column = "who", optional = true }'}, "", "cannot be optional"),
        ({"customer_id": '{ column = "who", hash = 7 }'}, "", "expected true, or a secret"),
        ({"mcc": '{ column = "x", width = -1 }'}, "", "width: expected 0 to 64"),
        ({"amount_minor": '{ column = "amount", digits = 9 }'}, "", "digits: expected 0 to 4"),
        ({"amount_minor": '{ column = "amount", decimal = ";" }'}, "", 'expected "." or ","'),
        ({"amount_minor": '{ column = "amount", absolute = "yes" }'}, "", "expected true or false"),
        ({"direction": '{ column = "amount", sign = ["debit"] }'}, "", "sign: expected two values"),
        ({"event_time_ms": '{ columns = ["d", "s"], format = "s" }'}, "", "a list of one format a column"),
        (
            {"event_time_ms": '{ columns = ["d", "s"], format = ["days"] }'},
            "",
            "one format a column, 2 of them, found 1",
        ),
        ({"event_time_ms": '{ columns = ["d", "s"], format = ["iso", "%H:%M"] }'}, "", "one pattern for both"),
        ({}, '[label]\ncolumn = "x"\npositive = ["0"]\nnegative = ["0"]\n', "in positive or in negative"),
        ({}, '[label]\ncolumn = "x"\ntypology = 7\n', "typology: expected a column's name"),
        ({}, '[label]\ncolumn = "x"\nknown = { constant = 7 }\n', "expected a column with the time"),
    ],
)
def test_mistakes_say_what_is_possible(tmp_path: Path, fields: dict[str, str], label: str, says: str) -> None:
    with pytest.raises(SourceError) as error:
        rows_of(tmp_path, {"x": ["1"]}, label, **fields)
    assert says in str(error.value)
