"""Scenario files: refused when wrong, the same bytes from the same file, trouble that shows before it is missed."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from features.events import Event, InstalmentDue, Outcome, Profile, Repayment, Statement, encode
from streams.cli import main
from streams.town import Planted, Town, TownConfig, TownError
from streams.town.scenario import load, names, parse
from streams.town.strain import HARDSHIPS, SHOCKS

DAY_MS = 86_400_000

SMALL = """
days = [30, 70]
[town]
people = 220
firms = 20
days = 130
seed = 3
default_after_days = 20
job_losses = 0
bust_outs = 0
[trouble]
income_loss = 20
income_fall = 20
over_borrowing = 20
firm_failure = 120
lead_days = [15, 30]
recovered_ratio = 0.4
[[shocks]]
kind = "factory_closure"
day = 40
share = 1.0
ruined_ratio = 0.4
employees = 0.2
place = 2
[[shocks]]
kind = "district_shock"
day = 60
share = 0.5
ruined_ratio = 0.3
place = 1
"""


@pytest.fixture(scope="module")
def lived() -> tuple[Town, list[Event]]:
    town = Town(TownConfig.of(parse(SMALL, "small")))
    return town, list(town.events())


def troubles(town: Town) -> list[Planted]:
    return [case for case in town.planted if case.typology in HARDSHIPS]


def test_every_scenario_of_the_house_is_read_and_some_are_kept_for_the_check() -> None:
    assert {"steady", "downturn"} <= set(names())
    assert sum(name.startswith("check-") for name in names()) >= 3
    files = [load(name) for name in names()]
    assert len({file.town["seed"] for file in files}) == len(files)
    for file in files:
        assert TownConfig.of(file).days > file.last_day + 60


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("days = [9, 3]", "days: expected two whole numbers"),
        ("day = [3, 9]", "found 'day'"),
        ("[trouble]\nincome_los = 3", "found 'income_los'"),
        ("[trouble]\nincome_loss = -1", r"trouble.income_loss: expected a number from 0 to 1000"),
        ("[trouble]\nrecovered_ratio = 1.5", r"from 0 to 1"),
        ("[[shocks]]\nkind = 'flood'\nday = 3\nshare = 1\nruined_ratio = 0", "expected factory_closure or district"),
        ("[[shocks]]\nkind = 'district_shock'", r"shocks\[0\].day: expected a value, found nothing"),
        ("days = [", "expected TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_the_key(text: str, what: str) -> None:
    with pytest.raises(TownError, match=what):
        parse(text, "mine")


def test_a_town_setting_that_does_not_exist_is_refused() -> None:
    with pytest.raises(TownError, match="scenario mine: town: found 'peple'"):
        TownConfig.of(parse("[town]\npeple = 3", "mine"))
    with pytest.raises(TownError, match=r"expected one of .*steady"):
        load("no-such-scenario")


def test_the_same_file_gives_the_same_bytes(lived: tuple[Town, list[Event]]) -> None:
    again = Town(TownConfig.of(parse(SMALL, "small")))
    assert [encode(event) for event in again.events()] == [encode(event) for event in lived[1]]
    assert (again.planted, again.chances) == (lived[0].planted, lived[0].chances)


def test_a_town_without_a_scenario_knows_no_trouble_of_this_kind() -> None:
    town = Town(TownConfig(people=30, days=20))
    list(town.events())
    assert town.chances == ()
    assert not troubles(town)


def test_every_kind_of_trouble_and_every_end_is_planted_with_its_signs(lived: tuple[Town, list[Event]]) -> None:
    cases = troubles(lived[0])
    assert {case.typology for case in cases} == set(HARDSHIPS)
    assert {case.end for case in cases} == {"default", "recovered"}
    assert len({case.signs for case in cases}) > len(cases) // 2
    assert all(case.signs for case in cases)
    assert lived[0].summary()["planted"]["income_loss"] == sum(case.typology == "income_loss" for case in cases)


def test_defaulters_default_after_a_due_they_missed_and_not_before_their_trouble(
    lived: tuple[Town, list[Event]],
) -> None:
    town, events = lived
    due = {e.event_id: e.due_time_ms for e in events if isinstance(e, (Statement, InstalmentDue))}
    defaulted = {e.customer_id: e.event_time_ms for e in events if isinstance(e, Outcome) and e.outcome == "default"}
    leads = []
    for case in troubles(town):
        missed = [due[event_id] for event_id in case.event_ids]
        if case.end == "recovered":
            assert case.customer_ids[0] not in defaulted
        elif missed and case.customer_ids[0] in defaulted:
            leads.append((min(missed) - case.start_ms) / DAY_MS)
            assert min(missed) < defaulted[case.customer_ids[0]]
    assert len(leads) > 10
    assert min(leads) > 14


def test_the_healthy_who_look_like_trouble_miss_nothing(lived: tuple[Town, list[Event]]) -> None:
    town, events = lived
    assert len(town.chances) > 20
    assert {case.end for case in town.chances} == {"healthy"}
    assert len({case.typology for case in town.chances}) >= 8
    inside = {customer_id for case in town.planted for customer_id in case.customer_ids}
    alike = {case.customer_ids[0] for case in town.chances} - inside
    assert len(alike) > 10
    # A healthy due is settled before its grace of a day is over.
    open_: dict[str, tuple[int, int]] = {}
    for event in events:
        if event.customer_id not in alike:
            continue
        if isinstance(event, InstalmentDue):
            open_[event.facility_id] = (event.due_time_ms, event.amount_minor)
        elif isinstance(event, Repayment) and event.returned is not True and event.facility_id in open_:
            assert event.event_time_ms <= open_.pop(event.facility_id)[0]
    assert all(due_ms > town.config.end_ms - DAY_MS for due_ms, _ in open_.values())


def test_a_shock_names_everybody_it_struck_and_the_cases_that_came_of_it(lived: tuple[Town, list[Event]]) -> None:
    town, events = lived
    shocks = {case.typology: case for case in town.planted if case.typology in SHOCKS}
    assert set(shocks) == set(SHOCKS)
    assert shocks["factory_closure"].about == "works_02"
    profiles = {e.customer_id: e for e in events if isinstance(e, Profile)}
    for customer_id in shocks["factory_closure"].customer_ids:
        assert profiles[customer_id].employer_id == "works_02"
    for customer_id in shocks["district_shock"].customer_ids:
        assert profiles[customer_id].district == shocks["district_shock"].about == "district_01"
    struck = [case for case in troubles(town) if case.typology == "struck"]
    assert Counter(case.about for case in struck).keys() <= {shock.case_id for shock in shocks.values()}
    assert struck


def test_the_command_plays_a_scenario_and_writes_the_truth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(SMALL.replace("days = 130", "days = 45").replace("people = 220", "people = 60"), "utf-8")
    out, planted = tmp_path / "town.jsonl", tmp_path / "planted.json"
    status = main(["simulate", "--scenario", str(file), "--out", str(out), "--planted", str(planted), "--json"])
    assert status == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["events"] == len(out.read_bytes().splitlines())
    cases = json.loads(planted.read_text("utf-8"))
    assert any(case["typology"] == "factory_closure" and case["about"] == "works_02" for case in cases)
    assert main(["simulate", "--scenario", "nothing", "--out", str(out)]) == 1
    assert "expected one of" in capsys.readouterr().err
