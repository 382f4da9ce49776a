"""Errors of the shell: settings, broker, topics, state.

features.errors.RiskshiftError
├── SettingError    a setting that cannot be used; the start stops
├── BrokerError     the broker is absent, refuses, or lost what the state is bound to
└── StateError      stored state that must not be used
"""

from __future__ import annotations

from features.errors import RiskshiftError


class SettingError(RiskshiftError):
    """Names the setting, its value and where it came from, what was expected, what to do."""


class BrokerError(RiskshiftError):
    """Names the broker's address, what was asked of it and what to do."""


class StateError(RiskshiftError):
    """Names the state, why it is refused and how to rebuild it."""
