"""Decisions ⋈ outcomes, one epoch at a time: what becomes a lesson, what judges, what is set aside.

`Joiner` is driven by `models/learner.py`. Read again after a restart (`live` is False), the same records run
through the same steps; only what was counted, learned or decided then is not done twice.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from features.catalogue import FEATURE_VERSION, SIZE
from models.governance.held_out import held_out
from models.governance.labels import LabelDesk, Verdict
from models.governance.rules import ModelRules
from models.learning.epochs import Queued
from models.learning.settings import LearnerSettings
from models.learning.waiting import Entry, Waiting
from models.observation import FRAUD_OUTCOMES, GOOD_OUTCOMES
from models.shared import SharedIndicators

_BLOCKED = ("declined", "reversed")


class Lesson(NamedTuple):
    """A mature label: when it became due and where from (lessons are learned in this order), and what it says."""

    at_ms: int
    partition: int
    offset: int
    entry: Entry
    fraud: bool
    weight: float


@dataclass(slots=True)
class Turn:
    """What one epoch gives.

    Attributes
    ----------
    lessons, judged
        Mature labels of customers that teach, and of those held out.
    seen
        Events the half-space trees see.
    shadowed
        Events of held-out customers that came in.
    dropped
        Held-out events that will never be judged.
    capped
        Actors that exceeded a cap: name, event time, figures.
    """

    lessons: list[Lesson] = field(default_factory=list)
    judged: list[Lesson] = field(default_factory=list)
    seen: list[Entry] = field(default_factory=list)
    shadowed: list[Entry] = field(default_factory=list)
    dropped: list[Entry] = field(default_factory=list)
    capped: list[tuple[str, int, dict[str, float]]] = field(default_factory=list)
    events: int = 0


class Joiner:
    """Joins; `changed` says that there is something new to publish."""

    def __init__(self, partitions: int, settings: LearnerSettings, rules: ModelRules) -> None:
        self.settings = settings
        self.rules = rules
        self.waiting = Waiting(partitions, settings.waiting_max)
        self.indicators = SharedIndicators(settings.entities_max)
        self.desk = LabelDesk(rules.labels)
        self.changed = False
        # Outcomes that were not accepted, by their place: read again, they must be met the same way.
        self._verdicts: dict[tuple[int, int], Verdict] = {}

    def take(self, record: Queued, turn: Turn, counters: Counter[str], live: bool) -> None:
        """One record of the epoch, in learning order."""
        if record.observation.kind == "outcome":
            self._join(record, turn, counters, live)
        elif record.observation.is_scored:
            self._wait(record, turn, counters, live)

    def reach(self, partition: int, at_ms: int, turn: Turn, counters: Counter[str], live: bool) -> None:
        """Ticks of a partition have reached `at_ms`: what is old enough teaches, what is too old goes."""
        for entry in self.waiting.mature(partition, at_ms - self.settings.maturity_ms):
            silent = entry.label is None
            if live and not entry.label and not (silent and (entry.blocked or entry.aside)):
                self.indicators.good_known(entry.terminal_id, entry.merchant_id, entry.event_time_ms)
            self._mature(entry, turn, counters)
        counters["events_expired"] += self.waiting.expire(partition, at_ms - self.settings.retain_ms)

    def _withdraw(self, entry: Entry) -> None:
        self.indicators.fraud_withdrawn(
            entry.terminal_id, entry.merchant_id, entry.event_time_ms, entry.known_ms, entry.device_id
        )

    def _wait(self, record: Queued, turn: Turn, counters: Counter[str], live: bool) -> None:
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
            device_id=o.device_id, probability=o.fraud_probability, held=held_out(o.customer_id, self.rules.held_out),
        )  # fmt: skip
        if o.propensity is not None:
            entry.propensity = o.propensity if o.control_group else 0.0
        evicted = self.waiting.add(entry)
        if evicted is not None:
            counters["events_evicted"] += 1
            turn.dropped.append(evicted)
        counters["events_seen"] += 1
        if live:
            turn.events += 1
            if entry.held:
                turn.shadowed.append(entry)
            elif entry.kept or counters["events_seen"] <= self.settings.observe_all_max:
                # The trees ask what is usual: a share of the events says so too, once there are enough.
                turn.seen.append(entry)
            self.changed = True
            if o.kind == "transaction":
                self.indicators.update(o.terminal_id, o.merchant_id, o.event_time_ms, o.device_id)

    def _join(self, record: Queued, turn: Turn, counters: Counter[str], live: bool) -> None:
        o = record.observation
        if o.outcome not in FRAUD_OUTCOMES and o.outcome not in GOOD_OUTCOMES:
            counters["outcomes_of_other_kind"] += 1
            return
        entry = self.waiting.get((o.customer_id or "", o.about_event_id or ""))
        if entry is None:
            counters["outcomes_unknown_event"] += 1
            return
        fraud = o.outcome in FRAUD_OUTCOMES
        if entry.label == fraud:
            counters["outcomes_repeated"] += 1
            return
        verdict = self._verdict(record, entry, turn, live)
        if verdict != "accept":
            counters["labels_quarantined"] += 1
            entry.aside = entry.label is None
            if verdict == "trip" and o.actor is not None:
                self._set_aside(o.actor, counters, live)
            return
        counters["outcomes_fraud" if fraud else "outcomes_good"] += 1
        entry.label, entry.actor, entry.aside = fraud, o.actor, False
        if live:
            self.changed = True
            if fraud:
                self.indicators.fraud_known(
                    entry.terminal_id, entry.merchant_id, entry.event_time_ms, o.event_time_ms, entry.device_id
                )
            elif entry.known_ms >= 0:
                self._withdraw(entry)
        entry.known_ms = o.event_time_ms if fraud else -1
        # Too late for the lesson at maturity: tell the model now, unless it was told the same or, being good, nothing.
        if entry.matured and entry.learned is not fraud and (fraud or entry.learned is not None):
            counters["labels_corrected"] += 1
            self._teach(Lesson(o.event_time_ms, record.partition, record.offset, entry, fraud, 1.0), turn, counters)

    def _verdict(self, record: Queued, entry: Entry, turn: Turn, live: bool) -> Verdict:
        place = (record.partition, record.offset)
        if not live:
            return self._verdicts.get(place, "accept")
        o = record.observation
        places = tuple(
            f"{kind} {name}"
            for kind, name in (("terminal", entry.terminal_id), ("merchant", entry.merchant_id))
            if name
        )
        verdict = self.desk.judge(o.actor, places, o.event_time_ms)
        if verdict != "accept":
            self._verdicts[place] = verdict
        if verdict == "trip" and o.actor is not None:
            turn.capped.append((o.actor, o.event_time_ms, self.desk.figures(o.actor)))
        return verdict

    def _set_aside(self, actor: str, counters: Counter[str], live: bool) -> None:
        """What this actor said and nobody learned yet was never said; its events teach nothing until another speaks."""
        for entry in self.waiting.said_by(actor):
            if entry.matured:
                continue
            counters["labels_set_aside"] += 1
            if live:
                self.changed = True
                if entry.known_ms >= 0:
                    self._withdraw(entry)
            entry.label, entry.actor, entry.aside, entry.known_ms = None, None, True, -1

    def _mature(self, entry: Entry, turn: Turn, counters: Counter[str]) -> None:
        weight = 1.0
        if entry.label is None:
            if entry.blocked or entry.aside:
                counters["events_set_aside" if entry.aside else "events_blocked_unlabelled"] += 1
                turn.dropped.append(entry)
                return
            if not entry.kept and not entry.held:
                counters["goods_left_out"] += 1
                return
            weight = 1.0 if entry.held else 1.0 / self.settings.negative_keep
        at_ms = entry.event_time_ms + self.settings.maturity_ms
        self._teach(Lesson(at_ms, entry.partition, entry.offset, entry, bool(entry.label), weight), turn, counters)

    def _teach(self, lesson: Lesson, turn: Turn, counters: Counter[str]) -> None:
        entry = lesson.entry
        if entry.propensity <= 0.0:
            # Declined by advice: the control group speaks for it, with the weight of all it stands for.
            counters["events_outside_control_group"] += 1
            turn.dropped.append(entry)
            return
        corrects = entry.learned is not None
        entry.learned = lesson.fraud
        if entry.held:
            if not corrects:
                turn.judged.append(lesson)
                counters["frauds_held_out" if lesson.fraud else "goods_held_out"] += 1
            return
        turn.lessons.append(lesson._replace(weight=lesson.weight / entry.propensity))
        counters["labels_learned"] += 1
        counters["frauds_learned" if lesson.fraud else "goods_learned"] += 1

    def dump(self, starts: list[int]) -> list[Any]:
        """Plain values for the checkpoint beside the indicators; reading will begin again from the offsets `starts`."""
        verdicts = [[p, offset, v] for (p, offset), v in self._verdicts.items() if offset >= starts[p]]
        return [self.desk.dump(), verdicts]

    def restore(self, indicators: list[Any], data: list[Any]) -> None:
        """Take over what was dumped."""
        desk, verdicts = data
        self.indicators = SharedIndicators.load(indicators)
        self.desk = LabelDesk.load(self.rules.labels, desk)
        self._verdicts = {(partition, offset): verdict for partition, offset, verdict in verdicts}


def kept(key: tuple[str, str], keep: float) -> bool:
    """Whether a silently good event is learned: a pure function of its ids, uniform over events.

    Examples
    --------
    >>> sum(kept(("c", str(n)), 0.1) for n in range(10_000)) in range(900, 1100)
    True
    """
    digest = hashlib.blake2b("\0".join(key).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < keep * 2.0**64
