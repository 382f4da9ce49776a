"""Input offsets against what was said about them: one disposition each, none lost, none twice."""

from __future__ import annotations

from dataclasses import dataclass, field

from streams.tail import Record

Place = tuple[int, int]  # partition, offset


@dataclass(slots=True)
class Account:
    """Input offsets and what was said about each: (disposition, value bytes) pairs."""

    inputs: dict[Place, Record]
    said: dict[Place, list[tuple[str, bytes | None]]] = field(default_factory=dict)

    def unaccounted(self) -> list[Place]:
        """Input offsets without a disposition."""
        return [place for place in self.inputs if place not in self.said]

    def invented(self) -> list[Place]:
        """Dispositions of offsets that are not in the input."""
        return [place for place in self.said if place not in self.inputs]

    def twice(self, *, equal_allowed: bool = False) -> list[Place]:
        """Offsets with more than one disposition; `equal_allowed` passes over exact repeats (no transactions)."""
        return [
            place for place, said in self.said.items() if len(said) > 1 and not (equal_allowed and len(set(said)) == 1)
        ]

    def kind(self, place: Place) -> str:
        """The disposition of one offset."""
        return self.said[place][0][0]

    def counts(self) -> dict[str, int]:
        """How many offsets have each disposition."""
        kinds = [said[0][0] for said in self.said.values()]
        return {kind: kinds.count(kind) for kind in sorted(set(kinds))}
