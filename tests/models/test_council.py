"""Who decides: promotion only with evidence, rollback by name and by guard, the same after every crash."""

from __future__ import annotations

import random

import numpy as np
import pytest

from features.catalogue import SIZE
from models.governance.council import Council
from models.governance.evidence import Evidence
from models.governance.guards import check_weights
from models.governance.held_out import Proof, held_out
from models.governance.labels import LabelDesk
from models.governance.records import Command, Lineage, Ruling
from models.governance.rules import CandidateRules, GuardRules, LabelRules, ModelRules, PromotionRules
from models.learner import Learner, LearnerSettings
from models.observation import Observation
from models.snapshot import Snapshot, pack, unpack
from tests.models.conftest import HOUR_MS, KEY, random_logs, random_vectors

DAY_MS = 86_400_000
QUICK = LearnerSettings(
    maturity_ms=10 * HOUR_MS, retain_ms=20 * HOUR_MS, negative_keep=0.5, waiting_max=200, entities_max=5
)
TWO = (CandidateRules("house"), CandidateRules("nimble", fast_rate=0.6, mean_share=0.3))
RULES = ModelRules(candidates=TWO, held_out=0.3, keep_every_ms=4 * HOUR_MS)
ROLLBACK = Command("c1", "rollback", "A. Chen", "alerts doubled")

DESK = LabelDesk(LabelRules())


def vectors(n: int, seed: int) -> np.ndarray:
    return random_vectors(n, seed)


def schooled(council: Council, n: int = 200, seed: int = 1, rate: float = 0.2, flipped: bool = False) -> None:
    """Lessons in which the first feature tells fraud, or its opposite."""
    rows = vectors(n, seed)
    fraud = rows[:, 0] > np.quantile(rows[:, 0], 1 - rate)
    council.learn(rows, [(0.5, bool(f) is not flipped, 1.0) for f in fraud])


def proven(council: Council, n: int = 400, seed: int = 9, rate: float = 0.2) -> None:
    """Held-out labels of the same truth."""
    rows = vectors(n, seed)
    fraud = (rows[:, 0] > np.quantile(rows[:, 0], 1 - rate)).astype(float)
    council.judge(rows, list(council.shadow(rows)), fraud)


def published(council: Council, version: int, at_ms: int) -> Lineage:
    return council.publish(version, at_ms)[1]


def test_held_out_customers_never_teach_and_are_counted() -> None:
    learner = Learner(1, LearnerSettings(negative_keep=1.0), ModelRules(held_out=0.3))
    log = random_logs(1, 5, hours=400)[0]
    for offset, observation in enumerate(log):
        learner.observe(0, offset, observation)
        if learner.full(0):
            learner.drain()
    learner.drain()
    stats = learner.stats()
    assert stats["goods_held_out"] > 20
    teaching = {o.customer_id for o in log if o.customer_id and not held_out(o.customer_id, 0.3)}
    assert 0 < len(teaching) < 5


def test_a_gate_that_trips_brings_the_last_keep_back_and_says_so() -> None:
    council = Council(RULES)
    for version in range(2, 8):
        schooled(council, seed=version)
        council.advance(version * DAY_MS)
        proven(council, seed=100 + version)
        assert published(council, version, version * DAY_MS).why == "learned"
    before = council.champion.compiled.arrays
    council.registry.take()
    # Lies in bulk: what was fraud is good, what was good is fraud.
    for seed in range(6):
        schooled(council, n=400, seed=50 + seed, flipped=True)
    council.advance(8 * DAY_MS)
    lineage = published(council, 8, 8 * DAY_MS)
    assert lineage.why.startswith("rolled back: ")
    assert lineage.parent == 7
    after = council.champion.compiled.arrays
    assert np.array_equal(before.curves, after.curves)
    assert before.intercept == after.intercept
    news, history, _ = council.registry.take()
    assert {"guard_loss", "rolled_back"} <= {each.kind for each in news}
    assert [(entry.what, entry.by) for entry in history] == [("rolled_back", "learner")]
    assert council.set_aside == 2400


