"""Two replays of the same events compared: a what-if in figures, lines of text and a page.

`tables.py` reads a replay's folder, `figures.py` compares two of them, `customers.py` finds whom it matters to most;
`lines.py` and `page.py` (with `pictures.py` and `texts.py`) show it. Start with `figures.py`.
"""

from __future__ import annotations

from streams.replay.diff.figures import compared
from streams.replay.diff.tables import ReplayTables

__all__ = ["ReplayTables", "compared"]
