"""What lending takes of a step of the engine: the borrower as events go by, then reviews and answers."""

from __future__ import annotations

from typing import Any

from alerts.actions import application_state
from alerts.lending.borrower import Borrower, borrower_of
from alerts.lending.origination import Request
from alerts.shift import Assessor, Change, Facts
from alerts.state import RiskState
from features.events import Application, Event, OfferMade, SocialSignal
from models.scorecard import CompiledCard, score
from streams.rows import CustomerRow
from streams.standing import Standing

# They move nothing in the credit row, and still have something to say.
KINDS: tuple[type[Event], ...] = (OfferMade, SocialSignal)


def borrower_at(row: CustomerRow, event: Event, standing: Standing | None, card: CompiledCard) -> Borrower | None:
    """Whom lending looks at after an event that changed the credit row; None for who neither has nor wants credit."""
    if standing is None and not isinstance(event, Application):
        return None
    return borrower_of(row.credit, row.hot.fraud_ms, event.event_time_ms, card)


def lend(
    assessor: Assessor, risk: RiskState, facts: Facts, event: Event, standing: Standing | None,
    borrower: Borrower | None, changes: list[Change | None], *, early_warning: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Review the borrower and answer what was asked for; what comes of it joins `changes`.

    `early_warning`: whether early warning watches the customer now.

    Returns
    -------
    Fields of the decision: the answer to an application, whose offer this is and the grade it met.
    """
    if isinstance(event, OfferMade):
        made: dict[str, Any] = {"campaign_id": event.campaign_id, "product": event.product}
        if isinstance(event.holdout, bool):
            made["holdout"] = event.holdout
        return made | ({"grade": risk.grade} if risk.grade else {})
    if isinstance(event, SocialSignal):
        changes.append(assessor.social(risk, facts, event.value))
    if borrower is None:
        return {}
    if standing is not None:
        # Not what fell due before the event and was only told with it: a tick may have told that earlier.
        alerts = [alert for change in changes if change is not None for alert in change.alerts]
        hushed = any(alert.source_event_id == event.event_id for alert in alerts)
        changes.append(
            assessor.review(risk, facts, borrower, standing.score, hushed=hushed, early_warning=early_warning)
        )
    if not isinstance(event, Application):
        return {}
    request = Request(
        event.event_id, event.product, event.amount_minor, event.currency, event.term_months or 0,
        event.stated_income_minor or 0,
    )  # fmt: skip
    # Also who has no credit yet is scored, once they ask for it.
    found = standing.score if standing is not None else score(borrower.view, borrower.card)
    changes.append(assessor.application(risk, facts, request, borrower, found))
    answers = risk.lending.applications if risk.lending else []
    mine = next((one for one in answers if one.application_id == event.event_id), None)
    return {"application": application_state(mine)} if mine is not None else {}
