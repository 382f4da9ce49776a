"""How good the scores are: engine and learner over a file whose truth is known, in one process.

`run.py` drives them as a worker and a learner would be driven, labels late; `scores.py` keeps what was scored.
`figures.py` says what it was worth, from `metrics.py`, `calibration.py` and the handbook's `protocol.py`;
`report.py` shows it. Start with `run.py`. `docs/evaluate.md` says what every figure means.
"""

from __future__ import annotations

from streams.evaluation.figures import Asked, evaluated
from streams.evaluation.run import Progress, Run, RunSettings, drive
from streams.evaluation.scores import Scored, Scores
from streams.evaluation.watch import Watch

__all__ = ["Asked", "Progress", "Run", "RunSettings", "Scored", "Scores", "Watch", "drive", "evaluated"]
