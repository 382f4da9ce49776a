"""What an expert would say before the first label: weights in logit units, per feature.

A weight is how many logits one *shaped* unit (see `features/catalogue.py`) adds: 0.7 doubles the odds.
Ordinary behaviour shapes to about 0. Version 1 scores with these
weights alone; the learner starts from them and they hold as much as `STRENGTH` says.
"""

from __future__ import annotations

import math

from features.catalogue import NAMES

# Of an event with every feature at its centre; signs of fraud are rare and add several logits each.
BASE_RATE = 0.001
INTERCEPT = math.log(BASE_RATE / (1.0 - BASE_RATE))
ANOMALY = "anomaly"

# AdaGrad starts with this sum of squared gradients per weight, so that the first labels do not throw the
# expert's opinion over: a weight's first step is learning rate / sqrt(STRENGTH) times its gradient.
STRENGTH = 1.0

WEIGHTS: dict[str, float] = {
    # the event itself: standing orders are large and regular, so a transfer as such calms; the night speaks
    "amount_last": 0.6, "is_cash": -0.3, "is_transfer": -1.5, "is_remote": 0.2, "is_night": 1.2, "is_weekend": 0.0,
    # velocity: bursts within the hour speak, the month's habits do not
    "tx_count_1h": 1.5, "tx_count_1d": -0.1, "tx_count_7d": 0.0, "tx_count_30d": 0.2,
    "amount_sum_1h": 0.0, "amount_sum_1d": 0.0, "amount_sum_7d": 0.0, "amount_sum_30d": 0.0,
    "decline_count_1d": 1.8, "tx_rate_ratio_1d": 0.8,
    # against the customer's own baseline: a large amount alone is mostly an honest purchase, so these stay modest
    "amount_zscore_baseline": 0.1, "amount_max_ratio_baseline": 0.35,
    "amount_excess": 0.0, "amount_zscore_excess": 0.4, "unusual_count_7d": 0.1, "unusual_sum_7d": 0.0,
    "night_share_baseline": 0.0, "channel_share_baseline": -0.1,
    # novelty: a strange device spends, a strange country, a shop the customer never went to
    "merchant_new": 1.8, "terminal_new": 0.2, "device_new": 3.5, "country_new": 1.5, "payee_new": 0.6,
    "country_foreign": 1.7, "novelty_count_7d": 0.2,
    # timing
    "gap_since_last": -0.1, "tenure": 0.0,
    # account signals: failed sign-ins, a fresh device and a fresh payee are the steps of a takeover
    "login_failed_count_1d": 1.0, "device_change_recent": 1.3, "payee_added_recent": 0.4,
    # a confirmed fraud was dealt with: the card is new
    "fraud_confirmed_recent": 0.0,
    # what other customers met there: the latest known truth speaks, good ones since and a long series calm
    "terminal_tx_rate": 0.0, "terminal_fraud_rate": 0.3, "terminal_fraud_count_7d": 0.9,
    "terminal_fraud_count_30d": 0.0, "terminal_good_since": -0.3, "terminal_fraud_unbroken": 0.7,
    "terminal_fraud_age": -0.2, "terminal_fraud_span": 0.0,
    "merchant_tx_rate": 0.0, "merchant_fraud_rate": 0.3,
    "device_tx_rate": 0.0, "device_fraud_rate": 0.3, "device_fraud_recent": 0.5, "device_fraud_age": 0.0,
    # unusual as a whole, beyond what the lines above say
    ANOMALY: 0.1,
}  # fmt: skip

CONTRIBUTION_NAMES: tuple[str, ...] = (*NAMES, ANOMALY)
