"""Canonical events, one JSON object a line, plain or gzip: what a dump of the events topic looks like.

The order of the file is kept, late events and all. A line that is not an event is rejected, with its
number and the same reason code a worker would give; reading goes on.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from features.errors import EventError
from features.events import EVENT_BYTES_MAX, Event, Outcome, decode
from streams.sources.source import Reject, Request, SourceError

NAMES = (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz", ".json.gz")
_LINE_MAX = EVENT_BYTES_MAX + 2


def read(request: Request) -> Iterator[Event]:
    """Events of the file, or of a folder's files in the order of their names; one line in memory."""
    tally, since, before = request.tally, request.since, request.before
    for path in _files(request.path):
        for number, line in _lines(path):
            text = line.strip()
            if not text:
                continue
            try:
                event = decode(text)
                if not isinstance(event, Event):
                    raise EventError(
                        "bad_control", "expected a customer's event, found a control record: workers write those"
                    )
            except EventError as error:
                tally.rows += 1
                tally.reject(
                    Reject(path.name, number, error.code, str(error), text[:2_000].decode("utf-8", "backslashreplace"))
                )
                continue
            if since <= event.event_time_ms < before and (request.outcomes or type(event) is not Outcome):
                tally.rows += 1
                yield event


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    files = sorted(p for p in path.iterdir() if p.is_file() and p.name.endswith(NAMES))
    if not files:
        raise SourceError(f"expected files of JSON lines ({' '.join(NAMES)}) in {path}, found none")
    return files


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    number = 0
    try:
        # GzipFile answers the same calls as a binary file.
        with cast("BinaryIO", gzip.open(path)) if path.name.endswith(".gz") else path.open("rb") as file:
            while line := file.readline(_LINE_MAX):
                number += 1
                # A line longer than any event is cut, refused as too large, and its rest passed over.
                rest = line
                while len(rest) == _LINE_MAX and not rest.endswith(b"\n"):
                    rest = file.readline(_LINE_MAX)
                yield number, line
    except (OSError, EOFError, zlib.error) as error:
        raise SourceError(f"expected readable JSON lines, found {path} broken after line {number}: {error}") from None
