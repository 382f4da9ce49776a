"""A deployment lived through again exactly as it was: recorded switches, ticks and world figures at their places."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.json import Decoder

from alerts.community import NO_CUSTOMER
from features.events import Control
from streams.dispositions import Output
from streams.engine import Engine
from streams.library import INITIAL_VERSION
from streams.recorded import put_in
from streams.replay.driver import Run, Show
from streams.replay.errors import ReplayError
from streams.replay.manifest import Chains
from streams.replay.output import Digest, PartitionOutput, by_topic
from streams.replay.published import RecordedLibrary
from streams.replay.topics import Deployment, Range
from streams.replay.work import TOPICS, Record


@dataclass(frozen=True, slots=True)
class Difference:
    """The first record of a partition's topic that is not as it was said live; None: nothing there."""

    topic: str
    partition: int
    number: int
    live: bytes | None
    replayed: bytes | None

    def as_json(self) -> dict[str, Any]:
        """For the manifest and the terminal."""
        live, replayed = (None if v is None else v.decode("utf-8", "replace") for v in (self.live, self.replayed))
        where = {"topic": self.topic, "partition": self.partition, "number": self.number}
        return {**where, "live": live, "replayed": replayed}


class _Place(Struct):
    offset: int = -1
    after_offset: int = -1


class _Begun(Struct):
    policy_version: str


_place, _begun = Decoder(_Place), Decoder(_Begun)


class Comparison:
    """Holds what the replay says of one partition against what was said live, as it comes."""

    def __init__(self, live: dict[str, Iterator[Record]], partition: int, *, controls: bool = True) -> None:
        self._live, self._partition, self._controls = live, partition, controls
        self._numbers: Counter[str] = Counter()
        self.difference: Difference | None = None

    def take(self, out: Output) -> None:
        """Compare what one call of the engine said."""
        for topic, items in by_topic(out).items():
            for item in items:
                if self.difference is not None:
                    return
                # Of some customers only, a control comes after another offset.
                if item[0] is None and not self._controls:
                    continue
                live = next(self._live[topic], None)
                headers = tuple(item[2]) if len(item) > 2 else ()
                if live is None or (live.key, live.value, live.headers or ()) != (item[0], item[1], headers):
                    self._found(topic, live, item[1])
                self._numbers[topic] += 1

    def end(self, last_offset: int) -> None:
        """Live may have gone on since; but of what was replayed nothing may be left."""
        more = next(self._live["decisions"], None)
        if self.difference is None and more is not None:
            place = _place.decode(more.value or b"{}")
            if max(place.offset, place.after_offset) < last_offset or place.offset == last_offset:
                self._found("decisions", more, None)
            return
        for topic in TOPICS[1:]:
            if self.difference is None and (left := next(self._live[topic], None)) is not None:
                self._found(topic, left, None)

    def _found(self, topic: str, live: Record | None, replayed: bytes | None) -> None:
        value = None if live is None else live.value
        self.difference = Difference(topic, self._partition, self._numbers[topic], value, replayed)


def turns(
    records: Iterator[Record], controls: Iterable[tuple[int, Control]], batch: int
) -> Iterator[tuple[list[Record], list[Control]]]:
    """Records and controls in the recorded order, (some records, none) or (none, one control) at a time."""
    waiting = next(records, None)
    taken: list[Record] = []
    for after, control in controls:
        while waiting is not None and waiting.offset <= after:
            taken.append(waiting)
            waiting = next(records, None)
            if len(taken) >= batch:
                yield taken, []
                taken = []
        if taken:
            yield taken, []
            taken = []
        yield [], [control]
    while waiting is not None:
        taken.append(waiting)
        waiting = next(records, None)
        if len(taken) >= batch:
            yield taken, []
            taken = []
    if taken:
        yield taken, []


@dataclass(frozen=True, slots=True)
class Asked:
    """What of the deployment is replayed.

    Parameters
    ----------
    out
        The replay's folder.
    batch
        Records an engine takes at once.
    ranges
        Offsets that are written; what lies before is lived through. None: all.
    customers
        These only, if any are named.
    check
        Compare with what was said live.
    """

    out: Path
    batch: int
    ranges: dict[int, Range] | None = None
    customers: frozenset[str] = frozenset()
    check: bool = False


