from __future__ import annotations

import msgspec
import pytest

from alerts.policy import parse_policy
from alerts.records import encode
from alerts.shift import Assessor
from alerts.state import ACTIONS_MAX, CARDS_MAX, RiskState
from features.catalogue import INDEX, SIZE

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
CARD = "tok_4711000000001234"
QUIET = [0.0] * (SIZE + 1)
BURST = {"tx_count_1h": 9.0, "tx_rate_ratio_1d": 6.0}


def actions_of(risk: RiskState) -> list[tuple[str, str, str]]:
    return [(a.action, a.scope_type, a.scope_id) for a in risk.actions]


@pytest.fixture
def score(assessor, facts, vector):
    def assess(risk, number, probability, card=CARD, values=None, contributions=QUIET, at_ms=None, by=assessor):
        made = facts(number, at_ms, card)
        return by.transaction(risk, made, vector(**(values or {})), probability, 0.5, contributions)

    return assess


def test_a_quiet_event_says_nothing_and_leaves_no_trace(score):
    risk = RiskState()
    assert score(risk, 1, 0.01) is None
    assert risk == RiskState()


def test_crossing_upward_alerts_once_and_not_again_while_the_level_stays(score):
    risk = RiskState()
    change = score(risk, 1, 0.9)
    assert [a.rule for a in change.alerts] == ["level_high"]
    alert = change.alerts[0]
    assert (alert.level_from, alert.level_to, alert.severity) == ("normal", "high", "high")
    assert change.risk_change.alert_ids == [alert.alert_id]
    assert [score(risk, n, 0.95) for n in range(2, 20)] == [None] * 18


def test_watch_is_kept_in_the_state_without_an_alert(score):
    risk = RiskState()
    change = score(risk, 1, 0.2)
    assert change.alerts == []
    assert change.risk_change.state.cards[0].fraud_level == "watch"
    assert change.risk_change.changed[0].path == f"cards/{CARD}/fraud_level"


def test_high_freezes_the_card_and_only_that_card(score):
    risk = RiskState()
    state = score(risk, 1, 0.9).risk_change.state
    assert [(a.action, a.mode, a.scope.type, a.scope.id) for a in state.actions] == [
        ("freeze_card", "enforce", "card", CARD)
    ]
    assert score(risk, 2, 0.05, card="tok_other_99") is None


def test_without_a_card_the_customer_is_meant(score):
    risk = RiskState()
    change = score(risk, 1, 0.9, card=None)
    assert (change.alerts[0].scope.type, change.alerts[0].scope.id) == ("customer", "c-1")
    assert change.risk_change.state.account.fraud_level == "high"
    assert change.risk_change.state.actions[0].scope.type == "customer"


def test_down_after_calm_ends_the_levels_actions_but_never_the_freeze(score):
    risk = RiskState()
    score(risk, 0, 0.9)
    changes = [score(risk, n, 0.01) for n in (1, 2, 3, 4, 26)]
    assert [c is None for c in changes] == [True] * 4 + [False]
    last = changes[-1].risk_change
    assert last.state.cards[0].fraud_level == "elevated"
    assert ("freeze_card", "card", CARD) in actions_of(risk)
    assert {c.reason for c in last.changed} == {"calm"}
    assert changes[-1].alerts == []


def test_leaving_elevated_ends_its_step_up(score):
    risk = RiskState()
    score(risk, 0, 0.5)
    assert ("step_up_verification", "card", CARD) in actions_of(risk)
    score(risk, 2, 0.5)
    for hour in (3, 4, 5, 6):
        score(risk, hour, 0.0)
    # Expiry of the step-up is at 24 h; here calm comes with an event at 27 h that nobody expired before.
    score(risk, 27, 0.0)
    assert actions_of(risk) == [("monitor", "card", CARD)]


def test_a_rule_raises_the_level_alerts_with_its_title_and_cools_down(score):
    risk = RiskState()
    change = score(risk, 1, 0.01, values=BURST)
    assert [a.rule for a in change.alerts] == ["velocity_burst"]
    assert change.alerts[0].title.en == "Unusually many payments in a short time"
    assert change.alerts[0].level_to == "elevated"
    assert [score(risk, n, 0.01, values=BURST) for n in range(2, 25)] == [None] * 23
    again = score(risk, 25, 0.01, values=BURST)
    assert [a.rule for a in again.alerts] == ["velocity_burst"]
    assert again.alerts[0].level_from == again.alerts[0].level_to == "elevated"


