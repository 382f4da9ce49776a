"""Where the customers' rows of a run are: in memory, and on disk once there are too many."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from features.events import Control
from streams.dispositions import Output, Record
from streams.engine import Engine
from streams.store import LocalRows

_BINDING = "evaluation"


class RowsHome:
    """An engine whose rows move to a temporary folder when there are more than memory should hold.

    Parameters
    ----------
    engine
        With rows in memory. What it says does not depend on where they are.
    rows_max
        Rows held in memory.
    stack
        Closes the store and removes the folder.
    """

    def __init__(self, engine: Engine, rows_max: int, stack: ExitStack) -> None:
        self._engine, self._rows_max, self._stack = engine, rows_max, stack
        self._stored: LocalRows | None = None
        self._position = 0

    def process(self, records: Sequence[Record], controls: Iterable[Control] = ()) -> Output:
        """`Engine.process`, with the touched rows where they belong afterwards."""
        out = self._engine.process(records, controls)
        if self._stored is not None:
            self._commit(out.rows)
        elif len(self._engine.rows) > self._rows_max:
            folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="riskshift-rows-"))
            self._stored = LocalRows(Path(folder) / "rows", _BINDING, self._rows_max)
            self._stack.callback(self._stored.close)
            self._commit(self._engine.snapshot())
            self._engine.rows = self._stored
        return out

    def _commit(self, rows: dict[bytes, bytes]) -> None:
        assert self._stored is not None  # noqa: S101  # only called then
        self._position += len(rows)
        self._stored.commit(rows.items(), self._position)
