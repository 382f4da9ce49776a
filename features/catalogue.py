"""Every feature of the fraud vector: one line each, in vector order.

The order is the contract between features, models and every recorded decision: a vector is a list of
floats, one per line of `CATALOGUE`. Adding, removing or moving a line makes a new `FEATURE_VERSION`.

Windows are `(t - size, t]` to the bucket, in event time, *including* the event itself unless the meaning
says "before". Amounts are minor units of the account's currency. `shape`, `center` and `scale` say how a
linear model should see the number: `(shape(x) - center) / scale`, clipped to ±5; they are units of
measurement, fixed here, not fitted. `excess` is linear with a floor at 0: silent up to the center, then rising.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FEATURE_VERSION = 4

Shape = Literal["linear", "log1p", "flag", "excess"]


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature: what it is, over which window, in which unit, and what it means in words."""

    name: str
    source: str
    aggregator: str
    window: str
    unit: str
    shape: Shape
    center: float
    scale: float
    en: str
    zh: str
    shared: bool = False


def _f(name: str, source: str, how: str, window: str, unit: str, shape: Shape, center: float, scale: float,
       en: str, zh: str, shared: bool = False) -> Feature:  # fmt: skip
    return Feature(name, source, how, window, unit, shape, center, scale, en, zh, shared)


_TX, _LOGIN, _DEVICE, _PAYEE, _TRUTH = "transaction", "login", "device_change", "payee_added", "outcome"

