"""Shifts of credit: grades, signals of silence and arrears, default and cure. Nothing here touches a card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from alerts.actions import Target
from alerts.changes import CauseKind, Change, Draft, Facts
from alerts.errors import AssessmentError
from alerts.explanation import change_reasons, credit_reasons
from alerts.lending.borrower import Borrower
from alerts.lending.measures import UPWARD, may_rise
from alerts.lending.plan import improvement_plan, steps_in_words
from alerts.lending.settle import watch
from alerts.planned import PlannedAction
from alerts.policy import Move, Policy
from alerts.records import REASONS_MAX, Reason
from alerts.score_change import hundredths, score_change
from alerts.state import (
    FACILITIES_MAX,
    GRADES,
    SIGNALS,
    Lending,
    RiskState,
    is_cooling,
    start_cooling,
)
from alerts.texts import Texts
from models.grades import DEFAULT_GRADE, grade_of
from models.scorecard import CreditScore, score

# Their actions are credit actions, which the release of a card does not touch.
REASONS = ("grade_down", "grade_up", "default", "early_warning", *SIGNALS)
# A defaulted customer who is cured starts again from the last performing grade and is confirmed upward.
_CURED_GRADE = GRADES[-2]
_CLASS_OF_SIGNAL = {"instalment_missed": 1, "dpd_30": 2, "dpd_60": 3, "dpd_90": 4}


def dpd_class(days_past_due: int) -> int:
    """Number of the class in `alerts.state.DPD_CLASSES` for whole days past due.

    Examples
    --------
    >>> [dpd_class(d) for d in (0, 1, 29, 30, 60, 90, 400)]
    [0, 1, 1, 2, 3, 4, 4]
    """
    return (days_past_due > 0) + (days_past_due >= 30) + (days_past_due >= 60) + (days_past_due >= 90)


class CreditDesk:
    """The credit half of the assessor; same promises."""

    def __init__(self, policy: Policy, texts: Texts) -> None:
        self._policy, self._texts = policy, texts

    def _draft(self, risk: RiskState, facts: Facts, target: Target, cause: CauseKind, *when: Any) -> Draft:
        return Draft(self._policy, self._texts, risk, facts, target, cause, *when)

    def grade(
        self, risk: RiskState, facts: Facts, score: CreditScore, grade: str, borrower: Borrower | None = None,
        bridge: Sequence[tuple[str, float]] | None = None,
    ) -> Change | None:  # fmt: skip
        """A new credit score: down at once, up (and out of default) after confirmation.

        `borrower` opens the way to what favours the customer and to a plan; without one there is neither.
        """
        if grade not in GRADES or not 0 <= score.pd_12m <= 1:
            raise AssessmentError(
                f"credit: expected a grade of {', '.join(GRADES)} and a PD from 0 to 1, found {grade!r} and "
                f"{score.pd_12m!r}: take both from models.grades and models.scorecard"
            )
        pd_12m = score.pd_12m
        if grade == DEFAULT_GRADE:
            risk.candidate, risk.candidate_count, risk.candidate_since_ms = "", 0, 0
            return self.default(risk, facts, "credit", score.contributions)
        reason, move = self._step(risk, grade, facts.event_time_ms)
        in_default = risk.grade == DEFAULT_GRADE
        if move is None and reason != "grade_first" and (in_default or not self._pd_moved(risk, pd_12m)):
            return None
        draft = self._draft(risk, facts, Target(facts.customer_id), "credit")
        before = risk.grade
        risk.pd_12m = pd_12m
        told = self._tell(draft, risk, score, bridge)
        if move is None:
            risk.grade = risk.grade or grade
            return draft.finish(reason or "pd_moved")
        if in_default:
            # Leaving default is no reason for an offer; the next confirmed step up is.
            risk.grade = risk.candidate
            risk.candidate, risk.candidate_count, risk.candidate_since_ms = "", 0, 0
            risk.actions = [a for a in risk.actions if a.reason != "default"]
            return draft.finish("cured")
        # An improvement ends what worsening asked for, and the other way round.
        ended = "grade_down" if reason == "grade_up" else "grade_up"
        risk.actions = [a for a in risk.actions if a.reason != ended]
        risk.grade = grade if reason == "grade_down" else risk.candidate
        risk.candidate, risk.candidate_count, risk.candidate_since_ms = "", 0, 0
        worse = reason == "grade_down"
        reasons = change_reasons(self._texts, draft.score_change, worse) if told else []
        reasons = reasons or credit_reasons(self._texts, score.contributions, worse)
        self._announce(draft, risk, move, reason, before, facts.event_time_ms, reasons, borrower)
        return draft.finish(reason)

    def _tell(
        self, draft: Draft, risk: RiskState, score: CreditScore, bridge: Sequence[tuple[str, float]] | None
    ) -> bool:
        """Take the score as told from now on; whether there was one before to take the change apart from."""
        points = hundredths(score.contributions)
        lending = risk.lending = risk.lending or Lending()
        known, lending.points = lending.points, points
        told, lending.card = lending.card, score.card_version
        if known:
            between = None if bridge is None else hundredths(bridge)
            if between is None and told != score.card_version:
                # What the card of then would say now nobody knows: nothing of it is the customer's.
                between = known
            draft.score_change = score_change(known, points, between)
        return bool(known)

    def _step(self, risk: RiskState, grade: str, at_ms: int) -> tuple[str, Move | None]:
        if not risk.grade:
            return "grade_first", None
        credit = self._policy.credit
        now, new = GRADES.index(risk.grade), GRADES.index(grade)
        if new < now:
            if not risk.candidate:
                risk.candidate, risk.candidate_count, risk.candidate_since_ms = grade, 0, at_ms
            # Confirmed is what every observation of the run supports: the worst of them.
            risk.candidate = max(risk.candidate, grade, key=GRADES.index)
            risk.candidate_count += 1
            confirmed = (
                risk.candidate_count >= credit.confirm_count and at_ms - risk.candidate_since_ms >= credit.confirm_ms
            )
            return ("grade_up", credit.up) if confirmed else ("", None)
        risk.candidate, risk.candidate_count, risk.candidate_since_ms = "", 0, 0
        return ("grade_down", credit.down) if new > now else ("", None)

    def _pd_moved(self, risk: RiskState, pd_12m: float) -> bool:
        if risk.pd_12m is None:
            return True
        return abs(pd_12m - risk.pd_12m) >= self._policy.credit.pd_change_ratio * max(risk.pd_12m, 1e-9)

    def _granted(
        self, risk: RiskState, actions: Sequence[PlannedAction], borrower: Borrower | None
    ) -> tuple[PlannedAction, ...]:
        """What of the planned actions may be granted: nothing favours a customer before its time."""
        rising = may_rise(self._policy.after_loan.upward, risk, borrower)
        return tuple(plan for plan in actions if rising or plan.action not in UPWARD)

    def _announce(
        self, draft: Draft, risk: RiskState, move: Move, rule: str, before: str, at_ms: int, reasons: list[Reason],
        borrower: Borrower | None = None,
    ) -> None:  # fmt: skip
        told = move.alerts(risk.grade) and not is_cooling(risk, rule, "", at_ms, move.cool_down_ms)
        if told:
            draft.lead(rule, "customer")
        actions = self._granted(risk, move.actions, borrower)
        draft.grant(actions, rule)
        if not told:
            return
        start_cooling(risk, rule, "", at_ms)
        more: dict[str, Any] = {}
        if borrower is not None and any(plan.action == "improvement_plan" for plan in actions):
            plan = improvement_plan(borrower.view, lambda view: score(view, borrower.card).pd_12m)
            if plan is not None:
                more["plan"] = steps_in_words(self._texts, plan)
        draft.alert(
            move.severity,
            self._texts.grade_title(rule, before, risk.grade),
            reasons,
            grade_from=before or None,
            grade_to=risk.grade,
            pd_12m=risk.pd_12m,
            grade=risk.grade,
            **more,
        )

    def signal(
        self,
        risk: RiskState,
        facts: Facts,
        kind: str,
        due_ms: int,
        ref: str,
        score: CreditScore | None,
        amount_minor: int | None,
    ) -> Change | None:
        """Silence where money should have come, as of its due time; a worse grade goes with it, in one alert."""
        if kind not in SIGNALS:
            raise AssessmentError(f"signal: expected one of {', '.join(SIGNALS)}, found {kind!r}: name it so")
        spec = self._policy.signals[kind]
        arrears = _CLASS_OF_SIGNAL.get(kind, 0)
        target = Target(facts.customer_id, facility_id=ref if arrears else "")
        draft = self._draft(risk, facts, target, "signal", f"timer:{kind}:{ref}:{due_ms}", due_ms)
        if arrears:
            _set_class(risk, ref, max(arrears, risk.facilities.get(ref, 0)))
        if kind in self._policy.after_loan.watch_signals:
            watch(risk, kind, due_ms)
        before = risk.grade
        fell = self._sink(risk, score, spec.marks_default)
        # A fallen grade is never hushed by the cool-down of an earlier signal.
        if fell or not is_cooling(risk, kind, ref, due_ms, spec.cool_down_ms):
            start_cooling(risk, kind, ref, due_ms)
            draft.lead(kind, "facility" if arrears else "customer")
            draft.grant(spec.actions, kind)
            grades: dict[str, Any] = {}
            reasons = [self._signal_reason(kind, amount_minor, facts.currency)]
            if fell:
                rule = "default" if risk.grade == DEFAULT_GRADE else "grade_down"
                credit = self._policy.credit
                draft.grant((credit.default if rule == "default" else credit.down).actions, rule)
                start_cooling(risk, rule, "", due_ms)
                grades = {"grade_from": before or None, "grade_to": risk.grade}
                reasons += credit_reasons(self._texts, score.contributions if score else (), worse=True)
            draft.alert(
                spec.severity,
                self._texts.both("signals", kind),
                reasons[:REASONS_MAX],
                pd_12m=risk.pd_12m,
                grade=risk.grade or None,
                **grades,
                **draft.money(),
            )
        return draft.finish(kind)

    def _signal_reason(self, kind: str, amount_minor: int | None, currency: str | None) -> Reason:
        value = None if amount_minor is None else float(amount_minor)
        section = "signals" if value is None else "signal_reasons"
        return Reason(kind, None, value, "minor", self._texts.both(section, kind, value, currency))

    def _sink(self, risk: RiskState, score: CreditScore | None, marks_default: bool) -> bool:
        """Take what a signal's score says against the customer; whether the grade fell."""
        if risk.grade == DEFAULT_GRADE:
            return False
        if marks_default:
            _mark_default(risk)
            return True
        if score is None:
            return False
        grade = grade_of(score.grading_pd)
        fell = bool(risk.grade) and GRADES.index(grade) > GRADES.index(risk.grade)
        if fell or not risk.grade:
            risk.grade, risk.pd_12m = grade, score.pd_12m
            risk.candidate, risk.candidate_count, risk.candidate_since_ms = "", 0, 0
            risk.actions = [a for a in risk.actions if a.reason != "grade_up"]
        elif self._pd_moved(risk, score.pd_12m):
            risk.pd_12m = score.pd_12m
        return fell

    def facility(self, risk: RiskState, facts: Facts, facility_id: str, days_past_due: int) -> Change | None:
        """Days past due of a facility became known; current again ends the advice about it."""
        after = dpd_class(days_past_due)
        if after == risk.facilities.get(facility_id, 0):
            return None
        draft = self._draft(risk, facts, Target(facts.customer_id, facility_id=facility_id), "facility")
        _set_class(risk, facility_id, after)
        return draft.finish("dpd_changed" if after else "facility_current")

    def default(
        self, risk: RiskState, facts: Facts, cause: CauseKind, contributions: Sequence[tuple[str, float]]
    ) -> Change | None:
        """The customer defaulted."""
        if risk.grade == DEFAULT_GRADE:
            return None
        draft = self._draft(risk, facts, Target(facts.customer_id), cause)
        before, reasons = risk.grade, credit_reasons(self._texts, contributions, worse=True)
        _mark_default(risk)
        self._announce(draft, risk, self._policy.credit.default, "default", before, facts.event_time_ms, reasons)
        return draft.finish("default")

    def cure(self, risk: RiskState, facts: Facts, facility_id: str | None, reason: str) -> Change | None:
        """The customer, or one facility, is cured or paid in full."""
        draft = self._draft(risk, facts, Target(facts.customer_id), "outcome")
        if facility_id:
            _set_class(risk, facility_id, 0)
        if risk.grade == DEFAULT_GRADE:
            risk.grade = _CURED_GRADE
            risk.actions = [a for a in risk.actions if a.reason != "default"]
        return draft.finish(reason)


def _mark_default(risk: RiskState) -> None:
    risk.grade, risk.pd_12m = DEFAULT_GRADE, 1.0
    risk.candidate, risk.candidate_count, risk.candidate_since_ms = "", 0, 0
    risk.actions = [a for a in risk.actions if a.reason != "grade_up"]


def _set_class(risk: RiskState, facility_id: str, number: int) -> None:
    facilities = risk.facilities
    if number == 0:
        facilities.pop(facility_id, None)
        # What a measure after the loan asked for has reasons of its own.
        scope = ("facility", facility_id)
        risk.actions = [a for a in risk.actions if (a.scope_type, a.scope_id) != scope or a.reason not in SIGNALS]
        return
    if facility_id not in facilities and len(facilities) >= FACILITIES_MAX:
        mildest = min(facilities, key=facilities.__getitem__)
        if facilities[mildest] >= number:
            return
        del facilities[mildest]
    facilities[facility_id] = number
