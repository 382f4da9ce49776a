"""The pages for risk officers name every line of the tables and show the letter that the code writes."""

from __future__ import annotations

import re
from functools import cache

import pytest

from alerts.errors import PolicyError
from alerts.lending.bands import BUILT_IN
from alerts.lending.letter import letter
from alerts.policy import load_policy, parse_policy
from alerts.texts import load
from features.events import encode
from models.scorecard import score
from streams.cli.explain_credit import lines_of
from streams.engine import Engine
from streams.library import VersionLibrary
from streams.sources import open_source
from tests.documents import DOCS, FENCE, Sent, text_of

PAGES = {"en": "docs/credit.md", "zh-CN": "docs/credit.zh-CN.md"}


@cache
def example_letter(lang: str) -> str:
    """The letter of the customer of docs/examples/credit.jsonl."""
    library = VersionLibrary(b"a key of the tests, long enough")
    engine = Engine(
        0, 1, "riskshift.events", library, model_version=library.latest, policy_version=library.policy.version
    )
    events = list(open_source("events", DOCS / "examples" / "credit.jsonl"))
    output = engine.process([Sent(n, event.customer_id.encode(), encode(event)) for n, event in enumerate(events)])
    assert output.dead_letters == []
    row = engine.rows.get("c-2001")
    assert row is not None
    at_ms = row.hot.latest_ms
    made = letter(load_policy(), load(), row.credit, row.risk, at_ms, score, "2025-12-28", "credit@bank.example")
    return "\n".join(lines_of(made, lang))


@pytest.mark.parametrize("lang", PAGES)
def test_the_letter_on_the_page_is_the_one_the_code_writes(lang):
    assert example_letter(lang) + "\n" in FENCE.findall(text_of(PAGES[lang])), example_letter(lang)


@pytest.mark.parametrize("lang", PAGES)
def test_the_page_names_every_line_of_the_tables(policy, lang):
    page = text_of(PAGES[lang])
    codes = [
        *BUILT_IN, *(rule.id for rule in policy.origination.rules), *(one.id for one in policy.after_loan.measures),
        *(line.id for line in policy.after_loan.watch), *policy.after_loan.watch_signals,
        *(tier.id for tier in policy.tiers),
    ]  # fmt: skip
    assert len(codes) > 30
    assert [code for code in codes if f"`{code}`" not in page] == []


@pytest.mark.parametrize("lang", PAGES)
def test_the_numbers_of_the_bands_are_those_of_the_policy(policy, lang):
    page = text_of(PAGES[lang])
    for band in policy.origination.bands:
        row = next(line for line in page.splitlines() if line.startswith(f"| `{band.down_to}` |") and "–" in line)
        for number in (band.income_months, band.term_months_max):
            assert f"| {number:g} |" in row, row
        assert f"{band.margin_low_bp}–{band.margin_high_bp}" in row


def test_the_refusal_on_the_page_is_what_the_code_says(policy_text):
    before = 'action = "limit_decrease", mode = "advise", scope = "customer", lasts = "60d"'
    assert before in policy_text
    with pytest.raises(PolicyError) as caught:
        parse_policy(policy_text.replace(before, before.replace("advise", "enforce"), 1))
    # Tables above may grow: the line's number is not held, that there is one is.
    said = re.sub(r"line \d+", "line N", str(caught.value))
    assert "line N" in said
    for page in PAGES.values():
        assert said in re.sub(r"line \d+", "line N", text_of(page)), said
