"""Engine and learner over a scenario's town, hour by hour, and what they said of each customer's early warning."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from alerts.policy import DEFAULT_PATH, Policy, parse_policy
from alerts.shift import Assessor
from features import credit
from features.events import Event, InstalmentDue, Outcome, Statement, Switch, Tick, encode
from models.community import Shock
from models.early_warning import WarningWeights
from models.learner import Learner, LearnerSettings
from models.observation import decode_observation
from models.snapshot import LoadedSnapshot, Snapshot, initial_snapshot
from streams.engine import Engine
from streams.town import Town

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
# The rival rule: late by so many days, or so much of the limit used.
RULE_DPD, RULE_USED = 5, 0.95


@dataclass(slots=True)
class Seen:
    """One review of one customer."""

    customer_id: str
    at_ms: int
    readings: list[float]
    probability: float
    watch: bool | None


@dataclass(slots=True)
class Lived:
    """What was seen, said and true."""

    reviews: list[Seen] = field(default_factory=list)
    # (customer, time, rule, parent or "")
    alerts: list[tuple[str, int, str, str]] = field(default_factory=list)
    # (customer, time, path, to)
    moves: list[tuple[str, int, str, Any]] = field(default_factory=list)
    rule_hits: list[tuple[str, int]] = field(default_factory=list)
    shocks: list[Shock] = field(default_factory=list)
    due_ms: dict[str, int] = field(default_factory=dict)
    defaults: dict[str, int] = field(default_factory=dict)
    owing: dict[str, int] = field(default_factory=dict)
    events: int = 0
    weights: WarningWeights | None = None
    row_bytes_max: int = 0


@dataclass(frozen=True, slots=True)
class _Record:
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = -1
    headers: tuple[tuple[str, bytes], ...] = ()


class _Library:
    def __init__(self, policy: Policy) -> None:
        self._assessor = Assessor(policy)
        self.policy_version = policy.version
        self._model = LoadedSnapshot(initial_snapshot())

    def add(self, snapshot: Snapshot) -> None:
        self._model = LoadedSnapshot(snapshot)

    def model(self, version: int) -> LoadedSnapshot:
        if version != self._model.version:
            raise KeyError(version)
        return self._model

    def assessor(self, policy_version: str) -> Assessor:  # noqa: ARG002
        return self._assessor


class _Alert(msgspec.Struct):
    customer_id: str
    event_time_ms: int
    rule: str
    parent_alert_id: str = ""


class _Change(msgspec.Struct):
    customer_id: str
    event_time_ms: int
    changed: list[dict[str, Any]]


_alerts, _changes = msgspec.json.Decoder(_Alert), msgspec.json.Decoder(_Change)


def live(town: Town, *, learn: bool = True) -> Lived:
    """Run the town through the engine with the default policy, and its decisions through the learner."""
    lived = Lived()
    library = _Library(parse_policy(DEFAULT_PATH.read_text("utf-8")))
    engine = Engine(0, 1, "events", library, model_version=1, policy_version=library.policy_version)
    # Fraud is not asked here: few of its lessons are enough.
    settings = LearnerSettings(publish_every_ms=DAY_MS, negative_keep=0.02, observe_all_max=1_000)
    learner = Learner(1, settings)
    gc.disable()
    offset, ruled = 0, {}
    for hour_ms, batch in _hours(town.events()):
        tick = Tick(event_id=f"tick/0/{hour_ms}", event_time_ms=hour_ms, schema_version=1, partition=0)
        offset = _take(engine.process([], [tick]), learner, offset, lived)
        snapshots = learner.drain()
        learner.take_news()
        learner.challengers.clear()
        lived.shocks += learner.take_shocks()
        if snapshots and learn:
            library.add(snapshots[-1])
            lived.weights = snapshots[-1].warnings
            switch = Switch(
                event_id=f"switch/{snapshots[-1].version}", event_time_ms=hour_ms, schema_version=1, partition=0,
                model_version=snapshots[-1].version, policy_version=library.policy_version,
            )  # fmt: skip
            offset = _take(engine.process([], [switch]), learner, offset, lived)
        records = [_Record(lived.events + i, e.customer_id.encode(), encode(e)) for i, e in enumerate(batch)]
        out = engine.process(records)
        lived.events += len(batch)
        offset = _take(out, learner, offset, lived)
        for event in batch:
            if isinstance(event, (Statement, InstalmentDue)):
                lived.due_ms[event.event_id] = event.due_time_ms
                lived.owing.setdefault(event.customer_id, event.event_time_ms)
            elif isinstance(event, Outcome) and event.outcome == "default":
                lived.defaults.setdefault(event.customer_id, event.event_time_ms)
        if hour_ms // HOUR_MS % 24 == 0:
            _rule(engine, hour_ms, ruled, lived)
    for _customer, row in engine.rows.items():
        lived.row_bytes_max = max(lived.row_bytes_max, len(msgspec.msgpack.encode(row.credit.warnings)))
    gc.enable()
    return lived


def _take(out: Any, learner: Learner, offset: int, lived: Lived) -> int:
    for _key, value in out.decisions:
        o = decode_observation(value)
        if o.warning_probability is not None and o.warnings is not None:
            seen = Seen(o.customer_id or "", o.event_time_ms, o.warnings, o.warning_probability, o.watch)
            lived.reviews.append(seen)
        learner.observe(0, offset, o)
        offset += 1
    for _key, value, _headers in out.alerts:
        alert = _alerts.decode(value)
        lived.alerts.append((alert.customer_id, alert.event_time_ms, alert.rule, alert.parent_alert_id))
    for _key, value, _headers in out.risk_changes:
        change = _changes.decode(value)
        lived.moves += [
            (change.customer_id, change.event_time_ms, it["path"], it["to"])
            for it in change.changed
            if "grade" in it["path"]
        ]
    return offset


def _rule(engine: Engine, at_ms: int, ruled: dict[str, bool], lived: Lived) -> None:
    """Ask the rival rule of everybody, once a day; it fires when it begins to hold."""
    for customer_id, row in engine.rows.items():
        used, limit = 0, 0
        for facility in row.credit.facilities:
            if facility.limit_minor:
                used, limit = used + max(0, facility.balance_minor), limit + facility.limit_minor
        holds = credit.days_past_due(row.credit, at_ms) >= RULE_DPD or (limit > 0 and used > RULE_USED * limit)
        if holds and not ruled.get(customer_id, False):
            lived.rule_hits.append((customer_id, at_ms))
        ruled[customer_id] = holds


def _hours(events: Iterator[Event]) -> Iterator[tuple[int, list[Event]]]:
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
