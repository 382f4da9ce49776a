"""Scored events that wait for their label: joined by customer and event id, bounded, evicted by a stated rule.

An event waits until its label is mature, then stays for corrections until `retain_ms` after its event time.
When the store is full the event that came first goes, is counted, and teaches nothing: neither good (nobody
may know yet) nor fraud (a later outcome finds no event and is counted as unknown).
"""

from __future__ import annotations

from msgspec import Struct

from models.learning.epochs import Cell

Key = tuple[str, str]

# Events that mature together lie together: an hour of event time. Sorting what is taken is cheaper than a heap.
_SHELF_MS = 3_600_000


class Entry(Struct, eq=False, gc=False):
    """One scored event. `label` is what is known, `learned` what the model was told; None is nothing yet.

    `features` are the vector as JSON, as it came: most are never learned from, and it is no larger than its numbers.
    """

    key: Key
    partition: int
    offset: int
    event_time_ms: int
    features: bytes
    anomaly: float
    terminal_id: str | None
    merchant_id: str | None
    blocked: bool
    cell: Cell
    # Whether it is among the silently good events that are learned; a pure function of the key.
    kept: bool
    label: bool | None = None
    learned: bool | None = None
    matured: bool = False
    # When this event's fraud was counted in the shared indicators; -1 when it was not.
    known_ms: int = -1
    # What the champion in force said of it; None where nothing did.
    probability: float | None = None
    # Of a customer who never teaches; judged instead.
    held: bool = False
    # Who said `label`, where it is a named actor; whether what was said is set aside.
    actor: str | None = None
    aside: bool = False
    # How often a declined event like this is let pass; 1 where nothing was declined, 0 where it was not let pass.
    propensity: float = 1.0
    device_id: str | None = None


class Waiting:
    """The store.

    Parameters
    ----------
    partitions
        Number of partitions; maturity is judged in each by its own ticks.
    waiting_max
        Events held at once.
    """

    def __init__(self, partitions: int, waiting_max: int) -> None:
        self.waiting_max = waiting_max
        self._entries: dict[Key, Entry] = {}
        self._young = [_Shelves() for _ in range(partitions)]
        self._old = [_Shelves() for _ in range(partitions)]
        # Offsets of evicted events which a reading from `resume` would meet again.
        self._evicted: list[dict[int, None]] = [{} for _ in range(partitions)]
        # Shelves may hold entries that were evicted meanwhile; counted, so that they are swept in time.
        self._dead = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> Entry | None:
        """The event that waits under this key."""
        return self._entries.get(key)

    def said_by(self, actor: str) -> list[Entry]:
        """Events whose label this actor gave, in order of partition and offset. O(n)."""
        found = [entry for entry in self._entries.values() if entry.actor == actor]
        found.sort(key=lambda entry: (entry.partition, entry.offset))
        return found

    def add(self, entry: Entry) -> Entry | None:
        """Let an event wait; returns the one evicted for it, if any. The same key again takes the old one's place."""
        if entry.offset in self._evicted[entry.partition]:
            return None
        if self._entries.pop(entry.key, None) is not None:
            self._dead += 1
        self._entries[entry.key] = entry
        self._young[entry.partition].put(entry)
        if len(self._entries) <= self.waiting_max:
            return None
        evicted = self._entries.pop(next(iter(self._entries)))
        self._evicted[evicted.partition][evicted.offset] = None
        self._dead += 1
        if self._dead > self.waiting_max:
            self._sweep()
        return evicted

    def mature(self, partition: int, before_ms: int) -> list[Entry]:
        """Events of a partition from before this event time, earliest first; each once, they stay for corrections."""
        entries = self._take(self._young[partition], before_ms)
        old = self._old[partition]
        for entry in entries:
            entry.matured = True
            old.put(entry)
        entries.sort(key=_place)
        return entries

    def expire(self, partition: int, before_ms: int) -> int:
        """Let go of matured events from before this event time; returns how many."""
        entries = self._take(self._old[partition], before_ms)
        for entry in entries:
            del self._entries[entry.key]
        return len(entries)

    def resume(self, ends: list[Cell]) -> list[Cell]:
        """Per partition where reading must begin to fill the store again; `ends` where nothing waits. O(n)."""
        cells = list(ends)
        for entry in self._entries.values():
            if entry.cell.start < cells[entry.partition].start:
                cells[entry.partition] = entry.cell
        for cell, evicted in zip(cells, self._evicted, strict=True):
            for offset in [o for o in evicted if o < cell.start]:
                del evicted[offset]
        return cells

    def evicted(self) -> list[list[int]]:
        """Per partition the offsets that `add` refuses; call `resume` first, which forgets those out of reach."""
        return [list(offsets) for offsets in self._evicted]

    def restore_evicted(self, offsets: list[list[int]]) -> None:
        """Refuse these offsets from now on."""
        self._evicted = [dict.fromkeys(of_partition) for of_partition in offsets]

    def _take(self, shelves: _Shelves, before_ms: int) -> list[Entry]:
        taken = []
        for entry in shelves.take(before_ms):
            if self._entries.get(entry.key) is entry:
                taken.append(entry)
            else:
                self._dead -= 1
        return taken

    def _sweep(self) -> None:
        for shelves in (*self._young, *self._old):
            shelves.keep(self._entries)
        self._dead = 0
        self.resume([Cell(max(evicted, default=-1) + 1, -1, -1) for evicted in self._evicted])


class _Shelves:
    # Entries by the hour of their event time.
    __slots__ = ("_shelves",)

    def __init__(self) -> None:
        self._shelves: dict[int, list[Entry]] = {}

    def put(self, entry: Entry) -> None:
        number = entry.event_time_ms // _SHELF_MS
        shelf = self._shelves.get(number)
        if shelf is None:
            self._shelves[number] = [entry]
        else:
            shelf.append(entry)

    def take(self, before_ms: int) -> list[Entry]:
        """What is from before this event time, in no order."""
        taken: list[Entry] = []
        for number in [number for number in self._shelves if number * _SHELF_MS < before_ms]:
            shelf = self._shelves.pop(number)
            if (number + 1) * _SHELF_MS > before_ms:
                rest = [entry for entry in shelf if entry.event_time_ms >= before_ms]
                if rest:
                    self._shelves[number] = rest
                shelf = [entry for entry in shelf if entry.event_time_ms < before_ms]
            taken += shelf
        return taken

    def keep(self, entries: dict[Key, Entry]) -> None:
        """Forget what is not among these any more."""
        for number, shelf in list(self._shelves.items()):
            rest = [entry for entry in shelf if entries.get(entry.key) is entry]
            if rest:
                self._shelves[number] = rest
            else:
                del self._shelves[number]


def _place(entry: Entry) -> tuple[int, int]:
    return entry.event_time_ms, entry.offset
