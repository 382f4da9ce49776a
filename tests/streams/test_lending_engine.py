"""Lending on the real engine: applications answered, classes that time moves, offers with their grade, a calm path."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from alerts.lending import desk
from alerts.shift import Assessor
from features.kinds import (
    Application,
    BureauReport,
    Event,
    Income,
    InstalmentDue,
    LegalEvent,
    LoanGranted,
    OfferMade,
    Outcome,
    Profile,
    Repayment,
    SocialSignal,
    Statement,
    Transaction,
)
from tests.streams.driver import DAY_MS, Entry, Transcript, feed, mixed, recorded, rows_of, run, tick
from tests.streams.driver import engine as new_engine

START_MS = 1_735_689_600_000


def made(kind: type[Event], day: float, number: int, customer: str = "c-1", **fields: Any) -> Event:
    at_ms = START_MS + round(day * DAY_MS)
    return kind(
        event_id=f"e-{customer}-{number}", customer_id=customer, event_time_ms=at_ms, schema_version=1, **fields
    )


def salaries(customer: str = "c-1", months: int = 6) -> list[Event]:
    return [
        made(Income, 30 * n, 100 + n, customer, amount_minor=400_000, currency="EUR", source="salary", expected_days=30)
        for n in range(months)
    ]


def loan(customer: str = "c-1", day: float = 1) -> Event:
    return made(LoanGranted, day, 1, customer, facility_id="loan-1", amount_minor=1_000_000, currency="EUR",
                instalment_minor=30_000, term_months=36)  # fmt: skip


def ordered(*events: Event) -> list[Entry]:
    return sorted(events, key=lambda event: event.event_time_ms)


def application(day: float, number: int = 50, customer: str = "c-1", **fields: Any) -> Event:
    asked = {"product": "personal_loan", "amount_minor": 500_000, "currency": "EUR", "term_months": 24} | fields
    return made(Application, day, number, customer, **asked)


def states(said: Transcript, customer: str = "c-1") -> list[dict[str, Any]]:
    return [change["state"] for change in said.changed() if change["customer_id"] == customer]


def test_an_application_is_answered_at_its_own_event():
    _target, said = run(ordered(*salaries(), loan(), application(140)))
    decision = next(d for d in said.said() if d["kind"] == "application")
    answer = decision["application"]
    assert answer["decision"] in ("approve", "refer")
    assert answer["limit_minor"] == 500_000
    assert answer["rate_low_bp"] < answer["rate_high_bp"]
    last = states(said)[-1]
    assert last["applications"] == [answer]
    assert [(a["action"], a["mode"], a["scope"]) for a in last["actions"] if a["action"] == answer["decision"]] == [
        (answer["decision"], "advise", {"type": "application", "id": "e-c-1-50"})
    ]


def test_a_stranger_without_any_credit_is_answered_too_by_the_prior():
    _target, said = run([application(0, stated_income_minor=400_000)])
    answer = said.said()[0]["application"]
    assert answer["decision"] == "refer", "a thin file is referred, not declined"
    assert "thin_file" in answer["reasons"]
    assert said.said()[0].get("grade") is None, "asking for credit makes no grade"
    assert said.alerted()[0]["rule"] == "application_refer"


def test_time_alone_moves_the_classes_with_no_event_of_the_customer():
    due = made(InstalmentDue, 5, 2, facility_id="loan-1", amount_minor=30_000, due_time_ms=START_MS + 10 * DAY_MS)
    target = new_engine()
    feed(target, recorded(ordered(loan(), due)))
    seen: list[tuple[int, str, int]] = []
    for day in range(11, 380, 3):
        for change in feed(target, recorded([tick(START_MS + day * DAY_MS)], 10 + day)).changed():
            for f in change["state"]["facilities"]:
                entry = (f["stage"], f["five_class"], (change["event_time_ms"] - START_MS) // DAY_MS - 10)
                if not seen or seen[-1][:2] != entry[:2]:
                    seen.append(entry)
    stages = {five: day for _stage, five, day in reversed(seen)}
    assert stages == {"special_mention": 1, "substandard": 90, "doubtful": 271, "loss": 361}
    assert [stage for stage, _five, _day in seen] == sorted(stage for stage, _five, _day in seen)


def test_paying_in_time_moves_no_class_and_wakes_nobody():
    events = [loan()]
    for month in range(6):
        due_ms = START_MS + (30 + 30 * month) * DAY_MS
        events.append(made(InstalmentDue, 20 + 30 * month, 10 + month, facility_id="loan-1", amount_minor=30_000,
                           due_time_ms=due_ms))  # fmt: skip
        events.append(made(Repayment, 29 + 30 * month, 30 + month, facility_id="loan-1", amount_minor=30_000))
    target, said = run(ordered(*events))
    assert all(state["facilities"] == [] for state in states(said))
    assert rows_of(target)["c-1"].risk.lending.review_ms == -1
    assert feed(target, recorded([tick(START_MS + 400 * DAY_MS)], 100)).changed() == []


def test_default_and_its_cure_run_through_stages_and_probations():
    events = ordered(
        loan(),
        made(Outcome, 10, 3, outcome="default", facility_id="loan-1"),
        made(Outcome, 20, 4, outcome="cured", facility_id="loan-1"),
    )
    _target, said = run(events)
    by_default = next(s for s in states(said) if s["grade"] == "D")
    assert (by_default["facilities"][0]["stage"], by_default["facilities"][0]["five_class"]) == (3, "substandard")
    assert by_default["service_tier"] == "recovery"
    after = states(said)[-1]
    assert after["grade"] == "C"
    assert after["facilities"][0]["stage"] == 3, "cured begins the probation, it does not end it"


def test_an_offer_tells_its_campaign_and_the_grade_it_met():
    events = ordered(
        *salaries(),
        loan(),
        made(OfferMade, 150, 60, campaign_id="spring", product="card"),
        made(OfferMade, 150, 61, "c-2", campaign_id="spring", product="card", holdout=True),
        made(Outcome, 155, 62, outcome="campaign_response", about_event_id="e-c-1-60"),
    )
    _target, said = run(events)
    offers = [d for d in said.said() if d["kind"] == "offer_made"]
    assert [(d["campaign_id"], d.get("holdout"), "grade" in d) for d in offers] == [
        ("spring", None, True), ("spring", True, False),
    ]  # fmt: skip
    response = next(d for d in said.said() if d.get("outcome") == "campaign_response")
    assert response["about_event_id"] == "e-c-1-60"


def test_a_social_signal_leaves_every_byte_as_it_is():
    quiet = ordered(*salaries(), loan(), application(140))
    loud = ordered(*quiet, *(made(SocialSignal, n + 0.5, 700 + n, source="net", value=-1.0) for n in range(120)))
    with_it, without = run(loud)[0], run(quiet)[0]
    assert rows_of(with_it)["c-1"].credit == rows_of(without)["c-1"].credit
    assert rows_of(with_it)["c-1"].risk == rows_of(without)["c-1"].risk


@pytest.mark.parametrize("protected", [{"district": "Poor Quarter"}, {"district": "Rich Hill"}, {"country": "XX"}])
def test_where_someone_lives_changes_neither_score_nor_terms(protected):
    def life(**profile: Any) -> list[dict[str, Any]]:
        customer = ordered(
            made(Profile, 0, 0, customer_type="individual", **profile), *salaries(), loan(),
            made(Statement, 60, 5, facility_id="cc", balance_minor=90_000, minimum_due_minor=5_000,
                 due_time_ms=START_MS + 80 * DAY_MS, limit_minor=100_000),
            made(BureauReport, 61, 6, score=640), made(LegalEvent, 70, 7, type="lawsuit"), application(75),
        )  # fmt: skip
        _target, said = run(customer)
        return [*states(said), *(d.get("application", {}) for d in said.said())]

    assert life(**protected) == life()
    assert len(life()) > 5


# --- costs and bounds ------------------------------------------------------------------------------------------


def test_ordinary_card_payments_never_reach_lending(monkeypatch):
    entries = ordered(*salaries(), loan())
    target = new_engine()
    feed(target, recorded(entries))

    def refuse(*_arguments: Any, **_more: Any) -> None:
        raise AssertionError("lending ran for an ordinary payment")

    for name in ("review", "application", "social", "expire", "credit"):
        monkeypatch.setattr(Assessor, name, refuse)
    monkeypatch.setattr(desk, "customer_values", refuse)
    monkeypatch.setattr("streams.lending.borrower_of", refuse)
    payments = [
        made(Transaction, 151 + n / 24, 200 + n, amount_minor=900, currency="EUR", direction="debit", channel="pos",
             card_id="tok_1", merchant_id="m", terminal_id="t")
        for n in range(40)
    ]  # fmt: skip
    said = feed(target, recorded(payments, len(entries)))
    assert len(said.decisions) == 40


@pytest.mark.parametrize("seed", range(3))
def test_a_batch_is_as_many_batches_of_one(seed):
    extra = [
        entry
        for n in range(30)
        for entry in (application(n * 1.3, 500 + n, f"cust_{n % 6:06}", amount_minor=10_000 * n),
                      made(OfferMade, n * 1.3, 600 + n, f"cust_{n % 6:06}", campaign_id="x", product="card"))
    ]  # fmt: skip
    entries = [*mixed(seed, 700), *extra]
    whole, single = run(entries)[1], run(entries, 1)[1]
    assert whole.digest() == single.digest()


def test_what_lending_remembers_is_bounded():
    events: list[Event] = [loan()]
    for n in range(60):
        events.append(application(2 + n, 1_000 + n, amount_minor=10**12))
        events.append(made(Statement, 2 + n, 2_000 + n, facility_id=f"facility-with-a-long-name-{n}",
                           balance_minor=10**12, minimum_due_minor=10**9, due_time_ms=START_MS + (3 + n) * DAY_MS,
                           limit_minor=10**12))  # fmt: skip
        events.append(made(LegalEvent, 2 + n, 3_000 + n, type="lawsuit"))
    target, _said = run(ordered(*events))
    lending = rows_of(target)["c-1"].risk.lending
    assert len(lending.loans) <= 8
    assert len(lending.applications) <= 4
    assert len(msgspec.msgpack.encode(lending)) < 2_048
