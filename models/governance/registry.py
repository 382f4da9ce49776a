"""What governance has done and said: history without holes, cards of versions, news for people, commands obeyed."""

from __future__ import annotations

from typing import Any

import msgspec

from models.governance.records import Card, Command, Entry, News
from models.shared import DAY_MS

# Remembered in the checkpoint; an older command is never asked again.
_OBEYED_MAX = 1_000
# The same news about the same subject is told once a day.
_AGAIN_MS = DAY_MS


class Registry:
    """Collects until `take`; remembers what it must not say or do twice."""

    def __init__(self) -> None:
        self.news: list[News] = []
        self.entries: list[Entry] = []
        self.cards: list[Card] = []
        self._numbers = 0
        self._told: dict[str, int] = {}
        self._obeyed: dict[str, None] = {}

    def tell(self, kind: str, at_ms: int, subject: str, version: int, values: dict[str, float], *, often: bool) -> None:
        """News, unless the same was told within a day (`often`: even then)."""
        key = f"{kind}/{subject}"
        told_ms = self._told.get(key)
        if not often and told_ms is not None and at_ms - told_ms < _AGAIN_MS:
            return
        self._told[key] = at_ms
        self.news.append(News(kind, at_ms, subject, version, {k: round(v, 6) for k, v in values.items()}))

    def enter(
        self, at_ms: int, what: str, version: int, candidate: str, by: str, why: str, command: str = "",
        *, accepted: bool = True,
    ) -> None:  # fmt: skip
        """A line of history."""
        self._numbers += 1
        self.entries.append(Entry(self._numbers, at_ms, what, version, candidate, by, why, command, accepted))

    def refuse(self, at_ms: int, command: Command, why: str) -> None:
        """A line of history for a command that was not carried out."""
        told = f"{command.why}; refused: {why}"
        self.enter(at_ms, command.kind, command.version, "", command.by, told, command.id, accepted=False)

    def card(self, card: Card) -> None:
        """What a version is."""
        self.cards.append(card)

    def obeyed(self, command_id: str) -> None:
        """This command is done with."""
        self._obeyed[command_id] = None
        while len(self._obeyed) > _OBEYED_MAX:
            del self._obeyed[next(iter(self._obeyed))]

    def has_obeyed(self, command_id: str) -> bool:
        """Whether it was carried out or refused already."""
        return command_id in self._obeyed

    def take(self) -> tuple[list[News], list[Entry], list[Card]]:
        """What came up since the last call, in order."""
        taken = self.news, self.entries, self.cards
        self.news, self.entries, self.cards = [], [], []
        return taken

    def dump(self) -> list[Any]:
        """Plain values for the checkpoint; what was taken is not in it, it goes out with the checkpoint."""
        waiting = [
            [msgspec.to_builtins(record) for record in records] for records in (self.news, self.entries, self.cards)
        ]
        return [self._numbers, dict(self._told), list(self._obeyed), *waiting]

    @classmethod
    def load(cls, data: list[Any]) -> Registry:
        """Restore what `dump` wrote."""
        registry = cls()
        registry._numbers, registry._told, obeyed, news, entries, cards = data
        registry._obeyed = dict.fromkeys(obeyed)
        registry.news = msgspec.convert(news, list[News])
        registry.entries = msgspec.convert(entries, list[Entry])
        registry.cards = msgspec.convert(cards, list[Card])
        return registry