def test_cool_down_is_per_card(score):
    risk = RiskState()
    assert score(risk, 1, 0.01, values=BURST).alerts
    assert score(risk, 2, 0.01, card="tok_other_99", values=BURST).alerts


def test_a_crossing_by_rule_alerts_even_within_the_cool_down(score, assessor, facts):
    risk = RiskState()
    score(risk, 1, 0.01, values=BURST)
    assessor.outcome(risk, facts(2), "false_positive", CARD)
    assert score(risk, 3, 0.01, values=BURST).alerts


def test_a_rule_needs_all_its_conditions(score):
    assert score(RiskState(), 1, 0.01, values={"tx_count_1h": 9.0, "tx_rate_ratio_1d": 4.9}) is None
    assert score(RiskState(), 1, 0.01, values={"tx_count_1h": 7.0, "tx_rate_ratio_1d": 6.0}) is None
    assert score(RiskState(), 1, 0.01, values={"tx_count_1h": float("nan"), "tx_rate_ratio_1d": 6.0}) is None


def test_one_alert_an_event_and_the_other_rules_are_named(score):
    both = BURST | {"decline_count_1d": 5.0, "is_remote": 1.0, "merchant_new": 1.0}
    change = score(RiskState(), 1, 0.5, values=both)
    assert len(change.alerts) == 1
    assert (change.alerts[0].rule, change.alerts[0].also) == ("card_testing", ["velocity_burst"])


def test_operators_mean_what_they_say(policy_text, facts, vector):
    for op, hits in ((">=", (2, 3)), (">", (3,)), ("<=", (1, 2)), ("<", (1,)), ("==", (2,))):
        rule = 'when = [\n  { feature = "country_new", op = ">=", value = 1 },\n'
        assert rule in policy_text
        text = policy_text.replace(rule, f'when = [\n  {{ feature = "payee_new", op = "{op}", value = 2 }},\n')
        assessor = Assessor(parse_policy(text))
        for value in (1, 2, 3):
            made = vector(payee_new=value, is_cash=1, amount_max_ratio_baseline=2)
            change = assessor.transaction(RiskState(), facts(1), made, 0.0, 0.0, QUIET)
            assert (change is not None) == (value in hits), (op, value)


def test_a_rule_may_look_at_the_scores(policy_text, facts, vector):
    rule = (
        'when = [\n  { feature = "tx_count_1h", op = ">=", value = 8 },\n'
        '  { feature = "tx_rate_ratio_1d", op = ">=", value = 5 },\n'
    )
    assert rule in policy_text
    assessor = Assessor(
        parse_policy(policy_text.replace(rule, 'when = [\n  { feature = "anomaly_score", op = ">=", value = 0.9 },\n'))
    )
    assert assessor.transaction(RiskState(), facts(1), vector(), 0.0, 0.89, QUIET) is None
    assert assessor.transaction(RiskState(), facts(1), vector(), 0.0, 0.9, QUIET).alerts


def test_reasons_are_the_four_largest_positive_contributions(score):
    contributions = list(QUIET)
    shares = {"amount_last": 0.5, "tx_count_1h": 2.0, "merchant_new": 3.0, "device_new": 9.0, "payee_new": -4.0}
    for name, share in shares.items():
        contributions[INDEX[name]] = share
    contributions[-1] = 1.5
    values = {"amount_last": 12345.0, "tx_count_1h": 3.0, "merchant_new": 1.0, "payee_new": 1.0}
    reasons = score(RiskState(), 1, 0.9, values=values, contributions=contributions).alerts[0].reasons
    # A new device would be the largest, but the device is not new: a reason must be true.
    assert [r.code for r in reasons] == ["merchant_new", "tx_count_1h", "anomaly", "amount_last"]
    assert reasons[3].text.en == "The amount of the transaction is EUR 123.45"
    assert (reasons[2].value, reasons[2].unit) == (0.5, "score")


def test_without_positive_contributions_the_rules_features_are_the_reasons(score):
    alert = score(RiskState(), 1, 0.0, values=BURST).alerts[0]
    assert [r.code for r in alert.reasons] == ["tx_count_1h", "tx_rate_ratio_1d"]


