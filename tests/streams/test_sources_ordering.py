"""Tables in any order come out in the order of time, whole, stable, with the numbers of their rows."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streams.sources import Reject, SourceError, ordering
from streams.sources.columns import time_parser, times_ms
from streams.sources.labelled import open_labelled
from streams.sources.ordering import in_time_order
from streams.sources.source import Tally
from streams.sources.tables import Batch


def _times(batch: Batch) -> list[int | None]:
    return times_ms(batch.columns["at"], time_parser("ms"))


def sorted_rows(files: list[Path]) -> list[tuple[Any, ...]]:
    batches = in_time_order(files, ("at", "what"), ("more",), Tally(), ("at",), _times)
    return [
        (number, *(None if values[row] is None else values[row] for values in columns))
        for batch in batches
        for columns in [[column.to_pylist() for column in batch.columns.values()]]
        for row, number in enumerate(batch.numbers)
    ]


@pytest.mark.parametrize("pieces", [1, 7, 60])
def test_rows_are_sorted_stably_whatever_the_size_of_a_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pieces: int
) -> None:
    rng = random.Random(pieces)
    monkeypatch.setattr(ordering, "PIECE_ROWS", 1_000 // pieces)
    monkeypatch.setattr(ordering, "BATCH_ROWS", 90)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    at = [rng.choice([None, *range(40)]) for _ in range(1_000)]
    pq.write_table(pa.table({"at": at, "what": [f"w{n}" for n in range(1_000)]}), tmp_path / "t.parquet")
    rows = sorted_rows([tmp_path / "t.parquet"])
    # Rows without a time first; ties in the order of the file.
    expected = sorted(range(1_000), key=lambda n: (-1 if at[n] is None else at[n], n))
    assert rows == [(n + 1, at[n], f"w{n}") for n in expected]
    assert list((tmp_path / "scratch").iterdir()) == []


def test_sorted_rows_are_read_as_they_are_without_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryDirectory", None)
    pq.write_table(pa.table({"at": [1, None, 1, 5], "what": ["a", "b", "c", "d"]}), tmp_path / "t.parquet")
    assert [row[0] for row in sorted_rows([tmp_path / "t.parquet"])] == [1, 2, 3, 4]


def test_files_are_numbered_through_and_may_differ_in_optional_columns_and_widths(tmp_path: Path) -> None:
    one, two = tmp_path / "1.parquet", tmp_path / "2.parquet"
    pq.write_table(pa.table({"at": [5, 9], "what": ["a", "b"], "more": ["x", "y"]}), one)
    pq.write_table(pa.table({"at": pa.array([7, 1], pa.int32()), "what": ["c", "d"]}), two)
    assert sorted_rows([one, two]) == [
        (4, 1, "d", None), (1, 5, "a", "x"), (3, 7, "c", None), (2, 9, "b", "y"),
    ]  # fmt: skip


def test_files_of_other_types_are_refused(tmp_path: Path) -> None:
    one, two = tmp_path / "1.parquet", tmp_path / "2.parquet"
    pq.write_table(pa.table({"at": [5, 9], "what": [1, 2]}), one)
    pq.write_table(pa.table({"at": [7, 1], "what": ["c", "d"]}), two)
    with pytest.raises(SourceError, match="same type as in the files before it"):
        sorted_rows([one, two])


def test_ragged_rows_keep_the_numbers_of_the_rows_after_them(tmp_path: Path) -> None:
    lines = ["id,who,at,amount,bad", "1,c,30,1,0", "2,c", "3,c,20,1,1", "4", "5,c,10,x,0", "6,c,10,1,0"]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "m.toml").write_text(
        '[fields]\ncustomer_id = "who"\nevent_time_ms = { column = "at", format = "s" }\namount_minor = "amount"\n'
        'currency = { constant = "EUR" }\ndirection = { constant = "debit" }\nchannel = { constant = "pos" }\n'
        '[label]\ncolumn = "bad"\n',
        encoding="utf-8",
    )
    rejects: list[Reject] = []
    source = open_labelled("csv", tmp_path / "t.csv", mapping=tmp_path / "m.toml", on_reject=rejects.append)
    assert [(row.row_id, row.event.event_id) for row in source.rows] == [("6", "t-6"), ("3", "t-3"), ("1", "t-1")]
    assert sorted(r.line for r in rejects) == [2, 4, 5]
    assert (source.tally.rows, source.tally.rejected, source.id_column) == (6, 3, "row")


def test_rows_are_counted_through_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "days"
    folder.mkdir()
    for name, times in (("1", [0, 1]), ("2", [2, 3, 4])):
        columns = {"who": ["c"] * len(times), "at": times, "amount": [1.0] * len(times), "bad": [0] * len(times)}
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    (tmp_path / "m.toml").write_text(
        '[fields]\ncustomer_id = "who"\nevent_time_ms = { column = "at", format = "s" }\namount_minor = "amount"\n'
        'currency = { constant = "EUR" }\ndirection = { constant = "debit" }\nchannel = { constant = "pos" }\n'
        '[label]\ncolumn = "bad"\n',
        encoding="utf-8",
    )
    source = open_labelled("csv", folder, mapping=tmp_path / "m.toml")
    assert [row.row_id for row in source.rows] == ["1", "2", "3", "4", "5"]


def test_a_handbook_file_in_disorder_is_sorted_for_those_who_ask(tmp_path: Path) -> None:
    table = {
        "TRANSACTION_ID": [1, 2, 3], "TX_DATETIME": ["2018-04-03", "2018-04-01", "2018-04-02"],
        "CUSTOMER_ID": [1, 1, 1], "TERMINAL_ID": [1, 1, 1], "TX_AMOUNT": [1.0, 2.0, 3.0], "TX_FRAUD": [0, 0, 1],
    }  # fmt: skip
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    rows = list(open_labelled("handbook", tmp_path / "t.parquet").rows)
    assert [(row.row_id, row.outcome is not None) for row in rows] == [("2", False), ("3", True), ("1", False)]
