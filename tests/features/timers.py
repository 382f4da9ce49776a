"""Timers of a credit row, all that are due at once."""

from __future__ import annotations

from features.credit import CreditRow, Signal, fire_next


def fire(row: CreditRow, at_ms: int) -> list[Signal]:
    """Fire every timer due at or before `at_ms`, in due order."""
    signals = []
    while (signal := fire_next(row, at_ms)) is not None:
        signals.append(signal)
    return signals
