"""Five percent of the labels are lies of one actor against a merchant: none is learned, and people are told."""

from __future__ import annotations

import numpy as np
import pytest

from models.compiled import CompiledFraud
from models.governance.held_out import Proof
from models.governance.records import News
from models.governance.rules import ModelRules
from tests.models.town_lessons import Told, slandered, teach, town

PEOPLE, DAYS, SEED, FROM_DAY = 150, 45, 11, 15
ACTOR = "analyst-7"


@pytest.fixture(scope="module")
def clean() -> Told:
    return teach(town(PEOPLE, DAYS, SEED), ModelRules())


@pytest.fixture(scope="module")
def poisoned() -> tuple[Told, str, int]:
    events, merchant, lies = slandered(town(PEOPLE, DAYS, SEED), ACTOR, 0.05, FROM_DAY)
    return teach(events, ModelRules()), merchant, lies


def logits(told: Told, proof: Proof) -> np.ndarray:
    """What the last published model says of the same held-out events."""
    probability = proof.stand(CompiledFraud(told.snapshots[-1].fraud)).probability
    return np.log(probability / (1.0 - probability))


def test_the_cap_trips_and_one_alert_names_the_actor(poisoned: tuple[Told, str, int]) -> None:
    told, _merchant, lies = poisoned
    assert lies > 30
    capped = [news for news in told.news if news.kind == "labels_capped"]
    assert [news.subject for news in capped] == [ACTOR]
    assert isinstance(capped[0], News)
    stats = told.learner.stats()
    assert stats["labels_quarantined"] + stats["labels_set_aside"] == lies
    assert told.learner.suspended.keys() == {ACTOR}


def test_the_champion_is_the_one_of_a_run_without_the_actor(clean: Told, poisoned: tuple[Told, str, int]) -> None:
    told = poisoned[0]
    stats, without = told.learner.stats(), clean.learner.stats()
    assert stats["frauds_learned"] == without["frauds_learned"]
    # Only the slandered events themselves teach nothing: a handful of the goods that would have been learned.
    missing = without["goods_learned"] - stats["goods_learned"]
    assert 0 <= missing <= 0.05 * without["goods_learned"]
    ours, theirs = (logits(run, clean.learner.council.proof) for run in (told, clean))
    distance = np.abs(ours - theirs)
    # A tenth of a logit: what the slandered goods, which teach nothing, would have told about the base rate.
    assert distance.max() < 0.3


def test_the_merchant_is_not_slandered_in_the_shared_indicators(clean: Told, poisoned: tuple[Told, str, int]) -> None:
    told, merchant, _ = poisoned
    ours = told.snapshots[-1].shared.merchants[merchant]
    theirs = clean.snapshots[-1].shared.merchants[merchant]
    assert (ours.fraud_30d, ours.fraud_7d) == (theirs.fraud_30d, theirs.fraud_7d)


def test_without_caps_the_lies_would_have_been_learned(clean: Told) -> None:
    """The caps are what holds: the same lies without a name reach the weights."""
    events, merchant, lies = slandered(town(PEOPLE, DAYS, SEED), None, 0.05, FROM_DAY)
    told = teach(events, ModelRules())
    ours, theirs = (logits(run, clean.learner.council.proof) for run in (told, clean))
    assert np.median(np.abs(ours - theirs)) > 1.0
    assert told.learner.stats()["frauds_learned"] > clean.learner.stats()["frauds_learned"] + lies / 3
    assert told.snapshots[-1].shared.merchants[merchant].fraud_30d > 30
