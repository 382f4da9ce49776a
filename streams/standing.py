"""What the engine takes down of a customer's credit while events go by: later ones of the batch change the row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from alerts.state import RiskState
from features import credit
from features.credit import Signal
from features.environment import Environment
from features.events import Application, Event, LoanGranted, Outcome, Statement, Tick
from models.credit.change import Cards, settle
from models.scorecard import CreditScore, inputs_of
from streams.rows import CustomerRow

# Each of these is an observation the learner is given; other events only where a month went by without one.
_OBSERVED = frozenset((Application, LoanGranted, Statement))


class Standing(NamedTuple):
    """Credit as of one moment; `observed`: its inputs once more, when the learner shall have them."""

    score: CreditScore
    days_past_due: int
    defaulted: bool
    inputs: Sequence[float]
    observed: tuple[float, ...] | None = None


Fired = tuple[Signal, Standing | None]


def standing_of(
    row: CustomerRow, at_ms: int, cards: Cards, environment: Environment, event: Event | Tick | None = None
) -> Standing | None:
    """Credit as of a time; None for a customer without any.

    Parameters
    ----------
    row
        Remembers what it was scored with, for the next change.
    cards
        In force, and the one before.
    environment
        The partition's baselines: read for firms only.
    event
        What brought it up; decides whether this is an observation to learn from.
    """
    own = row.credit
    if not own.facilities:
        return None
    stress = environment.stress("industry", own.industry) if own.enterprise and own.industry else 0.0
    view = credit.view(own, at_ms, stress)
    inputs = inputs_of(view)
    score = settle(own, inputs, cards)
    observed = None
    # An outcome is the truth about earlier observations, and none of its own.
    if event is not None and type(event) is not Outcome and _is_observed(row, event):
        observed = tuple(map(float, inputs))
    return Standing(score, view.days_past_due, view.defaulted, inputs, observed)


def bridge(standing: Standing, risk: RiskState, cards: Cards) -> tuple[tuple[str, float], ...] | None:
    """What the card that the customer was last told of gives now; None where that is the one in force, or unknown."""
    told = risk.lending.card if risk.lending is not None else 0
    before = cards.before
    if before is None or told == standing.score.card_version or told != before.card.version:
        return None
    return before.score(standing.inputs).contributions


def _is_observed(row: CustomerRow, event: Event | Tick) -> bool:
    own = row.credit
    own.months.reach(event.event_time_ms)
    month = own.months.month
    if type(event) not in _OBSERVED and month <= own.observed_month + 1:
        # Statements come monthly: the last month's will have its next soon.
        return False
    own.observed_month = month
    return True


def facility_of(row: CustomerRow, event: Event) -> tuple[str, int] | None:
    """The facility an event is about, with its days past due after it."""
    facility_id = getattr(event, "facility_id", None)
    for facility in row.credit.facilities:
        if facility_id and facility.facility_id == facility_id:
            return facility_id, facility.days_past_due(event.event_time_ms)
    return None
