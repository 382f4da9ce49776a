"""Everything at once, on nothing: embedded broker, topics, worker, learner, a simulated town, its alerts.

The town's truth is known, so the demonstration can say at the end which planted cases were caught.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from alerts.community import NO_CUSTOMER
from alerts.records import Alert, Text
from features.events import Event
from streams import topics
from streams.broker.embedded import EmbeddedBroker
from streams.cli.worker import child_arguments
from streams.errors import BrokerError
from streams.send import send_events
from streams.settings import Settings, load
from streams.supervisor import Said, Supervisor
from streams.town import Planted, Town, TownConfig

PARTITIONS = 4
# The town lives faster than the clock: about two of its days a second.
TOWN = {"people": 400, "days": 365, "seed": 7}
RATE = 2_500.0
DRAIN_S = 3.0
READY_MAX_S = 60.0
CAUGHT_WITHIN_MS = 3 * 86_400_000
_SETTINGS = {
    # The embedded broker waits the whole rebalance timeout in every group join.
    "RISKSHIFT_REBALANCE_TIMEOUT_S": "3",
    "RISKSHIFT_TICK_EVERY_MS": "3600000",
    "RISKSHIFT_LEARN_EVERY_MS": "3600000",
    "RISKSHIFT_PUBLISH_EVERY_MS": "43200000",
    "RISKSHIFT_PUBLISH_EVERY_S": "1",
    "RISKSHIFT_SHUTDOWN_TIMEOUT_S": "5",
}

_alerts = msgspec.json.Decoder(Alert)


class _Titled(msgspec.Struct):
    title: Text


_titled = msgspec.json.Decoder(_Titled)


@dataclass(slots=True)
class Tally:
    """What the demonstration has seen."""

    events: int = 0
    sent: int = 0
    dead_letters: int = 0
    alerts: int = 0
    customers: set[str] = field(default_factory=set)
    alert_times: dict[str, list[int]] = field(default_factory=dict)
    by_severity: dict[str, int] = field(default_factory=dict)
    snapshots: int = 0
    restarts: int = 0
    first_alert_s: float | None = None
    town_ms: int = 0


class Demo:
    """One demonstration run.

    Parameters
    ----------
    on_alert
        Called with every alert, raw JSON beside it.
    on_note
        Called with one sentence when something notable happens.
    """

    def __init__(self, on_alert: Callable[[Alert, bytes], None], on_note: Callable[[str], None]) -> None:
        self.tally = Tally()
        self.on_alert = on_alert
        self.on_note = on_note
        self.started_s = time.monotonic()
        self.stop = asyncio.Event()
        self._town = Town(TownConfig(**TOWN))  # type: ignore[arg-type]  # declared above as plain numbers

    async def run(self, for_s: float | None) -> dict[str, object]:
        """Run for `for_s` seconds from being ready (None: until `stop` is set); the summary."""
        with tempfile.TemporaryDirectory(prefix="riskshift-demo-") as home, EmbeddedBroker() as broker:
            self.on_note(f"embedded broker on {broker.address}")
            topics.declare(broker.address, PARTITIONS)
            settings, _ = load(environ=_SETTINGS, broker=broker.address, home=home)
            supervisor = Supervisor(
                [("worker", child_arguments(settings, "worker")), ("learner", child_arguments(settings, "learner"))],
                _SETTINGS,
                self._on_said,
            )
            supervisor.start()
            try:
                await self._until_ready(supervisor, broker)
                self.on_note("worker and learner ready; the town wakes up")
                await self._stream(settings, supervisor, for_s)
            finally:
                supervisor.stop(8.0)
        return self.summary()

    async def _until_ready(self, supervisor: Supervisor, broker: EmbeddedBroker) -> None:
        deadline = time.monotonic() + READY_MAX_S
        while not supervisor.ready and not self.stop.is_set():
            problem = supervisor.watch() or broker.died()
            if problem is None and time.monotonic() > deadline:
                problem = f"worker and learner were not ready within {READY_MAX_S:.0f} s"
            if problem is not None:
                raise BrokerError(f"the demonstration cannot start: {problem}")
            await asyncio.sleep(0.05)

    async def _stream(self, settings: Settings, supervisor: Supervisor, for_s: float | None) -> None:
        # From when it is ready: a slow machine shows as much as a fast one.
        deadline = None if for_s is None else time.monotonic() + max(for_s - DRAIN_S, 1.0)
        halt = asyncio.Event()
        sender = asyncio.create_task(
            send_events(settings.broker, settings.topic_events, self._events(), rate=RATE, stop=halt)
        )
        reader = asyncio.create_task(self._read(settings))
        try:
            while not (self.stop.is_set() or sender.done() or reader.done()):
                if deadline is not None and time.monotonic() >= deadline:
                    break
                problem = supervisor.watch()
                if problem is not None:
                    raise BrokerError(f"the demonstration ends: {problem}")
                await asyncio.sleep(0.05)
            halt.set()
            self.tally.sent = (await sender).sent
            quiet_by = time.monotonic() + DRAIN_S
            while self.tally.events < self.tally.sent and time.monotonic() < quiet_by and not reader.done():
                await asyncio.sleep(0.05)
            self.tally.restarts = supervisor.restarts
        finally:
            for task in (sender, reader):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    def _events(self) -> Iterator[Event]:
        for event in self._town.events():
            self.tally.town_ms = event.event_time_ms
            yield event

    async def _read(self, settings: Settings) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.broker, group_id=None, auto_offset_reset="earliest", fetch_max_wait_ms=100
        )
        await consumer.start()
        try:
            names = (settings.topic_alerts, settings.topic_dead_letters, settings.topic_decisions)
            consumer.assign([TopicPartition(name, p) for name in names for p in range(PARTITIONS)])
            while True:
                answer = await consumer.getmany(timeout_ms=200)
                for tp, records in answer.items():
                    for record in records:
                        self._take(settings, tp.topic, record.key, record.value)
        finally:
            await consumer.stop()

    def _take(self, settings: Settings, topic: str, key: bytes | None, value: bytes) -> None:
        tally = self.tally
        if topic == settings.topic_alerts and key in NO_CUSTOMER:
            self.on_note(f"{key.decode()} alert: {_titled.decode(value).title.en}")
        elif topic == settings.topic_alerts:
            alert = _alerts.decode(value)
            tally.alerts += 1
            tally.customers.add(alert.customer_id)
            tally.alert_times.setdefault(alert.customer_id, []).append(alert.event_time_ms)
            tally.by_severity[alert.severity] = tally.by_severity.get(alert.severity, 0) + 1
            if tally.first_alert_s is None:
                tally.first_alert_s = round(time.monotonic() - self.started_s, 1)
            self.on_alert(alert, value)
        elif topic == settings.topic_dead_letters:
            tally.dead_letters += 1
            tally.events += 1
        elif b'"offset":' in value and not value.startswith(b'{"disposition":"derived"'):
            tally.events += 1

    def _on_said(self, said: Said) -> None:
        # Called from reader threads: counters and notes only.
        if said["worker"] == "snapshot":
            self.tally.snapshots += 1
        elif said["worker"] == "restarting":
            self.on_note(f"{said['name']} ended and is started again: {said['reason']}")
        elif said["worker"] == "log":
            self.on_note(f"{said['name']}: {said['line']}")

    def summary(self) -> dict[str, object]:
        """Figures of the run; `planted` and `caught` count cases of which something had happened by the end."""
        tally = self.tally
        begun = [case for case in self._town.planted if case.start_ms <= tally.town_ms]
        caught = [case for case in begun if self._caught(case)]
        by_typology: dict[str, dict[str, int]] = {}
        for case in begun:
            line = by_typology.setdefault(case.typology, {"planted": 0, "caught": 0})
            line["planted"] += 1
            line["caught"] += case in caught
        return {
            "events": tally.events,
            "sent": tally.sent,
            "alerts": tally.alerts,
            "customers_alerted": len(tally.customers),
            "dead_letters": tally.dead_letters,
            "planted": len(begun),
            "caught": len(caught),
            "by_typology": by_typology,
            "by_severity": tally.by_severity,
            "snapshots": tally.snapshots,
            "restarts": tally.restarts,
            "town_days": round((tally.town_ms - self._town.config.start_ms) / 86_400_000, 1) if tally.town_ms else 0,
            "first_alert_s": tally.first_alert_s,
            "seconds": round(time.monotonic() - self.started_s, 1),
        }

    def _caught(self, case: Planted) -> bool:
        """An alert on one of the case's customers while it went on, or within three days after."""
        until = case.end_ms + CAUGHT_WITHIN_MS
        return any(
            case.start_ms <= at_ms <= until
            for customer_id in case.customer_ids
            for at_ms in self.tally.alert_times.get(customer_id, ())
        )
