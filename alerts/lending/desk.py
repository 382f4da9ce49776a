"""Lending's third of the assessor: applications, reviews after the loan, what time alone moves; same promises.

Nothing here touches a card, and nothing is enforced: what leaves is advice.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import NamedTuple

from alerts.actions import Target, application_state, present
from alerts.changes import Change, Draft, Facts
from alerts.errors import PolicyError
from alerts.lending.bands import Rule
from alerts.lending.borrower import Borrower, customer_values
from alerts.lending.facts import UNITS, all_hold
from alerts.lending.measures import Measure, may_rise
from alerts.lending.origination import Answer, Request, decide
from alerts.lending.regulatory import facility_values
from alerts.lending.settle import settle, watch
from alerts.planned import PlannedAction
from alerts.policy import Policy
from alerts.records import REASONS_MAX, SEVERITIES, Reason, Text
from alerts.state import (
    APPLICATIONS_MAX,
    GRADES,
    LOANS_MAX,
    Application,
    Lending,
    Loan,
    RiskState,
    is_cooling,
    start_cooling,
)
from alerts.texts import Texts
from models.scorecard import CreditScore


def lending_titles(policy: Policy, texts: Texts) -> dict[str, Text]:
    """Words of every measure and rule of lending.

    Raises
    ------
    PolicyError
        When one has a title neither in the policy nor in the catalogues.
    """
    made: dict[str, Text] = {}
    for place, measure in enumerate(policy.after_loan.measures):
        made[measure.id] = _words(texts, "measures", measure, f"after_loan.measures[{place}]")
    for place, rule in enumerate(policy.origination.rules):
        made.setdefault(rule.id, _words(texts, "origination", rule, f"origination.rules[{place}]"))
    return made


def _words(texts: Texts, section: str, named: Measure | Rule, key: str) -> Text:
    if named.title is None and not texts.has(section, named.id):
        raise PolicyError(
            f"{key}.title", "nothing", "a title for an id the catalogues do not know",
            'add title = { en = "...", zh-CN = "..." }',
        )  # fmt: skip
    return Text(*named.title) if named.title else texts.both(section, named.id)


def origination_text(policy: Policy, texts: Texts, code: str) -> Text:
    """Words of a reason that `origination.decide` gave and the scorecard does not know."""
    for rule in policy.origination.rules:
        if rule.id == code and rule.title:
            return Text(*rule.title)
    return texts.both("origination", code)


class _Hit(NamedTuple):
    measure: Measure
    target: Target
    values: dict[str, float]


class LendingDesk:
    """Applies the lending tables of one policy."""

    def __init__(self, policy: Policy, texts: Texts) -> None:
        self._policy, self._texts = policy, texts
        self._titles = lending_titles(policy, texts)

    # --- applications ---------------------------------------------------------------------------------

    def application(
        self, risk: RiskState, facts: Facts, request: Request, borrower: Borrower, score: CreditScore
    ) -> Change | None:
        """Answer an application; an alert only where a human must act."""
        table = self._policy.origination
        target = Target(facts.customer_id, application_id=request.application_id)
        draft = Draft(self._policy, self._texts, risk, facts, target, "application")
        values = customer_values(risk, borrower)
        answer = decide(table, self._policy.regulatory, request, borrower, values, score, risk.grade)
        lending = risk.lending = risk.lending or Lending()
        expires_ms = facts.event_time_ms + table.valid_ms
        made = Application(
            request.application_id, request.product, answer.outcome, facts.event_time_ms, expires_ms,
            answer.fast_track, request.currency, answer.limit_minor, answer.term_months, answer.rate_low_bp,
            answer.rate_high_bp, answer.collateral_minor, list(answer.reasons),
        )  # fmt: skip
        kept = [one for one in lending.applications if one.application_id != request.application_id]
        for old in kept[: -(APPLICATIONS_MAX - 1)]:
            scope = ("application", old.application_id)
            risk.actions = [a for a in risk.actions if (a.scope_type, a.scope_id) != scope]
        lending.applications = [*kept[-(APPLICATIONS_MAX - 1) :], made]
        rule = f"application_{answer.outcome}"
        # A customer of the house is declined by a human who knows them; a stranger's answer is in the risk change.
        asks = answer.outcome == "refer" or (answer.outcome == "decline" and borrower.view.has_credit)
        if asks:
            draft.lead(rule, "application")
        draft.grant((PlannedAction(answer.outcome, "advise", "application", table.valid_ms),), rule)
        if asks:
            severity = table.refer_severity if answer.outcome == "refer" else table.decline_severity
            draft.alert(
                severity,
                self._texts.both("origination", rule),
                self._reasons(answer, score),
                pd_12m=answer.pd_12m,
                grade=risk.grade or answer.grade,
                application=application_state(made),
                amount_minor=request.amount_minor,
                currency=request.currency,
            )
        return draft.finish(rule)

    def _reasons(self, answer: Answer, score: CreditScore) -> list[Reason]:
        points = dict(score.contributions)
        made = []
        for code in answer.reasons:
            if code in points:
                made.append(Reason(code, float(points[code]), None, "points", self._texts.credit_reason(code, True)))
            else:
                made.append(Reason(code, None, None, "rule", origination_text(self._policy, self._texts, code)))
        return made

    # --- after the loan ---------------------------------------------------------------------------------

    def review(
        self, risk: RiskState, facts: Facts, borrower: Borrower, score: CreditScore, *, hushed: bool = False,
        early_warning: bool = False,
    ) -> Change | None:  # fmt: skip
        """Take in what a credit event changed: facilities and their classes, the watch list, measures.

        Parameters
        ----------
        score
            Of the view now; its PD is a new facility's PD at grant.
        hushed
            Whether the event alerts already: measures are then put in force without an alert of their own.
        early_warning
            Whether early warning watches the customer now.
        """
        old, actions = risk.lending, risk.actions
        lending = risk.lending = _taken_in(old, borrower, score)
        after_loan, at_ms = self._policy.after_loan, borrower.at_ms
        values = customer_values(risk, borrower)
        values["early_warning"] = float(early_warning)
        asked = next((line for line in after_loan.watch if all_hold(line.when, values)), None)
        if asked is not None:
            watch(risk, asked.id, at_ms)
        elif lending.watch_ms >= 0 and lending.watch_calm_ms < 0:
            lending.watch_calm_ms = at_ms
        settle(self._policy, risk, at_ms)
        rising = may_rise(after_loan.upward, risk, borrower)
        if not rising and risk.actions:
            favours = [measure.id for measure in after_loan.measures if measure.is_upward]
            risk.actions = [a for a in risk.actions if a.reason not in favours]
        values["watch_listed"] = float(lending.watch_ms >= 0)
        hits = self._hits(risk, facts, values, rising, at_ms)
        if not hits and _public(old) == _public(lending) and risk.actions == actions:
            return None
        # The state as it was, now that somebody wants to know.
        now, risk.lending, risk.actions = risk.actions, old, actions
        draft = Draft(
            self._policy, self._texts, risk, facts, Target(facts.customer_id), "lending", before=present(risk)
        )
        risk.lending, risk.actions = lending, now
        self._take(draft, risk, hits, at_ms, hushed)
        return draft.finish("lending")

    def _hits(self, risk: RiskState, facts: Facts, values: dict[str, float], rising: bool, at_ms: int) -> list[_Hit]:
        lending = risk.lending
        whole: list[tuple[Target, dict[str, float]]] = [(Target(facts.customer_id), values)]
        parts = [
            (
                Target(facts.customer_id, facility_id=name),
                facility_values(self._policy.regulatory, loan, values, at_ms, 0.0),
            )
            for name, loan in (lending.loans.items() if lending else ())
        ]
        hits: list[_Hit] = []
        for measure in self._policy.after_loan.measures:
            if measure.is_upward and not rising:
                continue
            for target, known in parts if measure.scope == "facility" else whole:
                if not all_hold(measure.when, known):
                    continue
                in_force = any(
                    a.reason == measure.id and (target.facility_id in ("", a.scope_id)) for a in risk.actions
                )
                if not in_force and not is_cooling(risk, measure.id, target.facility_id, at_ms, measure.cool_down_ms):
                    hits.append(_Hit(measure, target, known))
        return hits

    def _take(self, draft: Draft, risk: RiskState, hits: Sequence[_Hit], at_ms: int, hushed: bool) -> None:
        loud = [] if hushed else [hit for hit in hits if hit.measure.alert]
        # max keeps the first of equals: the policy's order.
        lead = max(loud, key=lambda hit: SEVERITIES.index(hit.measure.severity), default=None)
        if lead is not None:
            draft.aim(lead.target)
            draft.lead(lead.measure.id, "facility")
        for measure, target, _values in hits:
            draft.aim(target)
            draft.grant(measure.actions, measure.id)
            start_cooling(risk, measure.id, target.facility_id, at_ms)
        if lead is not None:
            draft.alert(
                lead.measure.severity,
                self._titles[lead.measure.id],
                self._why(lead),
                [hit.measure.id for hit in loud if hit is not lead],
                pd_12m=risk.pd_12m,
                grade=risk.grade or None,
            )

    def _why(self, hit: _Hit) -> list[Reason]:
        made = []
        asked = {criterion.fact: criterion for criterion in hit.measure.when}
        for criterion in list(asked.values())[:REASONS_MAX]:
            value = hit.values[criterion.fact]
            words: dict[str, str] = {"grade": GRADES[int(value)]} if criterion.fact == "grade" else {}
            text = self._texts.both("facts", criterion.fact, value, words=(words, words))
            made.append(Reason(criterion.fact, None, value, UNITS[criterion.fact], text))
        return made

    # --- what is switched on by policy --------------------------------------------------------------------

    def social(self, risk: RiskState, facts: Facts, value: float) -> Change | None:
        """A social signal: nothing unless the policy switches it on, and then a human's look at a borrower, no more."""
        fairness = self._policy.fairness
        if not fairness.social_signal or value >= fairness.social_signal_below or risk.lending is None:
            return None
        draft = Draft(self._policy, self._texts, risk, facts, Target(facts.customer_id), "social")
        draft.grant((PlannedAction("monitor", "advise", "customer", self._policy.after_loan.watch_leaves_ms),),
                    "social_signal")  # fmt: skip
        return draft.finish("social_signal")


def _taken_in(old: Lending | None, borrower: Borrower, score: CreditScore) -> Lending:
    """A copy that shares nothing changeable with the old one, with the facilities as they are now."""
    before = old or Lending()
    loans: dict[str, Loan] = {}
    for facility in borrower.facilities[:LOANS_MAX]:
        known = before.loans.get(facility.facility_id)
        if known is None:
            since_ms = facility.granted_ms if facility.granted_ms >= 0 else borrower.at_ms
            loan = Loan(since_ms, round(score.pd_12m * 1e6))
        else:
            loan = copy(known)
        loan.due_ms, loan.exposure_minor = facility.due_ms, facility.exposure_minor
        loan.cover_minor = facility.cover_minor
        loans[facility.facility_id] = loan
    made = copy(before)
    made.loans, made.enterprise = loans, borrower.enterprise
    return made


def _public(lending: Lending | None) -> tuple[object, ...]:
    """What of lending's state records show."""
    if lending is None:
        return (), -1, "", 0
    classes = [(name, one.stage, one.five) for name, one in lending.loans.items() if one.stage > 1 or one.five]
    return tuple(classes), lending.watch_ms, lending.tier, len(lending.applications)
