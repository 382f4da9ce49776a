"""The learner's promises: arrival order and crashes change nothing; every rule of labels as it is documented."""

from __future__ import annotations

import random

import numpy as np
import pytest

from features.catalogue import SIZE
from models.errors import CheckpointError, LearnerError
from models.learner import Learner, LearnerSettings, kept
from models.observation import Observation
from models.snapshot import Snapshot, pack
from tests.models.conftest import DAY_MS, HOUR_MS, KEY, as_json, random_logs

# Short ages, so that sixty hours see maturity, correction, expiry and eviction.
QUICK = LearnerSettings(
    maturity_ms=10 * HOUR_MS, retain_ms=20 * HOUR_MS, negative_keep=0.5, waiting_max=200, entities_max=5
)
TIGHT = LearnerSettings(
    maturity_ms=10 * HOUR_MS, retain_ms=20 * HOUR_MS, negative_keep=0.5, waiting_max=120, entities_max=3
)
# Fewer places than events get old in.
STARVED = LearnerSettings(
    maturity_ms=10 * HOUR_MS, retain_ms=20 * HOUR_MS, negative_keep=0.5, waiting_max=30, entities_max=1
)


def packed(snapshots: list[Snapshot]) -> list[bytes]:
    return [b"".join(pack(snapshot, KEY)) for snapshot in snapshots]


def feed(
    learner: Learner, logs: list[list[Observation]], starts: dict[int, int], rng: random.Random, stop: int | None = None
) -> list[Snapshot]:
    """Partitions in random interleaving, random drains; at most `stop` records."""
    places = dict(starts)
    snapshots: list[Snapshot] = []
    while open_partitions := [p for p, log in enumerate(logs) if places[p] < len(log)]:
        partition = rng.choice(open_partitions)
        for _ in range(rng.choice([1, 5, 60])):
            if places[partition] >= len(logs[partition]) or stop == 0:
                break
            learner.observe(partition, places[partition], logs[partition][places[partition]])
            places[partition] += 1
            stop = None if stop is None else stop - 1
        if rng.random() < 0.5:
            snapshots += learner.drain()
        if stop == 0:
            break
    return snapshots + learner.drain()


@pytest.mark.parametrize("settings", [QUICK, TIGHT], ids=["quick", "tight"])
@pytest.mark.parametrize("seed", range(3))
def test_arrival_order_of_partitions_changes_nothing(seed: int, settings: LearnerSettings) -> None:
    logs = random_logs(3, seed)
    runs = []
    for arrival in range(4):
        learner = Learner(3, settings)
        snapshots = feed(learner, logs, dict.fromkeys(range(3), 0), random.Random(arrival))
        runs.append((packed(snapshots), learner.stats()))
    assert all(run == runs[0] for run in runs)
    stats = runs[0][1]
    assert len(runs[0][0]) > 20
    assert stats["labels_learned"] > 20
    assert stats["events_expired"] > 0
    assert stats["labels_corrected"] > 0
    assert (stats["places_evicted"] > 0) is (settings is TIGHT)
    assert (stats.get("events_evicted", 0) > 0) is (settings is TIGHT)


@pytest.mark.parametrize("settings", [QUICK, TIGHT, STARVED], ids=["quick", "tight", "starved"])
@pytest.mark.parametrize("seed", range(6))
def test_crash_anywhere_restore_and_reread_equals_uninterrupted(seed: int, settings: LearnerSettings) -> None:
    logs = random_logs(3, seed)
    whole = Learner(3, settings)
    expected = packed(feed(whole, logs, dict.fromkeys(range(3), 0), random.Random(0)))
    rng = random.Random(seed)
    learner = Learner(3, settings)
    seen: dict[int, bytes] = {}
    starts = dict.fromkeys(range(3), 0)
    for _ in range(3):
        before = feed(learner, logs, starts, rng, stop=rng.randrange(1, 500))
        seen |= dict(zip([s.version for s in before], packed(before), strict=True))
        saved = learner.checkpoint(KEY)
        # Lost with the process: what came after the checkpoint, published or not.
        lost = feed(learner, logs, learner.offsets(), rng, stop=rng.randrange(200))
        seen |= dict(zip([s.version for s in lost], packed(lost), strict=True))
        learner = Learner.restore(saved, KEY)
        if rng.random() < 0.5:
            # Killed again while it was still reading again.
            feed(learner, logs, learner.resume_offsets(), rng, stop=rng.randrange(50))
            learner = Learner.restore(learner.checkpoint(KEY), KEY)
        starts = learner.resume_offsets()
        assert all(starts[p] <= offset for p, offset in learner.offsets().items())
    last = feed(learner, logs, starts, rng)
    seen |= dict(zip([s.version for s in last], packed(last), strict=True))
    assert [seen[version] for version in sorted(seen)] == expected
    # What was read twice is counted where it happened; everything else is the same.
    assert learner.stats() | {"records_repeated": 0} == whole.stats() | {"records_repeated": 0}


