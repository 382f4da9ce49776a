"""A shock the learner found goes out once, on the alerts topic, in the transaction of the snapshot that knows it."""

from __future__ import annotations

import json

import pytest

from features.catalogue import FEATURE_VERSION
from features.warning_catalogue import CODES, PLACE
from models.learner import Learner, LearnerSettings
from models.observation import Observation
from models.snapshot import Snapshot, unpack
from streams.outbox import Outbox
from streams.settings import Settings

KEY = b"0123456789abcdef0123456789abcdef"
DAY_MS = 86_400_000
START_MS = 1_735_689_600_000
LOST = [float(code == "salary_overdue") for code in CODES]


class Log:
    """What one partition says to the learner, day by day."""

    def __init__(self, learner: Learner) -> None:
        self.learner, self.offset, self.shots = learner, 0, list[Snapshot]()

    def say(self, at_ms: int, **fields: object) -> None:
        known = {"disposition": "decision", "kind": "profile", "partition": 0, "offset": self.offset}
        observation = Observation(event_time_ms=at_ms, **(known | fields))  # type: ignore[arg-type]
        self.learner.observe(0, self.offset, observation)
        self.offset += 1

    def tick(self, at_ms: int) -> None:
        self.say(at_ms, disposition="control", kind="tick", offset=-1)
        self.shots += self.learner.drain()


def lived(learner: Learner, days: int = 100, start: int = 0) -> Log:
    """Forty people of one district; on day 80 half of them stop being paid, told by silence alone."""
    log = Log(learner)
    log.offset = start * 1_000
    for day in range(start, days):
        at_ms = START_MS + day * DAY_MS
        if day == 0:
            for n in range(40):
                log.say(at_ms, customer_id=f"c{n}", event_id=f"p{n}", district="north", employer=f"e{n}")
        if 80 <= day < 90:
            for n in (2 * day - 160, 2 * day - 159):
                silent = {"disposition": "derived", "kind": "tick", "event_id": f"s{n}"}
                log.say(at_ms, customer_id=f"c{n}", warnings=LOST, **silent)
        log.tick(at_ms + DAY_MS)
    return log


@pytest.fixture
def learner() -> Learner:
    return Learner(1, LearnerSettings(epoch_ms=DAY_MS))


def test_the_alert_and_the_snapshot_that_knows_the_group_go_out_together_and_once(learner: Learner) -> None:
    assert FEATURE_VERSION
    assert PLACE["salary_overdue"] == 0
    log = lived(learner)
    box = Outbox(Settings(), KEY)
    box.gather(learner, log.shots)
    assert box
    (_topic, _partition, alerts), (_models, _zero, items) = box.parts(learner)
    (found,) = [(key, json.loads(value)) for key, value, _headers in alerts if key == b"community"]
    assert (found[1]["rule"], found[1]["scope"]["id"], found[1]["members"]) == ("district_shock", "north", 40)
    chunks = [value for key, value, _headers in items if key.startswith(b"snapshot/")]
    assert unpack(chunks, KEY).struck == {"district:north": found[1]["alert_id"]}
    box.gather(learner, learner.drain())
    assert not box


def test_a_restart_between_the_blow_and_its_finding_finds_the_same_shock(learner: Learner) -> None:
    whole = lived(learner)
    shocks = learner.take_shocks()
    assert len(shocks) == 1
    first = Learner(1, LearnerSettings(epoch_ms=DAY_MS))
    lived(first, days=82)
    assert first.take_shocks() == []
    second = Learner.restore(first.checkpoint(KEY), KEY)
    log = lived(second, start=82)
    assert second.take_shocks() == shocks
    assert log.shots[-1].struck == whole.shots[-1].struck != {}
