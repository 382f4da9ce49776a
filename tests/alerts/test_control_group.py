"""A declared share of what would be declined is let pass, and the record says how likely that was."""

from __future__ import annotations

import msgspec
import pytest

from alerts.changes import in_control_group
from alerts.errors import PolicyError
from alerts.policy import DEFAULT_PATH, parse_policy
from alerts.shift import Assessor, Facts
from alerts.state import RiskState
from features.catalogue import SIZE

DAY_MS = 86_400_000
SOURCE = DEFAULT_PATH.read_text("utf-8")


def with_share(share: str) -> str:
    return SOURCE.replace('calm_time = "24h"', f'calm_time = "24h"\ncontrol_group = {share}', 1)


def declined(assessor: Assessor, day: int) -> tuple[list[str], float | None, bool]:
    facts = Facts("c-1", "e", day * DAY_MS, "tok_1234567890", 1200, "EUR", 3)
    change = assessor.transaction(RiskState(), facts, [0.0] * SIZE, 0.95, 0.5, [0.0] * (SIZE + 1))
    assert change is not None
    return [action.action for action in change.alerts[0].actions], change.propensity, change.control_group


def test_without_a_share_everything_is_declined_and_nothing_recorded() -> None:
    actions, propensity, control = declined(Assessor(parse_policy(SOURCE)), 0)
    assert "decline_transaction" in actions
    assert (propensity, control) == (None, False)


def test_the_control_group_is_not_declined_and_both_sides_record_the_propensity() -> None:
    assessor = Assessor(parse_policy(with_share("0.1")))
    seen = {True: 0, False: 0}
    for day in range(300):
        actions, propensity, control = declined(assessor, day)
        assert propensity == 0.1
        assert control is in_control_group("c-1", day * DAY_MS, 0.1)
        assert ("decline_transaction" in actions) is not control
        # Everything else is done all the same: a person is called, the card is looked after.
        assert {"freeze_card", "call_customer"} <= set(actions)
        seen[control] += 1
    assert 10 < seen[True] < 60


def test_a_share_out_of_range_is_refused() -> None:
    with pytest.raises(PolicyError, match=r"control_group .line 9.: expected a number from 0 to 0.2, found 0.5"):
        parse_policy(with_share("0.5"))


def test_policies_with_and_without_a_control_group_are_told_apart() -> None:
    policy = parse_policy(SOURCE)
    assert policy.digest != parse_policy(with_share("0.01")).digest
    assert policy.digest == msgspec.structs.replace(policy).digest
