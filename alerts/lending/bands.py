"""`[origination]` of the policy: bands by grade and rules whatever the grade, read and held to order.

No column of the bands may treat a worse grade better than a better one.
"""

from __future__ import annotations

from typing import Literal, cast

from msgspec import Struct

from alerts.lending.facts import Criterion, criteria
from alerts.records import SEVERITIES, Severity
from alerts.tables import Table
from models.grades import GRADES as PERFORMING

Outcome = Literal["approve", "refer", "decline"]
OUTCOMES: tuple[Outcome, ...] = ("approve", "refer", "decline")
BANDS_MAX, RULES_MAX = 16, 32
BASIS_POINTS = 10_000
# What the code itself may say, beside the rules of the policy and the codes of the scorecard.
BUILT_IN = ("income_unknown", "income_unverified", "amount_beyond_capacity", "no_room_in_income", "thin_file",
            "price_above_ceiling")  # fmt: skip


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
        rate_max_bp=table.whole("rate_max_bp", 1, BASIS_POINTS),
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
            margin_low_bp=one.whole("margin_low_bp", 0, BASIS_POINTS),
            margin_high_bp=one.whole("margin_high_bp", 0, BASIS_POINTS),
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