CATALOGUE: tuple[Feature, ...] = (
    # the event itself
    _f("amount_last", _TX, "last", "event", "minor", "log1p", 8.0, 1.5, "amount of the transaction", "本次交易金额"),
    _f("is_cash", _TX, "flag", "event", "0/1", "flag", 0, 1, "cash withdrawal", "取现"),
    _f("is_transfer", _TX, "flag", "event", "0/1", "flag", 0, 1, "transfer of money", "转账"),
    _f("is_remote", _TX, "flag", "event", "0/1", "flag", 0, 1, "card not present (online)", "非面对面交易"),
    _f("is_night", _TX, "flag", "event", "0/1", "flag", 0, 1, "between midnight and six, UTC", "夜间交易(UTC 0-6 点)"),
    _f("is_weekend", _TX, "flag", "event", "0/1", "flag", 0, 1, "on a Saturday or Sunday", "周末交易"),
    # velocity and amount
    _f("tx_count_1h", _TX, "count", "1h", "count", "log1p", 0.7, 0.5, "transactions within one hour", "1 小时内交易笔数"),
    _f("tx_count_1d", _TX, "count", "1d", "count", "log1p", 1.1, 0.6, "transactions within one day", "1 天内交易笔数"),
    _f("tx_count_7d", _TX, "count", "7d", "count", "log1p", 2.3, 0.8, "transactions within seven days", "7 天内交易笔数"),
    _f("tx_count_30d", _TX, "count", "30d", "count", "log1p", 3.6, 0.9, "transactions within thirty days", "30 天内交易笔数"),
    _f("amount_sum_1h", _TX, "sum", "1h", "minor", "log1p", 8.0, 1.5, "amount spent within one hour", "1 小时内交易金额"),
    _f("amount_sum_1d", _TX, "sum", "1d", "minor", "log1p", 8.7, 1.5, "amount spent within one day", "1 天内交易金额"),
    _f("amount_sum_7d", _TX, "sum", "7d", "minor", "log1p", 10.0, 1.5, "amount spent within seven days", "7 天内交易金额"),
    _f("amount_sum_30d", _TX, "sum", "30d", "minor", "log1p", 11.5, 1.5, "amount spent within thirty days", "30 天内交易金额"),
    _f("decline_count_1d", _TX, "count", "1d", "count", "log1p", 0, 0.7, "declined attempts within one day", "1 天内被拒次数"),
    _f("tx_rate_ratio_1d", _TX, "ratio", "1d", "ratio", "log1p", 0.9, 0.6,
       "transactions today against the customer's daily mean of thirty days", "当日笔数与 30 天日均之比"),
    # the customer's own uncontaminated baseline
    _f("amount_zscore_baseline", _TX, "zscore", "baseline", "sigma", "linear", 0, 1.5,
       "how unusual the amount is for this customer", "金额偏离本人常态的程度"),
    _f("amount_max_ratio_baseline", _TX, "ratio", "baseline", "ratio", "log1p", 0.6, 0.4,
       "amount against the largest ordinary amount so far", "金额与本人历史正常最大额之比"),
    # a logarithm flattens what is far out; these two rise steadily there and are silent elsewhere
    _f("amount_excess", _TX, "last", "event", "minor", "excess", 10_000, 5_000,
       "amount of the transaction beyond an everyday one (100 units)", "超出日常水平(100 单位)的交易金额"),
    _f("amount_zscore_excess", _TX, "zscore", "baseline", "sigma", "excess", 1, 0.5,
       "how far the amount is above what is ordinary for this customer", "金额高出本人常态的程度"),
    _f("unusual_count_7d", _TX, "count", "7d", "count", "log1p", 0, 0.7,
       "earlier transactions of seven days that were unusually large for this customer", "7 天内此前异常大额交易笔数"),
    _f("unusual_sum_7d", _TX, "sum", "7d", "sigma", "log1p", 0, 0.8,
       "how unusual these earlier transactions were for this customer, added up", "7 天内此前异常大额交易的偏离程度之和"),
    _f("night_share_baseline", _TX, "share", "baseline", "ratio", "linear", 0.1, 0.2,
       "share of the customer's transactions made at night", "本人夜间交易占比"),
    _f("channel_share_baseline", _TX, "share", "baseline", "ratio", "linear", 0.6, 0.35,
       "share of this channel among the customer's transactions before", "本渠道在本人历史交易中的占比"),
    # novelty
    _f("merchant_new", _TX, "novelty", "last 16", "0/1", "flag", 0, 1, "a merchant not seen before", "首次出现的商户"),
    _f("terminal_new", _TX, "novelty", "last 16", "0/1", "flag", 0, 1, "a terminal not seen before", "首次出现的终端"),
    _f("device_new", _TX, "novelty", "last 4", "0/1", "flag", 0, 1, "a device not seen before", "首次出现的设备"),
    _f("country_new", _TX, "novelty", "last 8", "0/1", "flag", 0, 1, "a country not seen before", "首次出现的国家"),
    _f("payee_new", _TX, "novelty", "last 8", "0/1", "flag", 0, 1, "a payee not seen before", "首次出现的收款人"),
    _f("country_foreign", _TX, "flag", "event", "0/1", "flag", 0, 1, "outside the customer's home country", "境外交易"),
    _f("novelty_count_7d", _TX, "count", "7d", "count", "log1p", 0.9, 0.7,
       "new merchants and terminals within seven days", "7 天内新商户与新终端数"),
    # timing
    _f("gap_since_last", _TX, "gap", "last", "s", "log1p", 10.0, 2.0, "time since the transaction before", "距上一笔交易的时间"),
    _f("tenure", _TX, "age", "all", "days", "log1p", 4.0, 1.5, "time since the customer was first seen", "客户存续时间"),
    # account signals
    _f("login_failed_count_1d", _LOGIN, "count", "1d", "count", "log1p", 0, 0.7, "failed sign-ins within one day", "1 天内登录失败次数"),
    _f("device_change_recent", _DEVICE, "decay", "1d", "ratio", "linear", 0, 0.5,
       "how fresh the last change of device is (1 now, 0.5 after a day)", "最近更换设备的新近程度"),
    _f("payee_added_recent", _PAYEE, "decay", "1d", "ratio", "linear", 0, 0.5,
       "how fresh the last new payee is (1 now, 0.5 after a day)", "最近新增收款人的新近程度"),
    _f("fraud_confirmed_recent", _TRUTH, "decay", "30d", "ratio", "linear", 0, 0.5,
       "how fresh the customer's last confirmed fraud is (1 now, 0.5 after thirty days)", "本人最近确认欺诈的新近程度"),
    # indicators shared between customers, from the versioned snapshot
    _f("terminal_tx_rate", _TX, "rate", "7d", "per day", "log1p", 1.0, 1.0,
       "known traffic of the terminal", "终端日均交易量", shared=True),
    _f("terminal_fraud_rate", _TRUTH, "rate", "30d", "ratio", "linear", 0.005, 0.05,
       "share of the terminal's transactions known to be fraud", "终端已知欺诈率", shared=True),
    _f("terminal_fraud_count_7d", _TRUTH, "count", "7d", "count", "log1p", 0, 0.7,
       "frauds at the terminal that became known within seven days", "终端 7 天内新确认的欺诈笔数", shared=True),
    _f("terminal_fraud_count_30d", _TRUTH, "count", "30d", "count", "log1p", 0, 0.7,
       "frauds at the terminal that became known within thirty days", "终端 30 天内新确认的欺诈笔数", shared=True),
    _f("terminal_good_since", _TRUTH, "count", "all", "count", "log1p", 0, 0.7,
       "transactions at the terminal known to be good since its last known fraud (0 if it had none)",
       "终端最近已知欺诈之后的已确认正常笔数", shared=True),
    _f("terminal_fraud_unbroken", _TRUTH, "decay", "all", "ratio", "linear", 0, 0.3,
       "whether the terminal's latest known truth is fraud (1; halved by every good transaction since; 0 if none)",
       "终端最新已知结果为欺诈的程度", shared=True),
    _f("terminal_fraud_age", _TRUTH, "age", "all", "days", "linear", 0, 7,
       "days since the first fraud of the terminal's present series happened (0 if none is known)",
       "终端本轮首笔已知欺诈发生至今天数", shared=True),
    _f("terminal_fraud_span", _TRUTH, "span", "all", "days", "linear", 0, 5,
       "days from the first to the last known fraud of the terminal's present series", "终端本轮首末两笔已知欺诈的间隔天数", shared=True),
    _f("merchant_tx_rate", _TX, "rate", "7d", "per day", "log1p", 1.0, 1.0,
       "known traffic of the merchant", "商户日均交易量", shared=True),
    _f("merchant_fraud_rate", _TRUTH, "rate", "30d", "ratio", "linear", 0.005, 0.05,
       "share of the merchant's transactions known to be fraud", "商户已知欺诈率", shared=True),
    _f("device_tx_rate", _TX, "rate", "7d", "per day", "log1p", 0, 1.0,
       "known traffic of the device, all customers together", "设备日均交易量(全体客户)", shared=True),
    _f("device_fraud_rate", _TRUTH, "rate", "30d", "ratio", "linear", 0.005, 0.05,
       "share of the device's transactions known to be fraud", "设备已知欺诈率", shared=True),
    _f("device_fraud_recent", _TRUTH, "decay", "7d", "ratio", "linear", 0, 0.5,
       "how fresh the last known fraud with the device is (1 now, 0.5 after seven days)", "设备最近已知欺诈的新近程度", shared=True),
    _f("device_fraud_age", _TRUTH, "age", "all", "days", "linear", 0, 7,
       "days since the first fraud of the device's present series happened (0 if none is known)",
       "设备本轮首笔已知欺诈发生至今天数", shared=True),
)  # fmt: skip

NAMES: tuple[str, ...] = tuple(f.name for f in CATALOGUE)
INDEX: dict[str, int] = {name: place for place, name in enumerate(NAMES)}
SIZE = len(CATALOGUE)
