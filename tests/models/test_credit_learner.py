"""Observations that wait for their outcome, what is learned of them, who approves; and restarts."""

from __future__ import annotations

import random

import msgspec
import pytest

from features.row import CreditRow
from features.view import view
from models.credit.calibrate import level, short_of
from models.credit.card import CompiledCard
from models.credit.characteristics import CODES, CREDIT_VERSION, inputs_of
from models.credit.learner import DAY_MS, CreditLearner, CreditSettings
from models.credit.migration import Migration
from models.credit.office import CreditOffice
from models.credit.scale import pd_of
from models.errors import LearnerError
from models.governance.records import Command, Ruling
from models.governance.registry import Registry
from models.learner import Learner, LearnerSettings
from models.observation import Observation
from models.scorecard import EXPERT_CARD
from models.snapshot import pack, unpack

NEUTRAL = tuple(map(float, inputs_of(view(CreditRow(), 0))))
YEAR = 365 * DAY_MS
HOUR_MS = 3_600_000


def inputs(**changes: float) -> tuple[float, ...]:
    return tuple(float(changes.get(code, value)) for code, value in zip(CODES, NEUTRAL, strict=True))


def waiting(at_ms: int = 0, **settings: object) -> CreditLearner:
    learner = CreditLearner(CreditSettings(**settings))
    learner.observe("c", "f", at_ms, NEUTRAL, 0.02, "BB")
    return learner


def test_nothing_is_good_before_twelve_months_are_over() -> None:
    learner = waiting()
    assert learner.advance(YEAR) == 0
    assert learner.advance(YEAR + 1) == 1
    assert (learner.counters["lessons"], learner.counters["defaults"], learner.waiting) == (1, 0, 0)


def test_a_default_within_the_window_is_bad_and_one_after_it_is_not() -> None:
    learner = waiting()
    learner.outcome("c", "f", "default", YEAR)
    assert learner.advance(YEAR + 1) == 1
    assert learner.counters["defaults"] == 1
    late = waiting()
    late.outcome("c", "f", "default", YEAR + 1)
    assert late.advance(YEAR + 1) == 1
    assert late.counters["defaults"] == 0


def test_bad_and_good_are_equally_old_when_they_teach() -> None:
    learner = waiting()
    learner.outcome("c", "f", "default", DAY_MS)
    assert [learner.advance(day * DAY_MS) for day in (2, 364)] == [0, 0]
    assert learner.advance(366 * DAY_MS) == 1
    listed = waiting(silence_is_good=False)
    listed.outcome("c", "f", "default", DAY_MS)
    assert listed.advance(DAY_MS) == 1


def test_a_default_after_paying_in_full_is_bad_and_the_other_way_round() -> None:
    for order in (("paid_in_full", "default"), ("default", "paid_in_full")):
        learner = waiting()
        for day, outcome in enumerate(order):
            learner.outcome("c", "f", outcome, day * DAY_MS)
        learner.advance(366 * DAY_MS)
        assert learner.counters["defaults"] == 1, order


def test_paid_in_full_is_good_for_that_facility_only() -> None:
    learner = waiting(silence_is_good=False)
    learner.outcome("c", "another", "paid_in_full", DAY_MS)
    assert learner.advance(DAY_MS) == 0
    learner.outcome("c", "f", "paid_in_full", 2 * DAY_MS)
    assert learner.advance(2 * DAY_MS) == 1
    assert learner.counters["defaults"] == 0


def test_where_outcomes_are_listed_silence_teaches_nothing() -> None:
    learner = waiting(silence_is_good=False, window_ms=45 * DAY_MS)
    assert learner.advance(46 * DAY_MS) == 0
    assert (learner.counters["unlabelled"], learner.waiting) == (1, 0)


def test_a_default_teaches_every_observation_of_the_window_once() -> None:
    learner = CreditLearner()
    for month in range(20):
        learner.observe("c", "f", month * 30 * DAY_MS, NEUTRAL, 0.02, "BB")
        learner.advance(month * 30 * DAY_MS)
    learner.outcome("c", "f", "default", 600 * DAY_MS)
    learner.outcome("c", "f", "default", 601 * DAY_MS)
    learner.advance(1_000 * DAY_MS)
    # Those of day 240 to 570; those of day 0 to 210 had their twelve months.
    assert (learner.counters["lessons"], learner.counters["defaults"]) == (20, 12)


def test_what_waits_is_bounded_and_the_oldest_goes() -> None:
    learner = CreditLearner(CreditSettings(waiting_max=3))
    for n in range(5):
        learner.observe(f"c{n}", "f", n, NEUTRAL, 0.02, "BB")
    assert (learner.waiting, learner.counters["evicted"]) == (3, 2)
    assert learner.advance(YEAR + 9) == 3


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(LearnerError, match="window_ms"):
        CreditSettings(window_ms=0)


