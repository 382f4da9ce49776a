"""The assessor: a score, a signal or an outcome meets the present state, and a shift comes out, or nothing.

Every call takes the customer's `RiskState`, changes it in place and returns a `Change` or None. A change
of the public state makes exactly one risk change with the next sequence number; its `changed` list is
the difference of the state before and after, so it is complete by construction. The quiet case (nothing
suspicious, nothing in force) returns after a handful of comparisons.
"""

from __future__ import annotations

from collections.abc import Sequence

from alerts.cards import card_key, remember, stand
from alerts.changes import Change, Draft, Facts
from alerts.conditions import CompiledRule, compile_rules, quick_checks
from alerts.credit import CreditDesk
from alerts.errors import PolicyError
from alerts.expiry import expire
from alerts.explanation import fraud_reasons
from alerts.lending.borrower import Borrower
from alerts.lending.desk import LendingDesk
from alerts.lending.origination import Request
from alerts.levels import Standing, reached, step
from alerts.outcomes import OutcomeDesk
from alerts.planned import PlannedAction
from alerts.policy import Policy
from alerts.records import SEVERITIES, Severity, Text
from alerts.state import ACCOUNT, CARDS_MAX, LEVELS, RiskState, is_cooling, next_due, start_cooling
from alerts.texts import Texts, load
from models.grades import DEFAULT_GRADE, state_grade
from models.scorecard import CreditScore

__all__ = ["Assessor", "Change", "Facts"]


