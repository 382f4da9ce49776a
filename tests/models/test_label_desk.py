"""Caps per actor: per day, per place, as a share; nameless sources have none; a restart changes nothing."""

from __future__ import annotations

from models.governance.labels import LabelDesk
from models.governance.rules import LabelRules

DAY_MS = 86_400_000


def test_a_place_cap_trips_while_the_day_cap_is_far() -> None:
    desk = LabelDesk(LabelRules(actor_place_day_max=2))
    said = [desk.judge("a", ("terminal t", "merchant m"), n) for n in range(4)]
    assert said == ["accept", "accept", "trip", "quarantine"]
    assert [desk.judge("b", ("terminal t", "merchant m"), 5)] == ["accept"]


def test_counts_begin_anew_each_day_and_suspension_ends() -> None:
    desk = LabelDesk(LabelRules(actor_day_max=1, suspended_ms=3 * DAY_MS))
    assert desk.judge("a", (), 0) == "accept"
    assert desk.judge("a", (), DAY_MS) == "accept"
    assert desk.judge("a", (), DAY_MS + 1) == "trip"
    assert desk.judge("a", (), 3 * DAY_MS) == "quarantine"
    assert desk.suspended == {"a": 4 * DAY_MS + 1}
    assert desk.judge("a", (), 4 * DAY_MS + 1) == "accept"
    assert desk.suspended == {}


def test_a_share_of_all_labels_trips_only_from_some_labels_on() -> None:
    desk = LabelDesk(LabelRules(actor_share_max=0.5, share_from=10))
    # 10 of 10 labels are no share yet; the eleventh is.
    assert [desk.judge("a", (), n) for n in range(11)] == ["accept"] * 10 + ["trip"]
    other = LabelDesk(LabelRules(actor_share_max=0.5, share_from=10))
    for n in range(30):
        other.judge(None, (), n)
    assert [other.judge("a", (), n) for n in range(20)] == ["accept"] * 20


def test_a_source_without_a_name_has_no_cap() -> None:
    desk = LabelDesk(LabelRules(actor_day_max=1, actor_place_day_max=1))
    assert {desk.judge(None, ("terminal t",), n) for n in range(50)} == {"accept"}


def test_more_actors_than_can_be_counted_are_not_accepted() -> None:
    desk = LabelDesk(LabelRules(actors_max=2))
    assert [desk.judge(name, (), 0) for name in ("a", "b", "c", "a")] == ["accept", "accept", "quarantine", "accept"]


def test_a_desk_restored_goes_on_as_if_nothing_was() -> None:
    rules = LabelRules(actor_place_day_max=3, suspended_ms=DAY_MS)
    calls = [(f"a{n % 3}", (f"terminal t{n % 2}",), n * DAY_MS // 20) for n in range(60)]
    whole = LabelDesk(rules)
    expected = [whole.judge(*call) for call in calls]
    assert {"accept", "trip", "quarantine"} <= set(expected)
    half = LabelDesk(rules)
    first = [half.judge(*call) for call in calls[:31]]
    restored = LabelDesk.load(rules, half.dump())
    assert first + [restored.judge(*call) for call in calls[31:]] == expected