def test_the_full_card_token_is_in_no_alert(score):
    alert = score(RiskState(), 1, 0.9).alerts[0]
    text = encode(alert).decode()
    assert CARD not in text
    assert CARD[4:] not in text
    assert (alert.card, alert.scope.id) == ("****1234", "****1234")


def test_fraud_confirmed_raises_and_freezes_until_released(score, assessor, facts):
    risk = RiskState()
    change = assessor.outcome(risk, facts(1), "fraud_confirmed", CARD)
    assert change.risk_change.state.cards[0].fraud_level == "high"
    assert [(a.action, a.expires_ms) for a in risk.actions] == [("freeze_card", None)]
    assert assessor.next_due(risk) is None
    assert assessor.outcome(risk, facts(2), "fraud_confirmed", CARD) is None


def test_fraud_confirmed_makes_a_timed_freeze_lasting(score, assessor, facts):
    risk = RiskState()
    score(risk, 1, 0.9)
    change = assessor.outcome(risk, facts(2), "fraud_confirmed", CARD)
    assert [c.path for c in change.risk_change.changed] == [f"actions/freeze_card/card/{CARD}/expires_ms"]
    assert change.risk_change.changed[0].after is None


def test_false_positive_releases_the_card_and_only_it(score, assessor, facts):
    risk = RiskState()
    score(risk, 1, 0.9)
    score(risk, 1, 0.9, card="tok_other_99")
    change = assessor.outcome(risk, facts(2), "false_positive", CARD).risk_change
    assert [c.card_id for c in change.state.cards] == ["tok_other_99"]
    assert [(o.action, o.mode, o.scope.id) for o in change.once] == [("release_card", "enforce", CARD)]
    assert actions_of(risk) == [("freeze_card", "card", "tok_other_99")]
    assert assessor.outcome(risk, facts(3), "false_positive", CARD) is None


@pytest.mark.parametrize("outcome", ["dispute_upheld", "campaign_response", "something_new"])
def test_other_outcomes_change_nothing(assessor, facts, outcome):
    risk = RiskState()
    assert assessor.outcome(risk, facts(1), outcome, CARD) is None
    assert risk == RiskState()


def test_a_call_that_confirms_is_an_outcome(score, assessor, facts):
    risk = RiskState()
    alert = score(risk, 1, 0.9).alerts[0]
    made = facts(2, card=None)
    assert assessor.action_result(risk, made, "call_customer", "no_answer") is None
    change = assessor.action_result(risk, made, "call_customer", "confirmed_genuine", alert_id=alert.alert_id)
    assert (change.risk_change.state.cards, change.risk_change.state.actions) == ([], [])
    change = assessor.action_result(risk, made, "call_customer", "confirmed_fraud", CARD)
    assert change.risk_change.state.cards[0].fraud_level == "high"


def test_applied_freezes_stay_refused_ones_end(score, assessor, facts):
    risk = RiskState()
    score(risk, 1, 0.9)
    assert assessor.action_result(risk, facts(2), "freeze_card", "applied", CARD) is None
    assert assessor.action_result(risk, facts(2), "freeze_card", "refused", "tok_other_99") is None
    change = assessor.action_result(risk, facts(3), "freeze_card", "refused", CARD)
    assert change.risk_change.state.actions == []


def test_expiry_happens_as_of_its_own_time_and_silence_ends_the_level(score, assessor, facts):
    risk = RiskState()
    score(risk, 1, 0.9)
    due = assessor.next_due(risk)
    assert due == HOUR_MS + 3 * DAY_MS
    assert assessor.expire(risk, due - 1, facts(500)) is None
    change = assessor.expire(risk, due + DAY_MS, facts(500)).risk_change
    assert (change.event_time_ms, change.cause.event_id) == (due, f"timer:action_expired:c-1:{due}")
    assert (change.state.cards, change.state.actions) == ([], [])
    assert assessor.expire(risk, due + DAY_MS, facts(500)) is None


