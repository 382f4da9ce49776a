"""Scores in, shifts out: when a customer's risk crosses a line, say so once, and say what to do.

Start with `state.py` (what is known to be in force for a customer), then `policy.py` (the versioned
rules of the house), `levels.py` (hysteresis) and `shift.py` (`Assessor`: one score or signal becomes
a `Change`, or nothing). Behind it, `cards.py` and `actions.py` hold what a change does to the state,
`credit.py` and `outcomes.py` the grades and the truth, `explanation.py` the reasons, `changes.py` the
record that comes of it; `warnings.py` keeps the watch list, `community.py` makes one alert of a whole group's.
`records.py` are the contracts that leave the house, `schemas.py` their JSON
Schemas, `texts.py` the words a customer may read. Nothing here does I/O, reads a clock or draws a random
number, except three small doors: `policy.load_policy`, `texts.load` and `schemas.main`.
"""

from __future__ import annotations

from alerts.policy import Policy
from alerts.records import Alert, Decision, RiskChange
from alerts.shift import Assessor, Change, Facts
from alerts.state import RiskState

__all__ = ["Alert", "Assessor", "Change", "Decision", "Facts", "Policy", "RiskChange", "RiskState"]