class Bench:
    """One partition under hand."""

    def __init__(self, settings: LearnerSettings | None = None) -> None:
        self.learner = Learner(1, settings or LearnerSettings())
        self.offset = 0

    def put(self, disposition: str, kind: str, at_ms: int, **fields: object) -> None:
        observation = Observation(
            disposition=disposition, kind=kind, event_time_ms=at_ms, partition=0, offset=self.offset, **fields
        )
        self.learner.observe(0, self.offset, observation)
        self.offset += 1

    def event(self, event_id: str, at_ms: int, customer: str = "c", **fields: object) -> None:
        rest = {
            "features": as_json([1.0] * SIZE),
            "anomaly_score": 0.5,
            "terminal_id": "t",
            "merchant_id": "m",
        } | fields
        self.put("decision", "transaction", at_ms, event_id=event_id, customer_id=customer, **rest)

    def outcome(self, about: str, outcome: str, at_ms: int, customer: str = "c") -> None:
        self.put(
            "decision", "outcome", at_ms, event_id=f"o{self.offset}", customer_id=customer, about_event_id=about,
            outcome=outcome,
        )  # fmt: skip

    def tick(self, at_ms: int) -> list[Snapshot]:
        self.put("control", "tick", at_ms)
        return self.learner.drain()

    def stat(self, name: str) -> int:
        return self.learner.stats().get(name, 0)


def test_a_reported_fraud_shows_in_indicators_at_once_and_teaches_at_maturity() -> None:
    bench = Bench()
    bench.event("e", HOUR_MS)
    bench.outcome("e", "fraud_confirmed", DAY_MS)
    (snapshot,) = bench.tick(DAY_MS + HOUR_MS)
    assert snapshot.version == 2
    rate, fraud_rate, recent = snapshot.shared.terminal("t", DAY_MS)[:3]
    assert (rate, recent) == (1 / 7, 1.0)
    assert fraud_rate == pytest.approx(1.1 / 21)
    assert snapshot.shared.merchant("m", DAY_MS)[1] == pytest.approx(1.1 / 21)
    assert bench.stat("labels_learned") == 0
    bench.tick(7 * DAY_MS + HOUR_MS)
    assert bench.stat("labels_learned") == 0
    (snapshot,) = bench.tick(7 * DAY_MS + 2 * HOUR_MS)
    assert bench.stat("frauds_learned") == 1
    assert snapshot.counters["frauds_learned"] == 1


def test_silence_until_maturity_is_good_for_a_weighted_share() -> None:
    bench = Bench()
    names = [f"e{n}" for n in range(300)]
    for place, name in enumerate(names):
        bench.event(name, HOUR_MS + place)
    bench.tick(8 * DAY_MS)
    expected = sum(kept(("c", name), 0.1) for name in names)
    assert 10 < expected < 60
    assert bench.stat("goods_learned") == expected
    assert bench.stat("goods_left_out") == 300 - expected


def test_a_confirmed_good_is_learned_and_a_blocked_one_is_not_good_by_silence() -> None:
    bench = Bench(LearnerSettings(negative_keep=1.0))
    bench.event("blocked", HOUR_MS, status="declined")
    bench.event("told", HOUR_MS, status="declined")
    bench.outcome("told", "false_positive", DAY_MS)
    bench.tick(8 * DAY_MS)
    assert bench.stat("goods_learned") == 1
    assert bench.stat("events_blocked_unlabelled") == 1


def test_mature_silence_is_good_news_of_a_terminal_with_known_fraud() -> None:
    bench = Bench()
    bench.event("fraud", HOUR_MS)
    bench.event("later", 2 * HOUR_MS)
    bench.event("declined", 3 * HOUR_MS, status="declined")
    bench.outcome("fraud", "fraud_confirmed", DAY_MS)
    (snapshot,) = bench.tick(6 * DAY_MS)
    assert snapshot.shared.terminals["t"].good_since == 0
    assert bench.tick(9 * DAY_MS)[-1].shared.terminals["t"].good_since == 1


def test_a_correction_before_maturity_replaces_the_label_and_takes_the_indicator_back() -> None:
    bench = Bench()
    bench.event("e", HOUR_MS)
    bench.outcome("e", "fraud_confirmed", DAY_MS)
    bench.outcome("e", "fraud_confirmed", DAY_MS + 1)
    bench.outcome("e", "dispute_upheld", 2 * DAY_MS)
    (snapshot,) = bench.tick(3 * DAY_MS)
    assert snapshot.shared.terminal("t", 3 * DAY_MS) == (1 / 7, 0.1 / 21, *[0.0] * 6)
    bench.tick(8 * DAY_MS)
    assert (bench.stat("frauds_learned"), bench.stat("goods_learned")) == (0, 1)
    assert bench.stat("outcomes_repeated") == 1


