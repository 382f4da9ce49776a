"""Reasons in words: what speaks for a feature, what is said once, what is usual beside it."""

from __future__ import annotations

import pytest

from alerts.explanation import CONTRIBUTION_NAMES, TOGETHER, fraud_reasons, merged
from alerts.texts import load
from features.catalogue import CATALOGUE, SIZE


def reasons(shares: dict[str, float], **values: float):
    vector = [values.get(f.name, 0.0 if f.shape == "flag" else float(f.center)) for f in CATALOGUE]
    contributions = [shares.get(name, 0.0) for name in CONTRIBUTION_NAMES]
    return fraud_reasons(load(), vector, 0.4, contributions, [], "EUR")


def test_features_that_say_the_same_are_one_reason_with_their_sum():
    (first, second) = reasons(
        {"amount_last": 0.5, "amount_excess": 2.0, "amount_zscore_baseline": -0.5, "amount_zscore_excess": 1.5},
        amount_last=50_000, amount_excess=50_000, amount_zscore_baseline=4.0, amount_zscore_excess=4.0,
        amount_max_ratio_baseline=2.5,
    )  # fmt: skip
    assert (first.code, first.contribution, first.value) == ("amount_last", 2.5, 50_000)
    assert (second.code, second.contribution, second.value) == ("amount_zscore_baseline", 1.0, 4.0)


def test_merging_keeps_the_sum_and_names_each_feature_once():
    shares = [float(n % 7) - 3 for n in range(SIZE + 1)]
    assert sum(merged(shares)) == sum(shares)
    names = [name for group in TOGETHER for name in group]
    assert len(names) == len(set(names))
    assert set(names) <= set(CONTRIBUTION_NAMES)


def test_a_reason_says_what_is_usual_for_the_customer():
    (amount,) = reasons({"amount_last": 1.0}, amount_last=50_000, amount_max_ratio_baseline=2.5)
    assert amount.text.en == (
        "The amount of the transaction is EUR 500.00 (largest ordinary amount so far: EUR 200.00)"
    )
    assert amount.text.zh_cn == "本次交易金额为 500.00 欧元（本人以往正常最大金额 200.00 欧元）"
    (burst,) = reasons({"tx_count_1h": 1.0}, tx_count_1h=6, tx_count_1d=8, tx_rate_ratio_1d=4.0)
    assert burst.text.en == "Transactions within one hour: 6 (usually 2.0 a day)"


def test_what_is_usual_is_left_out_where_nobody_knows():
    (amount,) = reasons({"amount_last": 1.0}, amount_last=50_000, amount_max_ratio_baseline=1.0)
    assert amount.text.en == "The amount of the transaction is EUR 500.00"


@pytest.mark.parametrize(
    "name", ["merchant_new", "terminal_fraud_count_30d", "unusual_count_7d", "device_fraud_recent"]
)
def test_nothing_is_never_a_reason(name):
    assert reasons({name: 3.0}, **{name: 0.0}) == []
    assert [reason.code for reason in reasons({name: 3.0}, **{name: 1.0})] == [name]


def test_at_most_four_and_the_largest_first():
    shares = {"merchant_new": 0.1, "device_new": 0.5, "is_night": 0.4, "payee_new": 0.2, "country_new": 0.3}
    found = reasons(shares, **dict.fromkeys(shares, 1.0))
    assert [reason.code for reason in found] == ["device_new", "is_night", "country_new", "payee_new"]
