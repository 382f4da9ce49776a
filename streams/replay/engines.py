"""The engines of some partitions in one process: a step in, what they said out, written as they go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

import msgspec
from msgspec import Struct

from alerts.policy import parse_policy
from features.events import Control, Switch, Tick
from streams.dispositions import Output
from streams.engine import Engine
from streams.evaluation.home import RowsHome
from streams.memory import avoid_long_pauses
from streams.memory_rows import MemoryRows
from streams.replay.output import Digest, PartitionOutput, by_topic
from streams.replay.versions import ReplayLibrary
from streams.replay.work import TOPICS, Record, Said, Step
from streams.rows import META_KEY, pack

# Customers whose rows are in memory, all partitions of the replay together; about two kilobytes each.
ROWS_MAX = 100_000


class EngineSettings(Struct, array_like=True):
    """What every process must know.

    `batch` is how many records an engine takes at once; it changes speed, never bytes.
    """

    folder: str
    topic: str
    partitions: int
    batch: int
    policy_source: str
    learn: bool
    segment: int = 0


class Engines:
    """Engines of the partitions `owned`.

    Parameters
    ----------
    settings
        See `EngineSettings`.
    owned
        Numbers of partitions, ascending.
    """

    def __init__(self, settings: EngineSettings, owned: Sequence[int]) -> None:
        avoid_long_pauses()
        self._settings, self._owned = settings, owned
        policy = parse_policy(settings.policy_source)
        self.library = ReplayLibrary([policy])
        self._stack = ExitStack()
        self._engines = {
            p: Engine(
                p, settings.partitions, settings.topic, self.library, model_version=1, policy_version=policy.version
            )
            for p in owned
        }
        rows_max = max(1, ROWS_MAX // settings.partitions)
        self._homes = {p: RowsHome(engine, rows_max, self._stack) for p, engine in self._engines.items()}
        self._outputs = {p: PartitionOutput(Path(settings.folder), p, settings.segment) for p in owned}
        for engine in self._engines.values():
            engine.packs_rows = False

    def work(self, step: Step) -> Said:
        """Work a step through: the new model first, then hour by hour records and tick."""
        if step.frame:
            self.library.take(step.frame)
        said = Said(step.number, {}, {}, {})
        counts: Counter[str] = Counter()
        for partition in self._owned:
            outs = list(self._work(partition, step))
            for out in outs:
                self._outputs[partition].add(out)
                counts["events"] += out.events
                for topic, items in by_topic(out).items():
                    counts[topic] += len(items)
            if self._settings.learn:
                said.decisions[partition] = [value for out in outs for _key, value in out.decisions]
            # By step, so that it does not matter how the step was cut into batches.
            digests = {topic: Digest() for topic in TOPICS}
            for out in outs:
                for topic, items in by_topic(out).items():
                    digests[topic].update(items)
            said.digests[partition] = [digest.digest() for digest in digests.values()]
        said.counts = dict(counts)
        return said

    def save(self, path: Path) -> None:
        """Finish the files, then write all rows: (partition, key, packed row), one after another."""
        for output in self._outputs.values():
            output.close()
        encoder = msgspec.msgpack.Encoder()
        with path.open("wb") as file:
            for partition, engine in self._engines.items():
                rows = ((customer_id.encode(), pack(row)) for customer_id, row in engine.rows.items())
                for key, value in chain(rows, [(META_KEY, pack(engine.meta))]):
                    data = encoder.encode((partition, key, value))
                    file.write(len(data).to_bytes(4, "big") + data)

    def restore(self, path: Path, frames: list[bytes]) -> None:
        """Take over what `save` wrote, of the partitions owned here; `frames` bring the models in force."""
        for frame in frames:
            self.library.take(frame)
        kept: dict[int, dict[bytes, bytes]] = {partition: {} for partition in self._owned}
        for partition, key, value in saved_rows(path):
            if partition in kept:
                kept[partition][key] = value
        for partition, rows in kept.items():
            self._engines[partition].restore(rows)

    def close(self) -> None:
        """Finish the files and remove what lies outside the folder."""
        for output in self._outputs.values():
            output.close()
        self._stack.close()

    def _work(self, partition: int, step: Step) -> Iterator[Output]:
        if step.frame:
            yield self._process(partition, (), [self._switch(partition)])
        for hour in step.hours:
            records = hour.records.get(partition, ())
            for start in range(0, len(records), self._settings.batch):
                yield self._process(partition, records[start : start + self._settings.batch])
            tick = Tick(
                event_id=f"tick/{partition}/{hour.tick_ms}", event_time_ms=hour.tick_ms, schema_version=1,
                partition=partition,
            )  # fmt: skip
            yield self._process(partition, (), [tick])

    def _process(self, partition: int, records: Sequence[Record], controls: Sequence[Control] = ()) -> Output:
        engine = self._engines[partition]
        out = self._homes[partition].process(records, controls)
        engine.packs_rows = not isinstance(engine.rows, MemoryRows)
        return out

    def _switch(self, partition: int) -> Switch:
        version, meta = self.library.latest, self._engines[partition].meta
        return Switch(
            event_id=f"switch/{partition}/{version}/{meta.policy_version}"[:64],
            event_time_ms=max(meta.watermark_ms, meta.tick_ms, 0), schema_version=1, partition=partition,
            model_version=version, policy_version=meta.policy_version,
        )  # fmt: skip


def saved_rows(path: Path) -> Iterator[tuple[int, bytes, bytes]]:
    """(partition, key, packed row) of everything `Engines.save` wrote there."""
    decoder = msgspec.msgpack.Decoder(tuple[int, bytes, bytes])
    with path.open("rb") as file:
        while head := file.read(4):
            yield decoder.decode(file.read(int.from_bytes(head, "big")))
