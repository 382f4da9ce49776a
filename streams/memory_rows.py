"""Customers' rows in memory only: for replay, evaluation and tests. The worker's are in `streams.store`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from typing import Protocol

from streams.rows import CustomerRow


class Rows(Protocol):
    """What the engine asks of a place that keeps rows. A row it was given is changed in place."""

    def get(self, customer_id: str) -> CustomerRow | None:
        """The row, or None for a customer never seen."""

    def expect(self, keys: Iterable[bytes | None]) -> None:
        """These customers (record keys, not checked) are asked for next: a store may read them together."""

    def create(self, customer_id: str) -> CustomerRow:
        """An empty row for a customer never seen."""

    def due_changed(self, customer_id: str, row: CustomerRow) -> None:
        """`row.due_ms` is another than before."""

    def due(self, until_ms: int) -> Iterable[tuple[int, str]]:
        """(due time, customer) of everyone due by `until_ms`, earliest first, ties by customer."""

    def items(self) -> Iterable[tuple[str, CustomerRow]]:
        """Every row, by customer."""

    def __len__(self) -> int:
        """How many customers."""


class MemoryRows:
    """Rows in a dictionary, due times in a heap whose stale entries are passed over."""

    def __init__(self) -> None:
        self._rows: dict[str, CustomerRow] = {}
        self._heap: list[tuple[int, str]] = []

    def get(self, customer_id: str) -> CustomerRow | None:
        """The row, or None for a customer never seen."""
        return self._rows.get(customer_id)

    def expect(self, keys: Iterable[bytes | None]) -> None:
        """Nothing to do: all are here."""

    def __getitem__(self, customer_id: str) -> CustomerRow:
        return self._rows[customer_id]

    def create(self, customer_id: str) -> CustomerRow:
        """An empty row for a customer never seen."""
        row = self._rows[customer_id] = CustomerRow()
        return row

    def put(self, customer_id: str, row: CustomerRow) -> None:
        """Take a whole row, as at a restore."""
        self._rows[customer_id] = row
        self.due_changed(customer_id, row)

    def due_changed(self, customer_id: str, row: CustomerRow) -> None:
        """`row.due_ms` is another than before."""
        if row.due_ms >= 0:
            heappush(self._heap, (row.due_ms, customer_id))

    def due(self, until_ms: int) -> list[tuple[int, str]]:
        """(due time, customer) of everyone due by `until_ms`, earliest first, ties by customer."""
        found: list[tuple[int, str]] = []
        while self._heap and self._heap[0][0] <= until_ms:
            entry = heappop(self._heap)
            row = self._rows[entry[1]]
            # A timer that moved has an entry of its own; the same entry twice is one.
            if row.due_ms == entry[0] and (not found or found[-1] != entry):
                found.append(entry)
        return found

    def items(self) -> Iterator[tuple[str, CustomerRow]]:
        """Every row, by customer."""
        return iter(sorted(self._rows.items()))

    def values(self) -> Iterator[CustomerRow]:
        """Every row, by customer."""
        return (row for _customer, row in self.items())

    def __len__(self) -> int:
        return len(self._rows)
