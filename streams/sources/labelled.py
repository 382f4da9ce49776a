"""Every row of a file with its truth and its own id: what an evaluation reads, and nobody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from models.observation import FRAUD_OUTCOMES
from streams.sources import adapter
from streams.sources.source import Labelled, Reject, Request, SourceError, Tally
from streams.sources.tables import PARQUET, table_files
from streams.sources.times import DAY_MS

_USUAL_DELAY_MS = 7 * DAY_MS
# What other formats know is how loans and cards end, not which payments were frauds.
_WITHOUT_FRAUD = {
    "berka": "how loans ended (paid in full, default)",
    "uci-default": "who defaulted on a credit card bill",
}


@dataclass(frozen=True, slots=True)
class LabelledSource:
    """Rows in time order, and what is known about all of them.

    Parameters
    ----------
    rows
        Events, each with its outcome; `events` files have outcomes among their events instead.
    tally
        Grows while the rows are read.
    id_column
        Name of the rows' own id in the file, `row` where rows are counted, `event_id` for events.
    integer_ids
        Whether ids may be written as whole numbers, as the file has them.
    labelled
        Whether the file says what was fraud.
    label_delay_ms
        The same for every row; None where each outcome has a time of its own.
    usual_delay_ms
        After which most labels are there: the delay, or what the mapping says beside the times of its outcomes.
    """

    rows: Iterator[Labelled]
    tally: Tally
    id_column: str
    integer_ids: bool
    labelled: bool
    label_delay_ms: int | None
    usual_delay_ms: int


def open_labelled(
    fmt: str,
    path: Path,
    *,
    mapping: Path | None = None,
    until_ms: int | None = None,
    label_delay_ms: int | None = None,
    stem: str = "",
    labels_needed: bool = True,
    on_reject: Callable[[Reject], None] | None = None,
) -> LabelledSource:
    """Every row before `until_ms`; a table that is not in time order is sorted.

    Parameters
    ----------
    fmt, path, mapping, label_delay_ms, on_reject
        As for `open_source`.
    stem
        Put before the event ids of rows that have none, so that those of two files differ.
    labels_needed
        False reads a file without the column of the label too.

    Raises
    ------
    SourceError
        As `open_source`; and where the format or the mapping knows of no fraud.
    """
    tally = Tally(on_reject)
    request = Request(path, mapping, None, until_ms, label_delay_ms, True, tally, sort=True, stem=stem)
    module = adapter(fmt, request)
    if fmt in _WITHOUT_FRAUD:
        raise SourceError(
            f"expected transactions with fraud labels, found format {fmt}, which says {_WITHOUT_FRAUD[fmt]}: "
            "evaluate a file of transactions (handbook, events, or csv with a mapping that has a [label])"
        )
    if fmt == "events":
        if label_delay_ms is not None:
            raise SourceError("format events has outcomes with times of their own: leave --label-delay out")
        rows = (Labelled(event, None, event.event_id) for event in module.read(request))
        return LabelledSource(rows, tally, "event_id", False, True, None, _USUAL_DELAY_MS)
    labelled = module.has_labels(request)
    if labels_needed and not labelled:
        raise SourceError(_no_label(fmt, module, request))
    request = replace(request, labels=labelled)
    usual, id_column, own_times = _USUAL_DELAY_MS, "TRANSACTION_ID", False
    if fmt == "csv":
        usual, id_column, own_times = _of_mapping(module.mapping_of(request), mapping)
    if label_delay_ms is not None:
        usual, own_times = label_delay_ms, False
    return LabelledSource(
        _counted(module.rows(request), tally), tally, id_column, _integers(path, id_column), labelled,
        None if own_times else usual, usual,
    )  # fmt: skip


def _of_mapping(mapping: Any, path: Path | None) -> tuple[int, str, bool]:
    if mapping.kind != "transaction":
        raise SourceError(f"{path}: expected kind transaction, found {mapping.kind}: only transactions are scored")
    label = mapping.label
    if label is not None and label.outcome not in FRAUD_OUTCOMES:
        raise SourceError(
            f"{path}: label.outcome: expected one of {', '.join(FRAUD_OUTCOMES)}, found {label.outcome}: "
            "scores are fraud probabilities"
        )
    if label is None:
        return _USUAL_DELAY_MS, mapping.id_column, False
    return label.delay_ms, mapping.id_column, label.known is not None


def _no_label(fmt: str, module: Any, request: Request) -> str:
    if fmt == "csv" and (mapping := module.mapping_of(request)).label is None:
        return f"{request.mapping}: expected a [label] that says what was fraud, found none: see docs/sources.md"
    column = mapping.label.column if fmt == "csv" else module.LABELS[0]
    return (
        f"expected column {column} with the labels in {request.path}, found none: add it; to score a file without "
        "labels, give one with labels to learn from (--learn FILE)"
    )


def _counted(rows: Iterator[Labelled], tally: Tally) -> Iterator[Labelled]:
    for row in rows:
        tally.rows += 1
        yield row


def _integers(path: Path, column: str) -> bool:
    # Text in a Parquet file stays text; in CSV everything is, and what looks like whole numbers is taken for such.
    import pyarrow as pa
    import pyarrow.parquet

    file = table_files(path)[0]
    if column == "row" or not file.name.lower().endswith(PARQUET):
        return True
    schema = pyarrow.parquet.read_schema(file)
    return column in schema.names and not (
        pa.types.is_string(schema.field(column).type) or pa.types.is_large_string(schema.field(column).type)
    )
