"""Early warning on the real engine: silence is enough, it comes before the first missed due, districts are no part."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from features.events import (
    Application,
    BureauReport,
    Event,
    Income,
    InstalmentDue,
    LoanGranted,
    Profile,
    Repayment,
    Transaction,
)
from models.early_warning import EXPERT
from models.learner import Learner, LearnerSettings
from models.observation import decode_observation
from models.snapshot import Snapshot, initial_snapshot, pack
from streams.engine import Engine
from streams.library import VersionLibrary
from streams.town import Town, TownConfig
from streams.town.scenario import Scenario, Shock, Trouble
from streams.town.strain import SHOCKS
from tests.streams.driver import (
    DAY_MS,
    HOUSE_POLICY,
    KEY,
    TOPIC,
    Transcript,
    engine,
    feed,
    recorded,
    rows_of,
    switch,
    tick,
)

START_MS = 1_735_689_600_000
SALARY_DUE_DAYS = 36


def of(kind: type[Event], customer: str, day: float, **fields: Any) -> Any:
    at_ms = START_MS + round(day * DAY_MS)
    return kind(
        event_id=f"{kind.__name__}-{at_ms}", customer_id=customer, event_time_ms=at_ms, schema_version=1, **fields
    )


def life(customer: str, days: int, **place: str) -> list[Event]:
    """A borrower who is paid, buys and repays for `days`; then no salary, an account that empties, new applications."""
    events: list[Event] = [
        of(Profile, customer, 0, customer_type="individual", **place),
        of(LoanGranted, customer, 0.01, facility_id="l", amount_minor=900_000, currency="EUR", instalment_minor=30_000,
           term_months=36),
    ]  # fmt: skip
    balance = 300_000

    def pay(day: float, amount: int, direction: str = "debit", **more: Any) -> None:
        nonlocal balance
        balance += amount if direction == "credit" else -amount
        events.append(
            of(Transaction, customer, day, amount_minor=amount, currency="EUR", direction=direction, channel="pos",
               status="approved", balance_minor=balance, account_id="a", **more)
        )  # fmt: skip

    for day in range(1, days + 40):
        calm = day < days
        if day % 30 == 1 and calm:
            salary = {"amount_minor": 200_000, "currency": "EUR", "source": "salary", "expected_days": 30}
            events.append(of(Income, customer, day + 0.2, **salary))
            pay(day + 0.21, 200_000, "credit", category="salary")
        if day % 30 == 10 and calm:
            events.append(
                of(InstalmentDue, customer, day, facility_id="l", amount_minor=30_000,
                   due_time_ms=START_MS + (day + 7) * DAY_MS)
            )  # fmt: skip
        if day % 30 == 16 and calm:
            events.append(of(Repayment, customer, day, facility_id="l", amount_minor=30_000))
        pay(day + 0.5, 4_000 if calm else 14_000, merchant_id="m", terminal_id="t", mcc="5411")
        if not calm and day % 9 == 0:
            events.append(of(Application, customer, day + 0.6, product="loan", amount_minor=9, currency="EUR"))
    events.append(of(BureauReport, customer, days + 6, score=700, inquiries_6m=0))
    events.append(of(BureauReport, customer, days + 20, score=600, inquiries_6m=5))
    return sorted(events, key=lambda event: event.event_time_ms)


def alerts(said: Transcript, rule: str) -> list[dict[str, Any]]:
    found = [msgspec.json.decode(item[1]) for item in said.alerts]
    return [alert for alert in found if alert["rule"] == rule]


def test_a_missed_salary_alerts_with_no_event_of_the_customer() -> None:
    target = engine()
    salary = {"amount_minor": 200_000, "currency": "EUR", "source": "salary", "expected_days": 30}
    feed(target, recorded([of(Income, "c-1", 0, **salary)]))
    said = Transcript()
    said.add(target.process((), [tick(START_MS + SALARY_DUE_DAYS * DAY_MS - 1)]))
    assert said.alerts == []
    said.add(target.process((), [tick(START_MS + SALARY_DUE_DAYS * DAY_MS)]))
    (alert,) = alerts(said, "income_missed")
    assert alert["event_time_ms"] == START_MS + SALARY_DUE_DAYS * DAY_MS
    derived = next(d for d in said.said() if d["disposition"] == "derived")
    # What silence shows is told to the learner too.
    assert derived["warnings"][0] == 1.0
    assert derived["parent"] == f"tick/0/{START_MS + SALARY_DUE_DAYS * DAY_MS}"


def test_silence_alone_can_put_a_customer_on_the_watch_list() -> None:
    target = engine()
    events = [event for event in life("c-1", 150) if event.event_time_ms < START_MS + 157.4 * DAY_MS]
    before = feed(target, recorded(events))
    assert alerts(before, "early_warning") == []
    row = rows_of(target)["c-1"]
    # Everything else said already; only the missing salary is left to be noticed.
    row.credit.warnings.registry_day = row.credit.warnings.returned_day = row.credit.warnings.pawn_day = (
        START_MS // DAY_MS + 156
    )
    said = Transcript()
    said.add(target.process((), [tick(START_MS + 190 * DAY_MS)]))
    (alert,) = alerts(said, "early_warning")
    assert alert["source_event_id"].startswith("timer:early_warning:income_missed")
    assert "salary_overdue" in [reason["code"] for reason in alert["reasons"]]


def test_trouble_is_told_before_anything_is_missed() -> None:
    said = feed(engine(), recorded(life("c-1", 150)), 50)
    (alert,) = alerts(said, "early_warning")
    assert alert["event_time_ms"] > START_MS + 150 * DAY_MS
    assert alerts(said, "instalment_missed") == []


def test_batches_make_no_difference() -> None:
    records = recorded([event for pair in zip(life("c-1", 100), life("c-2", 100), strict=True) for event in pair])
    assert feed(engine(), records, 1) == feed(engine(), records, 7) == feed(engine(), records)


@pytest.fixture
def struck() -> Snapshot:
    """The expert's model, with a district under a common shock."""
    first = initial_snapshot()
    parent = {"district:north": "f" * 32}
    return Snapshot(40, 5, first.fraud, first.shared, warnings=EXPERT, struck=parent)


