"""How grades move: from every observation to the end of its window, and between two cards on the same people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from models.credit.card import CompiledCard
from models.grades import DEFAULT_GRADE, GRADES, grade_of

CUSTOMERS_MAX = 1_000_000
# A row of the matrix begins as this many customers who stayed, so that an empty one is no division by nothing.
_STAYED = 1.0


class Migration:
    """Counts (grade then, grade at the end of the window, D for default)."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._latest: dict[str, str] = {}

    def seen(self, customer_id: str, grade: str) -> None:
        """The customer's grade as it is now; of more than a million the one seen first is forgotten."""
        self._latest[customer_id] = grade
        if len(self._latest) > CUSTOMERS_MAX:
            del self._latest[next(iter(self._latest))]

    def matured(self, customer_id: str, grade: str, ended: str = "") -> None:
        """An observation's window has ended: in `ended`, or in the customer's latest grade."""
        ended = ended or self._latest.get(customer_id, grade)
        if grade and ended:
            self.counts[f"{grade}>{ended}"] += 1

    def probabilities(self) -> dict[str, dict[str, float]]:
        """For each grade seen, how likely every grade and D is at the end of the window; each row adds up to 1.

        Examples
        --------
        >>> moved = Migration()
        >>> moved.matured("c", "BB", "D"), moved.probabilities()["BB"]["D"]
        (None, 0.5)
        """
        table: dict[str, dict[str, float]] = {}
        ends = (*GRADES, DEFAULT_GRADE)
        for grade in GRADES:
            row = {end: self.counts[f"{grade}>{end}"] + (_STAYED if end == grade else 0.0) for end in ends}
            total = sum(row.values())
            if total > _STAYED:
                table[grade] = {end: count / total for end, count in row.items() if count}
        return table

    def between(
        self, vectors: Sequence[Sequence[float]], before: CompiledCard, after: CompiledCard
    ) -> dict[str, float]:
        """The same customers under two cards, as counts by `A>BBB`, in the order of the scale."""
        moves = Counter(
            (grade_of(before.score(inputs).pd_12m), grade_of(after.score(inputs).pd_12m)) for inputs in vectors
        )
        return {f"{a}>{b}": float(moves[a, b]) for a in GRADES for b in GRADES if moves[a, b]}

    def dump(self) -> list[Any]:
        """Plain values for the checkpoint."""
        return [dict(self.counts), dict(self._latest)]

    @classmethod
    def load(cls, data: Sequence[Mapping[str, Any]]) -> Migration:
        """Restore what `dump` wrote."""
        migration = cls()
        migration.counts, migration._latest = Counter(data[0]), dict(data[1])
        return migration
