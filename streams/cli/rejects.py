"""Rejected rows as commands show them: the first few on standard error, all of them in a file."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from streams.sources import Reject, SourceError

_SHOWN = 5


class Rejects:
    """Called with every rejected row.

    Parameters
    ----------
    path
        Where all of them are written, one JSON object a line; None: only the first few are shown.
    stack
        Closes the file.

    Raises
    ------
    SourceError
        When the file cannot be written.
    """

    def __init__(self, path: Path | None, stack: ExitStack) -> None:
        self._file: TextIO | None = None
        self._count = 0
        if path is not None:
            try:
                self._file = stack.enter_context(path.open("w", encoding="utf-8"))
            except OSError as error:
                raise SourceError(f"expected to write rejected rows to {path}, found: {error.strerror}") from None

    def __call__(self, reject: Reject) -> None:
        self._count += 1
        if self._file is not None:
            fields = {"file": reject.file, "line": reject.line, "code": reject.code, "reason": reject.reason}
            self._file.write(json.dumps({**fields, "text": reject.text}) + "\n")
        if self._count <= _SHOWN:
            # ascii() escapes what a file could otherwise do to a terminal.
            print(f"rejected {reject.file}:{reject.line}: {reject.code}: {ascii(reject.reason)[1:-1]}", file=sys.stderr)
        elif self._count == _SHOWN + 1:
            more = "in the --rejects file" if self._file is not None else "not shown; keep them with --rejects FILE"
            print(f"more rejected rows are {more}", file=sys.stderr)
