"""Pass 3 of the engine: scored steps, in offset order, become levels, grades, measures, alerts and records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from alerts.lending.borrower import Borrower
from alerts.shift import Assessor, Change, Facts
from alerts.state import next_due as risk_next_due
from alerts.warnings import WarningDesk
from features.catalogue import FEATURE_VERSION
from features.events import ActionResult, Event, Outcome, Profile, Tick, Transaction
from models.compiled import FraudScores
from models.snapshot import LoadedSnapshot
from streams import lending
from streams.dispositions import (
    Output,
    credit_fields,
    decided,
    level_of,
    noted,
    outcome_fields,
    passed,
    top_reasons,
    transaction_fields,
)
from streams.memory_rows import Rows
from streams.rows import CustomerRow, PartitionMeta
from streams.standing import Fired, Standing, bridge
from streams.watch import Review, hold

# Without a vector these may still move the risk state, or have more to say than that they were noted.
_MOVE_RISK = frozenset((Transaction, Outcome, ActionResult, Profile, Tick, *lending.KINDS))


class Step(Struct, gc=False):
    """One applied record on its way from pass 1 to pass 3.

    `place` is that of its `vector` in the matrix; `facility` an id and its days past due after the event.
    """

    offset: int
    customer_id: str
    key: bytes
    row: CustomerRow
    event: Event | Tick
    signals: Sequence[Fired] = ()
    vector: list[float] | None = None
    place: int = -1
    standing: Standing | None = None
    facility: tuple[str, int] | None = None
    reviews: Sequence[Review] = ()
    borrower: Borrower | None = None


class Shifts:
    """What scored steps change, under one model and one policy.

    Parameters
    ----------
    meta, rows
        The engine's own; a row whose due time moved is told to `rows`.
    model, assessor
        Versions in force.
    """

    def __init__(self, meta: PartitionMeta, rows: Rows, model: LoadedSnapshot, assessor: Assessor) -> None:
        self._meta, self._rows = meta, rows
        self._model, self._assessor = model, assessor
        self._desk = WarningDesk(assessor.policy, assessor.texts)

    def pass_by(self, step: Step, probability: list[float], anomaly: list[float], out: Output) -> bool:
        """Most events move nothing: say their decision and be done; False when there may be more to it."""
        event, row, place, meta = step.event, step.row, step.place, self._meta
        risk = row.risk
        if step.signals or step.standing is not None or step.facility is not None or step.reviews or step.borrower:
            return False
        risk_due = -1
        if risk.actions or risk.lending is not None:
            risk_due = or_never(risk_next_due(risk))
            if 0 <= risk_due <= event.event_time_ms:
                return False
        kind = type(event)
        if kind is Transaction and step.vector is not None:
            quiet = self._assessor.is_quiet
            if not quiet(risk, event.card_id or None, step.vector, probability[place], anomaly[place]):  # type: ignore[union-attr]  # a transaction
                return False
            item = passed(meta, step.key, event, step.offset, step.vector, probability[place], anomaly[place])  # type: ignore[arg-type]  # the same
        elif kind in _MOVE_RISK:
            return False
        else:
            item = noted(meta, step.key, event, step.offset)  # type: ignore[arg-type]  # no tick
        due_ms = row.credit_due_ms if risk_due < 0 else _earliest(row.credit_due_ms, risk_due)
        if due_ms != row.due_ms:
            row.due_ms = due_ms
            self._rows.due_changed(step.customer_id, row)
        out.decisions.append(item)
        return True

    def shift(
        self, step: Step, scores: FraudScores | None, probability: list[float], anomaly: list[float], out: Output
    ) -> None:
        """Everything a step may change, and its decision."""
        event, row = step.event, step.row
        risk, assessor = row.risk, self._assessor
        changes: list[Change | None] = []
        self._fire(step, changes)
        fields: dict[str, Any] = {}
        if isinstance(event, Transaction):
            fields |= transaction_fields(event)
            vector, place = step.vector, step.place
            if vector is not None and scores is not None:
                contributions = scores.contributions[place]
                change = assessor.transaction(
                    risk, self._facts(step), vector, probability[place], anomaly[place], contributions
                )
                changes.append(change)
                fields["features"] = vector
                fields["feature_version"] = FEATURE_VERSION
                fields["fraud_probability"] = probability[place]
                fields["anomaly_score"] = anomaly[place]
                fields["fraud_level"] = level_of(risk, event.card_id)
                if change is not None and change.propensity is not None:
                    fields["propensity"], fields["control_group"] = change.propensity, change.control_group
                if change is not None and change.alerts:
                    fields["reasons"] = top_reasons(contributions.tolist())
        elif isinstance(event, Outcome):
            fields |= outcome_fields(event)
            card_id, facility_id = event.card_id or None, event.facility_id or None
            changes.append(assessor.outcome(risk, self._facts(step), event.outcome, card_id, facility_id))
        elif isinstance(event, ActionResult):
            card_id, alert_id = event.card_id or None, event.alert_id or None
            changes.append(
                assessor.action_result(risk, self._facts(step), event.action, event.result, card_id, alert_id)
            )
        if step.facility is not None:
            changes.append(assessor.facility(risk, self._facts(step), *step.facility))
        standing = step.standing
        if standing is not None:
            changes.append(
                assessor.credit(
                    risk,
                    self._facts(step),
                    standing.score,
                    days_past_due=standing.days_past_due,
                    defaulted=standing.defaulted,
                    borrower=step.borrower,
                    bridge=bridge(standing, risk, self._model.cards),
                )
            )
            fields |= credit_fields(standing, risk.grade, step.facility)
        hold(self._desk, self._model, row, step.customer_id, event, step.reviews, changes, fields)
        if isinstance(event, Event) and (step.borrower or type(event) in lending.KINDS):
            watched = row.credit.warnings.watch_since_ms >= 0
            fields |= lending.lend(
                assessor, risk, self._facts(step), event, standing, step.borrower, changes, early_warning=watched
            )
        due_ms = _earliest(row.credit_due_ms, or_never(risk_next_due(risk)))
        if due_ms != row.due_ms:
            row.due_ms = due_ms
            self._rows.due_changed(step.customer_id, row)
        self._emit(step, [change for change in changes if change is not None], fields, out)

    def _fire(self, step: Step, changes: list[Change | None]) -> None:
        """What fell due before this event, in due order, each as of its own due time: signals and expiries."""
        risk, until = step.row.risk, step.event.event_time_ms
        risk_due = risk_next_due(risk)
        for signal, standing in step.signals:
            if risk_due is not None and risk_due <= signal.due_ms:
                risk_due = self._expire(step, signal.due_ms, changes)
            facts = Facts(step.customer_id, step.event.event_id, signal.due_ms, model_version=self._meta.model_version)
            credit_score = standing.score if standing is not None else None
            changes.append(
                self._assessor.signal(risk, facts, signal.kind, signal.due_ms, signal.ref, score=credit_score)
            )
            risk_due = risk_next_due(risk)
        if risk_due is not None and risk_due <= until:
            self._expire(step, until, changes)

    def _expire(self, step: Step, until_ms: int, changes: list[Change | None]) -> int | None:
        assessor, risk = self._assessor, step.row.risk
        while (due := risk_next_due(risk)) is not None and due <= until_ms:
            facts = Facts(step.customer_id, step.event.event_id, due, model_version=self._meta.model_version)
            changes.append(assessor.expire(risk, due, facts))
        return due

    def _facts(self, step: Step) -> Facts:
        event, version = step.event, self._meta.model_version
        if not isinstance(event, Transaction):
            return Facts(step.customer_id, event.event_id, event.event_time_ms, model_version=version)
        card_id, amount = event.card_id or None, event.amount_minor
        return Facts(step.customer_id, event.event_id, event.event_time_ms, card_id, amount, event.currency, version)

    # --- records ----------------------------------------------------------------------------------------

    def _emit(self, step: Step, changes: list[Change], fields: dict[str, Any], out: Output) -> None:
        event = step.event
        alert_ids = [alert.alert_id for change in changes for alert in change.alerts]
        moved = [change.risk_change for change in changes if change.risk_change is not None]
        if alert_ids:
            fields["alert_ids"] = alert_ids
        if moved:
            fields["sequence"] = moved[-1].sequence
        if isinstance(event, Tick):
            if not alert_ids and not moved and "warnings" not in fields:
                return  # woken, and nothing came of it
            # Not the disposition of an input offset, and says so by naming its parent.
            fields["parent"] = event.event_id
        out.say(step.customer_id.encode(), changes)
        disposition = "derived" if isinstance(event, Tick) else "decision"
        out.decisions.append(decided(self._meta, disposition, event, step.offset, step.customer_id, fields))


def or_never(due_ms: int | None) -> int:
    return -1 if due_ms is None else due_ms


def _earliest(first_ms: int, second_ms: int) -> int:
    """The earlier of two due times, of which -1 is never."""
    if first_ms < 0 or second_ms < 0:
        return max(first_ms, second_ms)
    return min(first_ms, second_ms)
