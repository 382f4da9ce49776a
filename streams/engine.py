"""The pure engine of one partition: records in, decisions, alerts, risk changes, dead letters and rows out.

Worker, replay, evaluation and tests are thin drivers of this one class. It has no clock, no I/O and no
randomness: the same code, versions and records give the same bytes, whatever the batch size.

A batch is worked through in three passes, so that scoring is vectorised and the order still counts:

1. *features*, in offset order: decode, deduplicate, update the hot and credit rows, collect vectors and timer signals;
2. *scores*, all vectors of the batch at once (`models.compiled`);
3. *shifts*, in offset order again: levels, policy, risk state, records.

Pass 1 never reads what pass 3 writes (the risk state), which is why a batch of N equals N batches of one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from msgspec import UNSET, Struct

from alerts.shift import Assessor, Change, Facts
from alerts.state import next_due as risk_next_due
from features import credit, hot
from features.catalogue import FEATURE_VERSION, SIZE
from features.errors import EventError
from features.events import (
    ActionResult,
    Control,
    Event,
    Indicator,
    Outcome,
    Switch,
    Tick,
    Transaction,
    check_key,
    check_time,
    decode,
)
from models.compiled import FraudScores
from models.snapshot import LoadedSnapshot
from streams.dispositions import (
    Item,
    Output,
    Record,
    controlled,
    dead_letter,
    decided,
    level_of,
    noted,
    outcome_fields,
    passed,
    top_reasons,
    transaction_fields,
)
from streams.memory_rows import MemoryRows, Rows
from streams.rows import META_KEY, CustomerRow, PartitionMeta, pack, state_bytes, unpack, unpack_meta
from streams.standing import Fired, Standing, facility_of, fire, standing_of


class Library(Protocol):
    """Immutable versions by name; raises `KeyError` for one it does not hold."""

    def model(self, version: int) -> LoadedSnapshot:
        """The compiled snapshot of `version`."""

    def assessor(self, policy_version: str) -> Assessor:
        """The assessor of that policy."""


# Steps settled at once: scoring's fixed price is spread over them, and what they hold still lies in the cache.
_SETTLE = 128
# Without a vector these may still move the risk state, or have more to say than that they were noted.
_MOVE_RISK = frozenset((Transaction, Outcome, ActionResult, Tick))
_pack_vector = struct.Struct(f"{SIZE}d").pack


class _Step(Struct, gc=False):
    """One applied record on its way from pass 1 to pass 3.

    `place` is that of its `vector` in the matrix; `facility` an id and its days past due after the event.
    """

    offset: int
    customer_id: str
    key: bytes
    row: CustomerRow
    event: Event | Tick
    signals: Sequence[Fired] = ()
    vector: list[float] | None = None
    place: int = -1
    standing: Standing | None = None
    facility: tuple[str, int] | None = None


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
        self._steps: list[_Step | Item] = []
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
        signals: Sequence[Fired] = fire(row, at_ms) if 0 <= row.credit_due_ms <= at_ms else ()
        vector = hot.update(row.hot, event, self._model.shared)
        changed = credit.apply(row.credit, event)
        if changed or signals:
            row.credit_due_ms = _or_never(credit.next_due(row.credit))
        row.applied_offset = offset
        self._touched[customer_id] = row
        if at_ms > self.meta.watermark_ms:
            self.meta.watermark_ms = at_ms
        step = _Step(offset, customer_id, key, row, event, signals, vector)
        if changed:
            step.standing = standing_of(row, at_ms)
            step.facility = facility_of(row, event)
        if vector is not None:
            step.place = len(self._vectors)
            self._vectors.append(_pack_vector(*vector))
        self._steps.append(step)

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
            out.decisions.append(controlled(self.meta, control, offset))

    def _wake(self, tick: Tick, out: Output) -> None:
        """Fire what is due by the tick: customers in order of due time, then of name."""
        position, until = self.meta.applied_offset, tick.event_time_ms
        for _due_ms, customer_id in self.rows.due(until):
            row = self.rows.get(customer_id)
            if row is None:
                continue
            signals: Sequence[Fired] = ()
            if 0 <= row.credit_due_ms <= until:
                signals = fire(row, until)
                row.credit_due_ms = _or_never(credit.next_due(row.credit))
            self._touched[customer_id] = row
            self._steps.append(_Step(position, customer_id, customer_id.encode(), row, tick, signals))
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
            elif not self._pass(step, probability, anomaly, out):
                self._shift(step, scores, probability, anomaly, out)
        self._steps.clear()
        self._vectors.clear()

    def _pass(self, step: _Step, probability: list[float], anomaly: list[float], out: Output) -> bool:
        """Most events move nothing: say their decision and be done; False when there may be more to it."""
        event, row, place, meta = step.event, step.row, step.place, self.meta
        risk = row.risk
        if step.signals or step.standing is not None or step.facility is not None:
            return False
        risk_due = -1
        if risk.actions:
            risk_due = _or_never(risk_next_due(risk))
            if 0 <= risk_due <= event.event_time_ms:
                return False
        kind = type(event)
        if kind is Transaction and step.vector is not None:
            quiet = self._assessor.is_quiet
            if not quiet(risk, event.card_id or None, step.vector, probability[place], anomaly[place]):  # type: ignore[union-attr]  # a transaction
                return False
            item = passed(meta, step.key, event, step.offset, step.vector, probability[place], anomaly[place])  # type: ignore[arg-type]  # the same
        elif kind in _MOVE_RISK:
            return False
        else:
            item = noted(meta, step.key, event, step.offset)  # type: ignore[arg-type]  # no tick
        due_ms = row.credit_due_ms if risk_due < 0 else _earliest(row.credit_due_ms, risk_due)
        if due_ms != row.due_ms:
            row.due_ms = due_ms
            self.rows.due_changed(step.customer_id, row)
        out.decisions.append(item)
        return True

    def _shift(
        self, step: _Step, scores: FraudScores | None, probability: list[float], anomaly: list[float], out: Output
    ) -> None:
        event, row = step.event, step.row
        risk, assessor = row.risk, self._assessor
        changes: list[Change | None] = []
        self._fire(step, changes)
        fields: dict[str, Any] = {}
        if isinstance(event, Transaction):
            fields |= transaction_fields(event)
            vector, place = step.vector, step.place
            if vector is not None and scores is not None:
                contributions = scores.contributions[place]
                change = assessor.transaction(
                    risk, self._facts(step), vector, probability[place], anomaly[place], contributions
                )
                changes.append(change)
                fields["features"] = vector
                fields["feature_version"] = FEATURE_VERSION
                fields["fraud_probability"] = probability[place]
                fields["anomaly_score"] = anomaly[place]
                fields["fraud_level"] = level_of(risk, event.card_id)
                if change is not None and change.propensity is not None:
                    fields["propensity"], fields["control_group"] = change.propensity, change.control_group
                if change is not None and change.alerts:
                    fields["reasons"] = top_reasons(contributions.tolist())
        elif isinstance(event, Outcome):
            fields |= outcome_fields(event)
            facts = self._facts(step)
            changes.append(
                assessor.outcome(risk, facts, event.outcome, event.card_id or None, event.facility_id or None)
            )
        elif isinstance(event, ActionResult):
            card_id, alert_id = event.card_id or None, event.alert_id or None
            changes.append(
                assessor.action_result(risk, self._facts(step), event.action, event.result, card_id, alert_id)
            )
        if step.facility is not None:
            changes.append(assessor.facility(risk, self._facts(step), *step.facility))
        if step.standing is not None:
            standing = step.standing
            changes.append(
                assessor.credit(
                    risk,
                    self._facts(step),
                    standing.score,
                    days_past_due=standing.days_past_due,
                    defaulted=standing.defaulted,
                )
            )
            fields["pd_12m"] = step.standing.score.pd_12m
            fields["grade"] = risk.grade or UNSET
        due_ms = _earliest(row.credit_due_ms, _or_never(risk_next_due(risk)))
        if due_ms != row.due_ms:
            row.due_ms = due_ms
            self.rows.due_changed(step.customer_id, row)
        self._emit(step, [change for change in changes if change is not None], fields, out)

    def _fire(self, step: _Step, changes: list[Change | None]) -> None:
        """What fell due before this event, in due order, each as of its own due time: signals and expiries."""
        risk, until = step.row.risk, step.event.event_time_ms
        risk_due = risk_next_due(risk)
        for signal, standing in step.signals:
            if risk_due is not None and risk_due <= signal.due_ms:
                risk_due = self._expire(step, signal.due_ms, changes)
            facts = Facts(step.customer_id, step.event.event_id, signal.due_ms, model_version=self.meta.model_version)
            credit_score = standing.score if standing is not None else None
            changes.append(
                self._assessor.signal(risk, facts, signal.kind, signal.due_ms, signal.ref, score=credit_score)
            )
            risk_due = risk_next_due(risk)
        if risk_due is not None and risk_due <= until:
            self._expire(step, until, changes)

    def _expire(self, step: _Step, until_ms: int, changes: list[Change | None]) -> int | None:
        assessor, risk = self._assessor, step.row.risk
        while (due := risk_next_due(risk)) is not None and due <= until_ms:
            facts = Facts(step.customer_id, step.event.event_id, due, model_version=self.meta.model_version)
            changes.append(assessor.expire(risk, due, facts))
        return due

    def _facts(self, step: _Step) -> Facts:
        event = step.event
        if not isinstance(event, Transaction):
            version = self.meta.model_version
            return Facts(step.customer_id, event.event_id, event.event_time_ms, model_version=version)
        return Facts(
            step.customer_id,
            event.event_id,
            event.event_time_ms,
            event.card_id or None,
            event.amount_minor,
            event.currency,
            self.meta.model_version,
        )

    # --- records ----------------------------------------------------------------------------------------

    def _emit(self, step: _Step, changes: list[Change], fields: dict[str, Any], out: Output) -> None:
        event = step.event
        alert_ids = [alert.alert_id for change in changes for alert in change.alerts]
        moved = [change.risk_change for change in changes if change.risk_change is not None]
        if alert_ids:
            fields["alert_ids"] = alert_ids
        if moved:
            fields["sequence"] = moved[-1].sequence
        if isinstance(event, Tick):
            if not alert_ids and not moved:
                return  # woken, and nothing came of it
            # Not the disposition of an input offset, and says so by naming its parent.
            fields["parent"] = event.event_id
        out.say(step.customer_id.encode(), changes)
        disposition = "derived" if isinstance(event, Tick) else "decision"
        out.decisions.append(decided(self.meta, disposition, event, step.offset, step.customer_id, fields))

    def _use_versions(self) -> None:
        self._model = self._library.model(self.meta.model_version)
        self._assessor = self._library.assessor(self.meta.policy_version)


def _or_never(due_ms: int | None) -> int:
    return -1 if due_ms is None else due_ms


def _earliest(first_ms: int, second_ms: int) -> int:
    """The earlier of two due times, of which -1 is never."""
    if first_ms < 0 or second_ms < 0:
        return max(first_ms, second_ms)
    return min(first_ms, second_ms)
