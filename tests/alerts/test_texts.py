from __future__ import annotations

import re
import string

import pytest

from alerts.credit import REASONS as CREDIT_RULES
from alerts.explanation import CONTRIBUTION_NAMES, USUAL_LINES
from alerts.lending.bands import BUILT_IN, OUTCOMES
from alerts.lending.facts import FACTS
from alerts.lending.letter import LETTER_LINES
from alerts.lending.plan import CHANGES
from alerts.planned import ACTIONS
from alerts.state import DPD_CLASSES, FIVE_CLASSES, LEVELS, SIGNALS, STAGES
from alerts.texts import LANGUAGES, PLACEHOLDERS, load
from alerts.warnings import CLEARED, RULE
from features.view import CreditView
from models.governance.records import NEWS
from models.scorecard import CARD

HAN = re.compile("[\u4e00-\u9fff]")


def needed(policy) -> list[tuple[str, str]]:
    lines = [("reasons", code) for code in CONTRIBUTION_NAMES]
    lines += [("usual", line) for line in USUAL_LINES]
    lines += [("credit", code) for code in CreditView.__struct_fields__]
    lines += [("rules", rule.id) for rule in policy.rules]
    lines += [("levels", level) for level in LEVELS] + [("levels", f"title_{level}") for level in LEVELS[1:]]
    lines += [("grades", key) for key in ("grade_down", "grade_up", "default", "reason_worse", "reason_better")]
    lines += [(section, kind) for section in ("signals", "signal_reasons") for kind in SIGNALS]
    lines += [("outcomes", kind) for kind in policy.outcomes]
    lines += [("actions", action) for action in ACTIONS]
    lines += [("facilities", name) for name in DPD_CLASSES]
    lines += [("models", kind) for kind in NEWS]
    lines += [("warnings", key) for key in (RULE, CLEARED, "calm", "district_shock", "employer_shock")]
    lines += [("warnings", f"community_{code}") for code in ("struck", "members", "expected")]
    lines += [("facts", fact.name) for fact in FACTS]
    lines += [("origination", f"application_{outcome}") for outcome in OUTCOMES]
    lines += [("origination", code) for code in (*BUILT_IN, *(rule.id for rule in policy.origination.rules))]
    lines += [("measures", measure.id) for measure in policy.after_loan.measures]
    lines += [("watch", line.id) for line in policy.after_loan.watch]
    lines += [("plan", change.code) for change in CHANGES]
    lines += [("stages", f"stage_{stage}") for stage in STAGES]
    lines += [("five_classes", name) for name in FIVE_CLASSES]
    lines += [("tiers", tier.id) for tier in policy.tiers]
    lines += [("letter", key) for key in LETTER_LINES]
    return lines


def test_every_code_has_a_sentence_in_both_languages(policy):
    texts = load()
    assert len(needed(policy)) > 90
    for section, key in needed(policy):
        assert texts.en.line(section, key), f"en lacks {section}.{key}"
        assert texts.zh.line(section, key), f"zh-CN lacks {section}.{key}"
        assert HAN.search(texts.zh.line(section, key)), f"zh-CN {section}.{key} is not Chinese"
        assert not HAN.search(texts.en.line(section, key)), f"en {section}.{key} is not English"


def test_every_scorecard_code_has_a_sentence():
    assert len(CARD) > 5
    for characteristic in CARD:
        assert load().has("credit", characteristic.code), characteristic.code


def test_no_line_is_left_over(policy):
    known = set(needed(policy)) | {("outcomes", "confirmed")}
    for catalogue in (load().en, load().zh):
        for section, lines in catalogue.lines.items():
            if section not in ("units", "currencies"):
                assert {(section, key) for key in lines} <= known, section


def test_both_languages_use_the_same_placeholders():
    texts = load()
    for section, lines in texts.en.lines.items():
        for key, english in lines.items():
            names = [
                {n for _, n, _, _ in string.Formatter().parse(text) if n}
                for text in (english, texts.zh.line(section, key) or english)
            ]
            assert names[0] == names[1], f"{section}.{key}"
            assert names[0] <= {*PLACEHOLDERS, "n", "amount", "currency"}, f"{section}.{key}"


@pytest.mark.parametrize(
    ("code", "value", "currency", "en", "zh"),
    [
        ("amount_last", 123456, "EUR", "The amount of the transaction is EUR 1,234.56", "本次交易金额为 1,234.56 欧元"),
        ("amount_last", 1500, "JPY", "The amount of the transaction is JPY 1,500", "本次交易金额为 1,500 日元"),
        ("amount_last", 1500, "KWD", "The amount of the transaction is KWD 1.500", "本次交易金额为 1.500 KWD"),
        ("amount_last", 1500, None, "The amount of the transaction is 15.00", "本次交易金额为 15.00"),
        ("tx_count_1h", 8.0, None, "Transactions within one hour: 8", "近 1 小时内交易 8 笔"),
        (
            "terminal_fraud_rate",
            0.25,
            None,
            "Share of fraud known at this terminal: 25.0%",
            "该终端已知欺诈交易占比 25.0%",
        ),
        ("gap_since_last", 60, None, "Time since the transaction before: 60 s", "距上一笔交易 60 秒"),
        ("gap_since_last", 600_000, None, "Time since the transaction before: 7 days", "距上一笔交易 7 天"),
        ("tenure", float("nan"), None, "Customer known for — days", "客户建立往来 — 天"),
        ("not_a_code", 1.0, None, "Indicator not_a_code", "指标 not_a_code"),
    ],
)
def test_values_are_written_as_people_write_them(code, value, currency, en, zh):
    text = load().reason(code, value, currency)
    assert (text.en, text.zh_cn) == (en, zh)


def test_every_rule_name_of_the_credit_desk_has_a_title():
    texts = load()
    assert all(any(texts.has(part, rule) for part in ("grades", "signals", "warnings")) for rule in CREDIT_RULES)
    assert LANGUAGES == ("en", "zh-CN")
