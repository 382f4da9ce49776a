"""The pure engine of one partition: records in, decisions, alerts, risk changes, dead letters and rows out.

Worker, replay, evaluation and tests are thin drivers of this one class. It has no clock, no I/O and no
randomness: the same code, versions and records give the same bytes, whatever the batch size.

A batch is worked through in three passes, so that scoring is vectorised and the order still counts:

1. *features*, in offset order: decode, deduplicate, update the hot and credit rows, collect vectors and timer signals;
2. *scores*, all vectors of the batch at once (`models.compiled`);
3. *shifts*, in offset order again: levels, policy, risk state, records (`streams/shifts.py`).

Pass 1 never reads what pass 3 writes (the risk state), which is why a batch of N equals N batches of one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np

from alerts.shift import Assessor
from features import credit, hot, warnings
from features.catalogue import SIZE
from features.errors import EventError
from features.events import Control, Event, Indicator, Switch, Tick, check_key, check_time, decode
from models.snapshot import LoadedSnapshot
from streams import lending
from streams.dispositions import Item, Output, Record, controlled, dead_letter, decided
from streams.memory_rows import MemoryRows, Rows
from streams.rows import META_KEY, CustomerRow, PartitionMeta, pack, state_bytes, unpack, unpack_meta
from streams.shifts import Shifts, Step, or_never
from streams.standing import Fired, facility_of, standing_of
from streams.watch import Review, review, silence


class Library(Protocol):
    """Immutable versions by name; raises `KeyError` for one it does not hold."""

    def model(self, version: int) -> LoadedSnapshot:
        """The compiled snapshot of `version`."""

    def assessor(self, policy_version: str) -> Assessor:
        """The assessor of that policy."""


# Steps settled at once: scoring's fixed price is spread over them, and what they hold still lies in the cache.
_SETTLE = 128
_NOTHING_DUE: tuple[Sequence[Fired], Sequence[Review]] = ((), ())
_pack_vector = struct.Struct(f"{SIZE}d").pack


class Engine:
    """State and rules of one input partition.

    Parameters
    ----------
    partition, partitions
        This partition and how many the input topic has.
    topic
        Name of the input topic, for dead letters.
    library
        Where model and policy versions are looked up.
    model_version, policy_version
        In force until the first switch; a restored partition brings its own.
    rows
        Where customers' rows are kept; in memory when left out.
    binding
        Cluster, input topic and partition count the offsets belong to; kept with the rows, not used here.
    """

    def __init__(
        self,
        partition: int,
        partitions: int,
        topic: str,
        library: Library,
        *,
        model_version: int,
        policy_version: str,
        rows: Rows | None = None,
        binding: str = "",
    ) -> None:
        self.topic = topic
        self.meta = PartitionMeta(
            partition, partitions, model_version=model_version, policy_version=policy_version, binding=binding
        )
        self.rows: Rows = MemoryRows() if rows is None else rows
        self.rejected = 0
        # A driver that keeps rows in memory only has no use for packed ones, an eighth of the work.
        self.packs_rows = True
        self._library = library
        self._touched: dict[str, CustomerRow] = {}
        # Steps of pass 3; a record that needs no score (duplicate, late) waits among them as a finished decision.
        self._steps: list[Step | Item] = []
        self._vectors: list[bytes] = []
        self._use_versions()

    # --- drivers call these -----------------------------------------------------------------------------

    def process(
        self, records: Sequence[Record], controls: Iterable[Control] = (), world_offset: int | None = None
    ) -> Output:
        """Apply `controls` at the present position, then `records` in offset order.

        Parameters
        ----------
        records
            Consecutive records of this partition; those at or below the applied offset are passed over.
        controls
            Ticks, switches and world figures that the partition's owner puts before these records.
        world_offset
            How far the world topic has been copied with these controls.

        Returns
        -------
        Everything to be made durable together. Bad records become dead letters; nothing is raised for input.

        Raises
        ------
        KeyError
            When a control names a version the library does not hold (the caller checks first).
        """
        out = Output()
        self._touched = {}
        for control in controls:
            self._control(control, None, out)
        if world_offset is not None:
            self.meta.world_offset = world_offset
        applied = self.meta.applied_offset
        self.rows.expect(record.key for record in records)
        for record in records:
            if record.offset > applied:
                self._take(record, out)
                self.meta.applied_offset = record.offset
                out.events += 1
                if len(self._steps) >= _SETTLE:
                    self._settle(out)
        self._settle(out)
        rows = out.rows
        if self.packs_rows:
            for customer_id, row in self._touched.items():
                rows[customer_id.encode()] = pack(row)
            if out.events or out.decisions:
                rows[META_KEY] = pack(self.meta)
        return out

    def snapshot(self) -> dict[bytes, bytes]:
        """Every row packed, the partition's own under `META_KEY`."""
        rows = {customer_id.encode(): pack(row) for customer_id, row in self.rows.items()}
        rows[META_KEY] = pack(self.meta)
        return rows

    def restore(self, rows: Mapping[bytes, bytes]) -> None:
        """Take over packed rows in place of the present state, in memory.

        Raises
        ------
        features.errors.RowError
            When a row was altered, cut or written by another release.
        KeyError
            When the versions in force are not in the library.
        """
        memory = MemoryRows()
        for key, value in rows.items():
            if key != META_KEY:
                memory.put(key.decode(), unpack(value, f"row {key!r}"))
        self.rows = memory
        if META_KEY in rows:
            self.resume(rows[META_KEY])
        else:
            self._use_versions()

    def resume(self, packed_meta: bytes) -> None:
        """Go on where the partition's own row says; raises like `restore`."""
        self.meta = unpack_meta(packed_meta, f"partition {self.meta.partition}")
        self._use_versions()

    def state(self) -> Iterable[tuple[str, bytes]]:
        """(customer, row bytes without offsets), sorted by customer: what a state hash is made of."""
        return ((customer_id, state_bytes(row)) for customer_id, row in self.rows.items())

    # --- pass 1: features -------------------------------------------------------------------------------

    def _take(self, record: Record, out: Output) -> None:
        offset = record.offset
        try:
            event = decode(record.value, record.headers)
            if record.timestamp >= 0:
                check_time(event, record.timestamp)
            if not isinstance(event, Event):
                self._check_control(event, record)
                self._control(event, offset, out)
                return
            key = event.customer_id.encode()
            if record.key != key:
                check_key(event, record.key)
        except EventError as error:
            self.rejected += 1
            out.dead_letters.append(dead_letter(self.topic, self.meta.partition, record, error))
            return
        customer_id = event.customer_id
        row = self.rows.get(customer_id)
        if row is None:
            row = self.rows.create(customer_id)
        elif offset <= row.applied_offset:
            # Only where the broker has no transactions: this row was written, the partition's own was not.
            return
        at_ms = event.event_time_ms
        # Late before duplicate: a late event must leave the row as it is, its id included.
        if hot.is_late(row.hot, at_ms):
            self._steps.append(decided(self.meta, "late", event, offset, customer_id, {}))
            return
        if not row.hot.remember(event.event_id):
            self._steps.append(decided(self.meta, "duplicate", event, offset, customer_id, {}))
            return
        signals, reviews = self._fire(row, at_ms) if 0 <= row.credit_due_ms <= at_ms else _NOTHING_DUE
        vector = hot.update(row.hot, event, self._model.shared)
        due = warnings.apply(row.credit, event, row.hot.merchants)
        changed = credit.apply(row.credit, event)
        if changed or signals:
            row.credit_due_ms = or_never(credit.next_due(row.credit))
        row.applied_offset = offset
        self._touched[customer_id] = row
        if at_ms > self.meta.watermark_ms:
            self.meta.watermark_ms = at_ms
        step = Step(offset, customer_id, key, row, event, signals, vector)
        if due or reviews:
            step.reviews = [*reviews, *review(row, at_ms)] if due else reviews
        if changed:
            step.standing = standing_of(row, at_ms, self._model.cards, self.meta.environment, event)
            step.facility = facility_of(row, event)
            step.borrower = lending.borrower_at(row, event, step.standing, self._model.cards.now)
        if vector is not None:
            step.place = len(self._vectors)
            self._vectors.append(_pack_vector(*vector))
        self._steps.append(step)

    def _fire(self, row: CustomerRow, until_ms: int) -> tuple[Sequence[Fired], Sequence[Review]]:
        """Timers due by then, each with credit and early warning as of its own due time: before the next one fires."""
        signals: list[Fired] = []
        reviews: list[Review] = []
        while (signal := credit.fire_next(row.credit, until_ms)) is not None:
            standing = standing_of(row, signal.due_ms, self._model.cards, self.meta.environment)
            signals.append((signal, standing))
            reviews.append(silence(row, signal))
        return signals, reviews

    def _check_control(self, control: Control, record: Record) -> None:
        if record.key is not None:
            raise EventError("bad_control", f"expected no record key for a control record, found {record.key[:80]!r}")
        partition = getattr(control, "partition", self.meta.partition)
        if partition != self.meta.partition:
            raise EventError("bad_control", f"expected partition {self.meta.partition}, found {partition}")
        if isinstance(control, Switch):
            try:
                self._library.model(control.model_version)
                self._library.assessor(control.policy_version)
            except KeyError as error:
                raise EventError("bad_control", f"expected a known version, found {error}") from None

    def _control(self, control: Control, offset: int | None, out: Output) -> None:
        self._settle(out)
        if isinstance(control, Tick):
            out.decisions.append(controlled(self.meta, control, offset))
            if control.event_time_ms > self.meta.tick_ms:
                self.meta.tick_ms = control.event_time_ms
                self._wake(control, out)
        elif isinstance(control, Switch):
            self.meta.model_version = control.model_version
            self.meta.policy_version = control.policy_version
            self._use_versions()
            out.decisions.append(controlled(self.meta, control, offset))
        elif isinstance(control, Indicator):
            self.meta.environment.observe(
                control.scope, control.scope_id, control.name, control.event_time_ms, control.value
            )
            out.decisions.append(controlled(self.meta, control, offset))

    def _wake(self, tick: Tick, out: Output) -> None:
        """Fire what is due by the tick: customers in order of due time, then of name."""
        position, until = self.meta.applied_offset, tick.event_time_ms
        for _due_ms, customer_id in self.rows.due(until):
            row = self.rows.get(customer_id)
            if row is None:
                continue
            signals, reviews = _NOTHING_DUE
            if 0 <= row.credit_due_ms <= until:
                signals, reviews = self._fire(row, until)
                row.credit_due_ms = or_never(credit.next_due(row.credit))
            self._touched[customer_id] = row
            step = Step(position, customer_id, customer_id.encode(), row, tick, signals)
            step.reviews = reviews
            self._steps.append(step)
        self._settle(out)

    # --- passes 2 and 3: scores, shifts -------------------------------------------------------------------

    def _settle(self, out: Output) -> None:
        """Score and decide every collected step; afterwards nothing is pending."""
        if not self._steps:
            return
        scores = None
        if self._vectors:
            scores = self._model.fraud.score(np.frombuffer(b"".join(self._vectors)).reshape(-1, SIZE))
        probability = scores.probability.tolist() if scores else []
        anomaly = scores.anomaly.tolist() if scores else []
        for step in self._steps:
            if isinstance(step, tuple):
                out.decisions.append(step)
            elif not self._shifts.pass_by(step, probability, anomaly, out):
                self._shifts.shift(step, scores, probability, anomaly, out)
        self._steps.clear()
        self._vectors.clear()

    def _use_versions(self) -> None:
        self._model = self._library.model(self.meta.model_version)
        assessor = self._library.assessor(self.meta.policy_version)
        self._shifts = Shifts(self.meta, self.rows, self._model, assessor)
