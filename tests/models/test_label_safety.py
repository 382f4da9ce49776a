"""Whose labels count: quarantine, setting aside, corrections after it, the control group, the same after a restart."""

from __future__ import annotations

import pytest

from features.catalogue import SIZE
from models.governance.held_out import held_out
from models.governance.records import Command, Ruling
from models.governance.rules import LabelRules, ModelRules
from models.learner import Learner, LearnerSettings
from models.observation import Observation
from models.snapshot import Snapshot
from tests.models.conftest import DAY_MS, HOUR_MS, KEY, as_json

RULES = ModelRules(labels=LabelRules(actor_place_day_max=2))
ALL = LearnerSettings(negative_keep=1.0)


class Bench:
    """One partition under hand; `log` can be read again."""

    def __init__(self, settings: LearnerSettings = ALL) -> None:
        self.learner = Learner(1, settings, RULES)
        self.log: list[Observation] = []

    def put(self, disposition: str, kind: str, at_ms: int, **fields: object) -> None:
        made = Observation(
            disposition=disposition, kind=kind, event_time_ms=at_ms, partition=0, offset=len(self.log), **fields
        )
        self.learner.observe(0, len(self.log), made)
        self.log.append(made)

    def event(self, event_id: str, at_ms: int, customer: str = "c", **fields: object) -> None:
        rest = {"features": as_json([1.0] * SIZE), "anomaly_score": 0.5, "terminal_id": "t", "merchant_id": "m"}
        self.put("decision", "transaction", at_ms, event_id=event_id, customer_id=customer, **(rest | fields))

    def outcome(self, about: str, at_ms: int, actor: str | None, outcome: str = "fraud_confirmed") -> None:
        self.put(
            "decision", "outcome", at_ms, event_id=f"o{len(self.log)}", customer_id="c", about_event_id=about,
            outcome=outcome, actor=actor,
        )  # fmt: skip

    def tick(self, at_ms: int) -> list[Snapshot]:
        self.put("control", "tick", at_ms)
        return self.learner.drain()

    def stat(self, name: str) -> int:
        return self.learner.stats().get(name, 0)


def slandering(bench: Bench) -> None:
    for n in range(6):
        bench.event(f"e{n}", HOUR_MS + n)
    for n in range(5):
        bench.outcome(f"e{n}", DAY_MS + n, "analyst-7")


def test_beyond_the_cap_nothing_of_the_actor_teaches_or_counts() -> None:
    bench = Bench()
    slandering(bench)
    snapshot = bench.tick(2 * DAY_MS)[-1]
    # Three tripped; the first two were accepted and are set aside with it.
    assert (bench.stat("labels_quarantined"), bench.stat("labels_set_aside")) == (3, 2)
    assert snapshot.shared.terminals["t"].fraud_30d == 0
    bench.tick(9 * DAY_MS)
    assert (bench.stat("frauds_learned"), bench.stat("goods_learned")) == (0, 1)
    assert bench.stat("events_set_aside") == 5
    assert [news.kind for news in bench.learner.take_news()[0]] == ["labels_capped"]


def test_what_another_says_about_an_event_that_was_set_aside_counts() -> None:
    bench = Bench()
    slandering(bench)
    bench.outcome("e0", 2 * DAY_MS, None)
    bench.outcome("e1", 2 * DAY_MS, "analyst-8", "false_positive")
    bench.tick(9 * DAY_MS)
    assert (bench.stat("frauds_learned"), bench.stat("goods_learned")) == (1, 2)


def test_a_quarantined_label_leaves_what_another_said_before() -> None:
    bench = Bench()
    for n in range(4):
        bench.event(f"e{n}", HOUR_MS + n)
    bench.outcome("e3", DAY_MS, None, "false_positive")
    for n in range(4):
        bench.outcome(f"e{n}", DAY_MS + 1 + n, "analyst-7")
    bench.tick(9 * DAY_MS)
    assert (bench.stat("frauds_learned"), bench.stat("goods_learned")) == (0, 1)


def test_read_again_after_a_restart_the_quarantine_is_the_same() -> None:
    whole, half = Bench(), Bench()
    for bench in (whole, half):
        slandering(bench)
        bench.tick(2 * DAY_MS)
    restored = Learner.restore(half.learner.checkpoint(KEY), KEY, ALL, RULES)
    assert restored.resume_offsets() == {0: 0}
    for offset, observation in enumerate(half.log):
        restored.observe(0, offset, observation)
    half.learner = restored
    for bench in (whole, half):
        bench.tick(9 * DAY_MS)
    assert half.learner.suspended == whole.learner.suspended != {}
    assert restored.stats() | {"records_repeated": 0} == whole.learner.stats() | {"records_repeated": 0}
    assert restored.stats()["events_set_aside"] == 5


