"""Errors of the models package.

RiskshiftError
└── ModelError               anything the models refuse
    ├── SnapshotError        bytes that must not be scored with
    │   └── BaseMissingError     they add to a snapshot that is not here
    ├── CheckpointError      bytes that must not be learned from
    └── LearnerError         the learner was driven against its rules
"""

from __future__ import annotations

from features.errors import RiskshiftError


class ModelError(RiskshiftError):
    """Base of the package's errors."""


class SnapshotError(ModelError):
    """A snapshot is unsigned, altered, incomplete or made for other features: it is not loaded."""


class BaseMissingError(SnapshotError):
    """A snapshot adds to another one that is not here; `version` says which."""

    def __init__(self, message: str, version: int) -> None:
        super().__init__(message)
        self.version = version


class CheckpointError(ModelError):
    """A learner checkpoint is unsigned, altered or holds something it must not hold: it is not restored."""


class LearnerError(ModelError):
    """The learner was given what it cannot take: an unknown partition, or more than its queue may hold."""
