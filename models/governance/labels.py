"""How much one actor may say: caps per day, per place and as a share; beyond them labels wait in quarantine."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

from models.governance.rules import LabelRules
from models.shared import DAY_MS

# `trip` is the label that exceeded a cap: with it the actor's earlier, not yet learned labels are set aside too.
Verdict = Literal["accept", "quarantine", "trip"]


class LabelDesk:
    """Counts who says what. Labels without a named actor (a card scheme, the customer) are accepted, and counted.

    Examples
    --------
    >>> desk = LabelDesk(LabelRules(actor_day_max=2))
    >>> [desk.judge("analyst-7", (f"terminal t{n}",), 0) for n in range(4)]
    ['accept', 'accept', 'trip', 'quarantine']
    """

    def __init__(self, rules: LabelRules) -> None:
        self.rules = rules
        self._day = -1
        self._total = 0
        self._of_actor: Counter[str] = Counter()
        self._of_place: Counter[tuple[str, str]] = Counter()
        self._suspended: dict[str, int] = {}

    def judge(self, actor: str | None, places: tuple[str, ...], at_ms: int) -> Verdict:
        """What to do with a label that became known at `at_ms`; call in learning order.

        Parameters
        ----------
        actor
            Who says it; None for a source without a name.
        places
            What it is about: terminal and merchant.
        """
        day = at_ms // DAY_MS
        if day > self._day:
            self._day, self._total = day, 0
            self._of_actor.clear()
            self._of_place.clear()
        self._total += 1
        if actor is None:
            return "accept"
        until = self._suspended.get(actor)
        if until is not None:
            if at_ms < until:
                return "quarantine"
            del self._suspended[actor]
        if actor not in self._of_actor and len(self._of_actor) >= self.rules.actors_max:
            return "quarantine"
        self._of_actor[actor] += 1
        for place in places:
            self._of_place[actor, place] += 1
        if not self._exceeds(actor, places):
            return "accept"
        self._suspended[actor] = at_ms + self.rules.suspended_ms
        return "trip"

    def release(self, actor: str) -> str:
        """Hear an actor again from the next label on, its day counted anew; returns why not, else an empty text.

        What it said meanwhile stays unlearned: who trusts it after all says it again.

        Examples
        --------
        >>> desk = LabelDesk(LabelRules(actor_day_max=1))
        >>> [desk.judge("a-7", (), 0) for _ in range(2)], desk.release("a-7"), desk.judge("a-7", (), 0)
        (['accept', 'trip'], '', 'accept')
        >>> desk.release("a-7")
        'expected an actor in quarantine, found a-7; there are: none'
        """
        if actor not in self._suspended:
            return f"expected an actor in quarantine, found {actor}; there are: {', '.join(self._suspended) or 'none'}"
        del self._suspended[actor]
        del self._of_actor[actor]
        self._of_place = Counter({key: count for key, count in self._of_place.items() if key[0] != actor})
        return ""

    def _exceeds(self, actor: str, places: tuple[str, ...]) -> bool:
        rules, count = self.rules, self._of_actor[actor]
        if count > rules.actor_day_max:
            return True
        if any(self._of_place[actor, place] > rules.actor_place_day_max for place in places):
            return True
        return count > rules.share_from and count > rules.actor_share_max * self._total

    @property
    def suspended(self) -> dict[str, int]:
        """Actor → event time from which on it is heard again."""
        return dict(self._suspended)

    def figures(self, actor: str) -> dict[str, float]:
        """Of the day: what the actor said, all labels."""
        return {"of_actor": float(self._of_actor[actor]), "of_all": float(self._total)}

    def dump(self) -> list[Any]:
        """Plain values for the checkpoint."""
        places = [[actor, place, count] for (actor, place), count in self._of_place.items()]
        return [self._day, self._total, dict(self._of_actor), places, dict(self._suspended)]

    @classmethod
    def load(cls, rules: LabelRules, data: list[Any]) -> LabelDesk:
        """Restore what `dump` wrote."""
        desk = cls(rules)
        desk._day, desk._total, actors, places, suspended = data
        desk._of_actor = Counter(actors)
        desk._of_place = Counter({(actor, place): count for actor, place, count in places})
        desk._suspended = dict(suspended)
        return desk