@pytest.mark.parametrize(("control", "lessons"), [(True, 1), (False, 0)])
def test_the_control_group_teaches_for_all_it_stands_for(control: bool, lessons: int) -> None:
    bench = Bench()
    bench.event("e", HOUR_MS, propensity=0.01, control_group=control)
    taught: list[float] = []
    learn = bench.learner.council.learn
    bench.learner.council.learn = lambda rows, labels: (
        taught.extend(label[2] for label in labels) or learn(rows, labels)
    )  # type: ignore[method-assign]
    bench.tick(9 * DAY_MS)
    assert bench.stat("goods_learned") == lessons
    assert taught == [100.0] * lessons
    assert bench.stat("events_outside_control_group") == 1 - lessons


def test_held_out_customers_teach_nothing_and_their_label_judges() -> None:
    customer = next(f"c-{n}" for n in range(1000) if held_out(f"c-{n}", RULES.held_out))
    bench = Bench()
    bench.event("e", HOUR_MS, customer=customer)
    before = bench.learner.council.champion.model.dump()
    bench.tick(9 * DAY_MS)
    assert (bench.stat("goods_learned"), bench.stat("goods_held_out")) == (0, 1)
    assert len(bench.learner.council.proof) == 1
    assert bench.learner._shadows == {}
    assert len(before) > 0


def test_held_out_events_that_are_never_judged_are_forgotten() -> None:
    customer = next(f"c-{n}" for n in range(1000) if held_out(f"c-{n}", RULES.held_out))
    bench = Bench(LearnerSettings(negative_keep=1.0, waiting_max=2))
    bench.event("declined", HOUR_MS, customer=customer, status="declined")
    for n in range(3):
        bench.event(f"e{n}", 2 * HOUR_MS, customer=customer)
    bench.tick(DAY_MS)
    assert len(bench.learner._shadows) == 2
    bench.tick(9 * DAY_MS)
    assert bench.learner._shadows == {}


def release(bench: Bench, number: int, actor: str) -> None:
    command = Command(f"c{number}", "release", "A. Chen", "old cases, checked", actor=actor)
    bench.learner.rule(Ruling(command, bench.learner.done_ms))


def test_a_released_actor_is_heard_again_and_what_was_said_meanwhile_stays_out() -> None:
    bench = Bench()
    slandering(bench)
    bench.tick(2 * DAY_MS)
    assert list(bench.learner.suspended) == ["analyst-7"]
    release(bench, 1, "analyst-7")
    bench.event("late", 2 * DAY_MS + HOUR_MS)
    bench.outcome("late", 2 * DAY_MS + 2 * HOUR_MS, "analyst-7")
    bench.tick(2 * DAY_MS + 3 * HOUR_MS)
    assert bench.learner.suspended == {}
    entries = bench.learner.take_news()[1]
    assert [(entry.what, entry.by, entry.accepted) for entry in entries] == [("released", "A. Chen", True)]
    assert "analyst-7" in entries[0].why
    bench.tick(10 * DAY_MS)
    assert bench.stat("labels_quarantined") == 3
    assert bench.stat("frauds_learned") == 1


def test_nobody_can_be_released_who_is_not_in_quarantine() -> None:
    bench = Bench()
    slandering(bench)
    bench.tick(2 * DAY_MS)
    release(bench, 1, "analyst-8")
    bench.tick(2 * DAY_MS + HOUR_MS)
    entries = bench.learner.take_news()[1]
    assert [(entry.what, entry.accepted) for entry in entries] == [("release", False)]
    assert "expected an actor in quarantine, found analyst-8; there are: analyst-7" in entries[0].why
    assert list(bench.learner.suspended) == ["analyst-7"]


def test_a_release_holds_across_a_restart() -> None:
    bench = Bench()
    slandering(bench)
    bench.tick(2 * DAY_MS)
    release(bench, 1, "analyst-7")
    bench.tick(2 * DAY_MS + HOUR_MS)
    bench.learner.take_news()
    restored = Learner.restore(bench.learner.checkpoint(KEY), KEY, ALL, RULES)
    assert restored.suspended == {}
    restored.rule(Ruling(Command("c1", "release", "A. Chen", "again", actor="analyst-7"), 0))
    restored.drain()
    assert restored.take_news()[1] == []
