"""Engine and learner over a stream of events, in one process; what was scored and alerted is kept."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from alerts.policy import DEFAULT_PATH, parse_policy
from alerts.records import Alert
from alerts.shift import Assessor
from features.catalogue import CATALOGUE, INDEX
from features.events import Event, Switch, Tick, encode
from models.compiled import CompiledFraud, FraudScores
from models.governance.records import News
from models.governance.rules import ModelRules
from models.learner import Learner, LearnerSettings
from models.observation import decode_features, decode_observation
from models.shaping import Floats
from models.snapshot import LoadedSnapshot, Snapshot, initial_snapshot
from streams.engine import Engine

HOUR_MS = 3_600_000
_alerts = msgspec.json.Decoder(Alert)

# What the ablation leaves out, one group at a time.
_LEVELS = ("amount_excess", "amount_zscore_excess")
_MONTH = ("tx_count_30d", "amount_sum_30d", "terminal_fraud_count_30d")
GROUPS: dict[str, tuple[str, ...]] = {
    # Of the handbook's generator: terminals bad for 28 days, amounts times 5, amounts above 220.
    "what resembles the generator's constants": (*_LEVELS, *_MONTH, "amount_max_ratio_baseline"),
    "levels of amount": _LEVELS,
    "counts and sums of 30 days": _MONTH,
    "unusual amounts of the week": ("unusual_count_7d", "unusual_sum_7d"),
    "age and span of the terminal's series": ("terminal_fraud_age", "terminal_fraud_span"),
    "good since, unbroken, counts of known frauds": (
        "terminal_good_since", "terminal_fraud_unbroken", "terminal_fraud_count_7d", "terminal_fraud_count_30d",
    ),
}  # fmt: skip


@dataclass(slots=True)
class Scored:
    """One scored transaction."""

    event_id: str
    customer_id: str
    event_time_ms: int
    probability: float
    alerted: bool = False
    fraud: bool = False


@dataclass(slots=True)
class Run:
    """How to run, and what came of it. `without` are features held at their neutral value."""

    without: tuple[str, ...] = ()
    learn: bool = True
    publish_every_h: int = 6
    rules: ModelRules | None = None
    scored: list[Scored] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    news: list[News] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    last: Snapshot | None = None
    events: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Record:
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = -1
    headers: tuple[tuple[str, bytes], ...] = ()


class _Blind:
    """Scores with some features held at neutral; says so to nobody else."""

    def __init__(self, fraud: CompiledFraud, places: list[int], neutral: list[float]) -> None:
        self._fraud, self._places, self._neutral = fraud, places, neutral

    def score(self, vectors: Floats) -> FraudScores:
        blind = vectors.copy()
        blind[:, self._places] = self._neutral
        return self._fraud.score(blind)


class _Library:
    def __init__(self, run: Run) -> None:
        self._assessor = Assessor(parse_policy(DEFAULT_PATH.read_text("utf-8")))
        self.policy_version = self._assessor.policy.version
        self.places = [INDEX[name] for name in run.without]
        self.neutral = [_neutral(place) for place in self.places]
        self.latest = 0
        self.add(initial_snapshot())

    def add(self, snapshot: Snapshot) -> None:
        self._model = LoadedSnapshot(snapshot)
        if self.places:
            self._model.fraud = _Blind(self._model.fraud, self.places, self.neutral)  # type: ignore[assignment]  # shaped alike
        self.latest = snapshot.version

    def model(self, version: int) -> LoadedSnapshot:
        if version != self.latest:
            raise KeyError(version)
        return self._model

    def assessor(self, policy_version: str) -> Assessor:  # noqa: ARG002
        return self._assessor


def drive(events: Iterable[Event], run: Run, progress: Callable[[str], None] = print) -> Run:
    """Run everything hour by hour: a tick, what was learned meanwhile, then the hour's events."""
    library = _Library(run)
    engine = Engine(0, 1, "events", library, model_version=library.latest, policy_version=library.policy_version)
    learner = Learner(1, LearnerSettings(publish_every_ms=run.publish_every_h * HOUR_MS), run.rules)
    # What is kept is a million small objects without cycles: looking for cycles among them costs a third of the time.
    gc.disable()
    started, said, offset = time.monotonic(), time.monotonic(), 0
    place: dict[tuple[str, str], Scored] = {}
    for hour_ms, batch in _hours(events):
        tick = Tick(event_id=f"tick/0/{hour_ms}", event_time_ms=hour_ms, schema_version=1, partition=0)
        controls: list[Tick | Switch] = [tick]
        offset = _learn(learner, engine.process([], controls).decisions, offset, library, run)
        snapshots = learner.drain()
        run.news += learner.take_news()[0]
        learner.challengers.clear()
        if snapshots and run.learn:
            run.last = snapshots[-1]
            library.add(run.last)
            switch = Switch(
                event_id=f"switch/{run.last.version}", event_time_ms=hour_ms, schema_version=1, partition=0,
                model_version=run.last.version, policy_version=library.policy_version,
            )  # fmt: skip
            offset = _learn(learner, engine.process([], [switch]).decisions, offset, library, run)
        records = [_Record(run.events + i, e.customer_id.encode(), encode(e)) for i, e in enumerate(batch)]
        out = engine.process(records)
        first = len(run.scored)
        offset = _learn(learner, out.decisions, offset, library, run)
        for scored in run.scored[first:]:
            place[scored.customer_id, scored.event_id] = scored
        for _key, value, _headers in out.alerts:
            alert = _alerts.decode(value)
            run.alerts.append(alert)
            if found := place.get((alert.customer_id, alert.source_event_id)):
                found.alerted = True
        run.events += len(batch)
        if time.monotonic() - said > 10:
            said = time.monotonic()
            rate, day = run.events / (said - started), time.strftime("%Y-%m-%d", time.gmtime(hour_ms / 1000))
            progress(f"{run.events:,} events, {rate:,.0f}/s, {len(run.alerts):,} alerts, {day}")
    run.counters = learner.stats()
    run.seconds = time.monotonic() - started
    return run


def _learn(
    learner: Learner, decisions: list[tuple[bytes | None, bytes]], offset: int, library: _Library, run: Run
) -> int:
    for _key, value in decisions:
        o = decode_observation(value)
        if o.is_scored:
            if library.places:
                vector = decode_features(o.features)
                for where, neutral in zip(library.places, library.neutral, strict=True):
                    vector[where] = neutral
                o.features = msgspec.Raw(msgspec.json.encode(vector))
            if o.disposition == "decision" and o.fraud_probability is not None:
                run.scored.append(Scored(o.event_id, o.customer_id or "", o.event_time_ms, o.fraud_probability))
        learner.observe(0, offset, o)
        offset += 1
    return offset


def _hours(events: Iterable[Event]) -> Iterator[tuple[int, list[Event]]]:
    batch: list[Event] = []
    end_ms = -1
    for event in events:
        if event.event_time_ms >= end_ms:
            if batch:
                yield end_ms - HOUR_MS, batch
            batch, end_ms = [], (event.event_time_ms // HOUR_MS + 1) * HOUR_MS
        batch.append(event)
    if batch:
        yield end_ms - HOUR_MS, batch


def _neutral(place: int) -> float:
    feature = CATALOGUE[place]
    if feature.shape == "flag":
        return 0.0
    return math.expm1(feature.center) if feature.shape == "log1p" else float(feature.center)
