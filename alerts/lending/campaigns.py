"""What a campaign brought: responses with the offer against those without, by grade, with an interval.

An offer is an `offer_made` event; with `holdout` it marks who deliberately got none. A response is an outcome
`campaign_response` about that event. Uplift is the difference of the two rates; its interval is Newcombe's hybrid of
two Wilson intervals (Newcombe 1998, method 10), which keeps its promise with few responses too.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from alerts.state import GRADES

Z_95 = 1.959963984540054
_DAY_MS = 86_400_000
TOTAL, UNGRADED = "all", "none"


class Arm(NamedTuple):
    """One side: customers, responses, their rate (None without customers)."""

    customers: int
    responses: int
    rate: float | None


class Uplift(NamedTuple):
    """One grade of one campaign; `uplift` and its interval are None when a side is empty."""

    campaign_id: str
    grade: str
    offered: Arm
    holdout: Arm
    uplift: float | None
    low: float | None
    high: float | None


def wilson(hits: int, n: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson interval of a rate; (0, 1) without trials.

    Examples
    --------
    >>> [round(v, 4) for v in wilson(81, 263)]
    [0.2553, 0.3662]
    """
    if n == 0:
        return 0.0, 1.0
    rate, share = hits / n, z * z / n
    middle = (rate + share / 2) / (1 + share)
    half = z / (1 + share) * math.sqrt(rate * (1 - rate) / n + share / (4 * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def newcombe(hits: int, n: int, other_hits: int, other_n: int, z: float = Z_95) -> tuple[float, float]:
    """Interval of the difference of two independent rates, `hits/n - other_hits/other_n`.

    Examples
    --------
    Newcombe 1998, table II: 56/70 - 48/80.

    >>> [round(v, 4) for v in newcombe(56, 70, 48, 80)]
    [0.0524, 0.3339]
    """
    rate, other = hits / n, other_hits / other_n
    low, high = wilson(hits, n, z)
    other_low, other_high = wilson(other_hits, other_n, z)
    difference = rate - other
    return (
        difference - math.sqrt((rate - low) ** 2 + (other_high - other) ** 2),
        difference + math.sqrt((high - rate) ** 2 + (other - other_low) ** 2),
    )


class _Offer(NamedTuple):
    campaign_id: str
    grade: str
    holdout: bool
    at_ms: int


class CampaignTally:
    """Counts offers and their responses; a customer counts once a campaign, by the first offer.

    Parameters
    ----------
    within_days
        A response later than this after its offer is none.
    """

    def __init__(self, within_days: int = 60) -> None:
        self._within_ms = within_days * _DAY_MS
        self._offers: dict[tuple[str, str], _Offer] = {}
        self._first: dict[tuple[str, str], str] = {}
        self._responded: dict[tuple[str, str], int] = {}

    def offer(
        self, customer_id: str, event_id: str, campaign_id: str, grade: str, at_ms: int, *, holdout: bool
    ) -> None:
        """Take an offer, or that there was deliberately none."""
        if (customer_id, campaign_id) in self._first:
            return
        self._first[customer_id, campaign_id] = event_id
        self._offers[customer_id, event_id] = _Offer(campaign_id, grade or UNGRADED, holdout, at_ms)

    def response(self, customer_id: str, about_event_id: str, at_ms: int) -> None:
        """Take a response; the earliest counts, and one about an unknown offer is passed over at the end."""
        key = customer_id, about_event_id
        self._responded[key] = min(at_ms, self._responded.get(key, at_ms))

    def offers(self) -> list[tuple[str, str, bool]]:
        """(campaign, customer, holdout) of every offer counted, to check against the hash that picks the holdout."""
        return [(offer.campaign_id, customer, offer.holdout) for (customer, _event), offer in self._offers.items()]

    def report(self, campaign_id: str | None = None) -> list[Uplift]:
        """One line a campaign and grade, best grade first, then the total of the campaign."""
        counts: dict[tuple[str, str], list[int]] = {}
        for key, offer in self._offers.items():
            if campaign_id is not None and offer.campaign_id != campaign_id:
                continue
            said_ms = self._responded.get(key)
            hit = said_ms is not None and 0 <= said_ms - offer.at_ms <= self._within_ms
            for grade in (offer.grade, TOTAL):
                cell = counts.setdefault((offer.campaign_id, grade), [0, 0, 0, 0])
                cell[2 * offer.holdout] += 1
                cell[2 * offer.holdout + 1] += hit
        order = [*GRADES, UNGRADED, TOTAL]
        places = {grade: place for place, grade in enumerate(order)}
        ranked = sorted(counts, key=lambda key: (key[0], places.get(key[1], len(order)), key[1]))
        return [_uplift(campaign, grade, counts[campaign, grade]) for campaign, grade in ranked]


def _arm(customers: int, responses: int) -> Arm:
    return Arm(customers, responses, responses / customers if customers else None)


def _uplift(campaign: str, grade: str, cell: list[int]) -> Uplift:
    offered, hits, held, held_hits = cell
    arms = _arm(offered, hits), _arm(held, held_hits)
    if not offered or not held:
        return Uplift(campaign, grade, *arms, None, None, None)
    low, high = newcombe(hits, offered, held_hits, held)
    return Uplift(campaign, grade, *arms, hits / offered - held_hits / held, low, high)
