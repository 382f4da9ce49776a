"""The learner, pure: decisions in, snapshots out; the same for every arrival order and every restart.

Records are taken epoch by epoch (`learning/epochs.py`). Each scored event waits with its vector and outcomes are
joined to it (`learning/joining.py`). Every event teaches once, when it is `maturity_ms` old, by what is known
then: fraud and good must be equally old when learned, else the base rate would follow the reporting delay.
What comes later is a correction. Shared indicators move at once, when a fraud becomes known. Who learns, who is
published and who must go back is decided by the council (`governance/council.py`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

import numpy as np

from features.catalogue import FEATURE_VERSION
from features.warning_catalogue import COMMON, ON
from models.community import CommunityMonitor, Membership, Shock
from models.credit.learner import CreditSettings
from models.credit.office import CreditOffice
from models.early_warning import WarningLearner
from models.errors import CheckpointError, LearnerError
from models.governance.council import Council
from models.governance.drift import Alarm, DriftMonitor
from models.governance.evidence import log_loss
from models.governance.held_out import held_out
from models.governance.records import Card, Entry, News, Ruling
from models.governance.rules import ModelRules
from models.learning.checkpoint import Checkpoint, seal, unseal
from models.learning.epochs import Cell, Epoch, Epochs
from models.learning.joining import Joiner, Lesson, Turn, kept
from models.learning.settings import LearnerSettings
from models.observation import Observation, decode_features
from models.shaping import Floats
from models.shared import SharedTable
from models.snapshot import Snapshot

__all__ = ["Learner", "LearnerSettings", "kept"]


class Learner:
    """Join, learn, publish.

    Parameters
    ----------
    partitions
        Of the decisions topic; all must tick for time to move.
    settings
        See `LearnerSettings`.
    rules
        Candidates and what is allowed, see `ModelRules`.

    Attributes
    ----------
    credit
        Credit observations, what is learned of them, and the cards.
    challengers
        Snapshots of challengers made so far, for the driver to publish and clear; they hold no indicators.
    """

    def __init__(
        self, partitions: int, settings: LearnerSettings | None = None, rules: ModelRules | None = None,
        credit: CreditSettings | None = None,
    ) -> None:  # fmt: skip
        if partitions < 1:
            raise LearnerError(f"expected at least one partition, found {partitions}: create the topics first")
        self.settings = settings or LearnerSettings()
        self.rules = rules or ModelRules()
        self._partitions = partitions
        self._begin([Cell(0, -1, -1)] * partitions)
        self._ends = [Cell(0, -1, -1)] * partitions
        self._refilling: tuple[list[Cell], list[list[int]]] | None = None
        self.council = Council(self.rules)
        self.credit = CreditOffice(credit)
        self.challengers: list[Snapshot] = []
        self._warnings = WarningLearner()
        self._communities = CommunityMonitor()
        self._shocks: list[Shock] = []
        self._drift = DriftMonitor(self.rules.drift)
        # Held-out events that wait: what every candidate said of them when they came, by partition and offset.
        self._shadows: dict[tuple[int, int], tuple[float, ...]] = {}
        self._rulings: list[Ruling] = []
        self._counters: Counter[str] = Counter()
        self._done_ms = -1
        self._version = 1
        self._published_ms = -1

    @property
    def done_ms(self) -> int:
        """End of the last epoch that was learned; -1 before the first."""
        return self._done_ms

    def observe(self, partition: int, offset: int, observation: Observation) -> None:
        """Queue one record of the decisions topic, at its decisions partition and offset, in offset order."""
        self._epochs.observe(partition, offset, observation)

    def rule(self, ruling: Ruling) -> None:
        """Take a command with the epoch after which it counts; once, whatever is read again.

        Make the ruling durable first, with ``after_ms = done_ms``: a restart must meet it at the same place.
        """
        if ruling.after_ms < self._done_ms:
            return  # it counted before the checkpoint
        self._rulings.append(ruling)
        self._rulings.sort(key=lambda each: each.after_ms)

    def full(self, partition: int) -> bool:
        """Whether this partition is so far ahead that the driver should read the others first."""
        return self._epochs.full(partition)

    def drain(self) -> list[Snapshot]:
        """Learn all complete epochs; returns the snapshots to publish, in order, often none."""
        snapshots = []
        for epoch in self._epochs.complete():
            live = epoch.end_ms > self._done_ms
            if live:
                snapshots += self._obey(epoch.end_ms - 1)
            self._process(epoch, live)
            if live:
                self._done_ms, self._refilling = epoch.end_ms, None
                changed = self._joiner.changed or self.credit.changed
                if self.council.urgent or (changed and self._publication_due(epoch.end_ms)):
                    snapshots.append(self._publish(epoch.end_ms))
        return snapshots + self._obey(self._done_ms)

    def take_news(self) -> tuple[list[News], list[Entry], list[Card]]:
        """News for people, lines of history and cards of versions since the last call."""
        return self.council.registry.take()

    def take_shocks(self) -> list[Shock]:
        """Common shocks of districts and employers found since the last call."""
        shocks, self._shocks = self._shocks, []
        return shocks

    @property
    def version(self) -> int:
        """The latest number given to a snapshot."""
        return self._version

    @property
    def suspended(self) -> dict[str, int]:
        """Actors whose labels wait in quarantine → event time from which on they are heard again."""
        return self._joiner.desk.suspended

    def stats(self) -> dict[str, int]:
        """Counters since the beginning and gauges of now."""
        return dict(sorted(self._counters.items())) | {
            "lessons_rolled_back": self.council.set_aside,
            "places_evicted": self._joiner.indicators.evicted,
            "queued": self._epochs.queued,
            "records_repeated": self._epochs.repeated,
            "version": self._version,
            "waiting": len(self._joiner.waiting),
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
        council, rivers = self.council.dump()
        drift, rivers["drift"] = self._drift.dump()
        return seal(
            Checkpoint(
                feature_version=FEATURE_VERSION, settings=asdict(self.settings), done_ms=self._done_ms,
                published_ms=self._published_ms, version=self._version, changed=self._joiner.changed,
                offsets=[end.start for end in self._ends], reached_ms=[end.reached_ms for end in self._ends],
                sources=[end.source_offset for end in self._ends],
                resume=[(cell.start, cell.reached_ms, cell.source_offset) for cell in resume],
                evicted=evicted, counters=dict(self._counters), rivers=rivers,
                indicators=self._joiner.indicators.dump(), joiner=self._joiner.dump([cell.start for cell in resume]),
                council=council, drift=drift, credit=self.credit.dump(),
                shadows=[[p, offset, list(said)] for (p, offset), said in self._shadows.items()],
                warnings=self._warnings.dump(), communities=self._communities.dump(),
            ),
            key,
        )  # fmt: skip

    @classmethod
    def restore(
        cls, data: bytes, key: bytes, settings: LearnerSettings | None = None, rules: ModelRules | None = None,
        credit: CreditSettings | None = None,
    ) -> Learner:  # fmt: skip
        """A learner that goes on where `checkpoint` was taken, once fed from `resume_offsets` on.

        Parameters
        ----------
        data, key
            From `checkpoint`, and the key it was signed with.
        settings
            If given, they must be the checkpoint's own.
        rules
            May differ from those before: candidates are matched by name, limits count from now on.
        credit
            May differ too: what waits is judged by the new window from now on.

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
        learner = cls(len(saved.offsets), own, rules)
        starts = [Cell(*cell) for cell in saved.resume]
        learner._begin(starts)
        learner._refilling = (starts, saved.evicted)
        learner._joiner.waiting.restore_evicted(saved.evicted)
        learner._joiner.restore(saved.indicators, saved.joiner)
        learner._joiner.changed = saved.changed
        learner._ends = [Cell(*end) for end in zip(saved.offsets, saved.reached_ms, saved.sources, strict=True)]
        same = learner.council.restore(saved.council, saved.rivers)
        learner._drift = DriftMonitor.load(learner.rules.drift, saved.drift, saved.rivers["drift"])
        # Under other candidates the old ones' words about waiting events have no addressee.
        learner._shadows = {(p, offset): tuple(said) for p, offset, said in saved.shadows} if same else {}
        learner.credit = CreditOffice.load(saved.credit)
        if credit is not None:
            learner.credit.learner.settings = credit
        learner._counters = Counter(saved.counters)
        learner._warnings.restore(saved.warnings)
        learner._communities.restore(saved.communities)
        learner._done_ms, learner._published_ms, learner._version = saved.done_ms, saved.published_ms, saved.version
        return learner

    def _begin(self, starts: list[Cell]) -> None:
        self._epochs = Epochs(starts, self.settings.epoch_ms, self.settings.queue_max)
        self._joiner = Joiner(self._partitions, self.settings, self.rules)
        # Read again, the past is lived through with the ticks of that time, not with the latest.
        self._reached = [cell.reached_ms for cell in starts]

    def _resume(self) -> tuple[list[Cell], list[list[int]]]:
        # While the store fills again it does not know yet what it will hold: the checkpoint's own answer stands.
        if self._refilling is not None:
            return self._refilling
        cells = self._joiner.waiting.resume(self._ends)
        return cells, self._joiner.waiting.evicted()

    def _obey(self, until_ms: int) -> list[Snapshot]:
        """Commands whose epoch has ended; each makes its own publication, if it changed who decides."""
        snapshots = []
        while self._rulings and self._rulings[0].after_ms <= until_ms:
            ruling = self._rulings.pop(0)
            if not self.council.registry.has_obeyed(ruling.command.id):
                self._carry_out(ruling)
                if self.council.urgent or self.credit.changed:
                    snapshots.append(self._publish(max(self._done_ms, 0)))
        return snapshots

    def _carry_out(self, ruling: Ruling) -> None:
        command, at_ms = ruling.command, max(ruling.after_ms, 0)
        if command.kind != "approve_credit":
            self.council.obey(command, at_ms, self._joiner.desk)
            return
        registry = self.council.registry
        if refusal := self.credit.approve(command, at_ms, registry):
            registry.refuse(at_ms, command, refusal)
        registry.obeyed(command.id)

    def _process(self, epoch: Epoch, live: bool) -> None:
        # What was learned before the checkpoint only fills the store again: same steps, nothing counted or learned.
        counters = self._counters if live else Counter()
        turn = Turn()
        for record in epoch.records:
            self._joiner.take(record, turn, counters, live)
            if live:
                self._watch(record.observation)
                # All that waits in credit is in the checkpoint: months are too long to be read again.
                self.credit.take(record.observation)
        for partition, end in epoch.ends.items():
            self._reached[partition] = end.reached_ms
            if live:
                self._ends[partition] = Cell(end.next_offset, end.reached_ms, end.source_offset)
        for partition, reached_ms in enumerate(self._reached):
            self._joiner.reach(partition, reached_ms, turn, counters, live)
        if live:
            self._learn(turn, epoch.end_ms)
            self.credit.advance(epoch.end_ms)
            self._joiner.changed |= self._warnings.mature(epoch.end_ms)
            shocks = self._communities.advance(epoch.end_ms)
            if shocks:
                self._shocks += shocks
                self._counters["community_shocks"] += len(shocks)
                # Members' alerts name it from now on: not to wait for the next publication.
                self._joiner.changed, self._published_ms = True, -1

    def _watch(self, o: Observation) -> None:
        """Early warning: samples of readings, defaults, memberships and common signs."""
        customer_id = o.customer_id or ""
        if o.warnings is not None:
            known = o.disposition == "decision" and o.warning_probability is not None
            if known and not held_out(customer_id, self.rules.held_out):
                self._warnings.sample(customer_id, o.event_time_ms, o.warnings)
            if any(o.warnings[place] >= ON for place in COMMON):
                self._communities.sign(customer_id, o.event_time_ms)
            if o.watch and o.alert_ids:
                self._communities.alerted(customer_id, o.event_time_ms, o.alert_ids[-1])
        elif o.kind == "profile" and (o.district or o.employer):
            self._communities.belong(customer_id, Membership(o.district, o.employer))
        if o.kind == "outcome" and o.outcome == "default":
            self._warnings.default(customer_id, o.event_time_ms)

    def _learn(self, turn: Turn, at_ms: int) -> None:
        council = self.council
        for actor, capped_ms, figures in turn.capped:
            council.tell("labels_capped", capped_ms, actor, figures)
        alarms = self._drift.volume(turn.events, at_ms)
        if turn.shadowed:
            said = council.shadow(np.array([decode_features(entry.features) for entry in turn.shadowed]))
            for entry, probabilities in zip(turn.shadowed, said, strict=True):
                self._shadows[entry.partition, entry.offset] = probabilities
        for entry in turn.dropped:
            self._shadows.pop((entry.partition, entry.offset), None)
        if turn.seen:
            seen = np.array([decode_features(entry.features) for entry in turn.seen])
            council.observe(seen)
            alarms += self._drift.inputs(seen, np.array([entry.anomaly for entry in turn.seen]), at_ms)
        if turn.judged:
            turn.judged.sort(key=lambda lesson: lesson[:3])
            shadows = [self._shadows.pop((it.entry.partition, it.entry.offset), None) for it in turn.judged]
            council.judge(_vectors(turn.judged), shadows, np.array([float(it.fraud) for it in turn.judged]))
        if turn.lessons:
            self._joiner.changed = True
            turn.lessons.sort(key=lambda lesson: lesson[:3])
            alarms += self._losses(turn.lessons, at_ms)
            council.learn(_vectors(turn.lessons), [(it.entry.anomaly, it.fraud, it.weight) for it in turn.lessons])
        council.advance(at_ms)
        self._react(alarms, at_ms)

    def _losses(self, lessons: list[Lesson], at_ms: int) -> list[Alarm]:
        """What the champion in force had said, against what turned out."""
        known = [it for it in lessons if it.entry.probability is not None]
        fraud = np.array([float(it.fraud) for it in known])
        said = np.array([it.entry.probability for it in known], dtype=np.float64)
        return self._drift.losses(fraud, log_loss(said, fraud), at_ms)

    def _react(self, alarms: list[Alarm], at_ms: int) -> None:
        for alarm in alarms:
            self._counters[f"alarms_{alarm.kind}"] += 1
            self.council.tell(alarm.kind, at_ms, alarm.stream, {"before": alarm.before, "after": alarm.after})
        if self.rules.drift.react and any(alarm.kind == "drift_loss" for alarm in alarms):
            self.council.quicken()

    def _publication_due(self, at_ms: int) -> bool:
        return self._published_ms < 0 or at_ms - self._published_ms >= self.settings.publish_every_ms

    def _publish(self, as_of_ms: int) -> Snapshot:
        self._version += 1
        self._published_ms = as_of_ms
        self._joiner.changed = False
        counters = dict(sorted(self._counters.items()))
        arrays, lineage = self.council.publish(self._version, as_of_ms)
        snapshot = Snapshot(
            self._version, as_of_ms, arrays, self._joiner.indicators.table(as_of_ms), counters, lineage=lineage,
            warnings=self._warnings.weights(), struck=self._communities.open(), credit=self.credit.part(),
        )  # fmt: skip
        for version, weights, origin in self.council.challengers(self._version + 1, as_of_ms):
            self._version = version
            self.challengers.append(Snapshot(version, as_of_ms, weights, SharedTable({}, {}), {}, lineage=origin))
        return snapshot


def _vectors(lessons: list[Lesson]) -> Floats:
    return np.array([decode_features(lesson.entry.features) for lesson in lessons])
