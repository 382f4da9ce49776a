"""All figures of a run, ready for JSON; what is undefined is null. `docs/evaluate.md` says what each means."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streams.evaluation.calibration import calibration
from streams.evaluation.metrics import Ranking, intervals
from streams.evaluation.protocol import (
    CARDS_TOP,
    WEEK_DAYS,
    Places,
    card_precision,
    days_between,
    days_of,
    published_week,
)
from streams.evaluation.scores import UNKNOWN, Scored
from streams.sources.times import DAY_MS

BUDGET_PER_DAY = 100


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be figured.

    Parameters
    ----------
    from_ms, until_ms
        The period of `overall`; None is open.
    weeks_ms
        First midnights of test weeks by the handbook's protocol.
    delay_days
        Whole days until labels are known, for that protocol.
    card_top, budget
        Cards and alerts a day.
    seed
        Of the draws for the intervals.
    """

    from_ms: int | None = None
    until_ms: int | None = None
    weeks_ms: tuple[int, ...] = ()
    delay_days: int = 7
    card_top: int = CARDS_TOP
    budget: int = BUDGET_PER_DAY
    seed: int = 0


def evaluated(scored: Scored, asked: Asked) -> dict[str, Any]:
    """`overall`, `learning_curve`, and for test weeks `weeks`, `mean` and `weeks_together`."""
    places = scored.within(asked.from_ms, asked.until_ms)
    places = places[scored.label[places] != UNKNOWN]
    figures: dict[str, Any] = {
        "overall": _period(scored, places, card_precision(scored, days_between(scored, places), asked.card_top), asked),
        "learning_curve": learning_curve(scored),
    }
    if asked.weeks_ms:
        weeks, kept = {}, []
        for start_ms in asked.weeks_ms:
            week = published_week(scored, start_ms // DAY_MS, asked.delay_days, asked.card_top)
            kept.append(week.kept)
            weeks[day_text(start_ms)] = _period(scored, week.kept, week.precisions, asked)
        together = np.unique(np.concatenate(kept))
        figures["weeks"] = weeks
        figures["mean"] = _mean(list(weeks.values()), asked)
        figures["weeks_together"] = {
            "transactions": len(together), "frauds": int(scored.fraud[together].sum()),
            "calibration": calibration(scored.fraud[together], scored.score[together]),
        }  # fmt: skip
    return figures


def learning_curve(scored: Scored) -> list[dict[str, Any]]:
    """Week by week from the first day: how well frauds were ranked, and how many labels were known when it began."""
    days = days_of(scored)
    curve: list[dict[str, Any]] = []
    if not len(days):
        return curve
    first = int(days.min())
    week_of = (days - first) // WEEK_DAYS
    for number in np.unique(week_of).tolist():
        places = np.flatnonzero((week_of == number) & (scored.label != UNKNOWN))
        start_ms = (first + number * WEEK_DAYS) * DAY_MS
        ranking = Ranking(scored.fraud[places], scored.score[places])
        curve.append({
            "week": day_text(start_ms), "transactions": len(places), "frauds": int(scored.fraud[places].sum()),
            "frauds_known": int(np.searchsorted(scored.known_ms, start_ms, side="right")),
            "auc": ranking.auc(), "ap": ranking.average_precision(),
        })  # fmt: skip
    return curve


def _period(scored: Scored, places: Places, precisions: list[float], asked: Asked) -> dict[str, Any]:
    fraud, score = scored.fraud[places], scored.score[places]
    ranking = Ranking(fraud, score)
    auc_interval, ap_interval, draws = intervals(fraud, score, scored.customer[places], asked.seed)
    budget = _within_budget(scored, places, asked.budget)
    return {
        "from": time_text(scored.time_ms[places].min()) if len(places) else None,
        "until": time_text(scored.time_ms[places].max() + 1) if len(places) else None,
        "transactions": len(places),
        "frauds": int(fraud.sum()),
        "customers": len(np.unique(scored.customer[places])),
        "auc": ranking.auc(),
        "auc_interval": auc_interval,
        "ap": ranking.average_precision(),
        "ap_interval": ap_interval,
        "interval_draws": draws,
        f"cp{asked.card_top}": float(np.mean(precisions)) if precisions else None,
        "calibration": calibration(fraud, score),
        "budget": {"alerts_a_day": asked.budget} | _caught(scored, places, budget),
        "alerts": _caught(scored, places, scored.alerted[places]),
    }


def _within_budget(scored: Scored, places: Places, budget: int) -> NDArray[np.bool_]:
    """The highest scores of each day, ties by who came first."""
    inside = np.zeros(len(places), dtype=np.bool_)
    days = days_of(scored)[places]
    order = np.lexsort((-scored.score[places], days))
    ranked = days[order]
    starts = np.flatnonzero(np.diff(ranked, prepend=ranked[:1] - 1))
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    inside[order[rank < budget]] = True
    return inside


def _caught(scored: Scored, places: Places, flagged: NDArray[np.bool_]) -> dict[str, Any]:
    fraud, amount, typology = scored.fraud[places], scored.amount_minor[places], scored.typology[places]
    hit = fraud & flagged
    days = len(np.unique(days_of(scored)[places]))
    typologies = {}
    for code in np.unique(typology[fraud]).tolist():
        of_kind = fraud & (typology == code)
        name = scored.typologies[code] if code >= 0 else "unnamed"
        typologies[name] = {"frauds": int(of_kind.sum()), "recall": _share(of_kind & flagged, of_kind)}
    return {
        "flagged": int(flagged.sum()),
        "flagged_a_day": float(flagged.sum() / days) if days else None,
        "precision": _share(hit, flagged),
        "recall": _share(hit, fraud),
        "amount_recall": float(amount[hit].sum() / amount[fraud].sum()) if amount[fraud].sum() else None,
        "typologies": dict(sorted(typologies.items())),
    }


def _share(part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> float | None:
    return float(part.sum() / whole.sum()) if whole.any() else None


def _mean(weeks: list[dict[str, Any]], asked: Asked) -> dict[str, Any]:
    def mean(values: list[Any]) -> float | None:
        return None if None in values else float(np.mean(values))

    flat = {key: mean([week[key] for week in weeks]) for key in ("auc", "ap", f"cp{asked.card_top}")}
    deep = {
        key: mean([week["calibration"][key] for week in weeks])
        for key in ("slope", "intercept", "observed_over_expected", "brier", "brier_skill")
    }
    budget = {key: mean([week["budget"][key] for week in weeks]) for key in ("precision", "recall", "amount_recall")}
    return flat | {"calibration": deep, "budget": {"alerts_a_day": asked.budget} | budget}


def day_text(at_ms: int) -> str:
    """The UTC day of a time, `2018-08-08`."""
    return datetime.fromtimestamp(int(at_ms) / 1000, UTC).date().isoformat()


def time_text(at_ms: int) -> str:
    """A time as ISO text, UTC."""
    return datetime.fromtimestamp(int(at_ms) / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