def test_weights_that_are_no_numbers_are_found() -> None:
    council = Council(RULES)
    arrays = council.champion.model.compile()
    assert check_weights(arrays, GuardRules()) == []
    arrays.curves[3, 2] = np.nan
    assert check_weights(arrays, GuardRules()) == [("guard_weights", {"finite": 0.0})]
    arrays.curves[3, 2] = 1e6
    assert check_weights(arrays, GuardRules())[0][1]["found"] == 1e6


def ready(council: Council) -> None:
    """Give the challenger evidence and a version."""
    proven(council)
    council.publish(2, DAY_MS)
    council.challengers(3, DAY_MS)
    council.candidates[1].evidence = Evidence(frauds=100, goods=5000, total=60.0, spread=20.0, plain=80.0)


def test_a_promotion_without_evidence_is_refused_in_history() -> None:
    council = Council(RULES)
    proven(council)
    council.publish(2, DAY_MS)
    council.challengers(3, DAY_MS)
    council.registry.take()
    council.obey(Command("c", "promote", "A. Chen", "hope", 3), DAY_MS, DESK)
    _, (entry,), _ = council.registry.take()
    assert not entry.accepted
    assert "held-out frauds" in entry.why
    assert council.champion is council.candidates[0]
    council.obey(Command("d", "promote", "A. Chen", "hope", 77), DAY_MS, DESK)
    _, (entry,), _ = council.registry.take()
    assert "expected a challenger's version, found 77; the latest are: 3" in entry.why


def test_a_named_promotion_with_evidence_changes_who_decides_once_a_week() -> None:
    council = Council(RULES)
    ready(council)
    council.registry.take()
    council.obey(Command("c", "promote", "A. Chen", "e-value 31", 3), DAY_MS, DESK)
    lineage = published(council, 4, DAY_MS)
    assert (lineage.candidate, lineage.role, lineage.parent, lineage.by) == ("nimble", "champion", 3, "A. Chen")
    assert council.champion.rules.name == "nimble"
    assert council.candidates[0].evidence == Evidence()
    # The week after, the other may not come back at once.
    proven(council)
    council.candidates[0].versions = [9]
    council.candidates[0].evidence = Evidence(frauds=100, goods=5000, total=60.0, spread=20.0, plain=80.0)
    council.obey(Command("d", "promote", "A. Chen", "back", 9), 2 * DAY_MS, DESK)
    assert "between promotions" in council.registry.take()[1][-1].why


@pytest.mark.parametrize("automatic", [False, True])
def test_without_automatic_a_ready_challenger_only_asks(automatic: bool) -> None:
    rules = ModelRules(
        candidates=TWO, held_out=0.3, keep_every_ms=HOUR_MS, promotion=PromotionRules(automatic=automatic)
    )
    council = Council(rules)
    ready(council)
    council.registry.take()
    council.publish(4, 2 * DAY_MS)
    kinds = {each.kind for each in council.registry.take()[0]}
    assert ("promoted" in kinds, "challenger_ready" in kinds) == (automatic, not automatic)
    assert (council.champion.rules.name == "nimble") is automatic


def test_a_rollback_to_a_version_that_is_not_kept_is_refused_and_one_is_always_there() -> None:
    council = Council(RULES)
    schooled(council)
    council.publish(2, DAY_MS)
    council.obey(Command("c", "rollback", "A", "w", 99), DAY_MS, DESK)
    council.obey(Command("d", "rollback", "A", "w", 1), DAY_MS, DESK)
    _, history, _ = council.registry.take()
    assert [entry.accepted for entry in history] == [False, True]
    fresh = Council(RULES).champion.model.compile()
    assert np.array_equal(council.champion.model.compile().curves, fresh.curves)


def test_the_proof_stands_for_all_goods_and_forgets_the_oldest() -> None:
    proof = Proof()
    rows = vectors(3000, 1)
    fraud = np.zeros(3000)
    fraud[::100] = 1.0
    proof.add(rows, fraud)
    standing = proof.stand(Council(RULES).champion.compiled)
    assert (standing.frauds, len(standing.losses)) == (30, 830)
    assert standing.size == pytest.approx(3000)
    again = Proof.load(proof.dump())
    assert np.array_equal(again.stand(Council(RULES).champion.compiled).losses, standing.losses)