def replay_recorded(
    deployment: Deployment, library: RecordedLibrary, asked: Asked, show: Show
) -> tuple[Run, Difference | None]:
    """All partitions, one after another.

    Raises
    ------
    ReplayError
        When the beginning of a partition, or a version it used, is kept no more.
    """
    run = Run(Chains(deployment.partitions))
    began, cpu = time.monotonic(), time.process_time()
    difference: Difference | None = None
    for partition in sorted(asked.ranges or range(deployment.partitions)):
        found = _partition(deployment, library, asked, partition, run, show)
        difference = difference or found
        run.seconds, run.cpu_seconds = time.monotonic() - began, time.process_time() - cpu
        if not run.finished:
            break
    return run, difference


def _partition(
    deployment: Deployment, library: RecordedLibrary, asked: Asked, partition: int, run: Run, show: Show
) -> Difference | None:
    settings = deployment.settings
    if deployment.begins(settings.topic_events, partition) > 0:
        raise ReplayError(
            f"expected {settings.topic_events}[{partition}] from its first record, found its beginning gone "
            "(retention): replay it as new (--as-new) from what is kept"
        )
    wanted = (asked.ranges or {}).get(partition, Range())
    names = (settings.topic_decisions, settings.topic_alerts, settings.topic_risk_changes, settings.topic_dead_letters)
    inputs = deployment.read(settings.topic_events, partition, Range(0, wanted.end))
    records = _noted(inputs, asked.customers)
    said = (r.value for r in deployment.read(settings.topic_decisions, partition) if r.value is not None)
    # What was put in behind the end is not of this range.
    controls = takewhile(lambda put: wanted.end is None or put[0] < wanted.end, put_in(said))
    engine = Engine(
        partition, deployment.partitions, settings.topic_events, library,
        model_version=INITIAL_VERSION, policy_version=first_policy(deployment, partition, library),
    )  # fmt: skip
    engine.packs_rows = False
    output, digests = PartitionOutput(asked.out, partition), {topic: Digest() for topic in TOPICS}
    live = {t: _live(deployment, n, partition, asked.customers) for t, n in zip(TOPICS, names, strict=True)}
    comparison = Comparison(live, partition, controls=not asked.customers) if asked.check else None
    input_digest = Digest()
    for some, put in _from(wanted.start, turns(records, controls, asked.batch)):
        input_digest.update((record.key, record.value) for record in some)
        try:
            out = engine.process(some, put)
        except KeyError as error:
            raise ReplayError(
                f"expected version {error} in {settings.topic_models}, found it kept no more: replay as new (--as-new)"
            ) from None
        if comparison is not None:
            comparison.take(out)
        if (some[0].offset if some else engine.meta.applied_offset) >= wanted.start:
            output.add(out)
            run.counts["events"] += out.events
            for topic, items in by_topic(out).items():
                digests[topic].update(items)
                run.counts[topic] += len(items)
        run.reached_ms, run.model_version = engine.meta.watermark_ms, engine.meta.model_version
        if some and not show(run):
            run.finished = False
            break
    output.close()
    run.chains.take_input(partition, input_digest.digest())
    run.chains.take_output({partition: [digest.digest() for digest in digests.values()]})
    if comparison is None or not run.finished:
        return None
    comparison.end(engine.meta.applied_offset)
    return comparison.difference


def _from(
    start: int, some_turns: Iterator[tuple[list[Record], list[Control]]]
) -> Iterator[tuple[list[Record], list[Control]]]:
    """The same turns, cut where the range begins."""
    for turn, put in some_turns:
        records = turn
        before = [record for record in records if record.offset < start]
        if before and len(before) < len(records):
            yield before, []
            records = records[len(before) :]
        yield records, put


def first_policy(deployment: Deployment, partition: int, library: RecordedLibrary) -> str:
    """The policy a partition began with: that of its first decision, a switch being the latest time it can change."""
    with closing(deployment.read(deployment.settings.topic_decisions, partition)) as decisions:
        first = next(decisions, None)
    if first is None or first.value is None:
        return library.any_policy
    return _begun.decode(first.value).policy_version


def _noted(records: Iterator[Record], customers: frozenset[str]) -> Iterator[Record]:
    keys = {name.encode() for name in customers}
    return (record for record in records if not keys or record.key in keys)


def _live(deployment: Deployment, name: str, partition: int, customers: frozenset[str]) -> Iterator[Record]:
    keys: Sequence[bytes] = sorted(name.encode() for name in customers)
    for record in deployment.read(name, partition):
        # What the learner says about its models is no partition's.
        if record.key in NO_CUSTOMER or (keys and record.key not in keys):
            continue
        yield record
