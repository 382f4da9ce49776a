"""Engine and learner over a simulated town in one process, hour by hour; somebody may say what is not true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

from alerts.policy import DEFAULT_PATH, parse_policy
from alerts.shift import Assessor
from features.events import Event, Outcome, Switch, Tick, Transaction, encode
from models.governance.records import Entry, News
from models.governance.rules import ModelRules
from models.learner import Learner, LearnerSettings
from models.observation import decode_observation
from models.snapshot import LoadedSnapshot, Snapshot, initial_snapshot
from streams.engine import Engine
from streams.town import Town, TownConfig

HOUR_MS, DAY_MS = 3_600_000, 86_400_000


@dataclass(frozen=True, slots=True)
class _Record:
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = -1
    headers: tuple[tuple[str, bytes], ...] = ()


class _Library:
    def __init__(self) -> None:
        self._assessor = Assessor(parse_policy(DEFAULT_PATH.read_text("utf-8")))
        self.policy_version = self._assessor.policy.version
        self.latest = LoadedSnapshot(initial_snapshot())

    def model(self, version: int) -> LoadedSnapshot:
        if version != self.latest.version:
            raise KeyError(version)
        return self.latest

    def assessor(self, policy_version: str) -> Assessor:
        return self._assessor


@dataclass(slots=True)
class Told:
    """What the learner published and said."""

    learner: Learner
    snapshots: list[Snapshot] = field(default_factory=list)
    news: list[News] = field(default_factory=list)
    history: list[Entry] = field(default_factory=list)

    def kinds(self) -> Counter[str]:
        return Counter(news.kind for news in self.news)


def teach(events: Iterable[Event], rules: ModelRules, publish_every_h: int = 6) -> Told:
    """Everything in order of time: the hour's events, a tick, what was learned, the switch."""
    library = _Library()
    engine = Engine(0, 1, "events", library, model_version=1, policy_version=library.policy_version)
    learner = Learner(1, LearnerSettings(publish_every_ms=publish_every_h * HOUR_MS), rules)
    told, offset, seen = Told(learner), 0, 0
    for hour_ms, batch in hours(events):
        records = [_Record(seen + i, e.customer_id.encode(), encode(e)) for i, e in enumerate(batch)]
        seen += len(batch)
        tick = Tick(event_id=f"tick/{hour_ms}", event_time_ms=hour_ms + HOUR_MS, schema_version=1, partition=0)
        decisions = [*engine.process(records).decisions, *engine.process([], [tick]).decisions]
        for _key, value in decisions:
            learner.observe(0, offset, decode_observation(value))
            offset += 1
        snapshots = learner.drain()
        news, history, _cards = learner.take_news()
        told.snapshots += snapshots
        told.news += news
        told.history += history
        learner.challengers.clear()
        if snapshots:
            library.latest = LoadedSnapshot(snapshots[-1])
            switch = Switch(
                event_id=f"switch/{snapshots[-1].version}", event_time_ms=hour_ms + HOUR_MS, schema_version=1,
                partition=0, model_version=snapshots[-1].version, policy_version=library.policy_version,
            )  # fmt: skip
            engine.process([], [switch])
            offset += 1
    return told


def hours(events: Iterable[Event]) -> Iterator[tuple[int, list[Event]]]:
    """Events by the hour they are in."""
    batch: list[Event] = []
    at_ms = -1
    for event in events:
        hour_ms = event.event_time_ms // HOUR_MS * HOUR_MS
        if hour_ms != at_ms and batch:
            yield at_ms, batch
            batch = []
        at_ms = hour_ms
        batch.append(event)
    if batch:
        yield at_ms, batch


@cache
def town(people: int, days: int, seed: int) -> tuple[Event, ...]:
    """All events of a town, made once."""
    return tuple(Town(TownConfig(people=people, days=days, seed=seed)).events())


def slandered(events: Sequence[Event], actor: str | None, share: float, from_day: int) -> tuple[list[Event], str, int]:
    """The same events with genuine purchases at one busy merchant reported as fraud a day later.

    Parameters
    ----------
    actor
        Who says so; None says it without a name.
    share
        Of all labels from `from_day` on (every transaction becomes one in the end).
    """
    start_ms = events[0].event_time_ms // DAY_MS * DAY_MS + from_day * DAY_MS
    true = {event.about_event_id for event in events if isinstance(event, Outcome)}
    late = [event for event in events if isinstance(event, Transaction) and event.event_time_ms >= start_ms]
    busiest = Counter(event.merchant_id for event in late if event.merchant_id).most_common(1)[0][0]
    genuine = [event for event in late if event.merchant_id == busiest and event.event_id not in true]
    chosen = genuine[: max(1, int(share * len(late)))]
    lies: list[Event] = [
        Outcome(
            event_id=f"lie-{event.event_id}", customer_id=event.customer_id, schema_version=1,
            event_time_ms=event.event_time_ms + DAY_MS, outcome="fraud_confirmed", about_event_id=event.event_id,
            card_id=event.card_id, by="bank", **({"actor": actor} if actor else {}),
        )
        for event in chosen
    ]  # fmt: skip
    end_ms = events[-1].event_time_ms
    told = [lie for lie in lies if lie.event_time_ms <= end_ms]
    by_time: Callable[[Event], int] = lambda event: event.event_time_ms  # noqa: E731
    return sorted([*events, *told], key=by_time), str(busiest), len(told)
