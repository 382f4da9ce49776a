"""Mistakes in the lending tables are refused with key, line and advice."""

from __future__ import annotations

import pytest

from alerts.errors import PolicyError
from alerts.lending.measures import ADVERSE
from alerts.places import line_of
from alerts.policy import parse_policy
from alerts.shift import Assessor
from models.grades import GRADES


def refused(text: str) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        Assessor(parse_policy(text))
    return caught.value


@pytest.mark.parametrize(
    ("before", "after", "key", "says"),
    [
        ('down_to = "BBB"\noutcome = "approve"', 'down_to = "BBB"\noutcome = "approv"', "bands[1].outcome", "approve"),
        ('down_to = "BBB"\noutcome', 'down_to = "A"\noutcome', "bands[1].down_to", "downward"),
        ('down_to = "C"\noutcome', 'down_to = "CCC"\noutcome', "origination.bands", f"down to {GRADES[-1]}"),
        ("income_months = 18", "income_months = 30", "bands[1].income_months", "better one"),
        ("margin_high_bp = 300", "margin_high_bp = 149", "bands[1].margin_low_bp", "exchange"),
        ("collateral_share = 1.0\ncollateral_above_months = 3", "collateral_share = 0.2\ncollateral_above_months = 3",
         "bands[3].collateral_share", "better one"),
        ('"refer"\nfast_track = false', '"refer"\nfast_track = true', "bands[3].fast_track", "fast"),
        ('id = "legal_case"', 'id = "thin_file"', "rules[4].id", "rename"),
        ('id = "legal_case"', 'id = "court"', "rules[4].title", "zh-CN"),
        ('id = "help_early"', 'id = "helping"', "measures[4].title", "zh-CN"),
        ("valid = \"30d\"", "valid = 30", "origination.valid", "30m"),
        ('op = "worse_than", value = "BB"', 'op = ">=", value = "BB"', "measures[0].when[1].op", "worse_than"),
        ('op = "worse_than", value = "BB"', 'op = "worse_than", value = "BBBB"', "measures[0].when[1].value", "BBB"),
        ('fact = "pd_ratio", op = ">=", value = 3', 'fact = "pd_ration", op = ">=", value = 3',
         "measures[1].when[0].fact", "did you mean 'pd_ratio'"),
        ('id = "risk_above_price"\nscope = "facility"', 'id = "risk_above_price"\nscope = "customer"',
         "measures[1].when[0].fact", "one of"),
        ('action = "reprice", mode = "advise", scope = "facility", lasts = "90d"',
         'action = "reprice", mode = "advise", scope = "facility", lasts = "once"', "measures[1].actions", "lasts"),
        ('adverse_to = "credit risk officer on duty"', 'adverse_to = ""', "after_loan.adverse_to", "1 to 200"),
        ('signal = "dpd_30"', 'signal = "dpd_31"', "watch_list.signals[1].signal", "dpd_30"),
        ("stage = 3\nwhen", "stage = 1\nwhen", "regulatory.stages[0].stage", "from 2 to 3"),
        ('class = "loss"\nwhen = [{', 'class = "lost"\nwhen = [{', "five_classes[7].class", "did you mean 'loss'"),
        ("lgd_secured = 0.15", "lgd_secured = 0.55", "regulatory.lgd_secured", "cannot raise"),
        ('reference = "IFRS 9 5.5.11"', "", "stages[2].reference", "nothing is assumed"),
        ('down_to = "D", answer', 'down_to = "C", answer', "segments.tiers[4].down_to", "downward"),
        ("holdout_share = 0.10", "holdout_share = 0.9", "campaigns.holdout_share", "0.5"),
        ("social_signal = false", "social_signal = 0", "fairness.social_signal", "without quotes"),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_by_key_and_line(policy_text, before, after, key, says):
    assert before in policy_text
    text = policy_text.replace(before, after, 1)
    error = refused(text)
    assert error.key.endswith(key), error
    assert says in str(error), error
    if "title" not in key:
        assert f"line {error.line}" in str(error)
        word = key.split(".")[0].split("[")[0]
        near = "\n".join(text.splitlines()[max(0, error.line - 14) : error.line + 1])
        assert word in near or key.rsplit(".", 1)[-1].split("[")[0] in near, near


@pytest.mark.parametrize("action", ADVERSE)
def test_an_adverse_action_is_never_enforced(policy_text, action):
    before = '[{ action = "limit_decrease", mode = "advise", scope = "customer", lasts = "60d" }]'
    after = f'[{{ action = "{action}", mode = "enforce", scope = "customer", lasts = "60d" }}]'
    assert before in policy_text
    text = policy_text.replace(before, after, 1)
    error = refused(text)
    assert error.key == "after_loan.measures[0].actions[0].mode"
    assert "named human" in error.advice
    assert 'mode = "enforce"' in text.splitlines()[error.line - 1]


def test_a_measure_does_not_favour_and_burden(policy_text):
    before = '[{ action = "limit_increase", mode = "advise", scope = "customer", lasts = "60d" }]'
    both = before[:-1] + ', { action = "reprice", mode = "advise", scope = "customer", lasts = "60d" }]'
    assert before in policy_text
    assert "two measures" in str(refused(policy_text.replace(before, both, 1)))


def test_a_rule_of_ones_own_brings_its_words(policy_text, on):
    text = policy_text.replace(
        'id = "legal_case"', 'id = "court"\ntitle = { en = "A court looks at it", zh-CN = "法院正在审理" }', 1
    )
    rule = next(rule for rule in parse_policy(text).origination.rules if rule.id == "court")
    assert rule.title == ("A court looks at it", "法院正在审理")


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("a", 1), ("b.c", 3), ("b.d", 3), ("b.list[0].x", 5), ("b.list[1].x", 6), ("b.list[1].deep[0].x", 6),
        ("t[0].k", 9), ("t[1].k", 11), ("t[1].s.k", 13), ("nothing", None), ("t[1].missing", 10),
    ],
)  # fmt: skip
def test_lines_of_keys(key, line):
    source = "\n".join(
        (
            "a = 1", "[b]", "c = 2 # { no", "list = [", "  { x = 1 },", "  { x = 2, deep = [{ x = 3 }] },", "]",
            "[[t]]", "k = 1", "[[t]]", "k = 2", "[t.s]", "k = 3",
        )
    )  # fmt: skip
    expected = {"b.d": 2}.get(key, line)
    assert line_of(source, key) == expected
