"""What a learner taught while it was killed, held against one learner that read the same decisions without a break."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from models.fraud import FraudModel
from models.learner import Learner
from models.learning.checkpoint import Checkpoint, unseal
from models.observation import decode_observation
from models.shared import SharedIndicators
from models.snapshot import Snapshot, pack, unpack
from streams.learner import LearnerProcess
from streams.settings import Settings
from streams.signing import signing_key
from streams.tail import Record, tail

_TURN = 200


@dataclass(slots=True)
class Lessons:
    """Versions published, those with other bytes than the uninterrupted learner's, and how the last checkpoint is."""

    published: int = 0
    published_after_last_kill: int = 0
    differing: list[int] = field(default_factory=list)
    checkpoint_differs: list[str] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "snapshots": self.published, "snapshots_after_last_kill": self.published_after_last_kill,
            "snapshots_other_than_uninterrupted": len(self.differing),
            "checkpoint_fields_other_than_uninterrupted": self.checkpoint_differs,
        }  # fmt: skip


def judge_learner(settings: Settings, partitions: int, last_kill_s: float) -> Lessons:
    """Compare every published snapshot, to the byte, and the last checkpoint."""
    key = signing_key(settings.key_path())
    snapshots, checkpoints, lessons = _published(settings, last_kill_s)
    saved = unseal(checkpoints[max(checkpoints)], key)
    before: dict[int, list[Record]] = {p: [] for p in range(partitions)}
    after: dict[int, list[Record]] = {p: [] for p in range(partitions)}
    for record in read_topic(settings, settings.topic_decisions):
        partition = record.partition
        side = before if record.offset < saved.offsets[partition] or _lags(saved, partition, before) else after
        side[partition].append(record)

    process = LearnerProcess(settings, partitions, True, key)
    learner = Learner(partitions, process.learner_settings(), process.rules)
    taught = {s.version: pack(s, key) for s in _feed(learner, before)}
    again = unseal(learner.checkpoint(key), key)
    lessons.checkpoint_differs = [
        name for name in Checkpoint.__struct_fields__ if _plain(again, name, key) != _plain(saved, name, key)
    ]
    taught |= {s.version: pack(s, key) for s in _feed(learner, after)}
    lessons.published = len(snapshots)
    whole = _whole(snapshots, key)
    lessons.differing = sorted(version for version, chunks in whole.items() if taught.get(version) != chunks)
    return lessons


def _whole(snapshots: dict[int, list[bytes]], key: bytes) -> dict[int, list[bytes]]:
    """Every snapshot packed whole: which of them were published as a difference depends on restarts."""
    known: dict[int, Snapshot] = {}
    for version in sorted(snapshots):
        known[version] = unpack(snapshots[version], key, known.__getitem__)
    return {version: pack(snapshot, key) for version, snapshot in known.items()}


def _lags(saved: Checkpoint, partition: int, before: dict[int, list[Record]]) -> bool:
    """Whether this partition must still say that time is up: what ends an epoch may be a tick beyond it.

    Then nothing of that epoch is behind the checkpoint's offset, but the tick must have been heard.
    """
    if saved.reached_ms[partition] >= saved.done_ms or not before[partition]:
        return False
    last = decode_observation(before[partition][-1].value or b"")
    return not (last.kind == "tick" and last.event_time_ms >= saved.done_ms)


def _published(settings: Settings, last_kill_s: float) -> tuple[dict[int, list[bytes]], dict[int, bytes], Lessons]:
    parts: dict[str, dict[int, dict[int, bytes]]] = {"snapshot": defaultdict(dict), "checkpoint": defaultdict(dict)}
    late: set[int] = set()
    for record in read_topic(settings, settings.topic_models):
        what, _, rest = (record.key or b"").decode().partition("/")
        if what in parts:
            version, place, _count = map(int, rest.split("/"))
            if what == "checkpoint" and place == 0:
                parts[what].pop(version, None)  # said again with what governance added; the last one counts
            assert place not in parts[what][version], f"{what} {version} was published twice"
            parts[what][version][place] = record.value or b""
            if what == "snapshot" and record.timestamp_ms > last_kill_s * 1000:
                late.add(version)
    whole = {
        what: {version: [found[i] for i in sorted(found)] for version, found in versions.items()}
        for what, versions in parts.items()
    }
    lessons = Lessons(published_after_last_kill=len(late))
    return whole["snapshot"], {v: b"".join(chunks) for v, chunks in whole["checkpoint"].items()}, lessons


def _feed(learner: Learner, records: dict[int, list[Record]]) -> Iterable[Snapshot]:
    places = dict.fromkeys(records, 0)
    while any(places[p] < len(records[p]) for p in records):
        for partition, place in places.items():
            if learner.full(partition):
                continue
            for record in records[partition][place : place + _TURN]:
                learner.observe(partition, record.offset, decode_observation(record.value or b""))
            places[partition] = min(place + _TURN, len(records[partition]))
        yield from learner.drain()
        # As the process does: what was taken has gone out and is not in the checkpoint.
        learner.take_news()


def _plain(checkpoint: Checkpoint, name: str, key: bytes) -> object:
    """A field in a form that can be compared: pickled bytes differ for equal objects."""
    if name == "rivers":
        table = SharedIndicators.load(checkpoint.indicators).table(checkpoint.done_ms)
        return {
            of: pack(Snapshot(1, checkpoint.done_ms, FraudModel.load(dump).compile(), table, {}), key)
            for of, dump in checkpoint.rivers.items()
            if of != "drift"
        }
    return msgspec.msgpack.encode(getattr(checkpoint, name))


def read_topic(settings: Settings, topic: str) -> list[Record]:
    """Every committed record of a topic, in order within each partition."""

    async def collect() -> list[Record]:
        return [record async for record in tail(settings.broker, topic, from_beginning=True, until_end=True)]

    return asyncio.run(collect())