def test_when_actions_run_out_under_suspicion_the_next_suspicious_event_is_a_new_shift(score, assessor, facts):
    risk = RiskState()
    score(risk, 1, 0.9)
    assert score(risk, 70, 0.9) is None
    due = assessor.next_due(risk)
    change = assessor.expire(risk, due, facts(74))
    assert change.risk_change.state.cards[0].fraud_level == "high"
    assert score(risk, 75, 0.5) is None
    again = score(risk, 76, 0.9)
    assert [a.rule for a in again.alerts] == ["level_high"]
    assert actions_of(risk) == [("freeze_card", "card", CARD)]
    assert score(risk, 77, 0.9) is None


def test_more_suspicious_cards_than_the_bound_are_the_whole_customer(score):
    risk = RiskState()
    for n in range(CARDS_MAX):
        score(risk, n, 0.9, card=f"tok_card_{n}")
    change = score(risk, 99, 0.9, card="tok_card_ninth")
    assert change.risk_change.state.account.fraud_level == "high"
    assert change.alerts[0].scope.type == "customer"
    assert len(change.risk_change.state.cards) == CARDS_MAX
    assert ("freeze_card", "customer", "c-1") in actions_of(risk)


def test_a_model_switch_alone_says_nothing(assessor, facts, vector):
    risk = RiskState()
    before = msgspec.structs.replace(facts(1), model_version=1)
    after = msgspec.structs.replace(facts(2), model_version=2)
    assert assessor.transaction(risk, before, vector(), 0.04, 0.1, QUIET) is None
    assert assessor.transaction(risk, after, vector(), 0.04, 0.1, QUIET) is None


def test_alert_ids_differ_by_every_part(score, policy_text):
    other = Assessor(parse_policy(policy_text.replace('"default-2"', '"default-3"')))
    ids = {
        score(RiskState(), 1, 0.9).alerts[0].alert_id,
        score(RiskState(), 2, 0.9).alerts[0].alert_id,
        score(RiskState(), 1, 0.5).alerts[0].alert_id,
        score(RiskState(), 1, 0.9, card="tok_other_99").alerts[0].alert_id,
        score(RiskState(), 1, 0.9, card=None).alerts[0].alert_id,
        score(RiskState(), 1, 0.9, by=other).alerts[0].alert_id,
    }
    assert len(ids) == 6
    assert score(RiskState(), 1, 0.9).alerts[0].alert_id in ids


def test_a_release_by_hand_makes_the_next_suspicion_a_new_shift(score, assessor, facts):
    risk = RiskState()
    score(risk, 1, 0.9)
    change = assessor.action_result(risk, facts(2), "release_card", "applied", CARD).risk_change
    assert (change.state.cards, change.state.actions, change.once) == ([], [], [])
    assert score(risk, 3, 0.9).alerts


def test_no_freeze_is_ever_dropped_for_room(assessor, facts):
    risk = RiskState()
    for n in range(ACTIONS_MAX + 1):
        card = f"tok_old_{n}"
        assessor.outcome(risk, facts(2 * n), "fraud_confirmed", card)
        # The card calms down to normal; its freeze stays, so that frozen cards outnumber suspicious ones.
        risk.cards.clear()
        frozen = actions_of(risk)
        assert ("freeze_card", "card", card) in frozen
        for old in range(n):
            assert {("freeze_card", "card", f"tok_old_{old}"), ("freeze_card", "customer", "c-1")} & set(frozen)
    assert len(risk.actions) == 2
    assert {a.expires_ms for a in risk.actions} == {None}


def test_advice_makes_room_before_anything_that_is_enforced(assessor, facts):
    risk = RiskState()
    assessor.signal(risk, facts(1), "income_missed", 0, "income")
    for n in range(ACTIONS_MAX):
        assessor.outcome(risk, facts(n), "fraud_confirmed", f"tok_old_{n}")
        risk.cards.clear()
    assert len(risk.actions) == ACTIONS_MAX
    assert {a.action for a in risk.actions} == {"freeze_card"}


def test_the_release_of_one_card_leaves_the_freeze_of_the_whole_customer(score, assessor, facts):
    risk = RiskState()
    assessor.outcome(risk, facts(1), "fraud_confirmed", None)
    risk.cards.clear()
    score(risk, 2, 0.9)
    assessor.outcome(risk, facts(3), "false_positive", CARD)
    assert actions_of(risk) == [("freeze_card", "customer", "c-1")]
    assessor.outcome(risk, facts(4), "false_positive", None)
    assert actions_of(risk) == []
