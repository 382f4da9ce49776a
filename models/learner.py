"""The learner, pure: decisions in, snapshots out; the same for every arrival order and every restart.

Records are taken epoch by epoch (`learning/epochs.py`). Each scored event waits with its vector
(`learning/waiting.py`); outcomes are joined to it. Every event teaches once, when it is `maturity_ms` old, by
what is known then: fraud and good must be equally old when learned, else the base rate would follow the
reporting delay. What comes later is a correction. Shared indicators move at once, when a fraud becomes known.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import asdict
from typing import NamedTuple

import numpy as np

from features.catalogue import FEATURE_VERSION, SIZE
from models.errors import CheckpointError, LearnerError
from models.fraud import FraudModel
from models.learning.checkpoint import Checkpoint, seal, unseal
from models.learning.epochs import Cell, Epoch, Epochs, Queued
from models.learning.settings import LearnerSettings
from models.learning.waiting import Entry, Waiting
from models.observation import FRAUD_OUTCOMES, GOOD_OUTCOMES, Observation, decode_features
from models.shared import SharedIndicators
from models.snapshot import Snapshot

_BLOCKED = ("declined", "reversed")

__all__ = ["Learner", "LearnerSettings", "kept"]


class _Lesson(NamedTuple):
    # When it became due, and where from: lessons are learned in this order.
    at_ms: int
    partition: int
    offset: int
    entry: Entry
    fraud: bool
    weight: float


class Learner:
    """Join, learn, publish.

    Parameters
    ----------
    partitions
        Of the decisions topic; all must tick for time to move.
    settings
        See `LearnerSettings`.
    """

    def __init__(self, partitions: int, settings: LearnerSettings | None = None) -> None:
        if partitions < 1:
            raise LearnerError(f"expected at least one partition, found {partitions}: create the topics first")
        self.settings = settings or LearnerSettings()
        self._partitions = partitions
        self._begin([Cell(0, -1, -1)] * partitions)
        self._ends = [Cell(0, -1, -1)] * partitions
        self._refilling: tuple[list[Cell], list[list[int]]] | None = None
        self._model = FraudModel()
        self._indicators = SharedIndicators(self.settings.entities_max)
        self._counters: Counter[str] = Counter()
        self._done_ms = -1
        self._version = 1
        self._published_ms = -1
        self._changed = False

    def observe(self, partition: int, offset: int, observation: Observation) -> None:
        """Queue one record of the decisions topic, at its decisions partition and offset, in offset order."""
        self._epochs.observe(partition, offset, observation)

    def full(self, partition: int) -> bool:
        """Whether this partition is so far ahead that the driver should read the others first."""
        return self._epochs.full(partition)

    def drain(self) -> list[Snapshot]:
        """Learn all complete epochs; returns the snapshots to publish, in order, often none."""
        snapshots = []
        for epoch in self._epochs.complete():
            live = epoch.end_ms > self._done_ms
            self._process(epoch, live)
            if live:
                self._done_ms, self._refilling = epoch.end_ms, None
                if self._changed and self._publication_due(epoch.end_ms):
                    snapshots.append(self._publish(epoch.end_ms))
        return snapshots

    def stats(self) -> dict[str, int]:
        """Counters since the beginning and gauges of now."""
        return dict(sorted(self._counters.items())) | {
            "places_evicted": self._indicators.evicted,
            "queued": self._epochs.queued,
            "records_repeated": self._epochs.repeated,
            "version": self._version,
            "waiting": len(self._waiting),
        }

    def offsets(self) -> dict[int, int]:
        """Per partition the next decisions offset after what was fully processed."""
        return {partition: end.start for partition, end in enumerate(self._ends)}

    def resume_offsets(self) -> dict[int, int]:
        """Per partition where to read from after `restore`, so that what waits for labels is there again."""
        return {partition: cell.start for partition, cell in enumerate(self._resume()[0])}

    def checkpoint(self, key: bytes) -> bytes:
        """Signed state as of the last complete epoch; queued records are not in it, they are read again."""
        resume, evicted = self._resume()
        return seal(
            Checkpoint(
                feature_version=FEATURE_VERSION, settings=asdict(self.settings), done_ms=self._done_ms,
                published_ms=self._published_ms, version=self._version, changed=self._changed,
                offsets=[end.start for end in self._ends], reached_ms=[end.reached_ms for end in self._ends],
                sources=[end.source_offset for end in self._ends],
                resume=[(cell.start, cell.reached_ms, cell.source_offset) for cell in resume],
                evicted=evicted, counters=dict(self._counters), river=self._model.dump(),
                indicators=self._indicators.dump(),
            ),
            key,
        )  # fmt: skip

    @classmethod
    def restore(cls, data: bytes, key: bytes, settings: LearnerSettings | None = None) -> Learner:
        """A learner that goes on where `checkpoint` was taken, once fed from `resume_offsets` on.

        Parameters
        ----------
        data, key
            From `checkpoint`, and the key it was signed with.
        settings
            If given, they must be the checkpoint's own.

        Raises
        ------
        CheckpointError
            Unsigned, altered, of another release or other settings.
        """
        saved = unseal(data, key)
        try:
            own = LearnerSettings(**saved.settings)
        except TypeError as error:
            raise CheckpointError(
                f"expected the settings of this release, found others ({error}): start anew"
            ) from None
        if settings is not None and settings != own:
            raise CheckpointError(
                f"expected the checkpoint's settings {own}, found {settings}: keep them, or start the learner "
                "without the checkpoint to learn everything again under the new ones"
            )
        learner = cls(len(saved.offsets), own)
        starts = [Cell(*cell) for cell in saved.resume]
        learner._begin(starts)
        learner._refilling = (starts, saved.evicted)
        learner._waiting.restore_evicted(saved.evicted)
        learner._ends = [Cell(*end) for end in zip(saved.offsets, saved.reached_ms, saved.sources, strict=True)]
        learner._model = FraudModel.load(saved.river)
        learner._indicators = SharedIndicators.load(saved.indicators)
        learner._counters = Counter(saved.counters)
        learner._done_ms, learner._published_ms = saved.done_ms, saved.published_ms
        learner._version, learner._changed = saved.version, saved.changed
        return learner

    def _begin(self, starts: list[Cell]) -> None:
        self._epochs = Epochs(starts, self.settings.epoch_ms, self.settings.queue_max)
        self._waiting = Waiting(self._partitions, self.settings.waiting_max)
        # Read again, the past is lived through with the ticks of that time, not with the latest.
        self._reached = [cell.reached_ms for cell in starts]

    def _resume(self) -> tuple[list[Cell], list[list[int]]]:
        # While the store fills again it does not know yet what it will hold: the checkpoint's own answer stands.
        if self._refilling is not None:
            return self._refilling
        cells = self._waiting.resume(self._ends)
        return cells, self._waiting.evicted()

    def _process(self, epoch: Epoch, live: bool) -> None:
        # What was learned before the checkpoint only fills the store again: same steps, nothing counted or learned.
        counters = self._counters if live else Counter()
        lessons: list[_Lesson] = []
        vectors: list[bytes] = []
        for record in epoch.records:
            if record.observation.kind == "outcome":
                self._join(record, lessons, counters, live)
            elif record.observation.is_scored:
                self._wait(record, vectors, counters, live)
        for partition, end in epoch.ends.items():
            self._reached[partition] = end.reached_ms
            if live:
                self._ends[partition] = Cell(end.next_offset, end.reached_ms, end.source_offset)
        for partition, reached_ms in enumerate(self._reached):
            for entry in self._waiting.mature(partition, reached_ms - self.settings.maturity_ms):
                if live and (entry.label is False or (entry.label is None and not entry.blocked)):
                    self._indicators.good_known(entry.terminal_id, entry.merchant_id, entry.event_time_ms)
                self._mature(entry, lessons, counters)
            counters["events_expired"] += self._waiting.expire(partition, reached_ms - self.settings.retain_ms)
        if live:
            self._learn(lessons, vectors)

    def _wait(self, record: Queued, vectors: list[bytes], counters: Counter[str], live: bool) -> None:
        o = record.observation
        if o.feature_version != FEATURE_VERSION or not o.customer_id:
            counters["events_of_other_features"] += 1
            return
        features = bytes(o.features)
        if features.count(b",") != SIZE - 1:
            counters["events_of_other_features"] += 1
            return
        key = (o.customer_id, o.event_id)
        entry = Entry(
            key, record.partition, record.offset, o.event_time_ms, features, o.anomaly_score or 0.0, o.terminal_id,
            o.merchant_id, o.status in _BLOCKED, record.cell, kept(key, self.settings.negative_keep),
        )  # fmt: skip
        if self._waiting.add(entry) is not None:
            counters["events_evicted"] += 1
        counters["events_seen"] += 1
        if live:
            # The trees ask what is usual: a share of the events says so too, once there are enough.
            if entry.kept or counters["events_seen"] <= self.settings.observe_all_max:
                vectors.append(features)
            self._changed = True
            if o.kind == "transaction":
                self._indicators.update(o.terminal_id, o.merchant_id, o.event_time_ms)

    def _join(self, record: Queued, lessons: list[_Lesson], counters: Counter[str], live: bool) -> None:
        o = record.observation
        if o.outcome not in FRAUD_OUTCOMES and o.outcome not in GOOD_OUTCOMES:
            counters["outcomes_of_other_kind"] += 1
            return
        entry = self._waiting.get((o.customer_id or "", o.about_event_id or ""))
        if entry is None:
            counters["outcomes_unknown_event"] += 1
            return
        fraud = o.outcome in FRAUD_OUTCOMES
        if entry.label == fraud:
            counters["outcomes_repeated"] += 1
            return
        counters["outcomes_fraud" if fraud else "outcomes_good"] += 1
        entry.label = fraud
        if live:
            self._changed = True
            if fraud:
                self._indicators.fraud_known(entry.terminal_id, entry.merchant_id, entry.event_time_ms, o.event_time_ms)
            elif entry.known_ms >= 0:
                self._indicators.fraud_withdrawn(entry.terminal_id, entry.merchant_id, entry.known_ms)
        entry.known_ms = o.event_time_ms if fraud else -1
        # Too late for the lesson at maturity: tell the model now, unless it was told the same or, being good, nothing.
        if entry.matured and entry.learned is not fraud and (fraud or entry.learned is not None):
            counters["labels_corrected"] += 1
            self._teach(_Lesson(o.event_time_ms, record.partition, record.offset, entry, fraud, 1.0), lessons, counters)

    def _mature(self, entry: Entry, lessons: list[_Lesson], counters: Counter[str]) -> None:
        weight = 1.0
        if entry.label is None:
            if entry.blocked:
                counters["events_blocked_unlabelled"] += 1
                return
            if not entry.kept:
                counters["goods_left_out"] += 1
                return
            weight = 1.0 / self.settings.negative_keep
        at_ms = entry.event_time_ms + self.settings.maturity_ms
        self._teach(_Lesson(at_ms, entry.partition, entry.offset, entry, bool(entry.label), weight), lessons, counters)

    def _teach(self, lesson: _Lesson, lessons: list[_Lesson], counters: Counter[str]) -> None:
        lesson.entry.learned = lesson.fraud
        lessons.append(lesson)
        counters["labels_learned"] += 1
        counters["frauds_learned" if lesson.fraud else "goods_learned"] += 1

    def _learn(self, lessons: list[_Lesson], vectors: list[bytes]) -> None:
        if vectors:
            self._model.observe_many(np.array([decode_features(vector) for vector in vectors]))
        if lessons:
            self._changed = True
            lessons.sort(key=lambda lesson: lesson[:3])
            matrix = np.array([decode_features(lesson.entry.features) for lesson in lessons])
            self._model.learn_many(matrix, [(it.entry.anomaly, it.fraud, it.weight) for it in lessons])

    def _publication_due(self, at_ms: int) -> bool:
        return self._published_ms < 0 or at_ms - self._published_ms >= self.settings.publish_every_ms

    def _publish(self, as_of_ms: int) -> Snapshot:
        self._version += 1
        self._published_ms = as_of_ms
        self._changed = False
        counters = dict(sorted(self._counters.items()))
        return Snapshot(self._version, as_of_ms, self._model.compile(), self._indicators.table(as_of_ms), counters)


def kept(key: tuple[str, str], keep: float) -> bool:
    """Whether a silently good event is learned: a pure function of its ids, uniform over events.

    Examples
    --------
    >>> sum(kept(("c", str(n)), 0.1) for n in range(10_000)) in range(900, 1100)
    True
    """
    digest = hashlib.blake2b("\0".join(key).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < keep * 2.0**64
