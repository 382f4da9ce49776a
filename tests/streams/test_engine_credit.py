"""Credit through the engine: observations, the environment, and a switch of cards that moves nobody's grade."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from alerts.policy import load_policy
from alerts.shift import Assessor
from features.events import (
    BureauReport,
    Indicator,
    InstalmentDue,
    LegalEvent,
    Outcome,
    Profile,
    Repayment,
    Statement,
    Switch,
    Tick,
)
from models.credit.card import Card, expert_card
from models.credit.characteristics import CODES, CREDIT_VERSION
from models.credit.published import CreditPart
from models.observation import decode_observation
from models.snapshot import LoadedSnapshot, initial_snapshot
from streams.engine import Engine
from tests.streams.driver import DAY_MS, recorded

START = 1_735_689_600_000  # 2025-01-01


def of(kind: type, day: float, customer: str = "c", **values: Any) -> Any:
    at_ms = START + round(day * DAY_MS)
    return kind(
        event_id=f"{kind.__name__}-{customer}-{day}", customer_id=customer, event_time_ms=at_ms, schema_version=1,
        **values,
    )  # fmt: skip


def statement(day: float, customer: str = "c", balance: int = 10_000, facility: str = "f") -> Any:
    return of(
        Statement, day, customer, facility_id=facility, balance_minor=balance, minimum_due_minor=0,
        due_time_ms=START + round((day + 20) * DAY_MS), limit_minor=100_000,
    )  # fmt: skip


def figure(day: int, value: float, scope: str = "industry", scope_id: str = "steel") -> Indicator:
    return Indicator(
        event_id=f"i-{scope}-{day}", event_time_ms=START + day * DAY_MS, schema_version=1, scope=scope,
        scope_id=scope_id, name="default_ratio", value=value,
    )  # fmt: skip


class Two:
    """Version 1 has the expert's card, version 2 one whose points are `by` higher."""

    def __init__(self, by: float) -> None:
        first, expert = initial_snapshot(), expert_card()
        part = CreditPart(Card(2, 0, expert.points, expert.base + by), expert)
        self._models = {1: LoadedSnapshot(first), 2: LoadedSnapshot(replace(first, version=2, credit=part))}
        self.policy = load_policy()
        self._assessor = Assessor(self.policy)

    def model(self, version: int) -> LoadedSnapshot:
        return self._models[version]

    def assessor(self, policy_version: str) -> Assessor:
        return self._assessor


class Lived:
    """An engine and what it said."""

    def __init__(self, by: float = -60.0) -> None:
        library = Two(by)
        self.policy = library.policy.version
        self.engine = Engine(0, 1, "e", library, model_version=1, policy_version=self.policy)
        self.decisions: list[dict[str, Any]] = []
        self.alerts: list[dict[str, Any]] = []
        self._offset = 0

    def go(self, *entries: Any) -> list[dict[str, Any]]:
        records = recorded(entries, self._offset)
        self._offset += len(entries)
        out = self.engine.process(records)
        said = [msgspec.json.decode(value) for _, value in out.decisions]
        self.decisions += said
        self.alerts += [msgspec.json.decode(value) for _, value, _ in out.alerts]
        return said

    def switch(self, day: float) -> None:
        at_ms = START + round(day * DAY_MS)
        self.go(
            Switch(event_id=f"s-{day}", event_time_ms=at_ms, schema_version=1, partition=0, model_version=2,
                   policy_version=self.policy)
        )  # fmt: skip


def test_a_statement_is_an_observation_and_other_events_only_after_a_silent_month() -> None:
    lived = Lived()
    said = lived.go(
        of(Repayment, 5, facility_id="f", amount_minor=100), statement(24), of(Repayment, 26, facility_id="f",
        amount_minor=100), of(Repayment, 40, facility_id="f", amount_minor=100), of(Repayment, 80, facility_id="f",
        amount_minor=100), of(Outcome, 85, outcome="default", facility_id="f"),
    )  # fmt: skip
    assert ["credit_inputs" in it for it in said] == [True, True, False, False, True, False]
    seen = said[1]
    assert (len(seen["credit_inputs"]), seen["credit_version"], seen["credit_card"]) == (len(CODES), CREDIT_VERSION, 1)
    assert seen["credit_inputs"][CODES.index("utilisation_ratio")] == 0.1
    assert (seen["facility_id"], said[-1]["facility_id"]) == ("f", "f")
    assert 0 < seen["pd_90d"] < seen["pd_12m"]
    o = decode_observation(msgspec.json.encode(seen))
    assert o.credit_inputs == seen["credit_inputs"]
    assert (o.grade, o.facility_id) == (seen["grade"], "f")


