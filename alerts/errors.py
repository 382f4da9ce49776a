"""Errors of the alerts package.

RiskshiftError
├── PolicyError                 a policy file that must not come into force
├── TextError                   a text catalogue that lacks a line or does not parse
└── AssessmentError             a score or signal that no caller should have sent
"""

from __future__ import annotations

from features.errors import RiskshiftError


class PolicyError(RiskshiftError):
    """A policy was refused; the policy before it stays in force.

    Parameters
    ----------
    key
        Where, as a dotted path (`fraud.levels.high.enter`), or the line for what is not TOML.
    found, expected, advice
        Parts of the message: what is there, what should be, what to do.
    line
        Line of the file, where it is known.
    """

    def __init__(self, key: str, found: str, expected: str, advice: str, line: int | None = None) -> None:
        where = f"{key} (line {line})" if line else key
        super().__init__(f"policy: {where}: expected {expected}, found {found}: {advice}")
        self.key, self.found, self.expected, self.advice, self.line = key, found, expected, advice, line

    def at(self, line: int | None) -> PolicyError:
        """The same error, with its line."""
        return PolicyError(self.key, self.found, self.expected, self.advice, line)


class TextError(RiskshiftError):
    """A text catalogue lacks a line or is not valid TOML."""


class AssessmentError(RiskshiftError):
    """A grade, signal or outcome outside the known ones."""