def test_a_struck_district_is_the_parent_of_its_members_alerts_and_no_part_of_their_risk(struck: Snapshot) -> None:
    said = {}
    for district in ("north", "south"):
        versions = VersionLibrary(KEY)
        versions.add_snapshot(40, pack(struck, KEY))
        target = Engine(0, 1, TOPIC, versions, model_version=1, policy_version=HOUSE_POLICY)
        target.process((), [switch(START_MS - 1, model=40)])
        said[district] = feed(target, recorded(life("c-1", 150, district=district)), 50)
    north, south = (alerts(said[district], "early_warning") for district in ("north", "south"))
    assert [alert.pop("parent_alert_id", None) for alert in north] == ["f" * 32]
    assert [alert.pop("parent_alert_id", None) for alert in south] == [None]
    assert north == south
    assert said["north"].risk_changes == said["south"].risk_changes
    scores = [
        [(d.get("warning_probability"), d.get("pd_12m"), d.get("fraud_probability")) for d in said[each].said()]
        for each in ("north", "south")
    ]
    assert scores[0] == scores[1]


def test_a_later_move_to_another_district_in_the_same_batch_changes_no_earlier_alert(struck: Snapshot) -> None:
    versions = VersionLibrary(KEY)
    versions.add_snapshot(40, pack(struck, KEY))
    events = life("c-1", 150, district="north")
    moved = of(Profile, "c-1", 190, customer_type="individual", district="south")
    heard = []
    for size in (1, len(events) + 1):
        target = Engine(0, 1, TOPIC, versions, model_version=1, policy_version=HOUSE_POLICY)
        target.process((), [switch(START_MS - 1, model=40)])
        heard.append(feed(target, recorded([*events, moved]), size))
    assert heard[0].alerts == heard[1].alerts
    assert [alert["parent_alert_id"] for alert in alerts(heard[1], "early_warning")] == ["f" * 32]


def test_a_factory_that_closes_is_one_community_alert_and_its_peoples_later_alerts_name_it() -> None:
    quiet = {"card_thefts": 0, "terminal_compromises": 0, "account_takeovers": 0, "bust_outs": 0, "job_losses": 0}
    scenario = Scenario(
        "closing", 70, 100, Trouble(income_loss=2, income_fall=0, over_borrowing=0, lead_days=(40, 60)),
        shocks=(Shock("factory_closure", 75, 1.0, 0.4, 0.25, 1),),
        town={"people": 120, "days": 135, "firms": 0, "seed": 5, **quiet},
    )  # fmt: skip
    town = Town(TownConfig.of(scenario))
    learner, versions = Learner(1, LearnerSettings(negative_keep=0.01, observe_all_max=10)), VersionLibrary(KEY)
    target = Engine(0, 1, TOPIC, versions, model_version=1, policy_version=HOUSE_POLICY)
    shocks, said, offset, first = [], Transcript(), 0, 0
    day_ms, batch = START_MS, []
    for event in [*town.events(), None]:
        if event is not None and event.event_time_ms < day_ms + DAY_MS:
            batch.append(event)
            continue
        for out in (target.process(recorded(batch, first)), target.process((), [tick(day_ms + DAY_MS)])):
            said.add(out)
            for _key, value in out.decisions:
                learner.observe(0, offset, decode_observation(value))
                offset += 1
        first += len(batch)
        snapshots = learner.drain()
        shocks += learner.take_shocks()
        if snapshots and snapshots[-1].struck:
            newest = snapshots[-1]
            versions.add_snapshot(newest.version, pack(newest, KEY))
            target.process((), [switch(day_ms + DAY_MS, model=newest.version)])
        day_ms, batch = day_ms + DAY_MS, [event] if event is not None else []
    (closure,) = [case for case in town.planted if case.typology in SHOCKS]
    assert [(shock.scope, shock.scope_id) for shock in shocks] == [("employer", closure.about)]
    assert shocks[0].struck >= 5
    named = [alert for alert in alerts(said, "early_warning") if "parent_alert_id" in alert]
    assert named
    assert {alert["parent_alert_id"] for alert in named} == {shocks[0].alert_id}
    assert {alert["customer_id"] for alert in named} <= set(closure.customer_ids)
