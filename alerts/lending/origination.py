"""An application → approve, refer or decline, with limit, term, price band, collateral and at most four reasons.

The policy's bands say by grade what may be had; its rules say what refers or declines whatever the grade. Price is
expected loss + cost + margin. A thin file is judged by a stated prior until the customer's own months outweigh it, and
is referred where its grade would decline. Declining and referring are advice to a named human, never enforced.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, cast

from msgspec import Struct

from alerts.lending.borrower import MONTH_DAYS, Borrower
from alerts.lending.facts import Criterion, Values, all_hold, criteria
from alerts.lending.regulatory import Regulatory, loss_given_default
from alerts.records import REASONS_MAX, SEVERITIES, Severity
from alerts.state import GRADES
from alerts.tables import Table
from models.grades import DEFAULT_GRADE, grade_of
from models.grades import GRADES as PERFORMING
from models.scorecard import CreditScore

Outcome = Literal["approve", "refer", "decline"]
OUTCOMES: tuple[Outcome, ...] = ("approve", "refer", "decline")
BANDS_MAX, RULES_MAX = 16, 32
# What the code itself may say, beside the rules of the policy and the codes of the scorecard.
BUILT_IN = ("income_unknown", "income_unverified", "amount_beyond_capacity", "no_room_in_income", "thin_file",
            "price_above_ceiling")  # fmt: skip
_BP = 10_000


class Band(Struct, frozen=True):
    """What grades down to `down_to` may have; collateral of a share of the limit, above so many months of income."""

    down_to: str
    outcome: Outcome
    fast_track: bool
    income_months: float
    term_months_max: int
    margin_low_bp: int
    margin_high_bp: int
    collateral_share: float
    collateral_above_months: float


class Rule(Struct, frozen=True):
    """All criteria hold: at least `outcome`, and `id` is the reason."""

    id: str
    title: tuple[str, str] | None
    outcome: Outcome
    when: tuple[Criterion, ...]


class Origination(Struct, frozen=True):
    """`[origination]` of the policy."""

    valid_ms: int
    refer_severity: Severity
    decline_severity: Severity
    thin_prior_pd: float
    thin_prior_months: float
    debt_service_max_ratio: float
    unverified_income_share: float
    card_payment_ratio: float
    term_months_default: int
    counter_offer_min_share: float
    round_to_minor: int
    cost_bp: int
    rate_max_bp: int
    bands: tuple[Band, ...]
    rules: tuple[Rule, ...]

    def band(self, grade: str) -> Band:
        """The band of a performing grade."""
        place = PERFORMING.index(grade)
        return next(band for band in self.bands if PERFORMING.index(band.down_to) >= place)


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


# --- reading the policy ---------------------------------------------------------------------------------------


def parse_origination(table: Table) -> Origination:
    """Read `[origination]`; refuses bands that leave a grade out or give a worse grade more than a better one."""
    made = Origination(
        valid_ms=cast(int, table.duration_ms("valid")),
        refer_severity=cast(Severity, table.text("refer_severity", SEVERITIES)),
        decline_severity=cast(Severity, table.text("decline_severity", SEVERITIES)),
        thin_prior_pd=table.number("thin_prior_pd", 0.0001, 0.5),
        thin_prior_months=table.number("thin_prior_months", 1, 120),
        debt_service_max_ratio=table.number("debt_service_max_ratio", 0.05, 0.9),
        unverified_income_share=table.number("unverified_income_share", 0, 1),
        card_payment_ratio=table.number("card_payment_ratio", 0.005, 1),
        term_months_default=table.whole("term_months_default", 1, 600),
        counter_offer_min_share=table.number("counter_offer_min_share", 0, 1),
        round_to_minor=table.whole("round_to_minor", 1, 10**9),
        cost_bp=table.whole("cost_bp", 0, 5_000),
        rate_max_bp=table.whole("rate_max_bp", 1, _BP),
        bands=_bands(table),
        rules=_rules(table),
    )
    table.done()
    return made


def _bands(table: Table) -> tuple[Band, ...]:
    made: list[Band] = []
    for one in table.tables("bands", BANDS_MAX):
        band = Band(
            down_to=one.text("down_to", PERFORMING),
            outcome=cast(Outcome, one.text("outcome", OUTCOMES)),
            fast_track=one.flag("fast_track"),
            income_months=one.number("income_months", 0, 240),
            term_months_max=one.whole("term_months_max", 0, 600),
            margin_low_bp=one.whole("margin_low_bp", 0, _BP),
            margin_high_bp=one.whole("margin_high_bp", 0, _BP),
            collateral_share=one.number("collateral_share", 0, 2),
            collateral_above_months=one.number("collateral_above_months", 0, 240),
        )
        one.done()
        if band.margin_low_bp > band.margin_high_bp:
            raise one.refuse("margin_low_bp", band.margin_low_bp, "at most margin_high_bp", "exchange the two")
        if band.fast_track and band.outcome != "approve":
            raise one.refuse("fast_track", True, "false", f"only what is approved can be fast; this is {band.outcome}")
        if made:
            _ordered(one, made[-1], band)
        made.append(band)
    if not made or made[-1].down_to != PERFORMING[-1]:
        found = made[-1].down_to if made else "no band"
        raise table.refuse("bands", found, f"the last band down to {PERFORMING[-1]}", "every grade needs a band")
    return tuple(made)


def _ordered(table: Table, better: Band, band: Band) -> None:
    if PERFORMING.index(band.down_to) <= PERFORMING.index(better.down_to):
        raise table.refuse("down_to", band.down_to, f"a grade below {better.down_to}", "order the bands downward")
    advice = "a worse grade must not be treated better than a better one"
    if OUTCOMES.index(band.outcome) < OUTCOMES.index(better.outcome):
        raise table.refuse("outcome", band.outcome, f"{better.outcome} or less", advice)
    if band.fast_track and not better.fast_track:
        raise table.refuse("fast_track", True, "false", advice)
    for name in ("income_months", "term_months_max", "collateral_above_months"):
        if getattr(band, name) > getattr(better, name):
            raise table.refuse(name, getattr(band, name), f"at most {getattr(better, name):g}", advice)
    for name in ("margin_low_bp", "margin_high_bp", "collateral_share"):
        if getattr(band, name) < getattr(better, name):
            raise table.refuse(name, getattr(band, name), f"at least {getattr(better, name):g}", advice)


def _rules(table: Table) -> tuple[Rule, ...]:
    made: list[Rule] = []
    for one in table.tables("rules", RULES_MAX):
        rule = Rule(
            one.name("id"),
            one.title(),
            cast(Outcome, one.text("outcome", OUTCOMES[1:])),
            criteria(one, ("customer", "application")),
        )
        one.done()
        if rule.id in BUILT_IN or any(rule.id == other.id for other in made):
            raise one.refuse("id", rule.id, "an id of its own", "rename the rule; its id is the reason people read")
        made.append(rule)
    return tuple(made)


# --- deciding -------------------------------------------------------------------------------------------------


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
    covered = round(_BP * band.collateral_share) if band.collateral_above_months == 0 else 0
    loss_bp = math.ceil(_BP * pd_12m * loss_given_default(regulatory, _BP, covered))
    base = table.cost_bp + loss_bp
    return base + band.margin_low_bp, base + band.margin_high_bp


def _annuity(months: int, rate_bp: int) -> float:
    # What one unit of money a month pays back over the term.
    monthly = rate_bp / _BP / 12
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