def town(learner: CreditLearner, seed: int, people: int = 3_000) -> list[tuple[tuple[float, ...], bool]]:
    """People whose arrears foretell default, whatever the expert thinks of utilisation."""
    rng = random.Random(seed)
    lives = []
    for n in range(people):
        late, used = rng.choice((0, 0, 0, 0, 60, 90)), rng.uniform(0, 1.2)
        bad = rng.random() < (0.5 if late else 0.05)
        lives.append((inputs(arrears_reported_days=late, utilisation_ratio=used), bad))
        learner.observe(f"c{n}", "f", n, lives[-1][0], 0.02, "BB")
        if bad:
            learner.outcome(f"c{n}", "f", "default", n + (30 if n % 2 else 200) * DAY_MS)
    learner.advance(people + YEAR + 1)
    return lives


def test_it_learns_what_outcomes_say_and_the_level_fits() -> None:
    learner = CreditLearner()
    lives = town(learner, 1)
    card = CompiledCard(learner.propose(2, 0))
    said = sum(card.score(vector).pd_12m for vector, _ in lives)
    assert said == pytest.approx(sum(bad for _, bad in lives), rel=0.03)
    expert = EXPERT_CARD.points(inputs(utilisation_ratio=0.3)) - EXPERT_CARD.points(inputs(utilisation_ratio=1.2))
    learned = card.points(inputs(utilisation_ratio=0.3)) - card.points(inputs(utilisation_ratio=1.2))
    assert learned < expert / 2, "utilisation foretells nothing here"
    gap = card.points(inputs()) - card.points(inputs(arrears_reported_days=90))
    assert gap == pytest.approx(85, abs=25)
    half = card.score(inputs(arrears_reported_days=90))
    assert half.pd_90d == pytest.approx(half.pd_12m / 2, rel=0.35), "every second default came within ninety days"
    assert learner.challenger_pd(inputs(arrears_reported_days=90)) > 3 * learner.challenger_pd(inputs())


def test_the_same_lessons_in_another_order_of_partitions_give_the_same_card() -> None:
    cards = []
    for order in (range(400), reversed(range(400))):
        learner = CreditLearner()
        for n in order:
            learner.observe(f"c{n}", "f", 5, inputs(legal_count=n % 2), 0.02, "BB")
            learner.outcome(f"c{n}", "f", "default" if n % 5 == 0 else "paid_in_full", 9)
        learner.advance(YEAR + 10)
        cards.append(learner.propose(2, 10))
    assert cards[0] == cards[1]


def test_a_restart_goes_on_to_the_same_card() -> None:
    learner, whole = CreditLearner(), CreditLearner()
    town(learner, 1, 700), town(whole, 1, 700)
    learner.observe("x", "f", YEAR, NEUTRAL, 0.02, "BB")
    whole.observe("x", "f", YEAR, NEUTRAL, 0.02, "BB")
    again = CreditLearner.load(msgspec.msgpack.decode(msgspec.msgpack.encode(learner.dump())))
    for one in (again, whole):
        one.outcome("x", "f", "default", YEAR + 1)
        town(one, 2, 700)
    assert again.propose(3, 0) == whole.propose(3, 0)
    assert again.migration.counts == whole.migration.counts


def test_migration_follows_the_grade_to_the_end_of_the_window() -> None:
    learner = CreditLearner()
    for name in ("up", "stays", "gone"):
        learner.observe(name, "f", 0, NEUTRAL, 0.02, "BB")
    for name, end in (("up", "A"), ("stays", "BB")):
        learner.observe(name, "f", 5, NEUTRAL, 0.02, end)
    learner.outcome("gone", "f", "default", 9)
    learner.advance(YEAR + 1)
    assert learner.migration.counts == {"BB>A": 1, "BB>BB": 1, "BB>D": 1}
    table = learner.migration.probabilities()
    assert sum(table["BB"].values()) == pytest.approx(1.0)
    assert Migration.load(learner.migration.dump()).probabilities() == table


def test_the_level_is_moved_little_by_few_defaults() -> None:
    assert level([], []) == 0.0
    assert level([600.0] * 10, [True] * 2 + [False] * 8) < 0
    assert abs(level([600.0] * 10, [True] * 2 + [False] * 8)) < 20
    many = level([600.0] * 10_000, [n % 5 == 0 for n in range(10_000)])
    assert pd_of(600 + many) == pytest.approx(0.2, rel=0.05)


def test_ninety_days_are_drawn_to_the_expert_where_data_are_few() -> None:
    prior = (-1.4, 1.0)
    assert short_of([], [], prior) == prior
    assert short_of([600.0], [False], prior) == pytest.approx(prior, abs=0.1)


# --- the office -------------------------------------------------------------------------------------------


def observation(n: int, **fields: object) -> Observation:
    values = {
        "disposition": "decision", "kind": "statement", "event_time_ms": n, "partition": 0, "customer_id": f"c{n}",
        "facility_id": "f", "credit_inputs": list(inputs(legal_count=n % 2)), "credit_version": CREDIT_VERSION,
        "pd_12m": 0.02, "grade": "BB",
    }  # fmt: skip
    return Observation(**(values | fields))


