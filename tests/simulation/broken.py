"""Four protocols that look right and are not: the simulation must catch each, or it proves nothing.

Each changes as little of the real one as the mistake takes.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from aiokafka import TopicPartition

from features.events import Control
from streams.commit import Item, PartitionLog, _position, _rows
from streams.dispositions import Output, Record
from streams.engine import Engine
from streams.rows import META_KEY, pack, unpack_meta
from streams.settings import Settings
from tests.simulation.world import Protocol


class RowsFirst(PartitionLog):
    """Without transactions: rows before what was said. A crash between them, and alerts are never said."""

    async def _commit_in_order(self, partition: int, output: Output, extra: Sequence[tuple[str, Item]]) -> int | None:
        rows = await self._send(self.settings.topic_rows, partition, _rows(output))
        await asyncio.gather(*rows)
        await asyncio.gather(*await self._send_said(partition, output))
        for topic, item in extra:
            await asyncio.gather(*await self._send(topic, partition, (item,)))
        return _position(rows, output)


class OffsetsFirst(PartitionLog):
    """Input offsets in a transaction of their own, before the state. A crash between them, and the batch is lost."""

    async def _commit_transaction(
        self, partition: int, output: Output, extra: Sequence[tuple[str, Item]]
    ) -> int | None:
        if output.events:
            next_offset = unpack_meta(output.rows[META_KEY]).applied_offset + 1
            await self._producer.begin_transaction()
            source = TopicPartition(self.settings.topic_events, partition)
            await self._producer.send_offsets_to_transaction({source: next_offset}, self.settings.topic_prefix)
            await self._producer.commit_transaction()
        return await super()._commit_transaction(partition, output, extra)


class Unfenced(PartitionLog):
    """A transactional id of its own for every process: nobody is fenced, the last write wins."""

    _count = itertools.count()

    def __init__(self, settings: Settings, name: str, transactional: bool, producer: Any) -> None:
        super().__init__(settings, f"{name}-{next(self._count)}", transactional, producer)


class Forgetful(Engine):
    """Versions in force are kept in memory only: after a crash, or in another process, others are in force."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._at_first = self.meta.model_version, self.meta.policy_version

    def process(
        self, records: Sequence[Record], controls: Iterable[Control] = (), world_offset: int | None = None
    ) -> Output:
        """Leave the versions out of the partition's own row."""
        output = super().process(records, controls, world_offset)
        if META_KEY in output.rows:
            meta = unpack_meta(output.rows[META_KEY])
            meta.model_version, meta.policy_version = self._at_first
            output.rows[META_KEY] = pack(meta)
        return output

    def resume(self, packed_meta: bytes) -> None:
        """Go on under whatever this process starts with."""
        super().resume(packed_meta)
        self.meta.model_version, self.meta.policy_version = self._at_first
        self._use_versions()


# Name, protocol, and kinds of violation that only this mistake explains.
BROKEN: dict[str, tuple[Protocol, frozenset[str]]] = {
    "state before alerts": (Protocol(log=RowsFirst, fenced=False), frozenset(("lost", "said"))),
    "offsets before state": (Protocol(log=OffsetsFirst, fenced=True), frozenset(("lost", "stuck"))),
    "no fencing": (Protocol(log=Unfenced, fenced=True), frozenset(("twice", "alert twice"))),
    "switch not durable": (Protocol(engine=Forgetful, fenced=True), frozenset(("versions",))),
}
