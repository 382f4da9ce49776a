"""A letter to the customer: how the assessment stands, why, what would help, whom to ask. No internal word in it.

What it says comes from the customer's own row: present score, present answers to applications. Grades, codes, stages,
rules and other people's figures stay inside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from alerts.explanation import credit_reasons
from alerts.lending.desk import origination_text
from alerts.lending.plan import improvement_plan, steps_in_words
from alerts.policy import Policy
from alerts.records import Reason, Text
from alerts.score_change import hundredths, score_change, whole_points
from alerts.state import Application, RiskState
from alerts.texts import Texts
from features.row import CreditRow
from features.view import CreditView, view
from models.grades import DEFAULT_GRADE, GRADES, grade_of
from models.scorecard import CreditScore

Score = Callable[[CreditView], CreditScore]
BANDS = ("strong", "good", "fair", "weak", "poor")
LETTER_LINES = (
    "subject", "opening", "standing", "no_score", *(f"band_{band}" for band in BANDS), "band_default", "reasons_worse",
    "reasons_better", "moved", "moved_own", "moved_environment", "moved_model", "plan", "no_plan", "application",
    "outcome_approve", "outcome_refer", "outcome_decline", "terms", "terms_open", "collateral", "because", "not_used",
    "human", "appeal",
)  # fmt: skip


class Paragraph(Struct, frozen=True):
    """A sentence and the lines under it."""

    text: Text
    items: list[Text]


class Letter(Struct, frozen=True):
    """Subject and paragraphs in both languages; `points` and `band` as they are said, None without credit."""

    subject: Text
    paragraphs: list[Paragraph]
    points: int | None
    band: str | None


def band_of(grade: str) -> str:
    """A customer's word for a grade: the scale in five parts of about the same number of grades."""
    if grade == DEFAULT_GRADE:
        return "default"
    return BANDS[GRADES.index(grade) * len(BANDS) // len(GRADES)]


def letter(
    policy: Policy, texts: Texts, row: CreditRow, risk: RiskState, at_ms: int, score: Score, date: str, contact: str
) -> Letter:
    """Write the letter of one customer.

    Parameters
    ----------
    row, risk
        The customer's credit row and risk state; not changed.
    at_ms, date
        The moment it speaks of, and as people write it.
    score
        The scorecard in force.
    contact
        Where the bank can be reached.
    """
    made: list[Paragraph] = []

    def say(key: str, items: list[Text] | None = None, /, **words: Text | str) -> None:
        made.append(Paragraph(_line(texts, key, **words), items or []))

    say("opening", date=date)
    seen = view(row, at_ms)
    points: int | None = None
    band: str | None = None
    if not seen.has_credit:
        say("no_score")
    else:
        found = score(seen)
        points = whole_points(hundredths(found.contributions))
        band = band_of(DEFAULT_GRADE if risk.grade == DEFAULT_GRADE else grade_of(found.pd_12m))
        say("standing", points=str(points), band=_line(texts, f"band_{band}"))
        _reasons(say, texts, found)
        known = risk.lending.points if risk.lending else {}
        change = score_change(known, hundredths(found.contributions)) if known else None
        if change and change.points_to != change.points_from:
            parts = {"own": change.own, "environment": change.environment, "model": change.model}
            items = [_line(texts, f"moved_{name}", points=f"{part:+d}") for name, part in parts.items() if part]
            say("moved", items, points=f"{change.points_to - change.points_from:+d}")
        plan = improvement_plan(seen, lambda at: score(at).pd_12m)
        if plan is not None:
            say("plan", [step.text for step in steps_in_words(texts, plan)])
        else:
            say("no_plan")
    for one in risk.lending.applications if risk.lending else ():
        if one.expires_ms > at_ms:
            _application(say, policy, texts, one)
    say("not_used")
    say("human")
    say("appeal", contact=contact)
    return Letter(_line(texts, "subject"), made, points, band)


def _line(texts: Texts, key: str, **words: Text | str) -> Text:
    both: tuple[dict[str, str], dict[str, str]] = ({}, {})
    for name, word in words.items():
        both[0][name], both[1][name] = (word.en, word.zh_cn) if isinstance(word, Text) else (word, word)
    return texts.both("letter", key, words=both)


def _reasons(say: Callable[..., Any], texts: Texts, found: CreditScore) -> None:
    for key, worse in (("reasons_worse", True), ("reasons_better", False)):
        reasons: list[Reason] = credit_reasons(texts, found.contributions, worse)
        if reasons:
            say(key, [texts.both("credit", reason.code) for reason in reasons])


def _application(say: Callable[..., Any], policy: Policy, texts: Texts, one: Application) -> None:
    product = one.product.replace("_", " ")
    say("application", product=product, outcome=_line(texts, f"outcome_{one.decision}"))
    if one.decision == "approve":
        terms: dict[str, Text | str] = {
            "amount": _money(texts, one.limit_minor, one.currency),
            "low": f"{one.rate_low_bp / 100:.2f}%",
            "high": f"{one.rate_high_bp / 100:.2f}%",
            "months": str(one.term_months),
        }
        say("terms" if one.term_months else "terms_open", **terms)
        if one.collateral_minor:
            say("collateral", amount=_money(texts, one.collateral_minor, one.currency))
    if one.reasons:
        say("because", [_why(policy, texts, code) for code in one.reasons])


def _why(policy: Policy, texts: Texts, code: str) -> Text:
    return texts.both("credit", code) if texts.has("credit", code) else origination_text(policy, texts, code)


def _money(texts: Texts, minor: int, currency: str) -> Text:
    return Text(texts.en.money(minor, currency), texts.zh.money(minor, currency))