def test_a_snapshot_carries_where_it_comes_from() -> None:
    council = Council(RULES)
    arrays, _ = council.publish(2, DAY_MS)
    lineage = Lineage("nimble", "challenger", 1, "learned", "learner")
    from models.shared import SharedTable

    snapshot = Snapshot(5, DAY_MS, arrays, SharedTable({}, {}), {}, lineage=lineage)
    assert unpack(pack(snapshot, KEY), KEY).lineage == lineage


# --- crashes and commands ------------------------------------------------------------------------------


def feed(
    learner: Learner, logs: list[list[Observation]], starts: dict[int, int], rng: random.Random, stop: int | None,
    ruled: list[Ruling],
) -> list[Snapshot]:  # fmt: skip
    """Random interleaving; the rulings are known, as after a restart, and count at their epochs."""
    places, snapshots = dict(starts), []
    for ruling in ruled:
        learner.rule(ruling)
    while any(places[p] < len(logs[p]) for p in places):
        partition = rng.choice([p for p in places if places[p] < len(logs[p])])
        learner.observe(partition, places[partition], logs[partition][places[partition]])
        places[partition] += 1
        if rng.random() < 0.3:
            snapshots += learner.drain()
        if stop is not None:
            stop -= 1
            if stop == 0:
                break
    return snapshots + learner.drain()


@pytest.mark.parametrize("seed", range(4))
def test_commands_at_recorded_epochs_give_the_same_bytes_after_any_crash(seed: int) -> None:
    logs = random_logs(2, seed, hours=80)
    probe = Learner(2, QUICK, RULES)
    epochs = []
    for _ in feed_epochs(probe, logs):
        epochs.append(probe.done_ms)
    ruled = [Ruling(ROLLBACK, epochs[len(epochs) // 3]), Ruling(Command("c2", "promote", "A", "w", 3), epochs[-9])]
    start = dict.fromkeys(range(2), 0)
    whole = Learner(2, QUICK, RULES)
    expected = {s.version: b"".join(pack(s, KEY)) for s in feed(whole, logs, start, random.Random(0), None, ruled)}
    assert any(entry.why == "alerts doubled" for entry in whole.take_news()[1])
    rng = random.Random(seed)
    learner, seen = Learner(2, QUICK, RULES), {}
    starts = start
    for _ in range(3):
        for s in feed(learner, logs, starts, rng, rng.randrange(1, 400), ruled):
            seen[s.version] = b"".join(pack(s, KEY))
        learner = Learner.restore(learner.checkpoint(KEY), KEY, QUICK, RULES)
        starts = learner.resume_offsets()
    for s in feed(learner, logs, starts, rng, None, ruled):
        seen[s.version] = b"".join(pack(s, KEY))
    assert seen == expected


def feed_epochs(learner: Learner, logs: list[list[Observation]]):
    done = -1
    for offset in range(max(map(len, logs))):
        for partition, log in enumerate(logs):
            if offset < len(log):
                learner.observe(partition, offset, log[offset])
        learner.drain()
        if learner.done_ms != done:
            done = learner.done_ms
            yield done


def test_other_candidates_after_a_restart_begin_anew_and_limits_may_change() -> None:
    logs = random_logs(1, 3, hours=80)
    learner = Learner(1, QUICK, RULES)
    feed(learner, logs, {0: 0}, random.Random(1), None, [])
    other = ModelRules(candidates=(CandidateRules("house"), CandidateRules("steady", fast_rate=0.1)), held_out=0.3)
    restored = Learner.restore(learner.checkpoint(KEY), KEY, QUICK, other)
    assert [each.rules.name for each in restored.council.candidates] == ["house", "steady"]
    assert restored.council.champion.rules.name == "house"
    ours = restored.council.champion.model.compile().curves
    assert np.array_equal(ours, learner.council.champion.model.compile().curves)
    assert len(ours) == SIZE + 1
