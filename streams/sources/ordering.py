"""Tables in the order of time, whatever their own order: sorted on disk, a bounded piece of it in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
from numpy.typing import NDArray

from streams.sources.source import SourceError, Tally
from streams.sources.tables import BATCH_ROWS, Batch, read_batches

# Rows sorted in memory at once; the pieces of a larger table wait in files.
PIECE_ROWS = 500_000
_PIECES_MAX = 200
# Not possible names of columns read here: a row's number in its file, and its time.
_NUMBER, _TIME = "\0number", "\0time"
# Times of one batch; None for a row whose time cannot be read.
TimesOf = Callable[[Batch], Sequence[int | None]]


def in_time_order(
    files: Sequence[Path],
    columns: Sequence[str],
    optional: Sequence[str],
    tally: Tally,
    time_columns: Sequence[str],
    times_of: TimesOf,
) -> Iterator[Batch]:
    """`read_batches` of all files, stably sorted by time; read as they are where they are in order already.

    Parameters
    ----------
    columns, optional, tally
        As for `read_batches`.
    time_columns, times_of
        Columns that times are read from, and how.

    Returns
    -------
    Batches in the order of time, rows without a readable time first. Rows keep their numbers; several files are
    numbered through. The times are read once before: memory is 24 bytes a row then, later at most about
    `PIECE_ROWS` rows (more only where so many are of the same moment). Pieces lie in the folder for temporary files.
    """
    parts = [_times(batch, times_of) for file in files for batch in read_batches(file, time_columns, (), Tally())]
    times: NDArray[np.int64] = np.concatenate(parts) if parts else np.zeros(0, np.int64)
    del parts
    readable = times[times >= 0]
    if bool(np.all(readable[1:] >= readable[:-1])):
        for file in files:
            yield from read_batches(file, columns, optional, tally)
        return
    piece = max(PIECE_ROWS, len(times) // _PIECES_MAX)
    # Equal times fall into the same piece, so that pieces follow each other.
    cuts = np.unique(np.sort(times)[piece::piece])
    del readable
    with tempfile.TemporaryDirectory(prefix="riskshift-sort-") as folder:
        pieces = _split(files, columns, optional, tally, times, cuts, Path(folder))
        name = files[0].name if len(files) == 1 else f"{files[0].parent.name}/*"
        for path in pieces:
            yield from _sorted(path, name)


def _times(batch: Batch, times_of: TimesOf) -> NDArray[np.int64]:
    return np.array([-1 if at is None else at for at in times_of(batch)], np.int64)


def _split(
    files: Sequence[Path],
    columns: Sequence[str],
    optional: Sequence[str],
    tally: Tally,
    times: NDArray[np.int64],
    cuts: NDArray[np.int64],
    folder: Path,
) -> list[Path]:
    # Deals the rows out to the files of their pieces, in their order.
    paths = [folder / f"{number}.arrow" for number in range(len(cuts) + 1)]
    schema: Any = None
    writers: dict[int, Any] = {}
    place = first = 0
    with ExitStack() as stack:
        for file in files:
            number = 0
            for batch in read_batches(file, columns, optional, tally):
                at = times[place : place + batch.rows]
                place += batch.rows
                numbers = np.asarray(batch.numbers, np.int64) + first
                number = int(numbers[-1]) if batch.rows else number
                table = pa.table({**batch.columns, _NUMBER: pa.array(numbers), _TIME: pa.array(at)})
                schema = schema or table.schema
                table = _like(table, schema, file)
                piece = np.searchsorted(cuts, at, side="right")
                for which in np.unique(piece).tolist():
                    if which not in writers:
                        writers[which] = stack.enter_context(pyarrow.ipc.new_file(str(paths[which]), schema))
                    writers[which].write_table(table.take(pa.array(np.flatnonzero(piece == which))))
            first = number or first
    return [path for path in paths if path.exists()]


def _like(table: Any, schema: Any, file: Path) -> Any:
    # Files of one folder may differ in what is optional and in the width of a number.
    try:
        for field in schema:
            if field.name not in table.column_names:
                table = table.append_column(field, pa.nulls(len(table), field.type))
        return table.select(schema.names).cast(schema)
    except (pa.ArrowException, ValueError) as error:
        raise SourceError(
            f"expected the columns of {file} to be of the same type as in the files before it, found: "
            f"{str(error)[:200]}: convert them, or sort the files"
        ) from None


def _sorted(path: Path, name: str) -> Iterator[Batch]:
    with pa.memory_map(str(path)) as source:
        table = pyarrow.ipc.open_file(source).read_all()
        order = np.argsort(table.column(_TIME).to_numpy(), kind="stable")
        for start in range(0, len(order), BATCH_ROWS):
            part = table.take(pa.array(order[start : start + BATCH_ROWS])).combine_chunks()
            columns = {column: part.column(column) for column in part.column_names if column not in (_NUMBER, _TIME)}
            yield Batch(name, part.column(_NUMBER).to_pylist(), len(part), columns)
    path.unlink()
