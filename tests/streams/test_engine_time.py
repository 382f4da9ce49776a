"""Silence: a tick wakes those who are due, as of the due time, and nobody else; who woke them makes no difference."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.events import (
    Application,
    CollateralValued,
    Event,
    Income,
    InstalmentDue,
    LegalEvent,
    LoanGranted,
    Login,
    Outcome,
    Repayment,
    Statement,
)
from streams.rows import META_KEY
from tests.streams.driver import DAY_MS, HOUR_MS, Entry, Transcript, engine, feed, recorded, rows_of, run, tick, town

START_MS = 1_735_689_600_000
# Thirty days and a grace of six; see features/income.py.
SALARY_DUE_MS = 36 * DAY_MS
INSTALMENT_DUE_MS = DAY_MS


def of(kind: type[Event], customer: str, at_ms: int, **fields: Any) -> Any:
    return kind(
        event_id=f"{kind.__name__}-{at_ms}", customer_id=customer, event_time_ms=at_ms, schema_version=1, **fields
    )


def salary(customer: str, at_ms: int = START_MS, days: int = 30) -> Event:
    money = {"amount_minor": 200_000, "currency": "EUR", "source": "salary"}
    return of(Income, customer, at_ms, expected_days=days, **money)  # type: ignore[no-any-return]


def instalment(customer: str, due_ms: int, at_ms: int = START_MS, facility: str = "f-1") -> Event:
    return of(  # type: ignore[no-any-return]
        InstalmentDue, customer, at_ms, facility_id=facility, amount_minor=10_000, due_time_ms=due_ms
    )


def login(customer: str, at_ms: int) -> Event:
    return of(Login, customer, at_ms, channel="mobile", result="ok")  # type: ignore[no-any-return]


def by_customer(items: list[Any]) -> dict[bytes, list[Any]]:
    found = defaultdict(list)
    for item in items:
        found[item[0]].append(item)
    return found


# --- who wakes, and when ------------------------------------------------------------------------------------


def test_a_missed_salary_alerts_at_the_first_tick_at_its_due_time_and_not_a_moment_before() -> None:
    due_ms = START_MS + SALARY_DUE_MS
    target = engine()
    feed(target, recorded([salary("c-1")]))
    early, late = Transcript(), Transcript()
    early.add(target.process((), [tick(due_ms - 1)]))
    assert [d["disposition"] for d in early.said()] == ["control"]
    late.add(target.process((), [tick(due_ms)]))
    (alert,) = late.alerted()
    assert (alert["rule"], alert["event_time_ms"], alert["customer_id"]) == ("income_missed", due_ms, "c-1")


def test_a_missed_instalment_alerts_as_of_its_due_time_however_late_the_tick() -> None:
    due_ms = START_MS + 10 * DAY_MS
    _, transcript = run([instalment("c-1", due_ms), tick(due_ms + 20 * DAY_MS)])
    (alert,) = transcript.alerted()
    assert (alert["rule"], alert["event_time_ms"]) == ("instalment_missed", due_ms + INSTALMENT_DUE_MS)
    # A call that it asked for was over before the tick; that too is as of its own time.
    _first, classed, begun, ended = transcript.changed()
    assert (classed["event_time_ms"], classed["cause"]["kind"]) == (alert["event_time_ms"], "review")
    assert (begun["event_time_ms"], begun["alert_ids"]) == (alert["event_time_ms"], [alert["alert_id"]])
    assert (ended["event_time_ms"], ended["cause"]["kind"]) == (alert["event_time_ms"] + 14 * DAY_MS, "expiry")


def test_an_action_expires_at_a_tick() -> None:
    # Forty days and a grace of eight, so that the second missed salary comes well after the end of the first's action.
    due_ms, lasts_ms = START_MS + 48 * DAY_MS, 30 * DAY_MS
    entries: list[Entry] = [salary("c-1", days=40), tick(due_ms)]
    target = engine()
    feed(target, recorded(entries))
    assert [a.action for a in rows_of(target)["c-1"].risk.actions] == ["monitor"]
    before, after = Transcript(), Transcript()
    before.add(target.process((), [tick(due_ms + lasts_ms - 1)]))
    assert before.changed() == []
    after.add(target.process((), [tick(due_ms + lasts_ms)]))
    (change,) = after.changed()
    assert change["state"]["actions"] == []
    assert (change["event_time_ms"], change["cause"]["kind"]) == (due_ms + lasts_ms, "expiry")
    assert after.alerted() == []
    (said,) = (d for d in after.said() if d["disposition"] == "derived")
    assert "alert_ids" not in said
    assert said["sequence"] == change["sequence"]


def test_a_tick_touches_the_due_customers_and_no_others() -> None:
    crowd = [salary(f"c-{n}", days=30 + 10 * (n % 3)) for n in range(30)]
    target = engine()
    feed(target, recorded(crowd))
    out = target.process((), [tick(START_MS + SALARY_DUE_MS)])
    assert set(out.rows) == {META_KEY, *(f"c-{n}".encode() for n in range(0, 30, 3))}
    assert len(out.alerts) == 10


def test_a_tick_that_wakes_nobody_says_only_itself() -> None:
    target = engine()
    feed(target, recorded([salary("c-1"), login("c-2", START_MS)]))
    out = target.process((), [tick(START_MS + DAY_MS)])
    assert len(out.decisions) == 1
    assert (out.alerts, out.risk_changes, set(out.rows)) == ([], [], {META_KEY})


def test_customers_wake_in_the_order_of_their_due_times_and_ties_by_customer() -> None:
    due_ms = START_MS + 5 * DAY_MS
    entries: list[Entry] = [
        instalment("c-9", due_ms),
        instalment("c-3", due_ms + 2),
        instalment("c-7", due_ms + 1),
        instalment("c-1", due_ms + 2),
        tick(due_ms + 2 * DAY_MS),
    ]
    _, transcript = run(entries)
    woken = [(a["event_time_ms"] - due_ms - INSTALMENT_DUE_MS, a["customer_id"]) for a in transcript.alerted()]
    assert woken == [(0, "c-9"), (1, "c-7"), (2, "c-1"), (2, "c-3")]


def test_signals_and_expiries_of_one_customer_are_told_in_due_order() -> None:
    entries: list[Entry] = [salary("c-1"), instalment("c-1", START_MS + 30 * DAY_MS), tick(START_MS + 200 * DAY_MS)]
    _, transcript = run(entries)
    times = [change["event_time_ms"] for change in transcript.changed()]
    assert times == sorted(times)
    kinds = [a["rule"] for a in transcript.alerted()]
    assert kinds == ["instalment_missed", "income_missed", "dpd_30", "income_missed_twice", "dpd_60", "dpd_90"]
    assert {c["cause"]["kind"] for c in transcript.changed()} == {"credit", "signal", "expiry", "review"}


def test_what_a_tick_woke_is_derived_names_its_parent_and_takes_no_offset_of_its_own() -> None:
    entries: list[Entry] = [salary("c-1"), login("c-2", START_MS), tick(START_MS + SALARY_DUE_MS)]
    _, transcript = run(entries)
    decided, control, derived = transcript.said()[1], *transcript.said()[2:]
    assert decided["disposition"] == "decision"
    assert (control["disposition"], control["offset"]) == ("control", 2)
    assert (derived["disposition"], derived["kind"]) == ("derived", "tick")
    assert derived["parent"] == control["event_id"] == entries[-1].event_id  # type: ignore[union-attr]
    assert derived["customer_id"] == "c-1"
    assert derived["alert_ids"] == [transcript.alerted()[0]["alert_id"]]


def test_a_tick_again_or_from_the_past_does_nothing() -> None:
    target = engine()
    feed(target, recorded([salary("c-1"), tick(START_MS + 20 * DAY_MS)]))
    # Due before the tick already told: it waits for the next one, or for the customer.
    feed(target, recorded([instalment("c-2", START_MS + DAY_MS)], first=2))
    state = list(target.state())
    for at_ms in (START_MS + 20 * DAY_MS, START_MS + 3 * DAY_MS):
        out = target.process((), [tick(at_ms)])
        assert (len(out.decisions), out.alerts, out.risk_changes, set(out.rows)) == (1, [], [], {META_KEY})
    assert target.meta.tick_ms == START_MS + 20 * DAY_MS
    assert list(target.state()) == state
    assert len(target.process((), [tick(START_MS + 20 * DAY_MS + 1)]).alerts) == 1


def test_money_that_came_in_time_leaves_the_tick_nothing_to_say() -> None:
    due_ms = START_MS + 10 * DAY_MS
    paid = of(Repayment, "c-1", due_ms + HOUR_MS, facility_id="f-1", amount_minor=10_000)
    entries: list[Entry] = [instalment("c-1", due_ms), paid, tick(due_ms + 30 * DAY_MS)]
    _, transcript = run(entries)
    assert transcript.alerted() == []
    entries = [salary("c-1"), salary("c-1", START_MS + 30 * DAY_MS), tick(START_MS + SALARY_DUE_MS)]
    assert run(entries)[1].alerted() == []


# --- woken by a tick or by the customer's next event -------------------------------------------------------------


def test_an_event_fires_what_fell_due_before_it_with_the_same_alert_as_a_tick() -> None:
    entries: list[Entry] = [salary("c-1"), login("c-1", START_MS + 50 * DAY_MS)]
    by_event = run(entries)
    by_tick = run([entries[0], tick(START_MS + 40 * DAY_MS), entries[1]])
    assert by_event[1].alerts == by_tick[1].alerts
    assert len(by_event[1].alerts) == 1
    assert by_event[1].risk_changes == by_tick[1].risk_changes
    assert list(by_event[0].state()) == list(by_tick[0].state())
    # Only the telling differs: the event's own decision, or a derived one.
    assert [d["disposition"] for d in by_event[1].said()] == ["decision", "decision"]
    assert "alert_ids" in by_event[1].said()[1]


def settled(events: list[Event], ticks: dict[int, list[Entry]], last_ms: int) -> tuple[Any, Transcript]:
    """Run `events` with ticks put before the event of that place, and one last tick that wakes everybody due."""
    entries: list[Entry] = []
    for place, event in enumerate(events):
        entries += ticks.get(place, [])
        entries.append(event)
    return run([*entries, tick(last_ms)])


@pytest.mark.parametrize("seed", range(3))
def test_ticks_of_any_grid_and_lag_leave_every_customer_the_same(seed: int) -> None:
    """Ticks that are not ahead of the customers' events: where they lie in the log makes no difference."""
    events = list(town())
    rng = random.Random(seed)
    last_ms = events[-1].event_time_ms + 50 * DAY_MS
    ticks: dict[int, list[Entry]] = {}
    for place in sorted(rng.sample(range(1, len(events)), 60)):
        # The stream has reached this place: stream time is at most its time, and may lag behind it.
        ticks[place] = [tick(events[place].event_time_ms - rng.choice((0, 1, HOUR_MS, DAY_MS, 9 * DAY_MS)))]
    lazy, eager = settled(events, {}, last_ms), settled(events, ticks, last_ms)
    assert sum(d["disposition"] == "derived" for d in eager[1].said()) > 30
    assert list(eager[0].state()) == list(lazy[0].state()), f"seed {seed}"
    assert by_customer(eager[1].alerts) == by_customer(lazy[1].alerts), f"seed {seed}"
    assert by_customer(eager[1].risk_changes) == by_customer(lazy[1].risk_changes), f"seed {seed}"


