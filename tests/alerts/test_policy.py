from __future__ import annotations

import pytest

from alerts.errors import PolicyError
from alerts.policy import load_policy, parse_policy
from alerts.shift import Assessor
from alerts.state import LEVELS


def refused(text: str) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        parse_policy(text)
    return caught.value


def test_default_policy_loads_from_its_file(policy):
    assert load_policy() == policy
    assert [level.name for level in policy.levels] == list(LEVELS[1:])


@pytest.mark.parametrize(
    ("before", "after", "key", "says"),
    [
        ("calm_events = 5", "calm_event = 5", "fraud.calm_events", "spelling of calm_event"),
        ("calm_events = 5", "calm_events = 5\ncalm_days = 1", "fraud.calm_days", "only the keys"),
        ("calm_events = 5", "calm_events = true", "fraud.calm_events", "True"),
        ("calm_events = 5", "calm_events = 5.0", "fraud.calm_events", "whole number"),
        ('calm_time = "24h"', "calm_time = 24", "fraud.calm_time", "24h"),
        ('calm_time = "24h"', 'calm_time = "24 hours"', "fraud.calm_time", "24 hours"),
        ("enter = 0.60", "enter = 1.75", "fraud.levels.high.enter", "from 0 to 1"),
        ("enter = 0.60", "enter = nan", "fraud.levels.high.enter", "finite|number"),
        ("enter = 0.60", "enter = 0.30", "fraud.levels.high.exit", "less than enter"),
        ("enter = 0.25\nexit = 0.12", "enter = 0.05\nexit = 0.04", "fraud.levels.elevated.enter", "watch"),
        ("enter = 0.25\nexit = 0.12", "enter = 0.30\nexit = 0.01", "fraud.levels.elevated.exit", "at least"),
        ('severity = "high"', 'severity = "hihg"', "fraud.levels.high.severity", "did you mean 'high'"),
        ('action = "freeze_card"', 'action = "freeze_cards"', "actions[1].action", "did you mean 'freeze_card'"),
        ('feature = "tx_count_1h"', 'feature = "tx_count_2h"', "fraud.rules[4].when[0].feature", "tx_count_1h"),
        ('op = ">="', 'op = "=>"', "fraud.rules[0].when[0].op", "=>"),
        ('id = "cash_abroad"', 'id = "velocity_burst"', "fraud.rules[5].id", "own"),
        ('id = "cash_abroad"', 'id = "dpd_30"', "fraud.rules[5].id", "own"),
        ("alert = false", 'alert = "no"', "fraud.levels.watch.alert", "without quotes"),
        ("[signals.dpd_60]", "[signals.dpd_61]", "signals.dpd_60", "dpd_61"),
        ('version = "default-2"', "version = 1", "version", "text"),
        ("pd_change_ratio = 0.25", "pd_change_ratio = 0", "credit.pd_change_ratio", "0.01"),
        ('level = "high"\nseverity = "critical"\n# Who', 'level = "watch"\nseverity = "critical"\n# Who',
         "outcomes.fraud_confirmed.level", "high"),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_by_key(policy_text, before, after, key, says):
    assert before in policy_text
    error = refused(policy_text.replace(before, after, 1))
    assert error.key.endswith(key), error
    assert any(word in str(error) for word in says.split("|")), error


@pytest.mark.parametrize("action", ["limit_decrease", "early_recall_review", "reprice", "decline", "call_customer"])
def test_only_a_card_can_be_stopped_by_a_machine(policy_text, action):
    text = policy_text.replace('"freeze_card", mode = "enforce"', f'"{action}", mode = "enforce"', 1)
    assert "named human" in str(refused(text))


def test_a_machine_never_acts_on_a_loan(policy_text):
    text = policy_text.replace(
        '"freeze_card", mode = "enforce", scope = "card"', '"freeze_card", mode = "enforce", scope = "facility"', 1
    )
    assert refused(text).key == "fraud.levels.high.actions[1].scope"


def test_a_syntax_error_names_its_line(policy_text):
    assert refused('version = "x"\n\nfraud = = 4').key == "line 3, column 9"


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(PolicyError, match="UTF-8"):
        parse_policy(b"\xff\xfe")


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(PolicyError, match="No such file"):
        load_policy(tmp_path / "none.toml")


def test_digest_is_of_the_meaning(policy, policy_text):
    assert parse_policy("# a comment\n" + policy_text.replace('"24h"', '"1d"')).digest == policy.digest
    assert parse_policy(policy_text.replace("enter = 0.60", "enter = 0.61")).digest != policy.digest
    assert len(policy.digest) == 64


def test_a_foreign_rule_must_bring_its_title(policy_text):
    text = policy_text.replace('id = "cash_abroad"', 'id = "my_rule"')
    with pytest.raises(PolicyError, match=r"my_rule\.title"):
        Assessor(parse_policy(text))
    Assessor(parse_policy(text.replace('id = "my_rule"', 'id = "my_rule"\ntitle = { en = "Mine", zh-CN = "自定义" }')))
