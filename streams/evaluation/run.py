"""Engine and learner over labelled rows, hour by hour, as a worker and a learner live it; labels come late.

An hour begins with a tick; what was learned up to it comes into force; then the hour's events are scored. So a
label is heard when it becomes known, changes its customer's row at once, and what the learner makes of it (the
model, shared indicators) from the next hour on. A row's own label is never before it.
"""

from __future__ import annotations

import gc
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from alerts.policy import Policy
from alerts.shift import Assessor
from features.events import Outcome, Switch, Tick, encode
from models.governance.rules import ModelRules
from models.learner import Learner, LearnerSettings
from models.observation import decode_observation
from models.snapshot import LoadedSnapshot, Snapshot, initial_snapshot
from streams.dispositions import Output
from streams.engine import Engine
from streams.evaluation.home import RowsHome
from streams.evaluation.scores import Scores
from streams.evaluation.watch import Watch
from streams.sources.labels import known_in_time
from streams.sources.source import Labelled
from streams.sources.times import DAY_MS

HOUR_MS = 3_600_000
# Events given to the engine at once; an hour may have any number.
_RECORDS_MAX = 8_192
# Told after every hour of event time: what was done so far, and that hour.
Progress = Callable[["Run", int], None]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How to run.

    Parameters
    ----------
    policy
        Which alerts there would have been; scores do not depend on it.
    rules
        Who learns and what is never published.
    maturity_ms
        Age at which a transaction teaches: the label delay, so that every label is there by then.
    retain_ms
        Age up to which a later label still corrects; only where labels come at times of their own.
    publish_every_ms
        Event time between model snapshots, at least.
    waiting_max
        Transactions that wait for their label; about a kilobyte each.
    rows_max
        Customers whose rows are held in memory, about two kilobytes each; where there are more, rows are on disk.
    prior_only
        The expert prior scores to the end; what is learned never comes into force.
    """

    policy: Policy
    rules: ModelRules = field(default_factory=ModelRules)
    maturity_ms: int = 7 * DAY_MS
    retain_ms: int = 14 * DAY_MS
    publish_every_ms: int = 6 * HOUR_MS
    waiting_max: int = 2_000_000
    rows_max: int = 100_000
    prior_only: bool = False

    def learner(self) -> LearnerSettings:
        """The learner's part."""
        return LearnerSettings(
            epoch_ms=HOUR_MS, publish_every_ms=self.publish_every_ms, maturity_ms=self.maturity_ms,
            retain_ms=max(self.maturity_ms, self.retain_ms), waiting_max=self.waiting_max, queue_max=self.waiting_max,
        )  # fmt: skip


@dataclass(slots=True)
class Run:
    """What came of it beside the scores.

    `not_scored` counts rows of the evaluated file that became events and got no score, by reason; `news` what the
    learner had to tell people (drift, a guard that tripped), by kind.
    """

    events: int = 0
    rows: int = 0
    learned_rows: int = 0
    not_scored: Counter[str] = field(default_factory=Counter)
    learner: dict[str, int] = field(default_factory=dict)
    news: Counter[str] = field(default_factory=Counter)
    versions: int = 1
    seconds: float = 0.0


def drive(
    rows: Iterable[Labelled],
    learn: Iterable[Labelled],
    scores: Scores,
    settings: RunSettings,
    progress: Progress = lambda _run, _hour_ms: None,
    watch: Watch | None = None,
) -> Run:
    """Run it all; `scores` holds every scored row of `rows` afterwards.

    Parameters
    ----------
    rows
        The evaluated file, in time order (as far as the engine takes late events).
    learn
        A file to learn from, in time order. What is in both is taken from `rows`.
    watch
        Sees every decision, output and snapshot on its way.
    """
    with ExitStack() as stack, _fewer_collections():
        return _drive(rows, learn, scores, settings, progress, watch or Watch(), stack)


def _drive(
    rows: Iterable[Labelled],
    learn: Iterable[Labelled],
    scores: Scores,
    settings: RunSettings,
    progress: Progress,
    watch: Watch,
    stack: ExitStack,
) -> Run:
    library = _Library(settings.policy, watch)
    engine = Engine(0, 1, "events", library, model_version=1, policy_version=settings.policy.version)
    home = RowsHome(engine, settings.rows_max, stack)
    learner = Learner(1, settings.learner(), settings.rules)
    run = Run()
    started, offset = time.monotonic(), 0
    for hour_ms, batch in _hours(known_in_time(_merged(rows, iter(learn)), to_the_end=False)):
        tick = Tick(event_id=f"tick/0/{hour_ms}", event_time_ms=hour_ms, schema_version=1, partition=0)
        offset = _control(home, learner, tick, offset, watch)
        snapshots = learner.drain()
        news, history, _cards = learner.take_news()
        run.news.update(each.kind for each in news)
        watch.learned(learner, snapshots, news, history)
        # They are judged inside the learner; nobody here scores with them.
        learner.challengers.clear()
        if snapshots and not settings.prior_only:
            newest = snapshots[-1]
            library.add(newest)
            run.versions += 1
            switch = Switch(
                event_id=f"switch/{newest.version}", event_time_ms=hour_ms, schema_version=1, partition=0,
                model_version=newest.version, policy_version=settings.policy.version,
            )  # fmt: skip
            offset = _control(home, learner, switch, offset, watch)
        for start in range(0, len(batch), _RECORDS_MAX):
            offset = _score(home, learner, batch[start : start + _RECORDS_MAX], offset, scores, run, watch)
        progress(run, hour_ms)
    run.learner = learner.stats()
    run.seconds = time.monotonic() - started
    return run


