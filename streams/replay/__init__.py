"""What would have happened if: files and topics again through the same engine and learner, and two runs compared.

`source.py` cuts a file into steps, `driver.py` gives them to engines (`engines.py`, in `processes.py`) and what they
say to the learner (`teaching.py`); `output.py` writes Parquet and `manifest.py` the hashes. `topics.py` reads a Kafka
deployment and `recorded.py` lives it through exactly as it was. `diff/` compares two replays, `past.py` follows one
customer. Start with `driver.py`; `docs/replay.md` shows what it is for.
"""

from __future__ import annotations

from streams.replay.driver import Options, Replay, Run
from streams.replay.errors import ReplayError

__all__ = ["Options", "Replay", "ReplayError", "Run"]
