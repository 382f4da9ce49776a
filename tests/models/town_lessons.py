"""Engine and learner over a simulated town in one process, hour by hour; somebody may say what is not true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache

from alerts.policy import DEFAULT_PATH, load_policy
from features.events import Event, Outcome, Transaction
from models.governance.records import Entry, News
from models.governance.rules import ModelRules
from models.learner import Learner
from models.snapshot import Snapshot
from streams.evaluation import RunSettings, Scores, Watch, drive
from streams.sources.source import Labelled
from streams.town import Town, TownConfig

HOUR_MS, DAY_MS = 3_600_000, 86_400_000


class Told(Watch):
    """What the learner published and said."""

    def __init__(self) -> None:
        self.learner: Learner
        self.snapshots: list[Snapshot] = []
        self.news: list[News] = []
        self.history: list[Entry] = []

    def learned(self, learner: Learner, snapshots: list[Snapshot], news: list[News], history: list[Entry]) -> None:
        self.learner = learner
        self.snapshots += snapshots
        self.news += news
        self.history += history

    def kinds(self) -> Counter[str]:
        return Counter(news.kind for news in self.news)


def teach(events: Iterable[Event], rules: ModelRules, publish_every_h: int = 6) -> Told:
    """Everything in order of time: a tick, what was learned, the switch, the hour's events."""
    told = Told()
    settings = RunSettings(load_policy(DEFAULT_PATH), rules, publish_every_ms=publish_every_h * HOUR_MS)
    scores = Scores("event_id", integer_ids=False, labelled=True, joined=True)
    drive((Labelled(event, None, event.event_id) for event in events), (), scores, settings, watch=told)
    return told


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
