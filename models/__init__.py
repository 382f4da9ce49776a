"""Scores and where they come from: fraud probability, anomaly, credit points; and the learner behind them.

Scoring and learning are apart. Workers score with an immutable, signed `Snapshot` (`snapshot.py`), compiled
into flat arrays (`compiled.py`) over features shaped by the catalogue (`shaping.py`), with indicators shared
between customers (`shared.py`). The learner (`learner.py`, parts in `learning/`) reads decisions
(`observation.py`), waits for labels, lets the River models (`fraud.py`, starting from `prior.py`) learn, and
publishes the next snapshot. Credit is a scorecard (`scorecard.py`) with a master scale (`grades.py`).
`early_warning.py` is the early-warning score and how it learns, `community.py` finds shocks of whole groups.
Start with `snapshot.py`, then `compiled.py`. Nothing here does I/O, reads a clock or draws a random number
without a seed.
"""

from models.errors import CheckpointError, LearnerError, ModelError, SnapshotError

__all__ = ["CheckpointError", "LearnerError", "ModelError", "SnapshotError"]
