"""What an expert would say before the first label: weights in logit units, per feature.

A weight is how many logits one *shaped* unit (see `features/catalogue.py`) adds: 0.7 doubles the odds.
Ordinary behaviour shapes to about 0, so the intercept is the base rate. Version 1 scores with these
weights alone; the learner starts from them and they hold as much as `STRENGTH` says.
"""

from __future__ import annotations

import math

from features.catalogue import NAMES

BASE_RATE = 0.005
INTERCEPT = math.log(BASE_RATE / (1.0 - BASE_RATE))
ANOMALY = "anomaly"

# AdaGrad starts with this sum of squared gradients per weight, so that the first labels do not throw the
# expert's opinion over: a weight's first step is learning rate / sqrt(STRENGTH) times its gradient.
STRENGTH = 1.0

WEIGHTS: dict[str, float] = {
    # the event itself: where fraud pays and is easy to do
    "amount_last": 0.15, "is_cash": 0.2, "is_transfer": 0.3, "is_remote": 0.4, "is_night": 0.3, "is_weekend": 0.0,
    # velocity: bursts within the hour speak, the month's habits do not
    "tx_count_1h": 0.4, "tx_count_1d": 0.25, "tx_count_7d": 0.05, "tx_count_30d": 0.0,
    "amount_sum_1h": 0.1, "amount_sum_1d": 0.1, "amount_sum_7d": 0.0, "amount_sum_30d": 0.0,
    "decline_count_1d": 0.5, "amount_mean_ratio_30d": 0.35, "tx_rate_ratio_1d": 0.2,
    # against the customer's own baseline: the strongest sign of a stolen card
    "amount_zscore_baseline": 0.7, "amount_max_ratio_baseline": 0.5,
    # who is often awake at night or often uses this channel is less surprising
    "night_share_baseline": -0.1, "channel_share_baseline": -0.3,
    # novelty
    "merchant_new": 0.2, "terminal_new": 0.3, "device_new": 0.8, "country_new": 0.9, "payee_new": 0.6,
    "country_foreign": 0.7, "novelty_count_7d": 0.2,
    # timing: long silence or a long relationship calms
    "gap_since_last": -0.1, "tenure": -0.15,
    # account signals: failed sign-ins, a fresh device and a fresh payee are the steps of a takeover
    "login_failed_count_1d": 0.5, "device_change_recent": 0.5, "payee_added_recent": 0.4,
    "fraud_confirmed_recent": 0.5,
    # what other customers met there; traffic by itself says nothing
    "terminal_tx_rate": 0.0, "terminal_fraud_rate": 0.8, "terminal_fraud_recent": 1.2,
    "merchant_tx_rate": 0.0, "merchant_fraud_rate": 0.5,
    # unusual as a whole, beyond what the lines above say
    ANOMALY: 0.3,
}  # fmt: skip

CONTRIBUTION_NAMES: tuple[str, ...] = (*NAMES, ANOMALY)
