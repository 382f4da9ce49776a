"""A small in-memory driver of the engine: entries become records, go through in batches, and what comes out is kept.

An entry is an event, a control, or the raw ``(key, value)`` of something that is neither. `mixed` makes a town's
stream of them with everything that happens to a stream: duplicates, disorder, late and bad records, ticks, switches,
figures of the world. Everything follows from a seed.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import blake2b
from typing import Any

import msgspec
import numpy as np

from alerts.policy import DEFAULT_PATH, parse_policy
from features.events import Control, Event, Indicator, Switch, Tick, Transaction, encode
from features.hot import NO_SHARED, update
from features.row import HotRow
from models.fraud import WINDOW, FraudModel
from models.shared import SharedIndicators
from models.snapshot import Snapshot, initial_snapshot, pack
from streams.dispositions import Output
from streams.engine import Engine
from streams.library import VersionLibrary
from streams.rows import CustomerRow
from streams.town import Town, TownConfig

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
KEY = b"0123456789abcdef0123456789abcdef"
TOPIC = "riskshift.events"
HOUSE_POLICY, STRICT_POLICY = "default-2", "strict-2"

Entry = Event | Control | tuple[bytes | None, bytes | None]

# Key and value of records that cannot become events, with the reject code each must get.
BAD: tuple[tuple[bytes | None, bytes | None, str], ...] = (
    (b"c-1", None, "empty"),
    (b"c-1", b"", "empty"),
    (b"c-1", b"{", "not_json"),
    (b"c-1", b"[]", "not_an_object"),
    (b"c-1", b"\xff\xfe", "bad_encoding"),
    (b"c-1", b'{"kind":"wire","schema_version":1}', "unknown_kind"),
    (
        b"c-1",
        b'{"kind":"login","schema_version":1,"event_id":"x","customer_id":"c-2","event_time_ms":1,'
        b'"channel":"mobile","result":"ok"}',
        "key_mismatch",
    ),
    (
        None,
        b'{"kind":"login","schema_version":1,"event_id":"x","customer_id":"c-2","event_time_ms":1,'
        b'"channel":"mobile","result":"ok"}',
        "missing_key",
    ),
    (
        b"c-1",
        b'{"kind":"tick","schema_version":1,"event_id":"t","event_time_ms":1735689600000,"partition":0}',
        "bad_control",
    ),
    (
        None,
        b'{"kind":"tick","schema_version":1,"event_id":"t","event_time_ms":1735689600000,"partition":77}',
        "bad_control",
    ),
    (
        None,
        b'{"kind":"switch","schema_version":1,"event_id":"s","event_time_ms":1735689600000,"partition":0,'
        b'"model_version":99,"policy_version":"default-2"}',
        "bad_control",
    ),
    (
        None,
        b'{"kind":"switch","schema_version":1,"event_id":"s","event_time_ms":1735689600000,"partition":0,'
        b'"model_version":1,"policy_version":"nobody-knows"}',
        "bad_control",
    ),
)


@dataclass(frozen=True, slots=True)
class Raw:
    """An input record as the engine sees it."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = -1
    headers: tuple[tuple[str, bytes], ...] = ()


def recorded(entries: Iterable[Entry], first: int = 0) -> list[Raw]:
    """Records with consecutive offsets from `first`."""
    records = []
    for offset, entry in enumerate(entries, first):
        if isinstance(entry, Event):
            records.append(Raw(offset, entry.customer_id.encode(), encode(entry)))
        elif isinstance(entry, Control):
            records.append(Raw(offset, None, encode(entry)))
        else:
            records.append(Raw(offset, *entry))
    return records


def tick(at_ms: int, partition: int = 0) -> Tick:
    return Tick(event_id=f"tick/{partition}/{at_ms}", event_time_ms=at_ms, schema_version=1, partition=partition)


def switch(at_ms: int, model: int = 1, policy: str = HOUSE_POLICY, partition: int = 0) -> Switch:
    return Switch(
        event_id=f"switch/{partition}/{model}/{policy}",
        event_time_ms=at_ms,
        schema_version=1,
        partition=partition,
        model_version=model,
        policy_version=policy,
    )


@dataclass(slots=True)
class Transcript:
    """All that an engine said, in order per topic; `rows` is the changelog with the last record of each key."""

    decisions: list[Any] = field(default_factory=list)
    alerts: list[Any] = field(default_factory=list)
    risk_changes: list[Any] = field(default_factory=list)
    dead_letters: list[Any] = field(default_factory=list)
    rows: dict[bytes, bytes] = field(default_factory=dict)
    events: int = 0

    def add(self, out: Output) -> None:
        self.decisions += out.decisions
        self.alerts += [(key, value, tuple(headers)) for key, value, headers in out.alerts]
        self.risk_changes += [(key, value, tuple(headers)) for key, value, headers in out.risk_changes]
        self.dead_letters += [(key, value, tuple(headers)) for key, value, headers in out.dead_letters]
        self.rows |= out.rows
        self.events += out.events

    def said(self) -> list[dict[str, Any]]:
        """Decisions read as JSON."""
        return [msgspec.json.decode(value) for _key, value in self.decisions]

    def alerted(self) -> list[dict[str, Any]]:
        """Alerts read as JSON."""
        return [msgspec.json.decode(item[1]) for item in self.alerts]

    def changed(self) -> list[dict[str, Any]]:
        """Risk changes read as JSON."""
        return [msgspec.json.decode(item[1]) for item in self.risk_changes]

    def digest(self) -> str:
        """A hash over every byte of it."""
        digest = blake2b(digest_size=16)
        parts = (self.decisions, self.alerts, self.risk_changes, self.dead_letters, sorted(self.rows.items()))
        digest.update(repr((parts, self.events)).encode())
        return digest.hexdigest()


