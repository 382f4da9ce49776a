"""The job, one event at a time: decode, 21 rolling features, two models that learn on every event, alert.

A customer's state is plain JSON, so that any framework's store can hold it. What is shared by all customers
(traffic at terminals, the models) lives in the process, in every variant.
"""

from __future__ import annotations

from math import exp, log1p, sqrt
from typing import Any

import orjson
from river import anomaly, linear_model, preprocessing

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
# Counts and sums fade by exp(-age / tau): an hour, a day, a week, thirty days.
TAUS_MS = (HOUR_MS, DAY_MS, 7 * DAY_MS, 30 * DAY_MS)
TERMINAL_TAU_MS = 7 * DAY_MS
HOME = "GB"
RISKY_MCC = frozenset({"4829", "5967", "6011", "7995"})

# In the order in which they are computed; the ranges are what the half-space trees are drawn over.
LIMITS: dict[str, tuple[float, float]] = {
    "amount": (0, 2000), "amount_log": (0, 8),
    "count_1h": (0, 3), "count_24h": (0, 30), "count_7d": (0, 200), "count_30d": (0, 800),
    "sum_1h": (0, 600), "sum_24h": (0, 5000), "sum_7d": (0, 20_000), "sum_30d": (0, 80_000),
    "mean_ratio_30d": (0, 10), "zscore_own": (-3, 6), "merchants_24h": (0, 40), "merchant_new": (0, 1),
    "gap_log": (0, 15), "night": (0, 1), "weekend": (0, 1), "foreign": (0, 1), "online": (0, 1),
    "mcc_risky": (0, 1), "terminal_7d": (0, 60),
}  # fmt: skip
NAMES = tuple(LIMITS)
TREES: dict[str, Any] = {"n_trees": 10, "height": 8, "window_size": 250, "limits": LIMITS, "seed": 42}
# About one event in a hundred is above it.
THRESHOLD = 0.232


def new_state() -> dict[str, Any]:
    """State of a customer never seen."""
    return {"time": 0, "counts": [0.0] * 4, "sums": [0.0] * 4, "n": 0, "mean": 0.0, "m2": 0.0, "merchants": {}}


def update(state: dict[str, Any], event: dict[str, Any], terminal: float) -> dict[str, float]:
    """Take an event into the customer's state, in place; its features, in the order of `NAMES`.

    Parameters
    ----------
    state
        Of this customer.
    event
        As decoded.
    terminal
        Faded number of events at its terminal, this one included.
    """
    time, amount = event["event_time_ms"], event["amount_minor"] / 100
    counts, sums, n, mean = state["counts"], state["sums"], state["n"], state["mean"]
    # An event older than the customer's newest one changes no clock: it counts as of the newest.
    gap = max(0, time - state["time"]) if n else 0
    ratio = amount / ((sums[3] / counts[3] if n else amount) + 1.0)
    for i, tau in enumerate(TAUS_MS):
        fade = exp(-gap / tau)
        counts[i] = counts[i] * fade + 1.0
        sums[i] = sums[i] * fade + amount
    deviation = sqrt(state["m2"] / (n - 1)) if n > 1 else 0.0
    zscore = (amount - mean) / deviation if deviation > 0 else 0.0
    n += 1
    state["n"] = n
    state["mean"] = new_mean = mean + (amount - mean) / n
    state["m2"] += (amount - mean) * (amount - new_mean)
    state["time"] += gap if n > 1 else time
    # A merchant is new when the customer's last day does not have it. The order of the dictionary is that of age.
    merchants, merchant = state["merchants"], event["merchant_id"]
    new = merchants.pop(merchant, None) is None
    merchants[merchant] = time
    oldest = next(iter(merchants))
    while merchants[oldest] < time - DAY_MS:
        del merchants[oldest]
        oldest = next(iter(merchants))
    return {
        "amount": amount, "amount_log": log1p(amount),
        "count_1h": counts[0], "count_24h": counts[1], "count_7d": counts[2], "count_30d": counts[3],
        "sum_1h": sums[0], "sum_24h": sums[1], "sum_7d": sums[2], "sum_30d": sums[3],
        "mean_ratio_30d": ratio, "zscore_own": zscore, "merchants_24h": float(len(merchants)),
        "merchant_new": 1.0 if new else 0.0, "gap_log": log1p(gap / 1000),
        "night": 1.0 if time // HOUR_MS % 24 < 6 else 0.0, "weekend": 1.0 if (time // DAY_MS + 3) % 7 >= 5 else 0.0,
        "foreign": 1.0 if event["country"] != HOME else 0.0, "online": 1.0 if event["channel"] == "ecom" else 0.0,
        "mcc_risky": 1.0 if event["mcc"] in RISKY_MCC else 0.0, "terminal_7d": terminal,
    }  # fmt: skip


class Terminals:
    """Faded number of events at every terminal this process has seen."""

    def __init__(self) -> None:
        self._seen: dict[str, list[float]] = {}

    def hit(self, terminal_id: str, time: int) -> float:
        """Count an event; the number with it."""
        entry = self._seen.get(terminal_id)
        if entry is None:
            self._seen[terminal_id] = [1.0, time]
            return 1.0
        gap = time - entry[1]
        if gap > 0:
            entry[0] *= exp(-gap / TERMINAL_TAU_MS)
            entry[1] = time
        entry[0] += 1.0
        return entry[0]


class Models:
    """River's pipeline and trees, as its documentation shows them."""

    def __init__(self) -> None:
        self.linear = preprocessing.StandardScaler() | linear_model.LogisticRegression()
        self.trees = anomaly.HalfSpaceTrees(**TREES)

    def score_learn_one(self, x: dict[str, float], fraud: bool) -> tuple[float, float]:
        """(probability of fraud, anomaly score) as before learning; then both learn."""
        probability = self.linear.predict_proba_one(x)[True]
        self.linear.learn_one(x, fraud)
        unusual = self.trees.score_one(x)
        self.trees.learn_one(x)
        return probability, unusual


class Job:
    """Everything but where a customer's state is kept."""

    def __init__(self) -> None:
        self.terminals = Terminals()
        self.models = Models()
        # Which events were worked, in order, and which made an alert: what a run is verified by.
        self.order: list[str] = []
        self.alerted: list[str] = []

    def work(self, state: dict[str, Any], event: dict[str, Any]) -> dict[str, Any] | None:
        """Take one event in, `state` changed in place; its alert, if it makes one."""
        self.order.append(event["event_id"])
        x = update(state, event, self.terminals.hit(event["terminal_id"], event["event_time_ms"]))
        probability, unusual = self.models.score_learn_one(x, event["is_fraud"])
        score = combined(probability, unusual)
        if score <= THRESHOLD:
            return None
        self.alerted.append(event["event_id"])
        return alert(event["event_id"], event["customer_id"], event["event_time_ms"], score, probability, unusual)


def combined(probability: Any, unusual: Any) -> Any:
    """The score that alerts: numbers or arrays, 0..1."""
    return 0.8 * probability + 0.2 * unusual


def alert(
    event_id: str, customer_id: str, time: int, score: float, probability: float, unusual: float
) -> dict[str, Any]:
    """What goes to the alerts topic."""
    return {
        "event_id": event_id, "customer_id": customer_id, "event_time_ms": time,
        "score": score, "probability": probability, "anomaly": unusual,
    }  # fmt: skip


decode = orjson.loads
encode = orjson.dumps
