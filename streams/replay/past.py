"""One customer's past, lived through again by an engine of its own: as it was, until a moment, or with an edit.

Customers meet in the model versions only, so an engine with this one customer's records and the partition's ticks
and switches says about it what the replay said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from alerts.explanation import merged
from alerts.policy import parse_policy
from features.errors import EventError
from features.events import Control, Event, Switch, Tick, decode, encode
from models.compiled import CONTRIBUTION_NAMES
from models.snapshot import LoadedSnapshot
from streams.engine import Engine
from streams.replay.diff.tables import ReplayTables
from streams.replay.errors import ReplayError
from streams.replay.versions import ReplayLibrary
from streams.replay.work import Record

Item = Record | Control
Json = dict[str, Any]


class Versions(Protocol):
    """Models and policies; a replay's are read as far as the switches go."""

    def model(self, version: int) -> LoadedSnapshot:
        """The compiled snapshot."""

    def assessor(self, policy_version: str) -> Any:
        """The assessor."""


class FolderVersions(ReplayLibrary):
    """The versions of a replay's folder, read in their order."""

    def __init__(self, folder: Path) -> None:
        super().__init__([parse_policy((folder / "policy.toml").read_text("utf-8"))])
        self._frames = iter(sorted((folder / "models").glob("*.zst")))

    def model(self, version: int) -> LoadedSnapshot:
        """The compiled snapshot; the ones before it are read on the way."""
        while self.latest < version:
            path = next(self._frames, None)
            if path is None:
                raise KeyError(version)
            data = path.read_bytes()
            self.take(pa.decompress(data[8:], int.from_bytes(data[:8], "big"), codec="zstd", asbytes=True))
        return super().model(version)


@dataclass(slots=True)
class Moment:
    """What was said about one event, or by a tick."""

    time_ms: int
    decision: Json
    event: Json | None = None
    alerts: list[Json] = field(default_factory=list)
    change: Json | None = None
    parts: Json | None = None

    def as_json(self) -> Json:
        """For `--json`."""
        kept = ("disposition", "kind", "event_id", "event_time_ms", "model_version", "policy_version",
                "fraud_probability", "anomaly_score", "fraud_level", "pd_12m", "grade", "amount_minor", "currency",
                "outcome", "about_event_id", "parent")  # fmt: skip
        said = {name: self.decision[name] for name in kept if name in self.decision}
        return {**said, "event": self.event, "score": self.parts, "alerts": self.alerts,
                "state": self.change and self.change["state"]}  # fmt: skip


def controls_of(folder: Path, partition: int, customer: str) -> Iterator[Control | None]:
    """The order of a replay for one customer: its partition's controls, and None where a record of its own comes."""
    kinds = pc.is_in(pc.field("kind").cast(pa.string()), pa.array(["tick", "switch"]))
    # What a tick derived names the tick as parent; it is not a record's.
    mine = (pc.field("customer_id") == customer) & ~pc.field("parent").is_valid()
    where = (pc.field("partition") == partition) & ((kinds & pc.field("customer_id").is_null()) | mine)
    names = ["kind", "event_id", "event_time_ms", "model_version", "policy_version", "customer_id"]
    for row in ReplayTables(folder).table("decisions", names, where).to_pylist():
        if row["customer_id"] is not None:
            yield None
        elif row["kind"] == "tick":
            yield Tick(
                event_id=row["event_id"], event_time_ms=row["event_time_ms"], schema_version=1, partition=partition
            )
        else:
            yield Switch(
                event_id=row["event_id"], event_time_ms=row["event_time_ms"], schema_version=1, partition=partition,
                model_version=row["model_version"], policy_version=row["policy_version"],
            )  # fmt: skip


def woven(records: Sequence[Record], order: Iterator[Control | None]) -> list[Item]:
    """Records in their places among the controls."""
    items: list[Item] = []
    left = iter(records)
    for control in order:
        if control is not None:
            items.append(control)
        elif (record := next(left, None)) is not None:
            items.append(record)
    return [*items, *left]


def live(
    items: Sequence[Item], versions: Versions, *, partition: int, partitions: int, policy_version: str,
    until_ms: int | None = None,
) -> list[Moment]:  # fmt: skip
    """Everything that was said about the customer, until a moment (inclusive).

    Raises
    ------
    ReplayError
        When a version is kept no more.
    """
    engine = Engine(partition, partitions, "events", versions, model_version=1, policy_version=policy_version)
    engine.packs_rows = False
    moments: list[Moment] = []
    for offset, item in enumerate(items):
        if until_ms is not None and time_of(item) > until_ms:
            break
        try:
            if isinstance(item, Record):
                out = engine.process([msgspec.structs.replace(item, offset=offset)])
            else:
                out = engine.process((), [item])
        except KeyError as error:
            raise ReplayError(f"expected version {error} of the replay, found it gone: replay again") from None
        alerts = {alert["alert_id"]: alert for alert in map(orjson.loads, (value for _key, value, _h in out.alerts))}
        changes = {c["sequence"]: c for c in map(orjson.loads, (value for _key, value, _h in out.risk_changes))}
        for _key, value in out.decisions:
            decision = orjson.loads(value)
            if decision["disposition"] == "control":
                continue
            moment = Moment(decision["event_time_ms"], decision)
            moment.event = orjson.loads(item.value) if isinstance(item, Record) and item.value else None
            moment.alerts = [alerts[alert_id] for alert_id in decision.get("alert_ids", ())]
            moment.change = changes.get(decision.get("sequence", -1))
            if "features" in decision:
                moment.parts = score_parts(versions.model(decision["model_version"]), decision["features"])
            moments.append(moment)
    return moments


