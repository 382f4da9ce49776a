"""Adapters: published columns in, canonical events out, in time order; what is wrong is named or rejected."""

from __future__ import annotations

import gzip
import itertools
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from features.events import Event, Outcome, Transaction, decode, encode
from streams.sources import FORMATS, Reject, SourceError, open_source
from streams.sources.columns import amounts_minor, ids, minor_of, time_parser, times_ms
from streams.sources.times import DAY_MS, parse_duration_ms, parse_time_ms

START = parse_time_ms("2018-04-01")
# Published tables hold times without a zone.
MIDNIGHT = datetime.fromisoformat("2018-04-01")
Make = Callable[..., Path]


def _handbook(rows: int = 40, **changed: list[Any]) -> dict[str, list[Any]]:
    table: dict[str, list[Any]] = {
        "TRANSACTION_ID": list(range(rows)),
        "TX_DATETIME": [MIDNIGHT + timedelta(hours=6 * n) for n in range(rows)],
        "CUSTOMER_ID": [n % 3 for n in range(rows)],
        "TERMINAL_ID": [100 + n % 5 for n in range(rows)],
        "TX_AMOUNT": [10.01 + n for n in range(rows)],
        "TX_TIME_SECONDS": [21_600 * n for n in range(rows)],
        "TX_TIME_DAYS": [n // 4 for n in range(rows)],
        "TX_FRAUD": [int(n % 10 == 0) for n in range(rows)],
        "TX_FRAUD_SCENARIO": [2 if n % 10 == 0 else 0 for n in range(rows)],
    }
    return {**table, **changed}


@pytest.fixture
def parquet(tmp_path: Path) -> Make:
    def make(table: dict[str, list[Any]], name: str = "t.parquet") -> Path:
        pq.write_table(pa.table(table), tmp_path / name)
        return tmp_path / name

    return make


def _check(events: list[Event]) -> None:
    # Structs built by hand are not validated, so every event goes through the door a worker has.
    assert [decode(encode(event)) for event in events] == events
    times = [event.event_time_ms for event in events]
    assert times == sorted(times)
    assert len({(e.customer_id, e.event_id) for e in events}) == len(events)


# --- handbook -------------------------------------------------------------------------------------------


def test_handbook_row_becomes_a_transaction(parquet: Make) -> None:
    source = open_source("handbook", parquet(_handbook()))
    first = next(source)
    assert first == Transaction(
        event_id="hb-0", customer_id="0", event_time_ms=START, schema_version=1, amount_minor=1001, currency="EUR",
        direction="debit", channel="pos", type="purchase", terminal_id="100", card_id="card-0",
    )  # fmt: skip


def test_handbook_outcome_follows_its_fraud_by_the_label_delay(parquet: Make) -> None:
    file = parquet(_handbook())
    events = list(open_source("handbook", file))
    _check(events)
    frauds = [e for e in events if isinstance(e, Outcome)]
    assert [e.event_id for e in frauds] == [f"hb-{n}-outcome" for n in (0, 10, 20, 30)]
    assert frauds[0].event_time_ms == START + 7 * DAY_MS
    assert (frauds[0].about_event_id, frauds[0].typology, frauds[0].outcome) == (
        "hb-0",
        "scenario_2",
        "fraud_confirmed",
    )
    # It lies between the transactions around that moment, not at the end.
    assert 0 < events.index(frauds[0]) < len(events) - 4
    sooner = [e for e in open_source("handbook", file, label_delay_ms=DAY_MS) if isinstance(e, Outcome)]
    assert sooner[0].event_time_ms == START + DAY_MS
    assert not any(isinstance(e, Outcome) for e in open_source("handbook", file, outcomes=False))


@pytest.mark.parametrize("days", [0, 1, 5, 8, 12, 30])
def test_two_calls_that_share_a_bound_give_what_one_gives(parquet: Make, days: int) -> None:
    file = parquet(_handbook())
    bound = START + days * DAY_MS + 1
    before, after = open_source("handbook", file, until_ms=bound), open_source("handbook", file, from_ms=bound)
    halves = [*before, *after]
    assert halves == list(open_source("handbook", file))
    assert before.rows + after.rows == 40


def test_handbook_csv_and_folder_give_the_same_events(parquet: Make, tmp_path: Path) -> None:
    file = parquet(_handbook())
    whole = list(open_source("handbook", file))
    folder = tmp_path / "days"
    folder.mkdir()
    table = pq.read_table(file)
    pyarrow.csv.write_csv(table.slice(0, 15), folder / "2018-04-01.csv")
    pq.write_table(table.slice(15), folder / "2018-04-05.parquet")
    assert list(open_source("handbook", folder)) == whole


def test_rows_out_of_time_order_are_an_error_that_names_the_row(parquet: Make) -> None:
    times = _handbook()["TX_DATETIME"]
    times[5], times[6] = times[6], times[5]
    with pytest.raises(SourceError, match=r"row 7 .*sort by TX_DATETIME"):
        list(open_source("handbook", parquet(_handbook(TX_DATETIME=times))))


def test_bad_rows_are_rejected_with_their_number_and_the_rest_is_read(parquet: Make) -> None:
    amounts = _handbook()["TX_AMOUNT"]
    amounts[3], amounts[4], amounts[5] = float("nan"), -1.0, None
    rejects: list[Reject] = []
    file = parquet(_handbook(TX_AMOUNT=amounts, CUSTOMER_ID=[None, *[1] * 39]))
    source = open_source("handbook", file, on_reject=rejects.append, outcomes=False)
    assert len(list(source)) == 36
    assert (source.rows, source.rejected) == (40, 4)
    assert [r.line for r in rejects] == [1, 4, 5, 6]


def test_missing_column_lists_those_the_file_has(parquet: Make) -> None:
    table = _handbook()
    del table["TERMINAL_ID"]
    with pytest.raises(
        SourceError, match=r"expected column TERMINAL_ID .* found the columns TRANSACTION_ID, TX_DATETIME"
    ):
        next(open_source("handbook", parquet(table)))


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    (tmp_path / "2018-04-01.pkl").write_bytes(b"cos\nsystem\n(S'echo'\ntR.")
    for path in (tmp_path, tmp_path / "2018-04-01.pkl"):
        with pytest.raises(SourceError, match=r"pickle.*convert it first"):
            list(open_source("handbook", path))


# --- values ---------------------------------------------------------------------------------------------


def test_minor_units_round_half_to_even_as_printed() -> None:
    # 2.675 * 100 is 267.49999999999994 in binary; what was printed decides.
    values = [2.675, 0.125, 0.135, 57.16, 1.005, 0.29, 1e9]
    expected = [268, 12, 14, 5716, 100, 29, 100_000_000_000]
    assert amounts_minor(pa.array(values)) == expected
    assert amounts_minor(pa.array([str(v) for v in values])) == expected
    assert amounts_minor(pa.array([3, None])) == [300, None]
    assert amounts_minor(pa.array([1.5]), digits=0) == [2]


def test_what_is_no_number_is_none() -> None:
    assert amounts_minor(pa.array([float("nan"), float("inf"), 1e300, None])) == [None] * 4
    assert [minor_of(v) for v in ("", "x", "NaN", "1e99", "--1")] == [None] * 5


def test_ids_are_the_same_from_whole_numbers_floats_and_text() -> None:
    assert ids(pa.array([596])) == ids(pa.array([596.0])) == ids(pa.array([" 596 "])) == ["596"]
    assert ids(pa.array(["", " ", None])) == [None] * 3


def test_times_are_read_in_every_form() -> None:
    at = parse_time_ms("2018-08-01T12:00:00Z")
    assert times_ms(pa.array([datetime.fromisoformat("2018-08-01T12:00")])) == [at]
    assert times_ms(pa.array(["2018-08-01 12:00:00", "2018-08-01T14:00+02:00", "no"])) == [at, at, None]
    assert time_parser("s")(at // 1_000) == time_parser("ms")(str(at)) == at
    assert time_parser("%d.%m.%Y %H:%M")("01.08.2018 12:00") == at
    assert time_parser("hours", at)("1.5") == at + 5_400_000
    assert times_ms(pa.array([-5]), time_parser("ms")) == [None]


@pytest.mark.parametrize("text", ["", "7", "d", "7 d", "-1d", "1y"])
def test_durations_need_a_unit(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration_ms(text)


# --- events ---------------------------------------------------------------------------------------------


def _jsonl(parquet: Make) -> tuple[list[Event], bytes]:
    events = list(itertools.islice(open_source("handbook", parquet(_handbook())), 5))
    return events, b"\n".join(encode(e) for e in events) + b"\n"


@pytest.mark.parametrize("name", ["e.jsonl", "e.jsonl.gz"])
def test_events_are_read_back_as_written(parquet: Make, tmp_path: Path, name: str) -> None:
    events, data = _jsonl(parquet)
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    assert list(open_source("events", tmp_path / name)) == events


def test_bad_lines_are_rejected_with_number_and_code(parquet: Make, tmp_path: Path) -> None:
    events, data = _jsonl(parquet)
    tick = b'{"kind":"tick","event_id":"t","event_time_ms":1,"schema_version":1,"partition":0}'
    bad = [b"{", b"", b"\xff\xfe", b'{"kind":"spell"}', b'"' + b"x" * 200_000 + b'"', tick]
    (tmp_path / "e.jsonl").write_bytes(b"\n".join(bad) + b"\n" + data)
    rejects: list[Reject] = []
    source = open_source("events", tmp_path / "e.jsonl", on_reject=rejects.append)
    assert list(source) == events
    codes = [(r.line, r.code) for r in rejects]
    assert codes == [
        (1, "not_json"), (3, "bad_encoding"), (4, "unknown_kind"), (5, "too_large"), (6, "bad_control"),
    ]  # fmt: skip
    assert (source.rows, source.rejected) == (10, 5)


def test_broken_gzip_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "e.jsonl.gz").write_bytes(gzip.compress(b"{}\n" * 1_000)[:30])
    with pytest.raises(SourceError, match=r"e\.jsonl\.gz broken"):
        list(open_source("events", tmp_path / "e.jsonl.gz"))


# --- open_source ----------------------------------------------------------------------------------------


def test_unknown_format_lists_the_formats(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as error:
        open_source("xlsx", tmp_path)
    assert all(name in str(error.value) for name in FORMATS)


def test_mapping_belongs_to_csv_alone(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="needs a mapping"):
        open_source("csv", tmp_path)
    with pytest.raises(SourceError, match="takes no mapping"):
        open_source("events", tmp_path, mapping=tmp_path / "m.toml")


def test_absent_file_and_empty_range_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nothing there"):
        open_source("events", tmp_path / "no.jsonl")
    with pytest.raises(SourceError, match="--from before --until"):
        open_source("events", tmp_path, from_ms=2, until_ms=2)


# --- the real files -------------------------------------------------------------------------------------


@pytest.fixture
def public_data() -> Path:
    """Folder of the public data sets."""
    folder = Path(os.environ.get("RISKSHIFT_DATA", ""))
    if not (folder / "handbook").is_dir():
        pytest.skip("RISKSHIFT_DATA does not name a folder with handbook/, berka/ and uci_default/")
    return folder


@pytest.mark.data
def test_real_handbook_file_is_read_whole(public_data: Path) -> None:
    file = public_data / "handbook" / "transactions.parquet"
    source = open_source("handbook", file)
    count = last = total = 0
    for event in source:
        count += 1
        assert event.event_time_ms >= last
        last = event.event_time_ms
        if type(event) is Transaction:
            total += event.amount_minor
    rows = pq.ParquetFile(file).metadata.num_rows
    fraud = pq.read_table(file, columns=["TX_FRAUD", "TX_AMOUNT"])
    assert (source.rows, source.rejected) == (rows, 0) == (1_437_958, 0)
    assert source.outcomes == sum(fraud["TX_FRAUD"].to_pylist()) == count - rows
    assert 0.008 < source.outcomes / rows < 0.0085
    assert total == sum(round(amount * 100) for amount in fraud["TX_AMOUNT"].to_pylist())


@pytest.mark.data
@pytest.mark.parametrize(
    ("fmt", "folder"), [("handbook", "handbook"), ("uci-default", "uci_default"), ("berka", "berka")]
)
def test_first_real_events_pass_every_check(public_data: Path, fmt: str, folder: str) -> None:
    _check(list(itertools.islice(open_source(fmt, public_data / folder), 20_000)))
