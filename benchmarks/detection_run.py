"""Engine and learner over a stream of events, in one process; what was scored and alerted is kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec

from alerts.policy import DEFAULT_PATH, load_policy
from alerts.records import Alert
from features.catalogue import CATALOGUE, INDEX
from features.events import Event
from models.compiled import CompiledFraud, FraudScores
from models.governance.records import Entry, News
from models.governance.rules import ModelRules
from models.learner import Learner
from models.observation import Observation, decode_features
from models.shaping import Floats
from models.snapshot import LoadedSnapshot, Snapshot
from streams.dispositions import Output
from streams.evaluation import Run as EvaluationRun
from streams.evaluation import RunSettings, Scores, Watch
from streams.evaluation import drive as evaluate
from streams.sources.source import Labelled

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


class _Blind:
    """Scores with some features held at neutral; says so to nobody else."""

    def __init__(self, fraud: CompiledFraud, places: list[int], neutral: list[float]) -> None:
        self._fraud, self._places, self._neutral = fraud, places, neutral

    def score(self, vectors: Floats) -> FraudScores:
        blind = vectors.copy()
        blind[:, self._places] = self._neutral
        return self._fraud.score(blind)


class _Watch(Watch):
    """Keeps in `run` what was scored, alerted and told; holds its features at neutral, for scoring and for learning."""

    def __init__(self, run: Run, progress: Callable[[str], None]) -> None:
        self._run, self._progress = run, progress
        self._places = [INDEX[name] for name in run.without]
        self._neutral = [_neutral(place) for place in self._places]
        self._alerted: set[tuple[str, str]] = set()
        self._started = self._said = time.monotonic()

    def output(self, output: Output) -> None:
        alerts = [_alerts.decode(value) for _key, value, _headers in output.alerts]
        self._run.alerts += alerts
        self._alerted = {(alert.customer_id, alert.source_event_id) for alert in alerts}

    def observed(self, row: Labelled | None, observation: Observation) -> None:
        o = observation
        if not o.is_scored:
            return
        if self._places:
            vector = decode_features(o.features)
            for where, neutral in zip(self._places, self._neutral, strict=True):
                vector[where] = neutral
            o.features = msgspec.Raw(msgspec.json.encode(vector))
        if row is not None and o.disposition == "decision" and o.fraud_probability is not None:
            customer_id = o.customer_id or ""
            alerted = (customer_id, o.event_id) in self._alerted
            self._run.scored.append(Scored(o.event_id, customer_id, o.event_time_ms, o.fraud_probability, alerted))

    def learned(
        self,
        learner: Learner,  # noqa: ARG002
        snapshots: list[Snapshot],
        news: list[News],
        history: list[Entry],  # noqa: ARG002
    ) -> None:
        self._run.news += news
        if snapshots and self._run.learn:
            self._run.last = snapshots[-1]

    def model(self, loaded: LoadedSnapshot) -> LoadedSnapshot:
        if self._places:
            loaded.fraud = _Blind(loaded.fraud, self._places, self._neutral)  # type: ignore[assignment]  # shaped alike
        return loaded

    def hour(self, done: EvaluationRun, hour_ms: int) -> None:
        """Say now and then how far it is."""
        if time.monotonic() - self._said > 10:
            self._said = time.monotonic()
            rate, day = (
                done.events / (self._said - self._started),
                time.strftime("%Y-%m-%d", time.gmtime(hour_ms / 1000)),
            )
            self._progress(f"{done.events:,} events, {rate:,.0f}/s, {len(self._run.alerts):,} alerts, {day}")


def drive(events: Iterable[Event], run: Run, progress: Callable[[str], None] = print) -> Run:
    """Run everything hour by hour, as `riskshift evaluate` does."""
    watch = _Watch(run, progress)
    settings = RunSettings(
        load_policy(DEFAULT_PATH), run.rules or ModelRules(), publish_every_ms=run.publish_every_h * HOUR_MS,
        prior_only=not run.learn,
    )  # fmt: skip
    rows = (Labelled(event, None, event.event_id) for event in events)
    scores = Scores("event_id", integer_ids=False, labelled=True, joined=True)
    done = evaluate(rows, (), scores, settings, watch.hour, watch)
    run.counters, run.events, run.seconds = done.learner, done.events, done.seconds
    return run


def _neutral(place: int) -> float:
    feature = CATALOGUE[place]
    if feature.shape == "flag":
        return 0.0
    return math.expm1(feature.center) if feature.shape == "log1p" else float(feature.center)