def score_parts(model: LoadedSnapshot, features: Sequence[float]) -> Json:
    """A score as a sum, logit units: ``intercept + sum of reasons + calibration = margin``.

    Reasons that say the same are one; those of nothing are left out. Largest first.
    """
    scores = model.fraud.score(np.array([features], np.float64))
    parts = merged(scores.contributions[0].tolist())
    ranked = sorted(range(len(parts)), key=lambda place: (-abs(parts[place]), place))
    return {
        "intercept": model.fraud.intercept,
        "reasons": [{"code": CONTRIBUTION_NAMES[p], "contribution": parts[p]} for p in ranked if parts[p] != 0.0],
        "calibration": float(scores.calibration[0]),
        "margin": float(scores.margin[0]),
        "probability": float(scores.probability[0]),
    }


# --- edits --------------------------------------------------------------------------------------------------


def without(items: Sequence[Item], event_ids: Sequence[str]) -> list[Item]:
    """All but these events.

    Raises
    ------
    ReplayError
        When the customer has no such event.
    """
    for event_id in event_ids:
        _find(items, event_id)
    return [item for item in items if not isinstance(item, Record) or event_of(item).event_id not in event_ids]


def changed(items: Sequence[Item], event_id: str, fields: Json) -> list[Item]:
    """One event with other values; at another time it comes at another place.

    Raises
    ------
    ReplayError
        No such event, or no event any more with these values.
    """
    place = _find(items, event_id)
    record = items[place]
    assert isinstance(record, Record)  # noqa: S101  # `_find` found it
    event = orjson.loads(encode(event_of(record))) | fields
    rest = [*items[:place], *items[place + 1 :]]
    if "event_time_ms" in fields:
        return inserted(rest, [orjson.dumps(event)])
    return [*items[:place], _record(orjson.dumps(event)), *items[place + 1 :]]


def inserted(items: Sequence[Item], lines: Sequence[bytes]) -> list[Item]:
    """With events added, each before the first item that is later.

    Raises
    ------
    ReplayError
        When a line is no event.
    """
    result = list(items)
    for line in lines:
        record = _record(line)
        at_ms = time_of(record)
        place = next((n for n, item in enumerate(result) if time_of(item) > at_ms), len(result))
        result.insert(place, record)
    return result


def time_of(item: Item) -> int:
    """Event time of a record or control."""
    return event_of(item).event_time_ms if isinstance(item, Record) else item.event_time_ms


def event_of(record: Record) -> Event:
    """The customer's event in a record."""
    event = decode(record.value, record.headers)
    assert isinstance(event, Event)  # noqa: S101  # controls have no customer's key
    return event


def differences(before: Sequence[Moment], after: Sequence[Moment]) -> list[Json]:
    """What an edit changed, by event: probability, level, alerts; events on one side only are said too."""
    sides = [{(m.decision["event_id"], m.decision["disposition"]): m for m in moments} for moments in (before, after)]
    found = []
    for key in dict.fromkeys([*sides[0], *sides[1]]):
        one, other = sides[0].get(key), sides[1].get(key)
        shown = [_shown(moment) for moment in (one, other)]
        if shown[0] != shown[1]:
            some = one or other
            assert some is not None  # noqa: S101  # the key is of one of them
            found.append({"event_id": key[0], "event_time_ms": some.time_ms, "before": shown[0], "after": shown[1]})
    return sorted(found, key=lambda difference: difference["event_time_ms"])


def _shown(moment: Moment | None) -> Json | None:
    if moment is None:
        return None
    decision = moment.decision
    return {
        "fraud_probability": decision.get("fraud_probability"), "fraud_level": decision.get("fraud_level"),
        "grade": decision.get("grade"), "alerts": [alert["rule"] for alert in moment.alerts],
    }  # fmt: skip


def _find(items: Sequence[Item], event_id: str) -> int:
    for place, item in enumerate(items):
        if isinstance(item, Record) and event_of(item).event_id == event_id:
            return place
    raise ReplayError(f"expected an event {event_id!r} of this customer, found none: the timeline names them")


def _record(value: bytes) -> Record:
    try:
        event = decode(value)
    except EventError as error:
        raise ReplayError(f"expected an event, found {value[:120]!r}: {error}") from None
    if not isinstance(event, Event):
        raise ReplayError(f"expected a customer's event, found a control record: {value[:120]!r}")
    return Record(0, event.customer_id.encode(), value)