def test_a_report_after_maturity_corrects_and_after_retention_is_unknown() -> None:
    bench = Bench(LearnerSettings(negative_keep=1.0))
    bench.event("e", HOUR_MS)
    bench.tick(8 * DAY_MS)
    assert bench.stat("goods_learned") == 1
    bench.outcome("e", "chargeback", 9 * DAY_MS)
    bench.tick(10 * DAY_MS)
    assert (bench.stat("frauds_learned"), bench.stat("labels_corrected")) == (1, 1)
    bench.tick(15 * DAY_MS)
    bench.outcome("e", "false_positive", 15 * DAY_MS)
    bench.tick(16 * DAY_MS)
    assert bench.stat("outcomes_unknown_event") == 1
    assert bench.stat("waiting") == 0


def test_an_evicted_event_teaches_nothing() -> None:
    bench = Bench(LearnerSettings(waiting_max=2, negative_keep=1.0))
    for place, name in enumerate(("first", "second", "third")):
        bench.event(name, HOUR_MS + place)
    bench.outcome("first", "fraud_confirmed", DAY_MS)
    bench.tick(8 * DAY_MS)
    assert (bench.stat("events_evicted"), bench.stat("outcomes_unknown_event")) == (1, 1)
    assert (bench.stat("frauds_learned"), bench.stat("goods_learned")) == (0, 2)


def test_the_vector_learned_is_the_recorded_one() -> None:
    a, b = Bench(), Bench()
    for bench, value in ((a, 1.0), (b, 2.0)):
        bench.event("e", HOUR_MS, features=as_json([value] * SIZE))
        bench.outcome("e", "fraud_confirmed", DAY_MS)
    (first,), (second,) = a.tick(8 * DAY_MS), b.tick(8 * DAY_MS)
    assert not np.array_equal(first.fraud.curves, second.fraud.curves)


def test_publication_waits_for_its_interval_and_for_news() -> None:
    bench = Bench(LearnerSettings(publish_every_ms=3 * HOUR_MS))
    bench.event("a", 1)
    assert len(bench.tick(HOUR_MS)) == 1
    bench.event("b", HOUR_MS + 1)
    assert bench.tick(2 * HOUR_MS) == []
    assert [s.version for s in bench.tick(4 * HOUR_MS)] == [3]
    assert bench.tick(9 * HOUR_MS) == []


def test_no_time_passes_while_one_partition_is_silent() -> None:
    learner = Learner(2)
    log = random_logs(1, seed=9)[0]
    for offset, observation in enumerate(log):
        learner.observe(0, offset, observation)
    assert learner.drain() == []
    assert learner.offsets() == {0: 0, 1: 0}
    learner.observe(1, 0, Observation(disposition="control", kind="tick", event_time_ms=DAY_MS, partition=1, offset=0))
    assert learner.drain()
    assert learner.offsets()[1] == 1


def test_records_that_repeat_are_taken_once() -> None:
    bench = Bench()
    bench.event("e", HOUR_MS)
    again = Observation(
        disposition="decision", kind="transaction", event_time_ms=HOUR_MS, partition=0, offset=0, event_id="e",
        customer_id="c", features=as_json([1.0] * SIZE),
    )  # fmt: skip
    bench.learner.observe(0, 0, again)
    bench.learner.observe(0, 1, again)
    bench.offset = 2
    bench.tick(DAY_MS)
    assert (bench.stat("events_seen"), bench.stat("records_repeated")) == (1, 2)


def test_the_queue_is_bounded_and_says_what_to_do() -> None:
    bench = Bench(LearnerSettings(queue_max=2))
    bench.event("a", 1)
    assert not bench.learner.full(0)
    bench.event("b", 2)
    assert bench.learner.full(0)
    with pytest.raises(LearnerError, match="lower epoch_ms"):
        bench.event("c", 3)
    with pytest.raises(LearnerError, match="partition below 1"):
        bench.learner.observe(1, 0, Observation(disposition="x", kind="y", event_time_ms=0, partition=1, offset=0))


def test_vectors_of_another_catalogue_are_counted_not_learned() -> None:
    bench = Bench()
    bench.event("short", HOUR_MS, features=as_json([1.0]))
    bench.event("old", HOUR_MS, feature_version=0)
    bench.tick(DAY_MS)
    assert (bench.stat("events_of_other_features"), bench.stat("events_seen")) == (2, 0)


@pytest.mark.parametrize(
    "wrong", [{"epoch_ms": 0}, {"negative_keep": 0.0}, {"maturity_ms": 15 * DAY_MS}, {"waiting_max": 0}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(LearnerError, match=next(iter(wrong))):
        LearnerSettings(**wrong)  # type: ignore[arg-type]


def test_a_checkpoint_under_other_settings_is_refused() -> None:
    saved = Learner(1, QUICK).checkpoint(KEY)
    assert Learner.restore(saved, KEY, QUICK).settings == QUICK
    with pytest.raises(CheckpointError, match="settings"):
        Learner.restore(saved, KEY, TIGHT)
