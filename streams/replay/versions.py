"""Model versions of one replay on their way to the engines, and kept for those who look back.

A frame holds the weights whole and of the shared indicators what differs from the frame before; so frames are
read in order, from a whole one on. They never leave the replay's own folder and hold plain numbers only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from alerts.policy import Policy
from alerts.shift import Assessor
from models.packing import PackedFraud, pack_arrays, unpack_arrays
from models.shared import Counts, SharedTable
from models.snapshot import LoadedSnapshot, Snapshot, initial_snapshot

Table = dict[str, Counts]


class _Frame(Struct, array_like=True):
    version: int
    as_of_ms: int
    fraud: PackedFraud
    # By sort of place: ids and their figures, one list a column; ids that are gone.
    changed: list[tuple[list[str], list[list[int]]]]
    gone: list[list[str]]
    whole: bool


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Frame)


def version_of(frame: bytes) -> int:
    """The version a frame brings."""
    return _decoder.decode(frame).version


class Frames:
    """Writes snapshots as frames."""

    def __init__(self) -> None:
        self._before: tuple[Table, ...] | None = None

    def frame(self, snapshot: Snapshot) -> bytes:
        """The next frame; the first one is whole."""
        frame = self._encode(snapshot, self._before)
        self._before = _tables(snapshot.shared)
        return frame

    def go_on(self, snapshot: Snapshot) -> None:
        """Take over after a restart: the next frame adds to this snapshot."""
        self._before = _tables(snapshot.shared)

    @staticmethod
    def _encode(snapshot: Snapshot, before: tuple[Table, ...] | None) -> bytes:
        changed, gone = [], []
        for place, table in enumerate(_tables(snapshot.shared)):
            earlier = before[place] if before is not None else {}
            rows = sorted((name, counts) for name, counts in table.items() if earlier.get(name) != counts)
            columns = [list(column) for column in zip(*(counts for _, counts in rows), strict=True)]
            changed.append(([name for name, _ in rows], columns))
            gone.append(sorted(name for name in earlier if name not in table))
        return _encoder.encode(
            _Frame(snapshot.version, snapshot.as_of_ms, pack_arrays(snapshot.fraud), changed, gone, before is None)
        )


class ReplayLibrary:
    """The versions one process scores with: the policy, and the latest two models.

    Parameters
    ----------
    policies
        All that may be named by a switch.
    """

    def __init__(self, policies: Iterable[Policy]) -> None:
        self._assessors = {policy.version: Assessor(policy) for policy in policies}
        self._models = {1: LoadedSnapshot(initial_snapshot())}
        self._tables: tuple[Table, ...] = ({}, {}, {})
        self.latest = 1

    def take(self, frame: bytes) -> int:
        """Read the next frame; returns its version."""
        snapshot = self.read(frame)
        # The one before is still in force in partitions that have not switched yet.
        self._models = {self.latest: self._models[self.latest], snapshot.version: LoadedSnapshot(snapshot)}
        self.latest = snapshot.version
        return snapshot.version

    def read(self, frame: bytes) -> Snapshot:
        """The snapshot of the next frame; the ones after it add to it."""
        found = _decoder.decode(frame)
        tables = []
        for before, (names, columns), gone in zip(self._tables, found.changed, found.gone, strict=True):
            # A new dictionary: the snapshot before may still be scored with.
            table = {} if found.whole else dict(before)
            for name in gone:
                del table[name]
            if names:
                table.update(zip(names, map(Counts, *columns), strict=True))
            tables.append(table)
        self._tables = tuple(tables)
        return Snapshot(found.version, found.as_of_ms, unpack_arrays(found.fraud), SharedTable(*tables))

    def model(self, version: int) -> LoadedSnapshot:
        """A compiled snapshot; `KeyError` for one that was let go of."""
        return self._models[version]

    def assessor(self, policy_version: str) -> Assessor:
        """The assessor of a policy; `KeyError` for an unknown one."""
        return self._assessors[policy_version]


def _tables(shared: SharedTable) -> tuple[Any, ...]:
    return shared.terminals, shared.merchants, shared.devices
