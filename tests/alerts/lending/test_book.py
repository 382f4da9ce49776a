"""Campaigns and the portfolio: counts, intervals, concentration, service by grade."""

from __future__ import annotations

import random

import pytest

from alerts.lending.campaigns import TOTAL, CampaignTally, newcombe, wilson
from alerts.lending.portfolio import DIMENSIONS, PRIVATE, Portfolio, hhi
from alerts.lending.segments import Campaigns, in_holdout, tier_of
from alerts.state import GRADES, Lending, Loan, RiskState
from features.facility import Facility
from features.row import CreditRow
from tests.alerts.lending.conftest import DAY_MS

# --- holdout ---------------------------------------------------------------------------------------------------


def test_the_holdout_is_the_same_on_every_run_and_another_for_each_campaign():
    rules = Campaigns(0.1, "salt")
    customers = [f"c-{n}" for n in range(5_000)]
    spring, autumn = ([in_holdout(rules, name, c) for c in customers] for name in ("spring", "autumn"))
    assert spring == [in_holdout(rules, "spring", c) for c in customers]
    assert 400 < sum(spring) < 600
    both = sum(a and b for a, b in zip(spring, autumn, strict=True))
    assert 20 < both < 90, "independent of each other: about 50 in both"
    assert spring != [in_holdout(Campaigns(0.1, "other"), "spring", c) for c in customers]
    assert not any(in_holdout(Campaigns(0.0, "salt"), "spring", c) for c in customers)


# --- uplift ----------------------------------------------------------------------------------------------------


def offer(tally, customer, number=1, *, grade="BB", held=False, at_ms=0, campaign="spring"):
    tally.offer(customer, f"o-{number}", campaign, grade, at_ms, holdout=held)


def test_uplift_is_the_difference_of_the_two_rates():
    tally = CampaignTally(30)
    for n in range(70):
        offer(tally, f"a-{n}")
    for n in range(80):
        offer(tally, f"b-{n}", held=True)
    for n in range(56):
        tally.response(f"a-{n}", "o-1", DAY_MS)
    for n in range(48):
        tally.response(f"b-{n}", "o-1", DAY_MS)
    graded, total = tally.report()
    assert (graded.grade, total.grade) == ("BB", TOTAL)
    assert graded.offered == (70, 56, 0.8)
    assert graded.holdout == (80, 48, 0.6)
    assert graded.uplift == pytest.approx(0.2)
    assert (round(graded.low, 4), round(graded.high, 4)) == (0.0524, 0.3339), "Newcombe 1998, table II, method 10"


def test_late_early_and_strange_responses_do_not_count():
    tally = CampaignTally(30)
    offer(tally, "c", at_ms=10 * DAY_MS)
    for at_day in (9, 41):
        tally.response("c", "o-1", at_day * DAY_MS)
    tally.response("nobody", "o-1", 11 * DAY_MS)
    assert tally.report()[0].offered.responses == 0
    tally = CampaignTally(30)
    offer(tally, "c")
    offer(tally, "c", 2, grade="A")
    tally.response("c", "o-1", DAY_MS)
    assert [line.offered for line in tally.report() if line.grade != TOTAL] == [(1, 1, 1.0)], "the first offer counts"


def test_grades_come_best_first_and_campaigns_apart():
    tally = CampaignTally()
    for n, grade in enumerate(("C", "AAA", "", "BB")):
        offer(tally, f"c-{n}", grade=grade)
        offer(tally, f"c-{n}", 2, grade=grade, campaign="autumn")
    lines = tally.report("spring")
    assert [line.grade for line in lines] == ["AAA", "BB", "C", "none", "all"]
    assert all(line.uplift is None for line in lines), "nobody was held out"
    assert {line.campaign_id for line in tally.report()} == {"spring", "autumn"}


def test_the_interval_covers_what_it_promises():
    rng, covered, runs = random.Random(7), 0, 1_000
    for _ in range(runs):
        hits = sum(rng.random() < 0.12 for _ in range(300))
        held = sum(rng.random() < 0.07 for _ in range(60))
        low, high = newcombe(hits, 300, held, 60)
        covered += low <= 0.05 <= high
    assert 0.93 <= covered / runs <= 0.99
    assert wilson(0, 0) == (0.0, 1.0)


# --- portfolio -------------------------------------------------------------------------------------------------


def book(policy):
    made = Portfolio(policy.regulatory, policy.tiers, names_max=2)
    bad = Loan(0, 10_000, stage=3, five=2, exposure_minor=300_000)
    rows = {
        "ann": (CreditRow(facilities=[Facility("a", balance_minor=100_000, limit_minor=150_000)]),
                RiskState(grade="A", pd_12m=0.01)),
        "firm": (CreditRow(facilities=[Facility("f1", balance_minor=300_000), Facility("f2", balance_minor=600_000)],
                           enterprise=True, industry="building"),
                 RiskState(grade="D", pd_12m=1.0, facilities={"f1": 4},
                           lending=Lending(loans={"f1": bad, "f2": Loan(0, 10_000)}, watch_ms=5))),
        "new": (CreditRow(), RiskState()),
    }  # fmt: skip
    for name, (row, risk) in rows.items():
        made.add(name, row, risk, {"ann": "North"}.get(name, ""))
    return made.book()


def test_the_book_adds_up_in_every_dimension(policy):
    found = book(policy)
    assert (found.customers, found.facilities, found.drawn_minor, found.undrawn_minor) == (2, 3, 1_000_000, 50_000)
    for name in DIMENSIONS:
        cells = found.cells[name]
        assert sum(cell.drawn_minor for cell in cells) == found.drawn_minor
        assert sum(cell.facilities for cell in cells) == found.facilities
        assert sum(cell.share for cell in cells) == pytest.approx(1)
        assert sum(cell.expected_loss_minor for cell in cells) == pytest.approx(found.expected_loss_minor)
    # A's 1 % of 100,000 at 45 %, and the firm in default with all it owes.
    assert found.expected_loss_minor == pytest.approx(450 + 405_000)
    assert found.non_performing_ratio == pytest.approx(0.3)
    assert found.watch_listed_minor == 900_000


def test_concentration_by_what_is_shared_and_by_name(policy):
    found = book(policy)
    assert [(cell.label, cell.drawn_minor) for cell in found.cells["industry"]] == [
        ("building", 900_000), (PRIVATE, 100_000),
    ]  # fmt: skip
    assert [cell.label for cell in found.cells["grade"]] == ["A", "D"]
    assert [cell.label for cell in found.cells["district"]] == ["unknown", "North"]
    assert found.hhi["industry"] == pytest.approx(0.82)
    assert found.hhi_names == pytest.approx(0.82)
    assert found.largest_names == [("firm", 900_000, 0.9), ("ann", 100_000, 0.1)]


def test_an_empty_book_has_no_shares(policy):
    empty = Portfolio(policy.regulatory, policy.tiers).book()
    assert (empty.non_performing_ratio, empty.hhi_names, empty.hhi["grade"], empty.cells["grade"]) == (
        None,
        None,
        None,
        [],
    )
    assert hhi([3, 3, 3]) == pytest.approx(1 / 3)


def test_every_grade_has_a_service_tier_and_the_first_grade_a_careful_one(policy):
    tiers = [tier_of(policy.tiers, grade).id for grade in GRADES]
    assert tiers[0] == "priority"
    assert tiers[-1] == "recovery"
    assert tier_of(policy.tiers, "").id == tiers[-2]
    assert not tier_of(policy.tiers, "D").campaigns
