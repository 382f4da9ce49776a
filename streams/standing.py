"""What the engine takes down of a customer's credit while events go by: later ones of the batch change the row."""

from __future__ import annotations

from typing import NamedTuple

from features import credit
from features.credit import Signal
from features.events import Event
from models.scorecard import CreditScore, score
from streams.rows import CustomerRow


class Standing(NamedTuple):
    """Credit as of one moment."""

    score: CreditScore
    days_past_due: int
    defaulted: bool


Fired = tuple[Signal, Standing | None]


def standing_of(row: CustomerRow, at_ms: int) -> Standing | None:
    """Credit as of a time; None for a customer without any."""
    view = credit.view(row.credit, at_ms)
    return Standing(score(view), view.days_past_due, view.defaulted) if view.has_credit else None


def fire(row: CustomerRow, at_ms: int) -> list[Fired]:
    """Signals due by `at_ms`, each with the credit standing as of its own due time."""
    return [(signal, standing_of(row, signal.due_ms)) for signal in credit.fire(row.credit, at_ms)]


def facility_of(row: CustomerRow, event: Event) -> tuple[str, int] | None:
    """The facility an event is about, with its days past due after it."""
    facility_id = getattr(event, "facility_id", None)
    for facility in row.credit.facilities:
        if facility_id and facility.facility_id == facility_id:
            return facility_id, facility.days_past_due(event.event_time_ms)
    return None