@contextmanager
def _fewer_collections() -> Iterator[None]:
    # A batch is thousands of objects that all die at its end; looking for cycles among them costs a tenth of the time.
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@dataclass(frozen=True, slots=True)
class _Record:
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = -1
    headers: tuple[tuple[str, bytes], ...] = ()


class _Library:
    # The snapshot in force is the only one anybody asks for.
    def __init__(self, policy: Policy, watch: Watch) -> None:
        self._assessor, self._watch = Assessor(policy), watch
        self.add(initial_snapshot())

    def add(self, snapshot: Snapshot) -> None:
        self._model = self._watch.model(LoadedSnapshot(snapshot))

    def model(self, version: int) -> LoadedSnapshot:
        if version != self._model.version:
            raise KeyError(version)
        return self._model

    def assessor(self, policy_version: str) -> Assessor:  # noqa: ARG002
        return self._assessor


def _score(
    home: RowsHome, learner: Learner, batch: list[Labelled], offset: int, scores: Scores, run: Run, watch: Watch
) -> int:
    first, expected = run.events, 0
    records = [
        _Record(first + place, row.event.customer_id.encode(), encode(row.event)) for place, row in enumerate(batch)
    ]
    for row in batch:
        if type(row.event) is Outcome:
            scores.known(row.event)
            if _is_evaluated(row):
                scores.outcome(row.event)
        elif _is_evaluated(row):
            expected += 1
        else:
            run.learned_rows += 1
    run.events += len(batch)
    run.rows += expected
    out = home.process(records)
    watch.output(out)
    for _key, value in out.decisions:
        o = decode_observation(value)
        derived = o.offset < first or o.disposition == "derived"
        watch.observed(None if derived else batch[o.offset - first], o)
        learner.observe(0, offset, o)
        offset += 1
        if derived:
            continue
        row = batch[o.offset - first]
        if not _is_evaluated(row) or type(row.event) is Outcome:
            continue
        expected -= 1
        if o.disposition != "decision":
            run.not_scored[o.disposition] += 1
        elif o.fraud_probability is not None:
            scores.add(row, o.fraud_probability, o.model_version, b'"alert_ids":' in value)
        else:
            run.not_scored["no_spending" if o.kind == "transaction" else "no_transaction"] += 1
    if expected:
        run.not_scored["refused"] += expected
    return offset


def _is_evaluated(row: Labelled) -> bool:
    # What only teaches was stripped of its id; an outcome that came at its time has none.
    return row.row_id is not None


def _control(home: RowsHome, learner: Learner, control: Tick | Switch, offset: int, watch: Watch) -> int:
    out: Output = home.process([], [control])
    watch.output(out)
    for _key, value in out.decisions:
        o = decode_observation(value)
        watch.observed(None, o)
        learner.observe(0, offset, o)
        offset += 1
    return offset


def _hours(rows: Iterable[Labelled]) -> Iterator[tuple[int, list[Labelled]]]:
    batch: list[Labelled] = []
    end_ms = -1
    for row in rows:
        at = row.event.event_time_ms
        if at >= end_ms:
            if batch:
                yield end_ms - HOUR_MS, batch
            batch, end_ms = [], (at // HOUR_MS + 1) * HOUR_MS
        batch.append(row)
    if batch:
        yield end_ms - HOUR_MS, batch


def _time_of(row: Labelled) -> int:
    return row.event.event_time_ms


def _merged(rows: Iterable[Labelled], learn: Iterator[Labelled]) -> Iterator[Labelled]:
    """Both in time order, what only teaches first, until the evaluated rows end; what is in both comes once."""
    lesson = next(learn, None)
    for at, group in itertools.groupby(rows, _time_of):
        while lesson is not None and _time_of(lesson) < at:
            yield lesson._replace(row_id=None)
            lesson = next(learn, None)
        if lesson is None or _time_of(lesson) > at:
            yield from group
            continue
        here = list(group)
        ids = {(row.event.customer_id, row.event.event_id) for row in here}
        while lesson is not None and _time_of(lesson) == at:
            if (lesson.event.customer_id, lesson.event.event_id) not in ids:
                yield lesson._replace(row_id=None)
            lesson = next(learn, None)
        yield from here
