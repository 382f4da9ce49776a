"""Early warning in the engine: indicators are taken down while events go by, and held against the watch list after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec import UNSET

from alerts.changes import Change, Facts
from alerts.warnings import WarningDesk
from features import credit
from features.credit import Signal
from features.events import Event, Profile, Tick
from features.warning_readings import readings
from models.snapshot import LoadedSnapshot
from streams.rows import CustomerRow


class Review(NamedTuple):
    """Indicators as of one moment: later events of the batch change the row.

    `owes`: the customer has credit; `groups`: hashed employer and district; `source`: the timer, where it was silence.
    """

    at_ms: int
    readings: list[float]
    past_due: bool
    owes: bool
    groups: tuple[int, int]
    source: str = ""


def silence(row: CustomerRow, signal: Signal) -> Review:
    """The review of a timer that fired just now, as of its due time."""
    return _review(row, signal.due_ms, f"timer:early_warning:{signal.kind}:{signal.ref}:{signal.due_ms}")


def review(row: CustomerRow, at_ms: int) -> list[Review]:
    """The review of an event; none for a customer who owes nothing."""
    return [_review(row, at_ms)] if row.credit.facilities else []


def _review(row: CustomerRow, at_ms: int, source: str = "") -> Review:
    late = credit.days_past_due(row.credit, at_ms) > 0
    w = row.credit.warnings
    groups = (w.employer, w.district)
    return Review(at_ms, readings(row.credit, at_ms), late, bool(row.credit.facilities), groups, source)


def hold(
    desk: WarningDesk, model: LoadedSnapshot, row: CustomerRow, customer_id: str, event: Event | Tick,
    reviews: Sequence[Review], changes: list[Change | None], fields: dict[str, Any],
) -> None:  # fmt: skip
    """Hold reviews against the watch list; adds to the step's changes and to the fields of its decision."""
    if isinstance(event, Profile):
        # The learner counts by group; a decision about the person never reads these.
        fields["district"], fields["employer"] = event.district or UNSET, event.employer_id or UNSET
    watch = row.credit.warnings
    for it in reviews:
        fields["warnings"] = [r if r == 0.0 or r == 1.0 else round(r, 3) for r in it.readings]
        if not it.owes:
            continue
        before = watch.watch_since_ms
        facts = Facts(customer_id, event.event_id, it.at_ms, model_version=model.version)
        fields["warning_probability"], change = desk.review(
            row.risk, watch, facts, it.readings, model.warnings,
            past_due=it.past_due, groups=it.groups, struck=model.struck, source=it.source,
        )  # fmt: skip
        if (before < 0) != (watch.watch_since_ms < 0):
            fields["watch"] = watch.watch_since_ms >= 0
        changes.append(change)
