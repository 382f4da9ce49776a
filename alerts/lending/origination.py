"""An application → approve, refer or decline, with limit, term, price band, collateral and at most four reasons.

The policy's bands say by grade what may be had; its rules say what refers or declines whatever the grade. Price is
expected loss + cost + margin. A thin file is judged by a stated prior until the customer's own months outweigh it, and
is referred where its grade would decline. Declining and referring are advice to a named human, never enforced.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from alerts.lending.bands import BASIS_POINTS, OUTCOMES, Band, Origination, Outcome
from alerts.lending.borrower import MONTH_DAYS, Borrower
from alerts.lending.facts import Values, all_hold
from alerts.lending.regulatory import Regulatory, loss_given_default
from alerts.records import REASONS_MAX
from alerts.state import GRADES
from models.grades import DEFAULT_GRADE, grade_of
from models.scorecard import CreditScore


class Request(NamedTuple):
    """What was asked for; amounts in minor units, a `stated_income_minor` of a month, 0 for not said."""

    application_id: str
    product: str
    amount_minor: int
    currency: str
    term_months: int = 0
    stated_income_minor: int = 0


class Answer(NamedTuple):
    """The answer; rates in basis points a year, `reasons` codes, the most important first."""

    outcome: Outcome
    fast_track: bool
    limit_minor: int
    term_months: int
    rate_low_bp: int
    rate_high_bp: int
    collateral_minor: int
    reasons: tuple[str, ...]
    grade: str
    pd_12m: float


def blended_pd(table: Origination, pd_12m: float, months: float) -> float:
    """PD of a customer known for so many months: the prior's log-odds fade as the customer's own months add up.

    Examples
    --------
    >>> from alerts.policy import load_policy
    >>> table = load_policy().origination
    >>> blended_pd(table, 0.001, 0.0) == table.thin_prior_pd, blended_pd(table, 0.001, 1e9) < 0.00101
    (True, True)
    """
    share = months / (months + table.thin_prior_months)
    odds = (1 - share) * _logit(table.thin_prior_pd) + share * _logit(pd_12m)
    return 1 / (1 + math.exp(-odds)) if share else table.thin_prior_pd


def _logit(pd: float) -> float:
    pd = min(max(pd, 1e-9), 1 - 1e-9)
    return math.log(pd / (1 - pd))


def decide(
    table: Origination, regulatory: Regulatory, request: Request, borrower: Borrower, customer: Values,
    score: CreditScore, published_grade: str,
) -> Answer:  # fmt: skip
    """Answer an application; pure, the same inputs always give the same answer.

    Parameters
    ----------
    customer
        From `borrower.customer_values`.
    score
        Of the customer's view now; the PD behind the price.
    published_grade
        The grade in force, "" for none: the worse of it and the present one counts.
    """
    thin, pd_12m = _thin(table, borrower, score)
    grade = grade_of(pd_12m)
    if published_grade and published_grade != DEFAULT_GRADE:
        grade = max(grade, published_grade, key=GRADES.index)
    band = table.band(grade)
    verified = borrower.income_minor > 0
    income = borrower.income_minor or request.stated_income_minor * table.unverified_income_share
    rates = _rates(table, regulatory, band, pd_12m)
    term = min(request.term_months or 0, band.term_months_max)
    room = max(0.0, table.debt_service_max_ratio * income - borrower.instalments_minor)
    limit = _limit(table, band, request, income, room, term, rates[1])
    values = dict(customer)
    values["thin_file"], values["income_unverified"] = float(thin), float(not verified)
    if income:
        values["income_months"] = request.amount_minor / income
        values["debt_service_after_ratio"] = (borrower.instalments_minor + _payment(table, request, rates[1])) / income
    if verified and request.stated_income_minor:
        values["income_overstated_ratio"] = request.stated_income_minor / borrower.income_minor
    hits = [rule for rule in table.rules if all_hold(rule.when, values)]
    outcome, reasons = max((band.outcome, *(r.outcome for r in hits)), key=OUTCOMES.index), [r.id for r in hits]
    if thin and outcome == "decline" and all(rule.outcome != "decline" for rule in hits):
        outcome = "refer"
    own = _own_reasons(table, request, income, verified, room, limit, rates[0])
    if own and outcome == "approve":
        outcome = "refer"
    if "no_room_in_income" in own and verified and not thin:
        outcome = "decline"
    reasons += own
    if outcome != "approve" and thin:
        reasons.append("thin_file")
    if outcome != "approve" and band.outcome != "approve":
        worst = sorted((points, code) for code, points in score.contributions if points < 0 and code != "base")
        reasons += [code for _points, code in worst if code not in reasons]
    fast = outcome == "approve" and band.fast_track and not reasons
    granted = 0 if outcome == "decline" else limit
    return Answer(
        outcome, fast, granted, term if granted else 0, min(rates[0], table.rate_max_bp),
        min(rates[1], table.rate_max_bp), _collateral(band, granted, income),
        tuple(dict.fromkeys(reasons))[:REASONS_MAX], grade, pd_12m,
    )  # fmt: skip


def _thin(table: Origination, borrower: Borrower, score: CreditScore) -> tuple[bool, float]:
    seen = borrower.view
    months = seen.tenure_days / MONTH_DAYS
    thin = not seen.has_credit and seen.bureau_score < 0 and months < table.thin_prior_months
    return thin, blended_pd(table, score.pd_12m, months) if thin else score.pd_12m


def _rates(table: Origination, regulatory: Regulatory, band: Band, pd_12m: float) -> tuple[int, int]:
    # Collateral that the band asks for lowers the loss that the price must carry.
    covered = round(BASIS_POINTS * band.collateral_share) if band.collateral_above_months == 0 else 0
    loss_bp = math.ceil(BASIS_POINTS * pd_12m * loss_given_default(regulatory, BASIS_POINTS, covered))
    base = table.cost_bp + loss_bp
    return base + band.margin_low_bp, base + band.margin_high_bp


def _annuity(months: int, rate_bp: int) -> float:
    # What one unit of money a month pays back over the term.
    monthly = rate_bp / BASIS_POINTS / 12
    return (1 - (1 + monthly) ** -months) / monthly if monthly else float(months)


def _payment(table: Origination, request: Request, rate_bp: int) -> float:
    if not request.term_months:
        return request.amount_minor * table.card_payment_ratio
    return request.amount_minor / _annuity(request.term_months, rate_bp)


def _limit(
    table: Origination, band: Band, request: Request, income: float, room: float, term: int, rate_bp: int
) -> int:
    by_room = room * _annuity(term, rate_bp) if term else room / table.card_payment_ratio
    most = min(band.income_months * income, by_room)
    wanted = min(most, request.amount_minor) if request.amount_minor else most
    return int(wanted // table.round_to_minor) * table.round_to_minor


def _own_reasons(
    table: Origination, request: Request, income: float, verified: bool, room: float, limit: int, rate_low_bp: int
) -> list[str]:
    reasons = []
    if not income:
        reasons.append("income_unknown")
    elif not verified:
        reasons.append("income_unverified")
    if income and room * table.card_payment_ratio < 1 and room < 1:
        reasons.append("no_room_in_income")
    elif income and limit < request.amount_minor * table.counter_offer_min_share:
        reasons.append("amount_beyond_capacity")
    if rate_low_bp > table.rate_max_bp:
        reasons.append("price_above_ceiling")
    return reasons


def _collateral(band: Band, limit_minor: int, income: float) -> int:
    if not band.collateral_share or limit_minor <= band.collateral_above_months * income:
        return 0
    return math.ceil(limit_minor * band.collateral_share)
