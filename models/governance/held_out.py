"""Customers who never teach, and the latest of their labelled events: what every judgement is made on."""

from __future__ import annotations

import math
import zlib
from typing import Any, NamedTuple

import numpy as np

from features.catalogue import SIZE
from models.compiled import CompiledFraud
from models.governance.evidence import log_loss
from models.shaping import Floats

# Goods come by the thousand: the latest stand for all since the oldest fraud that is kept.
GOODS_MAX, FRAUDS_MAX = 800, 200
# Knuth's multiplier: ids that differ in one digit must not fall into one slice together.
_SALT, _MIX = 20_180_401, 2_654_435_761


def held_out(customer_id: str, share: float) -> bool:
    """Whether a customer is among those who never teach: a pure function of the id.

    Examples
    --------
    >>> sum(held_out(f"c-{n}", 0.05) for n in range(10_000)) in range(400, 600)
    True
    """
    return (zlib.crc32(customer_id.encode(), _SALT) * _MIX & 0xFFFFFFFF) < share * 2.0**32


class Standing(NamedTuple):
    """How one set of weights does on the proof; `probability` of frauds then goods, with the weight of a good."""

    frauds: int
    weight: float
    probability: Floats
    losses: Floats

    @property
    def size(self) -> float:
        """Events the proof stands for."""
        return self.frauds + self.weight * (len(self.losses) - self.frauds)

    def add_up(self, values: Floats) -> float:
        """Sum over what the proof stands for; exact, in any order."""
        return math.fsum(values[: self.frauds].tolist()) + self.weight * math.fsum(values[self.frauds :].tolist())

    @property
    def loss(self) -> float:
        """Mean log-loss, nats."""
        return self.add_up(self.losses) / max(1.0, self.size)

    @property
    def ratio(self) -> float:
        """Observed over expected frauds."""
        return self.frauds / max(1e-9, self.add_up(self.probability))

    def above(self, probability: float) -> tuple[int, float]:
        """How many events are at or above it: as kept, and as they stand for all."""
        hits = (self.probability >= probability).astype(np.float64)
        return int(hits.sum()), self.add_up(hits)

    def excess(self, other: Standing) -> tuple[float, float]:
        """By how much the loss here exceeds the other's, and the standard error of that; the same events."""
        difference = self.losses - other.losses
        squares = difference**2
        goods = math.fsum(squares[self.frauds :].tolist())
        error = math.sqrt(math.fsum(squares[: self.frauds].tolist()) + self.weight**2 * goods)
        return self.add_up(difference) / max(1.0, self.size), error / max(1.0, self.size)


class Proof:
    """The latest held-out events whose label is mature; at most `FRAUDS_MAX` + `GOODS_MAX` vectors."""

    def __init__(self) -> None:
        # (goods seen before it, vector) of each fraud; vectors of goods; oldest first.
        self._frauds: list[tuple[int, bytes]] = []
        self._goods: list[bytes] = []
        self._goods_seen = 0

    def __len__(self) -> int:
        return len(self._frauds) + len(self._goods)

    @property
    def frauds(self) -> int:
        """Frauds kept."""
        return len(self._frauds)

    def add(self, vectors: Floats, fraud: Floats) -> None:
        """Take events in order of maturity; shape (n, SIZE) and (n,)."""
        for row, is_fraud in zip(vectors, fraud.tolist(), strict=True):
            vector = row.astype("<f8").tobytes()
            if is_fraud:
                self._frauds.append((self._goods_seen, vector))
            else:
                self._goods.append(vector)
                self._goods_seen += 1
        del self._frauds[:-FRAUDS_MAX], self._goods[:-GOODS_MAX]

    def stand(self, model: CompiledFraud) -> Standing:
        """Score the proof; about a microsecond an event."""
        rows = [vector for _, vector in self._frauds] + self._goods
        frauds = len(self._frauds)
        truth = np.zeros(len(rows))
        truth[:frauds] = 1.0
        if not rows:
            return Standing(0, 1.0, truth, truth)
        matrix = np.frombuffer(b"".join(rows), dtype="<f8").reshape(-1, SIZE).astype(np.float64)
        # Weights that are not finite are what a guard looks for: they must not be an error here.
        with np.errstate(all="ignore"):
            probability = np.nan_to_num(model.score(matrix).probability, nan=0.5)
        since = self._frauds[0][0] if len(self._frauds) == FRAUDS_MAX else 0
        weight = max(1.0, (self._goods_seen - since) / max(1, len(self._goods)))
        return Standing(frauds, weight, probability, log_loss(probability, truth))

    def dump(self) -> list[Any]:
        """Plain values for the checkpoint."""
        return [[list(pair) for pair in self._frauds], list(self._goods), self._goods_seen]

    @classmethod
    def load(cls, data: list[Any]) -> Proof:
        """Restore what `dump` wrote."""
        proof = cls()
        frauds, goods, proof._goods_seen = data
        proof._frauds = [(seen, vector) for seen, vector in frauds]
        proof._goods = list(goods)
        return proof