class Assessor:
    """Applies one policy. Immutable after construction; one serves any number of customers.

    Parameters
    ----------
    policy
        A parsed policy.
    texts
        Both language catalogues; those of the house when left out.

    Raises
    ------
    PolicyError
        When a rule has a title neither in the policy nor in the catalogues.
    """

    def __init__(self, policy: Policy, texts: Texts | None = None) -> None:
        self.policy = policy
        self.texts = texts or load()
        self._credit = CreditDesk(policy, self.texts)
        self._outcomes = OutcomeDesk(policy, self.texts)
        self._lending = LendingDesk(policy, self.texts)
        self._thresholds = policy.thresholds
        self._enter = self._thresholds.enter[1]
        self._quick = quick_checks(compile_rules(policy))
        for rule in policy.rules:
            if rule.title is None and not self.texts.has("rules", rule.id):
                raise PolicyError(
                    f"fraud.rules.{rule.id}.title", "nothing", "a title for a rule the catalogues do not know",
                    'add title = { en = "...", "zh-CN" = "..." }',
                )  # fmt: skip

    # --- fraud ----------------------------------------------------------------------------------------

    def is_quiet(
        self, risk: RiskState, card_id: str | None, vector: Sequence[float], probability: float, anomaly: float
    ) -> bool:
        """Whether a scored transaction is sure to change nothing: a calm card, a low score, no rule.

        Parameters
        ----------
        risk
            The customer's present state; not changed.
        card_id
            Of the transaction, or None.
        vector, probability, anomaly
            As for `transaction`.

        Returns
        -------
        True only where `transaction` would return None and change nothing. Under a microsecond.
        """
        cards = risk.cards
        if probability >= self._enter or (cards and ((card_id or ACCOUNT) in cards or len(cards) >= CARDS_MAX)):
            return False
        for index, low, high, rule in self._quick:
            if low <= vector[index] <= high and rule.holds(vector, probability, anomaly):
                return False
        return True

    def transaction(
        self, risk: RiskState, facts: Facts, vector: Sequence[float], probability: float, anomaly: float,
        contributions: Sequence[float],
    ) -> Change | None:  # fmt: skip
        """Assess one scored transaction.

        Parameters
        ----------
        risk
            The customer's present state, changed in place.
        vector, contributions
            Raw features in catalogue order; contributions in the order of `CONTRIBUTION_NAMES`, log-odds,
            positive means riskier. Contributions are read only when an alert is made.

        Returns
        -------
        None when nothing changed and nobody is alerted.
        """
        if self.is_quiet(risk, facts.card_id, vector, probability, anomaly):
            return None
        return self._transaction(risk, facts, vector, probability, anomaly, contributions)

    def _transaction(
        self, risk: RiskState, facts: Facts, vector: Sequence[float], probability: float, anomaly: float,
        contributions: Sequence[float],
    ) -> Change | None:  # fmt: skip
        at_ms = facts.event_time_ms
        key, target = card_key(risk, facts.customer_id, facts.card_id)
        card = risk.cards.get(key)
        hits = [
            rule
            for index, low, high, rule in self._quick
            if low <= vector[index] <= high and rule.holds(vector, probability, anomaly)
        ]
        floor = max((rule.level for rule in hits), default=0)
        before = Standing(card.level, card.calm_count, card.calm_since_ms) if card else Standing(0)
        after = step(before, probability, floor, at_ms, self._thresholds)
        crossed = after.level > before.level
        # The level's actions ran out while suspicion goes on: they are due again, and so is a human's look.
        again = (
            card is not None and card.lapsed and not crossed and after.level == before.level and not after.calm_count
        )
        again = again and max(floor, reached(probability, self._thresholds)) >= after.level
        told = [
            rule
            for rule in hits
            if (crossed and rule.level == after.level)
            or not is_cooling(risk, rule.rule.id, key, at_ms, rule.rule.cool_down_ms)
        ]
        if after.level == before.level and not told and not again:
            if card:
                remember(card, after, at_ms)
            return None

        draft = Draft(self.policy, self.texts, risk, facts, target, "transaction")
        stand(risk, key, target, after, at_ms)
        by_score = reached(probability, self._thresholds) >= after.level
        lead = self._lead(told, LEVELS[after.level] if (crossed or again) and by_score else "")
        if lead:
            draft.lead(lead[0], "card")
        for rule in told:
            start_cooling(risk, rule.rule.id, key, at_ms)
            draft.grant(rule.rule.actions, rule.rule.id)
        if crossed or again:
            draft.grant(self._actions_of(after.level), f"level_{LEVELS[after.level]}")
            risk.cards[key].lapsed = False
        elif after.level < before.level and after.level:
            lasting = [plan for plan in self._actions_of(after.level) if plan.lasts_ms != 0]
            draft.grant(lasting, f"level_{LEVELS[after.level]}")
        if lead:
            rule_id, severity, title = lead
            draft.alert(
                severity,
                title,
                fraud_reasons(self.texts, vector, anomaly, contributions, [r.rule for r in told], facts.currency),
                [rule.rule.id for rule in told if rule.rule.id != rule_id],
                level_from=LEVELS[before.level],
                level_to=LEVELS[after.level],
                fraud_probability=float(probability),
                anomaly_score=float(anomaly),
                **draft.money(),
            )
        if lead:
            return draft.finish(lead[0])
        return draft.finish("calm" if after.level < before.level else f"level_{LEVELS[after.level]}")

    def _actions_of(self, level: int) -> tuple[PlannedAction, ...]:
        return self.policy.levels[level - 1].actions if level else ()

    def _lead(self, told: Sequence[CompiledRule], level: str) -> tuple[str, Severity, Text] | None:
        """What the alert is named after: the most severe of the level crossed and the rules that hit."""
        candidates: list[tuple[str, Severity, Text]] = []
        if level:
            spec = self.policy.levels[LEVELS.index(level) - 1]
            if spec.alert:
                candidates.append((f"level_{level}", spec.severity, self.texts.both("levels", f"title_{level}")))
        for compiled in told:
            rule = compiled.rule
            title = Text(*rule.title) if rule.title else self.texts.both("rules", rule.id)
            candidates.append((rule.id, rule.severity, title))
        # max keeps the first of equals: the level, then the policy's order.
        return max(candidates, key=lambda c: SEVERITIES.index(c[1]), default=None)

    # --- truth and what became of actions -------------------------------------------------------------

    def outcome(
        self,
        risk: RiskState,
        facts: Facts,
        outcome_type: str,
        card_id: str | None = None,
        facility_id: str | None = None,
    ) -> Change | None:
        """The truth: confirmed fraud freezes, a false positive releases, default and cure move the grade.

        Chargebacks follow the policy; disputes and campaign responses change nothing here.
        """
        if outcome_type == "default":
            return self._credit.default(risk, facts, "outcome", ())
        if outcome_type in ("cured", "paid_in_full"):
            return self._credit.cure(risk, facts, facility_id, outcome_type)
        return self._outcomes.outcome(risk, facts, outcome_type, card_id)

    def action_result(
        self,
        risk: RiskState,
        facts: Facts,
        action: str,
        result: str,
        card_id: str | None = None,
        alert_id: str | None = None,
    ) -> Change | None:
        """What became of an action: a call that confirms fraud or not is an outcome; what is done or refused ends."""
        return self._outcomes.action_result(risk, facts, action, result, card_id, alert_id)

    # --- credit ---------------------------------------------------------------------------------------

    def credit(
        self, risk: RiskState, facts: Facts, score: CreditScore, *, days_past_due: int = 0, defaulted: bool = False,
        borrower: Borrower | None = None, bridge: Sequence[tuple[str, float]] | None = None,
    ) -> Change | None:  # fmt: skip
        """Assess a credit score: a worse grade counts at once, a better one (out of default too) when confirmed.

        Parameters
        ----------
        days_past_due, defaulted
            Of the score's view: from 90 days past due, or while an outcome says so, the grade is D.
        borrower
            The customer now: without it nothing that favours them is given, and no plan is made.
        bridge
            Contributions of this view under the card of before, where another scores now: between is the model's part.
        """
        grade = DEFAULT_GRADE if defaulted else state_grade(score.grading_pd, days_past_due)
        return self._credit.grade(risk, facts, score, grade, borrower, bridge)

    def application(
        self, risk: RiskState, facts: Facts, request: Request, borrower: Borrower, score: CreditScore
    ) -> Change | None:
        """Answer an application: advice in the risk change, and an alert where a human must act."""
        return self._lending.application(risk, facts, request, borrower, score)

    def review(
        self, risk: RiskState, facts: Facts, borrower: Borrower, score: CreditScore, *, hushed: bool = False,
        early_warning: bool = False,
    ) -> Change | None:  # fmt: skip
        """Take in what a credit event changed after the loan was made; `hushed` when the event alerts already."""
        return self._lending.review(risk, facts, borrower, score, hushed=hushed, early_warning=early_warning)

    def social(self, risk: RiskState, facts: Facts, value: float) -> Change | None:
        """A social signal, -1 to 1: nothing unless the policy switches it on."""
        return self._lending.social(risk, facts, value)

    def signal(
        self,
        risk: RiskState,
        facts: Facts,
        kind: str,
        due_ms: int,
        ref: str,
        score: CreditScore | None = None,
        amount_minor: int | None = None,
    ) -> Change | None:
        """Silence or arrears, as of `due_ms`; `ref` is the facility, or what income was expected.

        The source event of what comes of it is ``timer:{kind}:{ref}:{due_ms}``, whatever woke it. `score` is the
        credit score as of `due_ms`: if the grade falls with the signal, one alert says both.
        """
        return self._credit.signal(risk, facts, kind, due_ms, ref, score, amount_minor)

    def facility(self, risk: RiskState, facts: Facts, facility_id: str, days_past_due: int) -> Change | None:
        """Days past due of a facility as they are now; 0 ends its arrears and the advice about it."""
        return self._credit.facility(risk, facts, facility_id, days_past_due)

    # --- time -----------------------------------------------------------------------------------------

    def next_due(self, risk: RiskState) -> int | None:
        """Earliest expiry of an active action or review of lending, or None."""
        return next_due(risk)

    def expire(self, risk: RiskState, at_ms: int, facts: Facts) -> Change | None:
        """Let the earliest expiry or review at or before `at_ms` happen, as of its own time; call again until None.

        When the last timed action of a card's level ends and nothing suspicious came for the calm time, the
        level ends with it; otherwise the next suspicious event is a new shift.
        """
        return expire(self.policy, self.texts, risk, at_ms, facts)
