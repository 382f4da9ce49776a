"""The simulated town: same bytes from the same seed, honest books, planted cases that the truth confirms."""

from __future__ import annotations

import itertools
import tracemalloc
from collections import defaultdict

import pytest

from features.events import (
    DeviceChange,
    EmploymentChange,
    Event,
    Income,
    InstalmentDue,
    Outcome,
    Profile,
    Repayment,
    Statement,
    Transaction,
    check_key,
    decode,
    encode,
)
from streams.town import TYPOLOGIES, Planted, Town, TownConfig, TownError

DAY_MS = 86_400_000


def run(**chosen: object) -> tuple[Town, list[Event]]:
    town = Town(TownConfig(**chosen))  # type: ignore[arg-type]
    return town, list(town.events())


@pytest.fixture(scope="module")
def lived() -> tuple[Town, list[Event]]:
    return run(people=300, days=60)


def of(town: Town, typology: str) -> list[Planted]:
    return [case for case in town.planted if case.typology == typology]


def test_same_seed_gives_the_same_bytes() -> None:
    first, second = run(people=60, days=20), run(people=60, days=20)
    assert [encode(e) for e in first[1]] == [encode(e) for e in second[1]]
    assert first[0].planted == second[0].planted


def test_events_begin_anew_with_every_call() -> None:
    town, events = run(people=30, days=12)
    planted, summary = town.planted, town.summary()
    assert list(town.events()) == events
    assert (town.planted, town.summary()) == (planted, summary)


def test_another_seed_gives_another_town() -> None:
    _, first = run(people=30, days=5)
    _, second = run(people=30, days=5, seed=8)
    assert {e.event_id for e in first}.isdisjoint(e.event_id for e in second)
    assert [e.event_time_ms for e in first] != [e.event_time_ms for e in second]


def test_events_come_in_order_of_time_with_ids_of_their_own(lived: tuple[Town, list[Event]]) -> None:
    town, events = lived
    times = [e.event_time_ms for e in events]
    assert times == sorted(times)
    assert town.config.start_ms <= times[0]
    assert times[-1] < town.config.end_ms
    ids = [e.event_id for e in events]
    assert len(set(ids)) == len(ids)
    assert ids == sorted(ids)


def test_every_event_passes_the_only_door(lived: tuple[Town, list[Event]]) -> None:
    for event in lived[1]:
        assert decode(encode(event)) == event
        check_key(event, event.customer_id.encode())


def test_first_word_about_a_customer_is_the_profile(lived: tuple[Town, list[Event]]) -> None:
    first: dict[str, Event] = {}
    for event in lived[1]:
        first.setdefault(event.customer_id, event)
    assert len(first) == 312
    assert {type(e) for e in first.values()} == {Profile}
    assert sum(e.customer_type == "enterprise" for e in first.values() if isinstance(e, Profile)) == 12


def test_a_customer_has_three_to_six_events_a_day(lived: tuple[Town, list[Event]]) -> None:
    assert 3 <= lived[0].summary()["events_per_person_day"] <= 6


def test_every_typology_is_planted(lived: tuple[Town, list[Event]]) -> None:
    town, events = lived
    ids = {e.event_id: e for e in events}
    for typology in TYPOLOGIES:
        cases = of(town, typology)
        assert cases, typology
        for case in cases:
            mine = [ids[event_id] for event_id in case.event_ids]
            assert {e.customer_id for e in mine} <= set(case.customer_ids)
            assert case.start_ms <= case.end_ms
    assert town.summary()["planted"] == {t: len(of(town, t)) for t in TYPOLOGIES}


