"""Why, in at most four reasons: what pushed the score up most, what a signal is about, what is usual here.

Every feature has one contribution, its share of all members of the ensemble (`models/compiled.py`). Features that say
the same of the customer in two ways are one reason: their contributions are added, one of them speaks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from alerts.lending.records import ScoreChange
from alerts.policy import Rule
from alerts.records import REASONS_MAX, Reason, Text
from alerts.texts import Texts
from features.catalogue import CATALOGUE, INDEX
from features.hot import RATIO_UNKNOWN
from models.compiled import CONTRIBUTION_NAMES

ANOMALY = "anomaly"
_UNITS = {f.name: f.unit for f in CATALOGUE} | {ANOMALY: "score"}
# Features that are one reason; the first one speaks.
TOGETHER: tuple[tuple[str, ...], ...] = (
    ("amount_last", "amount_excess"),
    ("amount_zscore_baseline", "amount_zscore_excess"),
    ("unusual_count_7d", "unusual_sum_7d"),
    ("terminal_fraud_count_30d", "terminal_fraud_count_7d"),
    ("terminal_fraud_unbroken", "terminal_good_since"),
    ("terminal_fraud_age", "terminal_fraud_span"),
    ("device_fraud_recent", "device_fraud_age"),
)
_PLACES = {name: place for place, name in enumerate(CONTRIBUTION_NAMES)}
_SPOKEN_FOR = {_PLACES[name]: _PLACES[group[0]] for group in TOGETHER for name in group[1:]}
# Where 0 is the centre it means that there is nothing, and nothing reads as a lie ("a new merchant", "frauds: 0"),
# whatever share of the score it has.
_NOTHING = (*(f.center == 0 for f in CATALOGUE), False)


def merged(contributions: Sequence[float]) -> list[float]:
    """Contributions with those of a group added up at the one that speaks, the others 0; the sum stays."""
    shares = [float(share) for share in contributions]
    for place, spokesman in _SPOKEN_FOR.items():
        shares[spokesman] += shares[place]
        shares[place] = 0.0
    return shares


def top(contributions: Sequence[float], values: Sequence[float]) -> list[int]:
    """Places of the largest positive contributions, at most four, ties in vector order."""
    places = [
        place for place, share in enumerate(contributions) if share > 0 and not (_NOTHING[place] and values[place] == 0)
    ]
    return sorted(places, key=lambda place: (-contributions[place], place))[:REASONS_MAX]


def fraud_reasons(
    texts: Texts,
    vector: Sequence[float],
    anomaly: float,
    contributions: Sequence[float],
    rules: Sequence[Rule],
    currency: str | None,
) -> list[Reason]:
    """Largest positive contributions beside what is usual for the customer; else what the rules looked at."""
    values = (*map(float, vector), float(anomaly))
    shares = merged(contributions)
    places = top(shares, values)
    if not places:
        named = dict.fromkeys(c.feature for rule in rules for c in rule.when if c.feature in INDEX)
        places = [INDEX[name] for name in named][:REASONS_MAX]
    return [
        Reason(
            code := CONTRIBUTION_NAMES[place],
            shares[place] if place < len(shares) else None,
            values[place] if math.isfinite(values[place]) else None,
            _UNITS[code],
            _said(texts, code, values, currency),
        )
        for place in places
    ]


def _said(texts: Texts, code: str, values: Sequence[float], currency: str | None) -> Text:
    """The sentence, and behind it what is usual for this customer where that is known."""
    text = texts.reason(code, values[_PLACES[code]], currency)
    line, usual = _USUAL.get(code, ("", _nothing))
    value = usual(values)
    if value is None or not math.isfinite(value):
        return text
    beside = texts.both("usual", line, value, currency)
    return Text(f"{text.en} ({beside.en})", f"{text.zh_cn}（{beside.zh_cn}）")


def _nothing(values: Sequence[float]) -> float | None:  # noqa: ARG001
    return None


def _largest(values: Sequence[float]) -> float | None:
    ratio = values[INDEX["amount_max_ratio_baseline"]]
    return values[INDEX["amount_last"]] / ratio if ratio > 0 and ratio != RATIO_UNKNOWN else None


def _daily(values: Sequence[float]) -> float | None:
    ratio = values[INDEX["tx_rate_ratio_1d"]]
    return values[INDEX["tx_count_1d"]] / ratio if ratio > 0 and ratio != RATIO_UNKNOWN else None


def _at_night(values: Sequence[float]) -> float | None:
    return values[INDEX["night_share_baseline"]]


_USUAL: dict[str, tuple[str, Callable[[Sequence[float]], float | None]]] = {
    "amount_last": ("largest_amount", _largest),
    "amount_zscore_baseline": ("largest_amount", _largest),
    "amount_max_ratio_baseline": ("largest_amount", _largest),
    "tx_count_1h": ("daily_count", _daily),
    "tx_count_1d": ("daily_count", _daily),
    "tx_rate_ratio_1d": ("daily_count", _daily),
    "is_night": ("night_share", _at_night),
}
USUAL_LINES: tuple[str, ...] = tuple(dict.fromkeys(line for line, _ in _USUAL.values()))


def credit_reasons(texts: Texts, contributions: Sequence[tuple[str, float]], worse: bool) -> list[Reason]:
    """Points that pushed the way the grade went: the largest deductions, or the largest additions."""
    moved = [
        (code, points)
        for code, points in contributions
        if (points < 0 if worse else points > 0) and texts.has("credit", code)
    ]
    moved.sort(key=lambda item: (-abs(item[1]), item[0]))
    return [
        Reason(code, float(points), None, "points", texts.credit_reason(code, worse))
        for code, points in moved[:REASONS_MAX]
    ]


def change_reasons(texts: Texts, change: ScoreChange | None, worse: bool) -> list[Reason]:
    """What moved the score the way the grade went, the largest parts first; none where nothing of it has words."""
    moved = [
        (code, points)
        for code, points in (change.parts if change else ())
        if (points < 0 if worse else points > 0) and code != "base" and texts.has("credit", code)
    ]
    moved.sort(key=lambda item: (-abs(item[1]), item[0]))
    return [
        Reason(code, float(points), None, "points", texts.credit_reason(code, worse))
        for code, points in moved[:REASONS_MAX]
    ]
