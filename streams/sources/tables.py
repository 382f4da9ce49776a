"""Tables of rows, Parquet or CSV, a batch at a time and only the columns that were named.

A CSV is read as text and converted column by column, so that `1.10` stays exact and nothing is guessed.
Pickles are never opened: reading one runs its code.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from streams.sources.source import Reject, SourceError, Tally

PARQUET = (".parquet", ".pq")
TEXT = (".csv", ".tsv", ".asc", ".txt", ".csv.gz", ".tsv.gz", ".asc.gz")
BATCH_ROWS = 32_768
CSV_BLOCK_BYTES = 4_194_304
# Tables that are read whole are small: accounts, loans, clients.
WHOLE_ROWS_MAX = 5_000_000
_DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True, slots=True)
class Batch:
    """Columns by name, as Arrow arrays, and the number (from 1) of every row in its file."""

    file: str
    numbers: Sequence[int]
    rows: int
    columns: dict[str, Any]


def is_table(path: Path) -> bool:
    """True for a file whose name ends like a table that can be read."""
    return path.name.lower().endswith(PARQUET + TEXT)


def table_files(path: Path) -> list[Path]:
    """The file itself, or the tables of a folder in the order of their names."""
    if path.is_file():
        if not is_table(path):
            raise SourceError(_not_a_table(path))
        return [path]
    files = sorted(p for p in path.iterdir() if p.is_file() and is_table(p))
    if not files:
        pickles = sorted(p for p in path.iterdir() if p.suffix in (".pkl", ".pickle"))
        raise SourceError(
            _not_a_table(pickles[0]) if pickles else f"expected Parquet or CSV files in {path}, found none of them"
        )
    return files


def column_names(path: Path) -> list[str]:
    """Names of the columns of one file."""
    try:
        if path.name.lower().endswith(PARQUET):
            return [str(name) for name in pyarrow.parquet.read_schema(path).names]
        with pa.input_stream(str(path)) as stream:
            head = stream.read(65_536).decode("utf-8-sig", "replace")
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from None
    line = head.splitlines()[0] if head else ""
    if not line.strip():
        raise SourceError(f"expected a header line in {path}, found an empty file")
    return [name.strip() for name in next(csv.reader([line], delimiter=_delimiter(line)))]


def read_batches(path: Path, columns: Sequence[str], optional: Sequence[str], tally: Tally) -> Iterator[Batch]:
    """Batches of one file: the `columns`, which must be there, and those of the `optional` that are.

    Raises
    ------
    SourceError
        A column is missing (the message lists those the file has), or the file cannot be read.
    """
    present = column_names(path)
    missing = [name for name in columns if name not in present]
    if missing:
        raise SourceError(
            f"expected column {', '.join(missing)} in {path}, found the columns {', '.join(present)}: "
            "check the format and the file"
        )
    wanted = [*columns, *(name for name in optional if name in present and name not in columns)]
    twice = [name for name in wanted if present.count(name) > 1]
    if twice:
        raise SourceError(f"expected column {twice[0]} once in {path}, found it {present.count(twice[0])} times")
    next_row, ragged = 1, set[int]()
    try:
        for batch in _open(path, present, wanted, tally, ragged):
            numbers: Sequence[int] = range(next_row, next_row + batch.num_rows)
            if ragged:
                # Rows that were refused while reading have numbers too.
                free = (number for number in itertools.count(next_row) if number not in ragged)
                numbers = list(itertools.islice(free, batch.num_rows))
            next_row = numbers[-1] + 1 if numbers else next_row
            yield Batch(path.name, numbers, batch.num_rows, {name: batch.column(name) for name in wanted})
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from None


def read_table(path: Path, columns: Sequence[str], optional: Sequence[str], tally: Tally) -> dict[str, Any]:
    """A whole small table, at most `WHOLE_ROWS_MAX` rows, as Arrow columns by name."""
    parts = []
    rows = 0
    for batch in read_batches(path, columns, optional, tally):
        parts.append(batch.columns)
        rows += batch.rows
        if rows > WHOLE_ROWS_MAX:
            raise SourceError(
                f"expected at most {WHOLE_ROWS_MAX} rows in {path}, which must be held in memory, found more: "
                "check that it is the right table"
            )
    names = parts[0] if parts else [*columns]
    return {name: pa.chunked_array([p[name] for p in parts], type=None if parts else pa.string()) for name in names}


def _open(path: Path, present: list[str], columns: list[str], tally: Tally, ragged: set[int]) -> Iterator[Any]:
    if path.name.lower().endswith(PARQUET):
        with pyarrow.parquet.ParquetFile(path) as file:
            yield from file.iter_batches(BATCH_ROWS, columns=columns)
        return

    def refuse(row: Any) -> str:
        reason = f"expected {row.expected_columns} columns, found {row.actual_columns}"
        tally.rows += 1
        # The header is row 1 to the reader; ours count data rows.
        number = (row.number or 1) - 1
        ragged.add(number)
        tally.reject(Reject(path.name, number, "wrong_type", reason, row.text[:500]))
        return "skip"

    with pa.input_stream(str(path)) as stream:
        head = stream.read(65_536)
        if len(head) < 65_536 and len(head.splitlines()) == 1:
            return  # a header and nothing else, which the reader would call broken
    # Names as `column_names` reads them: the reader itself would keep the spaces around them.
    reader = pyarrow.csv.open_csv(
        str(path),
        read_options=pyarrow.csv.ReadOptions(
            use_threads=False, block_size=CSV_BLOCK_BYTES, column_names=present, skip_rows=1
        ),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=_delimiter(head.decode("utf-8-sig", "replace").splitlines()[0]), invalid_row_handler=refuse
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=columns, column_types={name: pa.string() for name in columns}, strings_can_be_null=True,
            null_values=[""], quoted_strings_can_be_null=True,
        ),
    )  # fmt: skip
    with reader:
        yield from reader


def _delimiter(line: str) -> str:
    return max(_DELIMITERS, key=line.count)


def _not_a_table(path: Path) -> str:
    if path.suffix in (".pkl", ".pickle"):
        return (
            f"{path} is a pickle, which could run any code when read: convert it first, for example "
            "`pandas.read_pickle(f).to_parquet(f + '.parquet')` where you trust it"
        )
    return f"expected a table ({' '.join(PARQUET + TEXT)}), found {path.name}: check the path and the format"


def _unreadable(path: Path, error: Exception) -> SourceError:
    return SourceError(f"expected a readable table, found {path} broken: {str(error)[:200]}")


def rows_estimate(path: Path) -> int | None:
    """About how many rows a file or folder has, without reading it; None where that cannot be told."""
    total = 0
    for file in [path] if path.is_file() else sorted(p for p in path.iterdir() if p.is_file()):
        if file.name.lower().endswith(PARQUET):
            total += int(pyarrow.parquet.read_metadata(file).num_rows)
            continue
        if file.name.lower().endswith(".gz"):
            return None
        with file.open("rb") as stream:
            head = stream.read(1_000_000)
        total += file.stat().st_size * head.count(b"\n") // max(1, len(head))
    return total
