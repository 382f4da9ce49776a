"""What was scored, a few dozen bytes a row, and the Parquet file of it."""

from __future__ import annotations

import hashlib
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.events import Outcome, Transaction
from models.observation import FRAUD_OUTCOMES, GOOD_OUTCOMES
from models.shaping import Floats
from streams.sources.source import Labelled, SourceError

# Ids of so many rows are packed at a time.
_CHUNK_ROWS = 65_536
_OURS = ("event_time", "score", "label", "model_version")
UNKNOWN = -1


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Columns of all scored rows, in the order in which they were scored; arrays of one length.

    `label` is 1 fraud, 0 good, -1 unknown. `customer`, `card` and `typology` are numbers in the order of first
    appearance; `typologies` names the latter, -1 is none. `known_ms` is sorted: when each fraud became known to the
    learner, those of the file it learned from included.
    """

    time_ms: NDArray[np.int64]
    score: Floats
    label: NDArray[np.int8]
    customer: NDArray[np.int32]
    card: NDArray[np.int32]
    amount_minor: NDArray[np.int64]
    typology: NDArray[np.int16]
    typologies: tuple[str, ...]
    version: NDArray[np.int32]
    alerted: NDArray[np.bool_]
    known_ms: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.score)

    @property
    def fraud(self) -> NDArray[np.bool_]:
        """Whether each row was a fraud."""
        fraud: NDArray[np.bool_] = self.label == 1
        return fraud

    def within(self, from_ms: int | None, until_ms: int | None) -> NDArray[np.intp]:
        """Places of the rows of a period."""
        inside = np.ones(len(self), dtype=np.bool_)
        if from_ms is not None:
            inside &= self.time_ms >= from_ms
        if until_ms is not None:
            inside &= self.time_ms < until_ms
        return np.flatnonzero(inside)


class Scores:
    """Collects rows as they are scored.

    Parameters
    ----------
    id_column, integer_ids
        Name of the rows' own id; whether it may be written as whole numbers.
    labelled
        Whether a row without an outcome is good; otherwise nothing is known about it.
    joined
        Whether outcomes come by themselves (`outcome`) and are joined by event id at the end.
    """

    def __init__(self, id_column: str, *, integer_ids: bool, labelled: bool, joined: bool = False) -> None:
        self.id_column = id_column
        self._integer_ids = integer_ids
        self._silent = 0 if labelled else UNKNOWN
        self._joined = joined
        self._time, self._amount, self._keys = array("q"), array("q"), array("Q")
        self._score = array("d")
        self._label, self._alerted = array("b"), array("b")
        self._customer, self._card, self._version, self._typology = array("i"), array("i"), array("i"), array("h")
        self._known = array("q")
        self._ids: list[str] = []
        self._id_chunks: list[Any] = []
        self._customers: dict[str, int] = {}
        self._cards: dict[str, int] = {}
        self._typologies: dict[str, int] = {}
        # (key, is fraud, typology) in the order of the file: a later one corrects an earlier one.
        self._outcomes: list[tuple[int, bool, int]] = []

    def __len__(self) -> int:
        return len(self._score)

    def add(self, row: Labelled, probability: float, version: int, alerted: bool) -> None:
        """Keep one scored transaction."""
        event = row.event
        assert isinstance(event, Transaction)  # noqa: S101  # nothing else is scored
        customer, card = event.customer_id, event.card_id
        self._time.append(event.event_time_ms)
        self._score.append(probability)
        self._customer.append(self._customers.setdefault(customer, len(self._customers)))
        # A customer without cards is ranked as one card.
        name = f"card {card}" if isinstance(card, str) else f"of {customer}"
        self._card.append(self._cards.setdefault(name, len(self._cards)))
        self._amount.append(event.amount_minor)
        self._version.append(version)
        self._alerted.append(alerted)
        label, typology = self._truth(row.outcome)
        self._label.append(label)
        self._typology.append(typology)
        if self._joined:
            self._keys.append(_key(customer, event.event_id))
        self._ids.append(row.row_id or event.event_id)
        if len(self._ids) >= _CHUNK_ROWS:
            self._pack_ids()

    def known(self, outcome: Outcome) -> None:
        """The learner was told."""
        if outcome.outcome in FRAUD_OUTCOMES:
            self._known.append(outcome.event_time_ms)

    def outcome(self, outcome: Outcome) -> None:
        """Truth that came by itself, for the row it is about."""
        label, typology = self._truth(outcome)
        about = outcome.about_event_id
        if isinstance(about, str) and outcome.outcome in (*FRAUD_OUTCOMES, *GOOD_OUTCOMES):
            self._outcomes.append((_key(outcome.customer_id, about), label == 1, typology))

    def finish(self) -> Scored:
        """All of it as arrays; O(n log n) where outcomes are joined."""
        label = np.frombuffer(self._label, np.int8).copy()
        typology = np.frombuffer(self._typology, np.int16).copy()
        self._join(label, typology)
        return Scored(
            np.frombuffer(self._time, np.int64), np.frombuffer(self._score), label,
            np.frombuffer(self._customer, np.int32), np.frombuffer(self._card, np.int32),
            np.frombuffer(self._amount, np.int64), typology, tuple(self._typologies),
            np.frombuffer(self._version, np.int32), np.frombuffer(self._alerted, np.int8).astype(np.bool_),
            np.sort(np.frombuffer(self._known, np.int64)),
        )  # fmt: skip

    def write(self, path: Path, scored: Scored) -> None:
        """The Parquet file: the source's own id, event time (UTC), score, label (null: unknown), model version.

        Rows are in the order in which they were scored. The same run gives the same bytes.

        Raises
        ------
        SourceError
            When it cannot be written.
        """
        self._pack_ids()
        name = self.id_column if self.id_column not in _OURS else f"source_{self.id_column}"
        table = pa.table({
            name: self._id_array(),
            "event_time": pa.array(scored.time_ms).cast(pa.timestamp("ms", "UTC")),
            "score": pa.array(scored.score),
            "label": pa.array(scored.label, mask=scored.label == UNKNOWN),
            "model_version": pa.array(scored.version),
        })  # fmt: skip
        try:
            pq.write_table(table, path, compression="zstd")
        except OSError as error:
            raise SourceError(
                f"expected to write the scores to {path}, found: {error.strerror or error}: choose a file in a folder "
                "that exists and is yours"
            ) from None

    def _truth(self, outcome: Outcome | None) -> tuple[int, int]:
        if outcome is None:
            return self._silent, -1
        if outcome.outcome not in FRAUD_OUTCOMES:
            return (0 if outcome.outcome in GOOD_OUTCOMES else self._silent), -1
        if not isinstance(outcome.typology, str):
            return 1, -1
        # More kinds than a policy could name are one kind.
        known = outcome.typology in self._typologies or len(self._typologies) < 1_000
        name = outcome.typology if known else "other"
        return 1, self._typologies.setdefault(name, len(self._typologies))

    def _join(self, label: NDArray[np.int8], typology: NDArray[np.int16]) -> None:
        if not self._outcomes:
            return
        keys = np.frombuffer(self._keys, np.uint64)
        order = np.argsort(keys, kind="stable")
        ranked = keys[order]
        for key, is_fraud, kind in self._outcomes:
            for place in range(*np.searchsorted(ranked, [np.uint64(key), np.uint64(key) + np.uint64(1)]).tolist()):
                label[order[place]], typology[order[place]] = int(is_fraud), kind if is_fraud else -1

    def _pack_ids(self) -> None:
        if self._ids:
            self._id_chunks.append(pa.array(self._ids, pa.string()))
            self._ids = []

    def _id_array(self) -> Any:
        ids = pa.chunked_array(self._id_chunks, pa.string())
        if not self._integer_ids:
            return ids
        try:
            whole = ids.cast(pa.int64())
        except pa.ArrowInvalid:
            return ids
        # 007 is not 7: only what reads the same again is a number.
        return whole if whole.cast(pa.string()).equals(ids) else ids


def _key(customer_id: str, event_id: str) -> int:
    digest = hashlib.blake2b(f"{customer_id}\0{event_id}".encode(), digest_size=8).digest()
    # The largest value would have no next one to search for.
    return int.from_bytes(digest, "big") >> 1
