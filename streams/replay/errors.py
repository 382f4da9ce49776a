"""Errors of a replay."""

from __future__ import annotations

from features.errors import RiskshiftError


class ReplayError(RiskshiftError):
    """Names what cannot be replayed or compared, what was expected and what to do."""
