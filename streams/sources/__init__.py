"""Adapters that turn files into canonical events, in time order, a batch of rows at a time.

`open_source` is the door; `labelled.py` is a second one, for those who need every row with its truth. `FORMATS`
names what can be read. `source.py` holds what the adapters share (what was asked, what was counted, what was
rejected), `tables.py`, `ordering.py` and `columns.py` read Parquet and CSV, and there is one module per format.
What is read and what it becomes is written in `docs/sources.md`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streams.sources.source import Reject, Request, Source, SourceError, Tally

# format → one line; the module of a format has `read(request) -> Iterator[Event]`.
FORMATS: dict[str, str] = {
    "handbook": "Fraud-Detection-Handbook's simulated card transactions (Parquet or CSV; a file or a folder)",
    "berka": "PKDD'99 Czech bank: a folder with trans, account, loan, ... (Parquet, or the original .asc)",
    "uci-default": "UCI default of credit card clients, Taiwan 2005 (Parquet or CSV)",
    "events": "canonical events, one JSON object a line (.jsonl, .jsonl.gz)",
    "csv": "any CSV or Parquet, by a mapping file that says which column is which field",
}


def open_source(
    fmt: str,
    path: Path,
    *,
    mapping: Path | None = None,
    from_ms: int | None = None,
    until_ms: int | None = None,
    label_delay_ms: int | None = None,
    outcomes: bool = True,
    on_reject: Callable[[Reject], None] | None = None,
) -> Source:
    """Events of a file or folder, lazily, in the order of their event time (`events`: in the order of the file).

    Parameters
    ----------
    fmt
        One of `FORMATS`.
    mapping
        The mapping file, for `csv` only.
    from_ms, until_ms
        Keep events with `from_ms <= event_time_ms < until_ms`; an outcome counts by the time it became known,
        so that two calls that share a bound give together what one call gives.
    label_delay_ms
        How long after its event an outcome becomes known; `None`: the format's own (handbook seven days).
    outcomes
        False leaves all outcomes out.
    on_reject
        Called with each row or line that could not become an event; reading goes on.

    Returns
    -------
    An iterator of events, which also counts: `rows`, `rejected`, `outcomes`.

    Raises
    ------
    SourceError
        Unknown format, missing file or column, wrong mapping; while reading: a file that is not in time order.
    """
    tally = Tally(on_reject)
    request = Request(path, mapping, from_ms, until_ms, label_delay_ms, outcomes, tally)
    return Source(adapter(fmt, request).read(request), tally)


def adapter(fmt: str, request: Request) -> Any:
    """The module that reads `fmt`, after what can be said before the first row was checked.

    Raises
    ------
    SourceError
        Unknown format, no file, a mapping too few or too many, an empty range.
    """
    if fmt not in FORMATS:
        raise SourceError(f"expected a format of {', '.join(FORMATS)}, found {fmt!r}")
    if (fmt == "csv") != (request.mapping is not None):
        raise SourceError(
            "format csv needs a mapping file (--mapping M, see docs/sources.md)"
            if fmt == "csv"
            else f"format {fmt} knows its columns and takes no mapping file: leave --mapping out, or use --format csv"
        )
    if not request.path.exists():
        raise SourceError(f"expected a file or folder at {request.path}, found nothing there: check the path")
    if request.from_ms is not None and request.until_ms is not None and request.from_ms >= request.until_ms:
        raise SourceError(f"expected --from before --until, found {request.from_ms} and {request.until_ms}")
    return importlib.import_module(f"streams.sources.{fmt.replace('-', '_')}")


__all__ = ["FORMATS", "Reject", "Source", "SourceError", "adapter", "open_source"]