def taught() -> CreditOffice:
    office = CreditOffice()
    for n in range(400):
        office.take(observation(n))
        if n % 4 == 1:
            office.take(observation(n, kind="outcome", credit_inputs=None, outcome="default", event_time_ms=n + DAY_MS))
    office.advance(YEAR + 500)
    return office


def test_what_is_learned_is_a_proposal_and_nothing_more() -> None:
    office = taught()
    part = office.part()
    assert (part.card.version, part.proposal.version, part.before) == (1, 2, None)
    assert part.card.points == EXPERT_CARD.card.points
    assert part.proposal.counters["defaults"] == 100
    assert "D" in part.migration["BB"]


def test_a_named_approval_puts_it_in_force_and_people_are_told_once() -> None:
    office, registry = taught(), Registry()
    assert office.approve(Command("1", "approve_credit", "A. Chen", "looked at it", 2), 7, registry) == ""
    part = office.part()
    assert (part.card.version, part.before.version, part.proposal) == (2, 1, None)
    news, entries, _ = registry.take()
    assert [(it.kind, it.version) for it in news] == [("credit_approved", 2)]
    assert news[0].values["down"] + news[0].values["up"] + news[0].values["same"] == 400
    assert len(news[0].values) <= 8
    assert [(it.what, it.by, it.why, it.accepted) for it in entries] == [
        ("approve_credit", "A. Chen", "looked at it", True)
    ]
    assert office.approve(Command("2", "approve_credit", "A. Chen", "back", 1), 8, registry) == ""
    assert office.part().card.version == 1


def fed(learner: Learner, first: int, last: int, start: int = 0) -> int:
    """Decisions of an hour each, a tick between them; gives the next offset."""
    offset = start
    for hour in range(first, last):
        tick = observation(hour * HOUR_MS, disposition="control", kind="tick", credit_inputs=None, customer_id=None)
        for o in (observation(hour, event_time_ms=hour * HOUR_MS), tick):
            learner.observe(0, offset, msgspec.structs.replace(o, offset=offset))
            offset += 1
        if hour % 3 == 0:
            bad = observation(hour, event_time_ms=hour * HOUR_MS, kind="outcome", credit_inputs=None, outcome="default")
            learner.observe(0, offset, msgspec.structs.replace(bad, offset=offset))
            offset += 1
    return offset


def test_the_learner_publishes_a_proposal_and_a_ruling_puts_it_in_force_across_a_restart() -> None:
    key = b"0123456789abcdef"
    window = CreditSettings(window_ms=48 * HOUR_MS)
    learner = Learner(1, LearnerSettings(publish_every_ms=0), credit=window)
    offset = fed(learner, 0, 400)
    before = learner.drain()[-1]
    assert (before.credit.card.version, before.credit.proposal is not None) == (1, True)
    proposed = before.credit.proposal
    learner = Learner.restore(learner.checkpoint(key), key, credit=window)
    command = Command("c1", "approve_credit", "A. Chen", "looked at it", proposed.version)
    learner.rule(Ruling(command, learner.done_ms))
    published = learner.drain()
    assert [it.credit.card for it in published] == [proposed]
    assert unpack(pack(published[0], key), key).credit == published[0].credit
    news, entries, _ = learner.take_news()
    assert [it.kind for it in news] == ["credit_approved"]
    assert [(it.what, it.by, it.accepted) for it in entries] == [("approve_credit", "A. Chen", True)]
    again = Learner.restore(learner.checkpoint(key), key)
    fed(again, 400, 410, offset)
    again.drain()
    assert again.credit.part().card == proposed
    assert again.credit.learner.counters["observations"] == 410
    again.rule(Ruling(Command("c2", "approve_credit", "B", "w", 77), again.done_ms))
    assert again.drain() == []
    assert [(it.what, it.accepted) for it in again.take_news()[1]] == [("approve_credit", False)]


@pytest.mark.parametrize("version", [1, 3, 0])
def test_what_does_not_wait_for_approval_is_refused(version: int) -> None:
    office, registry = taught(), Registry()
    refusal = office.approve(Command("1", "approve_credit", "A", "w", version), 7, registry)
    assert refusal.startswith(f"expected a credit card that waits for approval, found {version}; there are: ")
    assert office.part().card.version == 1
    assert registry.take() == ([], [], [])


def test_customers_in_default_and_other_catalogues_teach_nothing() -> None:
    office = CreditOffice()
    office.take(observation(1, grade="D"))
    office.take(observation(2, credit_version=CREDIT_VERSION + 1))
    office.take(observation(3, disposition="duplicate"))
    assert office.learner.waiting == 0


def test_the_office_comes_back_as_it_was() -> None:
    office = taught()
    office.approve(Command("1", "approve_credit", "A", "w", 2), 7, Registry())
    again = CreditOffice.load(msgspec.msgpack.decode(msgspec.msgpack.encode(office.dump())))
    assert again.part() == office.part()
    assert again.standing() == office.standing()
    assert again.propose(9) == office.propose(9)
