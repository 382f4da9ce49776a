"""The Fraud-Detection-Handbook's protocol for a test week: who is left out, and card precision.

Le Borgne, Siblini, Lebichot and Bontempi, *Reproducible Machine Learning for Credit Card Fraud Detection*,
chapters 3 to 5; general here in the delay of labels and the number of cards.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.evaluation.scores import Scored
from streams.sources.times import DAY_MS

# Days before the labels' delay from which frauds are known when the week begins: the published training week.
TRAIN_DAYS = 7
WEEK_DAYS = 7
CARDS_TOP = 100

Places = NDArray[np.intp]


class Week(NamedTuple):
    """Places of the rows that count in a test week, in time order; the precision of each of its days."""

    kept: Places
    precisions: list[float]


def days_of(scored: Scored) -> NDArray[np.int64]:
    """UTC days since 1970 of the rows."""
    days: NDArray[np.int64] = scored.time_ms // DAY_MS
    return days


def published_week(scored: Scored, start_day: int, delay_days: int, top: int = CARDS_TOP) -> Week:
    """The seven days from `start_day` (UTC, since 1970), without customers known to be compromised.

    Known are, when the week begins, customers with a fraud in the seven days that end `delay_days` before it; and
    from each day on, those with a fraud `delay_days + 1` days before. See `card_precision` for the rest.
    """
    days, fraud, customers = days_of(scored), scored.fraud, scored.customer
    first = start_day - delay_days
    known = np.unique(customers[fraud & (days >= first - TRAIN_DAYS) & (days < first)])
    by_day: list[Places] = []
    for day in range(start_day, start_day + WEEK_DAYS):
        known = np.union1d(known, customers[fraud & (days == day - delay_days - 1)])
        today = np.flatnonzero(days == day)
        by_day.append(today[~np.isin(customers[today], known)])
    return Week(np.concatenate(by_day), card_precision(scored, by_day, top))


def card_precision(scored: Scored, by_day: list[Places], top: int = CARDS_TOP) -> list[float]:
    """Share of truly compromised cards among the `top` of each day, by the highest score of the card that day.

    Cards found so on an earlier day are left out. Days with fewer cards still divide by `top`.
    """
    found = np.zeros(0, np.int32)
    precisions = []
    for today in by_day:
        cards = scored.card[today]
        left = ~np.isin(cards, found)
        here, cards = today[left], cards[left]
        # By score, ties by who came first; then the first of each card.
        order = np.argsort(-scored.score[here], kind="stable")
        ranked = cards[order]
        firsts = np.sort(np.unique(ranked, return_index=True)[1])[:top]
        best = ranked[firsts]
        hits = best[np.isin(best, cards[scored.fraud[here]])]
        precisions.append(len(hits) / top)
        found = np.union1d(found, hits)
    return precisions


def days_between(scored: Scored, places: Places) -> list[Places]:
    """The places of a period, day by day; days without any row are left out."""
    days = days_of(scored)[places]
    order = np.argsort(days, kind="stable")
    cuts = np.flatnonzero(np.diff(days[order])) + 1
    return [places[part] for part in np.split(order, cuts)] if len(places) else []
