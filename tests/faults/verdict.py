"""What a deployment said, held against the engine run once, without any fault, over the same log.

The engine follows the controls that owners put in (`streams.recorded`), under the versions of the models topic, so
that one right answer exists to the byte: decisions, alerts, risk changes, dead letters in their order; the last
record of every key of rows, risk changes and watermarks; the local rows of the last owners. Beside that the topics
are counted on their own, without the engine: every offset answered once, alert ids distinct, sequences whole.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from streams import topics
from streams.engine import Engine
from streams.library import INITIAL_VERSION, VersionLibrary
from streams.recorded import merged, put_in
from streams.rows import META_KEY
from streams.settings import Settings
from streams.signing import signing_key
from streams.stores import opened, own_records, verified
from streams.tail import Record, tail
from tests.faults.code import check_code
from tests.streams.driver import Raw

SAID = ("decisions", "alerts", "risk_changes", "dead_letters")


class _Said(msgspec.Struct):
    disposition: str
    offset: int | None = None


class _Alert(msgspec.Struct):
    alert_id: str


class _Change(msgspec.Struct):
    customer_id: str
    sequence: int


class _Mark(msgspec.Struct):
    partition: int
    watermark_ms: int


@dataclass(slots=True)
class Topic:
    """One partition of an output topic: a digest of each record in order, its time, and the last value of each key."""

    digests: list[bytes] = field(default_factory=list)
    times_ms: list[int] = field(default_factory=list)
    last: dict[bytes | None, bytes | None] = field(default_factory=dict)


@dataclass(slots=True)
class Verdict:
    """Figures; `wrong` is empty when all promises held."""

    inputs: int = 0
    dispositions: dict[str, int] = field(default_factory=dict)
    alerts: int = 0
    risk_changes: int = 0
    customers: int = 0
    model_versions: int = 0
    lost_decisions: int = 0
    decided_twice: int = 0
    lost_alerts: int = 0
    alert_ids_twice: int = 0
    sequence_gaps: int = 0
    records_other_than_engine: int = 0
    rows_other_than_engine: int = 0
    compacted_other_than_engine: int = 0
    local_rows_other_than_engine: int = 0
    physical_duplicates: int = 0
    examples: list[str] = field(default_factory=list)
    decided_at_ms: dict[int, list[int]] = field(default_factory=dict)

    @property
    def wrong(self) -> dict[str, int]:
        """What must be 0 and is not."""
        names = (
            "lost_decisions", "decided_twice", "lost_alerts", "alert_ids_twice", "sequence_gaps",
            "records_other_than_engine", "rows_other_than_engine", "compacted_other_than_engine",
            "local_rows_other_than_engine", "physical_duplicates",
        )  # fmt: skip
        return {name: count for name in names if (count := getattr(self, name))}

    def figures(self) -> dict[str, Any]:
        """For JSON."""
        names = [name for name in self.__slots__ if name != "decided_at_ms"]
        return {name: getattr(self, name) for name in names}


def judge(settings: Settings, partitions: int, owned: Mapping[str, Iterable[int]] | None = None) -> Verdict:
    """Read everything under a prefix and compare.

    Parameters
    ----------
    owned
        Slot → partitions it owned last, whose local rows are compared too; the workers must have ended.
    """
    check_code()
    verdict = Verdict()
    library = library_of(settings)
    inputs: dict[int, list[Raw]] = {p: [] for p in range(partitions)}
    _each(settings, settings.topic_events, lambda r: inputs[r.partition].append(_input(r)))
    verdict.inputs = sum(map(len, inputs.values()))

    said, controls = _read_said(settings, partitions, verdict, inputs)
    rows: dict[int, dict[bytes | None, bytes | None]] = {p: {} for p in range(partitions)}
    row_offsets: dict[int, dict[bytes | None, int]] = {p: {} for p in range(partitions)}

    def take_row(record: Record) -> None:
        rows[record.partition][record.key] = record.value
        row_offsets[record.partition][record.key] = record.offset

    _each(settings, settings.topic_rows, take_row)
    marks = last_watermarks(settings)

    binding = topics.binding(settings.broker, settings.topic_prefix)
    versions = {INITIAL_VERSION}
    for partition, records in inputs.items():
        engine = Engine(
            partition, partitions, settings.topic_events, library, model_version=INITIAL_VERSION,
            policy_version=library.policy.version, binding=binding,
        )  # fmt: skip
        again = {name: Topic() for name in SAID}
        for put, turn in merged(records, [r.offset for r in records], put_in(controls[partition])):
            output = engine.process(turn, put)
            versions.add(engine.meta.model_version)
            for name in SAID:
                for item in getattr(output, name):
                    _note(again[name], item[0], item[1])
        for name in SAID:
            _compare(verdict, f"{name}[{partition}]", said[name][partition], again[name])
        missing = Counter(again["alerts"].digests) - Counter(said["alerts"][partition].digests)
        verdict.lost_alerts += missing.total()
        truth: dict[bytes | None, bytes | None] = dict(engine.snapshot())
        verdict.customers += len(truth) - 1
        verdict.rows_other_than_engine += _differing(verdict, f"rows[{partition}]", rows[partition], truth)
        verdict.compacted_other_than_engine += _differing(
            verdict, f"risk-changes[{partition}]", said["risk_changes"][partition].last, again["risk_changes"].last
        )
        latest = marks.get(partition, -1)
        if latest != engine.meta.watermark_ms:
            verdict.compacted_other_than_engine += 1
            verdict.examples.append(f"watermark[{partition}]: {latest}, the engine's {engine.meta.watermark_ms}")
        for slot in [slot for slot, numbers in (owned or {}).items() if partition in numbers]:
            position, local = _local_rows(Path(settings.home, "rows", slot, str(partition)))
            # They may lag behind the changelog, never lead it: with what is after their position they are whole.
            local |= {k: rows[partition][k] for k, offset in row_offsets[partition].items() if offset >= position}
            verdict.local_rows_other_than_engine += _differing(verdict, f"local[{partition}]", local, truth)
    verdict.model_versions = len(versions)
    return verdict


def last_watermarks(settings: Settings) -> dict[int, int]:
    """Partition → the watermark said last."""
    last: dict[bytes | None, bytes | None] = {}
    _each(settings, settings.topic_watermarks, lambda r: last.__setitem__(r.key, r.value))
    marks = [msgspec.json.decode(value, type=_Mark) for value in last.values() if value]
    return {mark.partition: mark.watermark_ms for mark in marks}


def library_of(settings: Settings) -> VersionLibrary:
    """Every model version of the models topic."""
    library = VersionLibrary(signing_key(settings.key_path()))
    chunks: dict[int, dict[int, bytes]] = defaultdict(dict)

    def take(record: Record) -> None:
        if record.key and record.key.startswith(b"snapshot/"):
            version, place, _count = map(int, record.key.split(b"/")[1:])
            chunks[version][place] = record.value or b""

    _each(settings, settings.topic_models, take)
    for version, parts in sorted(chunks.items()):
        library.add_snapshot(version, [parts[place] for place in sorted(parts)])
    return library


def _each(settings: Settings, topic: str, take: Callable[[Record], None]) -> None:
    async def read() -> None:
        async for record in tail(settings.broker, topic, from_beginning=True, until_end=True):
            take(record)

    asyncio.run(read())


def _input(record: Record) -> Raw:
    headers = tuple((name, value or b"") for name, value in record.headers)
    return Raw(record.offset, record.key, record.value, record.timestamp_ms, headers)


def _note(topic: Topic, key: bytes | None, value: bytes | None) -> None:
    topic.digests.append(blake2b(b"%b\0%b" % (key or b"", value or b""), digest_size=12).digest())
    topic.last[key] = value


def _read_said(
    settings: Settings, partitions: int, verdict: Verdict, inputs: dict[int, list[Raw]]
) -> tuple[dict[str, dict[int, Topic]], dict[int, list[bytes]]]:
    names = {
        "decisions": settings.topic_decisions, "alerts": settings.topic_alerts,
        "risk_changes": settings.topic_risk_changes, "dead_letters": settings.topic_dead_letters,
    }  # fmt: skip
    said = {name: {p: Topic() for p in range(partitions)} for name in names}
    controls: dict[int, list[bytes]] = {p: [] for p in range(partitions)}
    answers: Counter[tuple[int, int]] = Counter()
    kinds: Counter[str] = Counter()
    alert_ids: Counter[str] = Counter()
    sequences: dict[str, int] = defaultdict(int)

    def take(name: str, record: Record) -> None:
        topic, value = said[name][record.partition], record.value or b""
        _note(topic, record.key, value)
        topic.times_ms.append(record.timestamp_ms)
        if name == "decisions":
            decision = msgspec.json.decode(value, type=_Said)
            if decision.disposition == "control":
                controls[record.partition].append(value)
            if decision.disposition != "derived" and decision.offset is not None:
                answers[record.partition, decision.offset] += 1
                kinds[decision.disposition] += 1
        elif name == "dead_letters":
            answers[record.partition, int(dict(record.headers)["__connect.errors.offset"] or b"-1")] += 1
            kinds["dead_letter"] += 1
        elif name == "alerts":
            alert_ids[msgspec.json.decode(value, type=_Alert).alert_id] += 1
        else:
            change = msgspec.json.decode(value, type=_Change)
            verdict.sequence_gaps += change.sequence != sequences[change.customer_id] + 1
            sequences[change.customer_id] = change.sequence

    for name, topic in names.items():
        _each(settings, topic, lambda record, name=name: take(name, record))
        for one in said[name].values():
            # Dead letters may repeat: the same bad bytes sent twice are two inputs.
            repeats = len(one.digests) - len(set(one.digests)) if name != "dead_letters" else 0
            verdict.physical_duplicates += repeats
    verdict.decided_at_ms = {p: topic.times_ms for p, topic in said["decisions"].items()}
    known = {(p, record.offset) for p, records in inputs.items() for record in records}
    verdict.lost_decisions = len(known - answers.keys())
    verdict.decided_twice = sum(count - 1 for count in answers.values()) + len(answers.keys() - known)
    verdict.dispositions = dict(sorted(kinds.items()))
    verdict.alerts, verdict.risk_changes = alert_ids.total(), sum(len(t.digests) for t in said["risk_changes"].values())
    verdict.alert_ids_twice = sum(count > 1 for count in alert_ids.values())
    return said, controls


def _compare(verdict: Verdict, where: str, live: Topic, again: Topic) -> None:
    if live.digests == again.digests:
        return
    pairs = enumerate(zip(live.digests, again.digests, strict=False))
    first = next((place for place, (a, b) in pairs if a != b), min(len(live.digests), len(again.digests)))
    extra = Counter(live.digests) - Counter(again.digests)
    missing = Counter(again.digests) - Counter(live.digests)
    # At least one: the same records in another order are wrong too.
    verdict.records_other_than_engine += max(1, extra.total() + missing.total())
    verdict.examples.append(
        f"{where}: {len(live.digests)} records, the engine's {len(again.digests)}, first difference at {first}"
    )


def _differing(
    verdict: Verdict, where: str, found: dict[bytes | None, bytes | None], truth: dict[bytes | None, bytes | None]
) -> int:
    different = [key for key in found.keys() | truth.keys() if found.get(key) != truth.get(key)]
    if different:
        verdict.examples.append(f"{where}: {len(different)} differ, one is {sorted(map(repr, different))[0]}")
    return len(different)


def _local_rows(path: Path) -> tuple[int, dict[bytes | None, bytes | None]]:
    with opened(path) as db:
        own, _meta = own_records(path, db)
        return own.position, {META_KEY: own.meta, **dict(verified(path, db, own))}
