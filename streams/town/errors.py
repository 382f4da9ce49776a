"""Errors of the simulator.

RiskshiftError
└── TownError                   a town that cannot be built as asked
"""

from __future__ import annotations

from features.errors import RiskshiftError


class TownError(RiskshiftError):
    """A value of `TownConfig` is out of its range: the message names the key, the range and what was found."""
