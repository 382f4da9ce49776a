"""Errors of the features package.

RiskshiftError                  anything Riskshift raises on purpose
└── EventError                  an input record that cannot become an event (goes to the dead letters)
└── RowError                    a stored customer row that cannot be trusted
"""

from __future__ import annotations


class RiskshiftError(Exception):
    """Base of all errors raised on purpose: the message says what was expected, what was found, what to do."""


class EventError(RiskshiftError):
    """An input record is not a valid event.

    Parameters
    ----------
    code
        Stable reason code, one of `features.events.REJECT_CODES`; dashboards group by it.
    message
        Expected, found, and what the sender should change.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class RowError(RiskshiftError):
    """A stored row is of an unknown version, cut short or altered."""
