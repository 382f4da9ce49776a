"""Why, in at most four reasons: what pushed the score up most, what a signal is about."""

from __future__ import annotations

import math
from collections.abc import Sequence

from alerts.policy import Rule
from alerts.records import REASONS_MAX, Reason
from alerts.texts import Texts
from features.catalogue import CATALOGUE, INDEX
from models.compiled import CONTRIBUTION_NAMES

ANOMALY = "anomaly"
_UNITS = {f.name: f.unit for f in CATALOGUE} | {ANOMALY: "score"}
# A yes/no feature that says no reads as a lie ("a new merchant"), whatever share of the score it has.
_FLAGS = (*(f.shape == "flag" for f in CATALOGUE), False)


def top(contributions: Sequence[float], values: Sequence[float]) -> list[int]:
    """Places of the largest positive contributions, at most four, ties in vector order."""
    places = [
        place for place, share in enumerate(contributions) if share > 0 and not (_FLAGS[place] and values[place] == 0)
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
    """Largest positive contributions; where no score speaks, what the rules looked at."""
    values = (*map(float, vector), float(anomaly))
    places = top(contributions, values)
    if not places:
        named = dict.fromkeys(c.feature for rule in rules for c in rule.when if c.feature in INDEX)
        places = [INDEX[name] for name in named][:REASONS_MAX]
    return [
        Reason(
            code := CONTRIBUTION_NAMES[place],
            float(contributions[place]) if place < len(contributions) else None,
            values[place] if math.isfinite(values[place]) else None,
            _UNITS[code],
            texts.reason(code, values[place], currency),
        )
        for place in places
    ]


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