def test_changes_of_a_life_add_up() -> None:
    lived = Lived()
    said = lived.go(statement(1))
    row = lived.engine.rows.get("c")
    assert row is not None
    first = row.credit.card_points
    said += lived.go(
        of(LegalEvent, 2, type="lawsuit"), statement(30, balance=95_000), of(BureauReport, 40, score=800), statement(60)
    )
    assert ["credit_change" in it for it in said] == [False, True, True, True, True]
    own = sum(it["credit_change"]["own"] for it in said[1:])
    assert all(it["credit_change"]["model"] == it["credit_change"]["environment"] == 0 for it in said[1:])
    assert row.credit.card_points == pytest.approx(first + own, abs=1e-4)


def test_an_industrys_trouble_is_its_firms_environment_and_nobody_elses() -> None:
    lived = Lived()
    for name, kind in (("firm", "enterprise"), ("person", "individual")):
        lived.go(of(Profile, 0, name, customer_type=kind, industry="steel", district="north"), statement(1, name))
    lived.go(*(figure(day, 2.0) for day in range(2, 8)), figure(8, 5.0))
    lived.go(*(figure(day, 2.0, "district", "north") for day in range(2, 8)), figure(8, 9.0, "district", "north"))
    firm, person = lived.go(statement(30, "firm"), statement(30, "person"))
    assert firm["credit_change"]["environment"] == -25.0
    assert person["credit_change"]["environment"] == 0.0
    assert firm["credit_change"]["own"] == pytest.approx(person["credit_change"]["own"], abs=1e-5)


def test_baselines_come_back_with_the_partition() -> None:
    lived, other = Lived(), Lived()
    lived.go(*(figure(day, 2.0) for day in range(8)), figure(8, 5.0))
    other.engine.restore(lived.engine.snapshot())
    assert other.engine.meta.environment == lived.engine.meta.environment
    assert other.engine.meta.environment.stress("industry", "steel") == 6.0


@pytest.mark.parametrize("by", [-60.0, 60.0])
def test_a_switch_of_cards_moves_scores_and_alerts_nobody(by: float) -> None:
    lived, still = Lived(by), Lived(by)

    def month(it: Lived, number: int) -> None:
        for n in range(20):
            name, day, balance = f"c{n}", 30 * number + n / 10, 4_000 * (n + 1)
            if number:
                it.go(of(Repayment, day - 5, name, facility_id="f", amount_minor=balance))
            it.go(statement(day, name, balance=balance))

    for it in (lived, still):
        for name in (f"c{n}" for n in range(20)):
            it.go(of(Profile, 0, name, customer_type="individual", customer_since_ms=START - 5_000 * DAY_MS))
        for number in range(8):
            month(it, number)
    assert lived.decisions == still.decisions
    told, begun = len(lived.alerts), len(lived.decisions)
    lived.switch(7 * 30 + 10)
    for it in (lived, still):
        month(it, 8)
        month(it, 9)
    assert lived.alerts[told:] == still.alerts[told:] == []
    after, before = ([d for d in it.decisions[begun:] if "pd_12m" in d] for it in (lived, still))
    assert len(after) == len(before) == 80
    assert [it["grade"] for it in after] == [it["grade"] for it in before]
    assert {it["credit_change"]["model"] for it in after} == {0.0, by}
    assert all((a["pd_12m"] > b["pd_12m"]) == (by < 0) for a, b in zip(after, before, strict=True))


def test_own_arrears_after_a_switch_still_alert() -> None:
    lived = Lived(60.0)
    lived.go(statement(1))
    lived.switch(2)
    due = of(InstalmentDue, 3, facility_id="f", amount_minor=9_000, due_time_ms=START + 5 * DAY_MS)
    lived.go(due, Tick(event_id="t", event_time_ms=START + 60 * DAY_MS, schema_version=1, partition=0))
    assert "dpd_30" in {alert["rule"] for alert in lived.alerts}
    assert any(alert.get("grade_to") for alert in lived.alerts)


def test_a_change_told_after_a_switch_names_the_cards_part_and_adds_up() -> None:
    lived = Lived(by=-60.0)
    lived.go(statement(1))
    lived.switch(10)
    lived.go(of(LegalEvent, 12, type="lawsuit"), of(LegalEvent, 14, type="lawsuit"), statement(30, balance=99_000))
    told = [alert["score_change"] for alert in lived.alerts if "score_change" in alert]
    assert told, "the customer fell without being told why"
    assert sum(change["model"] for change in told) == -60
    for change in told:
        assert change["own"] + change["environment"] + change["model"] == change["to"] - change["from"]
        assert sum(points for _code, points in change["parts"]) == change["to"] - change["from"]