def engine(partition: int = 0, partitions: int = 1, model: int = 1, policy: str = HOUSE_POLICY) -> Engine:
    return Engine(partition, partitions, TOPIC, library(), model_version=model, policy_version=policy)


def feed(target: Engine, records: Sequence[Raw], batch: int | None = None) -> Transcript:
    """Run records through in batches of `batch` (None: one batch)."""
    transcript = Transcript()
    size = batch or max(1, len(records))
    for first in range(0, len(records), size):
        transcript.add(target.process(records[first : first + size]))
    return transcript


def run(entries: Iterable[Entry], batch: int | None = None) -> tuple[Engine, Transcript]:
    """A new engine and what it said to the entries."""
    target = engine()
    return target, feed(target, recorded(entries), batch)


def rows_of(target: Engine) -> dict[str, CustomerRow]:
    """Every customer's row, wherever the engine keeps them."""
    return dict(target.rows.items())


@cache
def town(people: int = 40, days: int = 45, seed: int = 11) -> tuple[Event, ...]:
    """A small town with every typology planted more often than usual."""
    return tuple(_town(people, days, seed).events())


def _town(people: int, days: int, seed: int) -> Town:
    often = {"card_thefts": 60.0, "terminal_compromises": 20.0, "account_takeovers": 60.0, "job_losses": 60.0}
    return Town(TownConfig(people=people, days=days, seed=seed, **often))  # type: ignore[arg-type]


@cache
def library() -> VersionLibrary:
    """Models 1 (the expert's), 2 and 3 (learnt from a town), policies `HOUSE_POLICY` and a stricter one."""
    made = VersionLibrary(KEY)
    for version, seed in ((2, 5), (3, 6)):
        made.add_snapshot(version, pack(_learnt(version, seed), KEY))
    text = DEFAULT_PATH.read_text("utf-8").replace(f'"{HOUSE_POLICY}"', f'"{STRICT_POLICY}"')
    for old, new in (
        ("enter = 0.10", "enter = 0.02"),
        ("exit = 0.05", "exit = 0.01"),
        ("enter = 0.25", "enter = 0.1"),
        ("exit = 0.12", "exit = 0.05"),
    ):
        assert old in text
        text = text.replace(old, new)
    made.add_policy(parse_policy(text))
    return made


def _learnt(version: int, seed: int) -> Snapshot:
    place = _town(30, 30, seed)
    events = list(place.events())
    fraud = {event_id for case in place.planted for event_id in case.event_ids}
    rows: dict[str, HotRow] = {}
    vectors, labels, shared = [], [], SharedIndicators()
    for event in events:
        vector = update(rows.setdefault(event.customer_id, HotRow()), event, NO_SHARED)
        if vector is not None and isinstance(event, Transaction):
            vectors.append(vector)
            labels.append((0.5, event.event_id in fraud, 1.0))
            at_ms, terminal, merchant = event.event_time_ms, event.terminal_id or None, event.merchant_id or None
            shared.update(terminal, merchant, at_ms)
            if event.event_id in fraud:
                shared.fraud_known(terminal, merchant, at_ms, at_ms + 2 * DAY_MS)
    # The trees answer only after their first window.
    assert len(vectors) > WINDOW
    model = FraudModel()
    model.observe_many(np.array(vectors))
    model.learn_many(np.array(vectors), labels)
    table = shared.table(events[-1].event_time_ms)
    return replace(initial_snapshot(), version=version, fraud=model.compile(), shared=table)


@cache
def mixed(seed: int, length: int = 1_500) -> tuple[Entry, ...]:
    """A town's stream as one partition may see it.

    Parameters
    ----------
    seed
        Everything follows from it.
    length
        Entries, about; they are spread over the whole town by leaving out customers.
    """
    tick_every_ms = 6 * HOUR_MS
    rng = random.Random(seed)
    events = list(town(seed=11 + seed % 3))
    customers = sorted({event.customer_id for event in events})
    rng.shuffle(customers)
    chosen, count = set[str](), 0
    while count < length * 0.8 and customers:
        chosen.add(customers.pop())
        count = sum(event.customer_id in chosen for event in events)
    entries: list[Entry] = []
    past: list[Event] = []
    held: list[Event] = []
    next_tick_ms = events[0].event_time_ms + tick_every_ms
    for event in events:
        if event.customer_id not in chosen:
            continue
        while event.event_time_ms >= next_tick_ms:
            if rng.random() < 0.8:
                entries.append(tick(next_tick_ms))
            next_tick_ms += tick_every_ms
        dice = rng.random()
        if dice < 0.03 and past:
            entries.append(rng.choice(past[-rng.choice((10, 60, 600)) :]))  # told twice: at once, or long after
        elif dice < 0.05:
            held.append(event)  # delivered later: out of order, or late
            continue
        elif dice < 0.07:
            entries.append(rng.choice(BAD)[:2])
        elif dice < 0.08:
            model, policy = rng.choice((1, 2, 3)), rng.choice((HOUSE_POLICY, STRICT_POLICY))
            entries.append(switch(event.event_time_ms, model, policy))
        elif dice < 0.085:
            entries.append(tick(next_tick_ms - rng.choice((1, 3, 9)) * tick_every_ms + rng.choice((0, 1))))
        elif dice < 0.09:
            entries.append(
                Indicator(
                    event_id=f"w{len(entries)}",
                    event_time_ms=event.event_time_ms,
                    schema_version=1,
                    scope="macro",
                    scope_id="FR",
                    name="unemployment",
                    value=0.07,
                )
            )
        entries.append(event)
        past.append(event)
        if held and rng.random() < 0.2:
            entries.append(held.pop(0))
    entries += held
    entries.append(tick(next_tick_ms + 40 * DAY_MS))
    return tuple(entries)