_DAYS = st.integers(0, 120)
_stories = st.lists(
    st.one_of(
        st.tuples(_DAYS, st.just("salary"), st.integers(5, 40)),
        st.tuples(_DAYS, st.just("instalment"), st.integers(0, 30)),
        st.tuples(_DAYS, st.just("paid"), st.integers(1, 30)),
        st.tuples(_DAYS, st.just("statement"), st.integers(1, 30)),
        st.tuples(_DAYS, st.just("granted"), st.integers(1, 36)),
        st.tuples(_DAYS, st.just("login"), st.just(0)),
        st.tuples(_DAYS, st.just("application"), st.integers(0, 60)),
        st.tuples(_DAYS, st.just("lawsuit"), st.just(0)),
        st.tuples(_DAYS, st.just("collateral"), st.integers(0, 200)),
        st.tuples(
            _DAYS, st.sampled_from(["fraud_confirmed", "false_positive", "default", "cured", "chargeback"]), st.just(0)
        ),
    ),
    min_size=1,
    max_size=14,
)


def tell(story: list[tuple[int, str, int]]) -> list[Event]:
    events: list[Event] = []
    for place, (day, what, number) in enumerate(sorted(story)):
        at_ms = START_MS + day * DAY_MS + place
        if what == "salary":
            event = salary("c-1", at_ms, days=number)
        elif what == "instalment":
            event = instalment("c-1", at_ms + number * DAY_MS, at_ms)
        elif what == "paid":
            event = of(Repayment, "c-1", at_ms, facility_id="f-1", amount_minor=number * 1_000)
        elif what == "statement":
            money = {"balance_minor": 90_000, "minimum_due_minor": 5_000, "limit_minor": 100_000}
            event = of(Statement, "c-1", at_ms, facility_id="f-2", due_time_ms=at_ms + number * DAY_MS, **money)
        elif what == "granted":
            money = {"amount_minor": 100_000, "currency": "EUR", "instalment_minor": 5_000}
            event = of(LoanGranted, "c-1", at_ms, facility_id="f-1", term_months=number, **money)
        elif what == "application":
            asked = {"product": "loan", "amount_minor": 100_000, "currency": "EUR", "term_months": number}
            event = of(Application, "c-1", at_ms, **asked)
        elif what == "lawsuit":
            event = of(LegalEvent, "c-1", at_ms, type="lawsuit")
        elif what == "collateral":
            event = of(CollateralValued, "c-1", at_ms, facility_id="f-1", collateral_id="x", value_minor=number * 1_000)
        elif what == "login":
            event = login("c-1", at_ms)
        else:
            event = of(Outcome, "c-1", at_ms, outcome=what, card_id="tok_1")
        events.append(event)
    return events


@settings(max_examples=250, deadline=None, print_blob=True)
@given(_stories, st.lists(st.tuples(st.integers(0, 14), st.integers(0, 40)), max_size=8))
def test_any_credit_story_ends_the_same_however_it_was_woken(
    story: list[tuple[int, str, int]], lags: list[tuple[int, int]]
) -> None:
    events = tell(story)
    ticks: dict[int, list[Entry]] = {}
    for place, lag in lags:
        if 0 < place < len(events):
            ticks[place] = [tick(events[place].event_time_ms - lag * DAY_MS)]
    last_ms = START_MS + 400 * DAY_MS
    lazy, eager = settled(events, {}, last_ms), settled(events, ticks, last_ms)
    assert list(eager[0].state()) == list(lazy[0].state())
    assert eager[1].alerts == lazy[1].alerts
    assert eager[1].risk_changes == lazy[1].risk_changes
