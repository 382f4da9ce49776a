"""All lending tables of a policy together; `alerts.policy.Policy` is one of these and more."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from alerts.lending.bands import Origination, parse_origination
from alerts.lending.measures import AfterLoan, parse_after_loan
from alerts.lending.regulatory import Regulatory, parse_regulatory
from alerts.lending.segments import Campaigns, Fairness, Tier, parse_campaigns, parse_fairness, parse_segments
from alerts.tables import Table


class LendingRules(Struct, frozen=True):
    """The lending tables, see docs/credit.md."""

    origination: Origination
    after_loan: AfterLoan
    regulatory: Regulatory
    tiers: tuple[Tier, ...]
    campaigns: Campaigns
    fairness: Fairness


def parse_lending(top: Table) -> dict[str, Any]:
    """Read the tables, by the names of their fields; raises `PolicyError`."""
    return {
        "origination": parse_origination(top.table("origination")),
        "after_loan": parse_after_loan(top.table("after_loan")),
        "regulatory": parse_regulatory(top.table("regulatory")),
        "tiers": parse_segments(top.table("segments")),
        "campaigns": parse_campaigns(top.table("campaigns")),
        "fairness": parse_fairness(top.table("fairness")),
    }