def test_planted_grows_while_events_are_read() -> None:
    town = Town(TownConfig(people=100, days=40))
    seen = []
    for count, _ in enumerate(town.events()):
        if count % 1_000 == 0:
            seen.append(len(town.planted))
    assert seen[0] == 0
    assert 0 < seen[len(seen) // 2] < len(town.planted)


def test_no_case_where_its_rate_is_zero() -> None:
    town, events = run(
        people=60, days=40, card_thefts=0, terminal_compromises=0, account_takeovers=0, bust_outs=0, job_losses=0
    )
    assert town.planted == ()
    assert {e.outcome for e in events if isinstance(e, Outcome)} <= {"false_positive"}


def test_outcomes_follow_what_they_are_about(lived: tuple[Town, list[Event]]) -> None:
    told: dict[str, Event] = {}
    planted = {event_id: c for c in lived[0].planted for event_id in c.event_ids}
    for event in lived[1]:
        if isinstance(event, Outcome):
            about = told[str(event.about_event_id)]
            assert about.customer_id == event.customer_id
            assert about.event_time_ms < event.event_time_ms
            if event.outcome == "false_positive":
                assert about.event_id not in planted
            else:
                assert planted[about.event_id].typology == event.typology
        told[event.event_id] = event


def test_fraud_is_confirmed_within_the_label_delay() -> None:
    town, events = run(people=300, days=60, label_delay_days=(2, 5))
    times = {e.event_id: e for e in events}
    fraud = {
        event_id
        for case in town.planted
        if case.typology in ("card_theft", "terminal_compromise", "account_takeover")
        for event_id in case.event_ids
        if isinstance(times[event_id], Transaction)
    }
    confirmed = {
        str(e.about_event_id): e.event_time_ms - times[str(e.about_event_id)].event_time_ms
        for e in events
        if isinstance(e, Outcome) and e.outcome == "fraud_confirmed"
    }
    assert confirmed
    assert all(2 * DAY_MS <= delay <= 5 * DAY_MS for delay in confirmed.values())
    assert set(confirmed) <= fraud
    mature = {f for f in fraud if times[f].event_time_ms < town.config.end_ms - 5 * DAY_MS}
    assert mature <= set(confirmed)


def test_a_card_is_not_used_after_its_fraud_was_confirmed(lived: tuple[Town, list[Event]]) -> None:
    dead: dict[str, int] = {}
    cards = 0
    for event in lived[1]:
        if isinstance(event, Outcome) and event.outcome == "fraud_confirmed" and event.card_id:
            dead.setdefault(event.card_id, event.event_time_ms)
        elif isinstance(event, Transaction) and event.card_id:
            assert event.card_id not in dead
            cards += 1
    assert dead
    assert cards


def test_compromised_terminal_sees_fraud_itself_and_its_visitors_elsewhere(lived: tuple[Town, list[Event]]) -> None:
    town, events = lived
    ids = {e.event_id: e for e in events}
    for case in of(town, "terminal_compromise"):
        used = [e for e in map(ids.__getitem__, case.event_ids) if isinstance(e, Transaction)]
        terminal, count = max(
            ((t, sum(e.terminal_id == t for e in used)) for t in sorted({str(e.terminal_id) for e in used})),
            key=lambda pair: pair[1],
        )
        assert count >= len(case.customer_ids) // 2
        assert {e.terminal_id for e in used} - {terminal}
        for customer in sorted({e.customer_id for e in used}):
            first = min(e.event_time_ms for e in used if e.customer_id == customer)
            assert any(
                isinstance(e, Transaction) and e.customer_id == customer and e.terminal_id == terminal
                and case.start_ms <= e.event_time_ms < first
                for e in events
            )  # fmt: skip


def test_takeover_is_failed_sign_ins_device_payee_transfer_in_this_order(lived: tuple[Town, list[Event]]) -> None:
    ids = {e.event_id: e for e in lived[1]}
    for case in of(lived[0], "account_takeover"):
        kinds = [k for k, _ in itertools.groupby(str(ids[i].__struct_config__.tag) for i in case.event_ids)]
        assert kinds == ["login", "device_change", "payee_added", "transaction"][: len(kinds)]
        assert len(kinds) == 4 or case.end_ms > lived[0].config.end_ms - DAY_MS


def test_bust_out_takes_the_limit_and_its_payment_bounces(lived: tuple[Town, list[Event]]) -> None:
    ids = {e.event_id: e for e in lived[1]}
    for case in of(lived[0], "bust_out"):
        mine = [ids[i] for i in case.event_ids]
        spent = sum(e.amount_minor for e in mine if isinstance(e, Transaction) and e.status == "approved")
        limit = max(
            e.limit_minor for e in lived[1]
            if isinstance(e, Statement) and e.customer_id == case.customer_ids[0] and isinstance(e.limit_minor, int)
        )  # fmt: skip
        assert spent > 0.9 * limit
        assert any(isinstance(e, Repayment) and e.returned is True for e in mine)
        assert not any(
            isinstance(e, Repayment) and e.customer_id == case.customer_ids[0] and e.event_time_ms > case.start_ms
            for e in lived[1] if e.event_id not in case.event_ids
        )  # fmt: skip


def test_salary_stops_with_the_job_and_returns_with_the_next() -> None:
    town, events = run(people=200, days=100)
    paid: dict[str, list[int]] = defaultdict(list)
    hired: dict[str, int] = {}
    for event in events:
        if isinstance(event, Income) and event.source == "salary":
            paid[event.customer_id].append(event.event_time_ms)
        if isinstance(event, EmploymentChange) and event.change == "started":
            hired[event.customer_id] = event.event_time_ms
    returned = 0
    for case in of(town, "job_loss"):
        customer = case.customer_ids[0]
        again = hired.get(customer, town.config.end_ms)
        assert any(t <= case.start_ms for t in paid[customer])
        assert not any(case.start_ms < t < again for t in paid[customer])
        returned += any(t > again for t in paid[customer])
    assert returned


def test_job_loss_misses_dues_then_defaults_or_is_cured(lived: tuple[Town, list[Event]]) -> None:
    town, events = lived
    ids = {e.event_id: e for e in events}
    outcomes = {e.about_event_id: e for e in events if isinstance(e, Outcome) and e.typology == "job_loss"}
    found = set()
    for case in of(town, "job_loss"):
        for due in map(ids.__getitem__, case.event_ids):
            if not isinstance(due, InstalmentDue | Statement):
                continue
            outcome = outcomes.get(due.event_id)
            until = outcome.event_time_ms if outcome else town.config.end_ms
            found.add(outcome.outcome if outcome else None)
            late = [
                e for e in events
                if isinstance(e, Repayment) and e.facility_id == due.facility_id
                and due.due_time_ms <= e.event_time_ms <= until
            ]  # fmt: skip
            if outcome and outcome.outcome == "cured":
                assert sum(e.amount_minor for e in late) >= (
                    due.amount_minor if isinstance(due, InstalmentDue) else due.minimum_due_minor
                )
            elif outcome:
                assert late == []
                assert outcome.event_time_ms >= due.due_time_ms + town.config.default_after_days * DAY_MS
    assert {"default", "cured"} <= found


def test_who_is_in_no_case_pays_every_due(lived: tuple[Town, list[Event]]) -> None:
    town, events = lived
    planted = {c for case in town.planted for c in case.customer_ids}
    repaid: dict[str, list[Repayment]] = defaultdict(list)
    for event in events:
        if isinstance(event, Repayment):
            repaid[event.facility_id].append(event)
    checked = late = 0
    for event in events:
        if isinstance(event, InstalmentDue) and event.customer_id not in planted:
            if event.due_time_ms + 7 * DAY_MS > town.config.end_ms:
                continue
            near = [r for r in repaid[event.facility_id] if abs(r.event_time_ms - event.due_time_ms) < 7 * DAY_MS]
            assert [r.amount_minor for r in near] == [event.amount_minor]
            late += near[0].event_time_ms > event.due_time_ms
            checked += 1
    assert 0 < late < checked


def test_balance_of_every_account_follows_its_transactions(lived: tuple[Town, list[Event]]) -> None:
    balances: dict[str, int] = {}
    checked = 0
    for event in lived[1]:
        if isinstance(event, Transaction) and isinstance(event.balance_minor, int):
            amount = event.billing_amount_minor or event.amount_minor
            moved = 0 if event.status == "declined" else amount if event.direction == "credit" else -amount
            account = str(event.account_id)
            if account in balances:
                assert event.balance_minor == balances[account] + moved
                checked += 1
            balances[account] = event.balance_minor
    assert checked > 10_000


def test_statements_say_what_the_card_was_used_for(lived: tuple[Town, list[Event]]) -> None:
    used: dict[str, int] = defaultdict(int)
    checked = 0
    for event in lived[1]:
        if isinstance(event, Transaction) and str(event.account_id).startswith("cc_") and event.status == "approved":
            amount = int(event.billing_amount_minor or event.amount_minor)
            used[str(event.account_id)] += amount if event.direction == "debit" else -amount
        elif isinstance(event, Repayment) and event.facility_id.startswith("cc_"):
            used[event.facility_id] += event.amount_minor if event.returned is True else -event.amount_minor
        elif isinstance(event, Statement):
            assert event.balance_minor == used[event.facility_id]
            assert 0 <= event.minimum_due_minor <= max(0, event.balance_minor)
            assert event.due_time_ms > event.event_time_ms
            checked += event.balance_minor > 0
    assert checked > 100


def test_honest_people_surprise_too(lived: tuple[Town, list[Event]]) -> None:
    town, events = lived
    planted = {i for case in town.planted for i in case.event_ids}
    honest = [e for e in events if e.event_id not in planted]
    assert any(isinstance(e, DeviceChange) for e in honest)
    assert any(isinstance(e, Transaction) and e.country not in ("FR",) for e in honest)
    assert any(isinstance(e, Transaction) and e.currency != "EUR" and e.billing_amount_minor for e in honest)
    assert any(isinstance(e, Transaction) and e.status == "declined" for e in honest)
    assert any(isinstance(e, Outcome) and e.outcome == "false_positive" for e in honest)


def test_a_long_town_is_not_made_in_advance() -> None:
    tracemalloc.start()
    town = Town(TownConfig(people=40, days=3_660))
    list(itertools.islice(town.events(), 50))
    begun = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    for _ in itertools.islice(Town(TownConfig(people=40, days=3_660)).events(), 15_000):
        pass
    lived_on = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # 15,000 events held would be tens of megabytes; a day and what is pending is far below one.
    assert lived_on < begun + 2_000_000


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("people", 0, "people: expected 1 to 200000, found 0"),
        ("people", 2.5, "people: expected a number"),
        ("days", "60", "days: expected a number"),
        ("seed", -1, "seed: expected 0"),
        ("districts", 0, "districts: expected 1"),
        ("bust_outs", -1, "bust_outs: expected 0"),
        ("card_thefts", float("nan"), "card_thefts: expected 0"),
        ("recovered_ratio", 1.5, "recovered_ratio: expected 0 to 1"),
        ("label_delay_days", (7, 1), "label_delay_days: expected two whole numbers"),
        ("label_delay_days", (0, 1), "label_delay_days: expected two whole numbers"),
        ("start_ms", 1, "start_ms: expected a midnight UTC"),
        ("start_ms", 4_102_444_800_000, "start_ms and days: expected an end before"),
        ("terminals", 4, "terminals: expected at least"),
    ],
)
def test_a_town_that_cannot_be_says_why(key: str, value: object, said: str) -> None:
    with pytest.raises(TownError, match="^" + said):
        TownConfig(**{key: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("people", [1, 7])
@pytest.mark.parametrize("days", [1, 2, 9])
def test_the_smallest_towns_live(people: int, days: int) -> None:
    _, events = run(people=people, days=days, districts=9, firms=0)
    assert sum(isinstance(e, Profile) for e in events) == people
