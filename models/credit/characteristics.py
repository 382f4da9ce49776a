"""The catalogue of credit characteristics: what a card looks at, which way is worse, and the expert's curves.

A curve gives points at its corners, is read straight between them and flat beyond. At `neutral` it is 0: an input
that is ordinary, or not known, gives no points. The curves here are an expert's opinion, not fitted figures; a
learned card (`card.py`) has the same corners and other points, and runs the same way (`worse`).

Sex, marriage, ethnicity, religion, health, age and district are no inputs. The environment is judged for firms, by
industry, and never moves an individual's points. Sources of what is looked at: Siddiqi, Intelligent Credit Scoring
(2017), chapter 6; EBA/GL/2020/06, annex 2 (metrics of creditworthiness).
"""

from __future__ import annotations

from operator import attrgetter
from typing import Literal, NamedTuple

Dimension = Literal["capacity", "performance", "growth", "environment"]
DIMENSIONS: tuple[Dimension, ...] = ("capacity", "performance", "growth", "environment")
# Raised whenever the catalogue or the meaning of one of its inputs changes: vectors and cards of another are refused.
CREDIT_VERSION = 1
Corners = tuple[tuple[float, float], ...]


class Characteristic(NamedTuple):
    """One line of the card: a field of `CreditView` and the expert's curve of (value, points), values rising.

    `worse` is 1 where more is worse, -1 where more is better, 0 where the business does not say (an idle line may be
    thrift or a customer who has gone elsewhere): only the outcomes shape that curve. `unknown` says that
    negative values are no values.
    """

    code: str
    dimension: Dimension
    curve: Corners
    worse: int = 1
    neutral: float = 0.0
    unknown: bool = False


_C, _P, _G, _E = DIMENSIONS
CARD: tuple[Characteristic, ...] = (
    Characteristic("income_overdue_days", _C, ((3, 0), (15, -25), (45, -60), (90, -80)), neutral=3),
    Characteristic("income_drop_ratio", _C, ((0.1, 0), (0.5, -35), (1, -70)), neutral=0.1),
    Characteristic("employment_ended", _C, ((0, 0), (1, -45))),
    Characteristic("debt_service_ratio", _C, ((0.2, 0), (0.4, -10), (0.6, -22), (1, -40)), neutral=0.2),
    Characteristic("utilisation_ratio", _C, ((0.3, 0), (0.5, -7), (0.8, -20), (1, -40), (1.5, -60)), neutral=0.3),
    Characteristic("line_idle_ratio", _C, ((0, 0), (0.35, 0), (0.7, 0), (0.9, 0), (0.97, 0), (1, 0)), worse=0),
    Characteristic("applications_30d", _C, ((0, 0), (1, -3), (2, -8), (4, -30), (8, -50))),
    Characteristic("utilisation_trend", _C, ((-0.5, 6), (-0.2, 3), (0, 0), (0.2, -4), (0.5, -10))),
    Characteristic("line_log", _C, tuple((x, 0) for x in range(5, 15)), -1, 10.0, unknown=True),
    Characteristic(
        "balance_cover_ratio", _C,
        ((0, -45), (0.3, -40), (0.7, -30), (1.5, -15), (3, 0), (6, 10), (12, 20)), -1, 3, unknown=True,
    ),
    Characteristic("tight_months", _C, ((0, 6), (1, 0), (2, -8), (4, -18), (6, -25)), neutral=1, unknown=True),
    Characteristic(
        "inflow_spread_ratio", _C, ((0.15, 8), (0.3, 0), (0.5, -6), (0.8, -14), (1.2, -22)), neutral=0.3, unknown=True
    ),
    Characteristic(
        "balance_mean_ratio", _C, ((3, -20), (6, -8), (12, 0), (25, 10)), -1, 12, unknown=True
    ),
    Characteristic(
        "balance_spread_ratio", _C, ((0.3, 5), (0.4, 0), (0.5, -10), (0.6, -20), (0.8, -30)), neutral=0.4, unknown=True
    ),
    Characteristic("debt_income_ratio", _C, ((0.3, 0), (1, -5), (3, -20), (10, -30)), neutral=0.3),
    Characteristic("collateral_ratio", _C, ((0, 0), (0.5, 8), (1, 18), (2, 25)), -1),
    Characteristic("days_past_due", _P, ((0, 0), (1, -25), (15, -45), (30, -80), (60, -120), (90, -170))),
    Characteristic("arrears_reported_days", _P, ((0, 0), (30, -30), (60, -75), (90, -95), (120, -105), (240, -120))),
    Characteristic("arrears_previous", _P, ((0, 0), (1, -5), (2, -15), (3, -20), (4, -22), (9, -25))),
    Characteristic("arrears_worst_6m", _P, ((0, 0), (1, -6), (2, -14), (3, -20), (4, -22), (9, -25))),
    Characteristic("months_late_12m", _P, ((0, 0), (1, -5), (2, -9), (4, -16), (6, -22), (12, -30))),
    Characteristic("minimum_only_count", _P, ((0, 0), (1, -6), (3, -20), (6, -35))),
    Characteristic("paid_ratio", _P, ((0, -8), (0.03, -6), (0.1, -4), (0.4, -2), (1, 0)), -1, 1.0),
    Characteristic("paid_ratio_mean", _P, ((0, -12), (0.03, -9), (0.1, -6), (0.4, -3), (1, 0)), -1, 1.0),
    Characteristic("unpaid_bills", _P, ((0, 0), (1, -4), (2, -8), (4, -14), (6, -18))),
    Characteristic(
        "repaid_ratio", _P, ((0, -6), (0.01, -4), (0.03, 0), (0.06, 3), (0.12, 6), (0.4, 9)), -1, 0.03, unknown=True
    ),
    Characteristic("returned_count", _P, ((0, 0), (1, -20), (3, -50))),
    Characteristic("legal_count", _P, ((0, 0), (1, -60), (3, -100))),
    Characteristic("registry_count", _P, ((0, 0), (1, -12), (3, -30))),
    Characteristic("overdraft", _P, ((0, 0), (1, -12))),
    Characteristic("penalty_recent", _P, ((0, 0), (1, -25))),
    Characteristic("inquiries_6m", _P, ((0, 0), (2, -4), (5, -15), (10, -25))),
    Characteristic(
        "bureau_score", _P, ((0, -80), (300, -60), (500, -30), (650, 0), (750, 25), (850, 40)), -1, 650, unknown=True
    ),
    Characteristic("tenure_days", _G, ((0, -15), (90, -8), (365, 0), (1825, 12), (3650, 20)), -1, 365),
    Characteristic("savings_ratio", _G, ((-0.5, -8), (-0.2, -4), (0, 0), (0.2, 2), (0.5, 4)), -1),
    Characteristic("income_trend", _G, ((-0.6, -8), (-0.3, -3), (0, 0), (0.3, 2), (0.6, 3)), -1),
    Characteristic("household_paid", _G, ((0, 0), (1, 10)), -1),
    Characteristic("industry_stress", _E, ((1, 0), (3, -12), (6, -25)), neutral=1),
)  # fmt: skip
CODES: tuple[str, ...] = tuple(line.code for line in CARD)
# A customer of whom nothing speaks for or against starts at 50:1; the base is shared out among the dimensions. This is
# also the prior for a thin file: what is not known gives no points, so few known figures move it little.
BASE = 600.0
BASE_SHARES: dict[str, float] = {"capacity": 210.0, "performance": 240.0, "growth": 90.0, "environment": 60.0}

# `inputs_of(view)` is the vector a card reads: one number a characteristic, in the order of the catalogue.
inputs_of = attrgetter(*CODES)
