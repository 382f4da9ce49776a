"""Events at a steady pace from a thread, for as long as a test breaks things."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from types import TracebackType
from typing import Self

from features.events import Event, Login
from streams.send import SendError, partition_of, send_events
from streams.settings import Settings
from streams.town import Town, TownConfig

_DAYS = 60
_DAY_MS = 86_400_000
# More than a worker waits between two watermarks, so that the closing event is one.
_PAUSE_S = 2.0


def town_events(seed: int, people: int = 400) -> Iterator[Event]:
    """Events of a town without end: every two months it begins anew, two months later, with the same people.

    More goes wrong in it than usual, so that there are alerts and changes of risk to lose.
    """
    start_ms = TownConfig().start_ms
    for again in count():
        config = TownConfig(
            people=people, days=_DAYS, seed=seed + again, start_ms=start_ms + again * _DAYS * _DAY_MS,
            card_thefts=60.0, terminal_compromises=20.0, account_takeovers=60.0, bust_outs=30.0, job_losses=60.0,
        )  # fmt: skip
        yield from Town(config).events()


class Load:
    """Sends until stopped; a context manager. Goes on after the broker was away.

    Attributes
    ----------
    sent, seconds
        Events acknowledged, and how long it took, once stopped.
    latest_ms
        Highest event time sent.
    """

    def __init__(self, settings: Settings, events: Iterable[Event], rate: float) -> None:
        self.settings, self.rate = settings, rate
        self.sent, self.seconds, self.latest_ms, self.interrupted = 0, 0.0, 0, 0
        self._events = iter(events)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self._error: BaseException | None = None

    def _until_stopped(self) -> Iterator[Event]:
        for event in self._events:
            self.latest_ms = max(self.latest_ms, event.event_time_ms)
            yield event
            if self._stop.is_set():
                return

    def _run(self) -> None:
        began = time.monotonic()
        try:
            while not self._stop.is_set():
                try:
                    self._send(self._until_stopped(), self.rate)
                    return
                except SendError:
                    # The broker is away: what it did not take is not in the log, and so is nobody's duty.
                    self.interrupted += 1
                    self._stop.wait(0.5)
        except BaseException as error:
            self._error = error
        finally:
            self.seconds = time.monotonic() - began

    def _send(self, events: Iterable[Event], rate: float | None) -> None:
        acknowledged = 0

        def progress(so_far: int) -> None:
            nonlocal acknowledged
            acknowledged = so_far

        settings = self.settings
        try:
            asyncio.run(send_events(settings.broker, settings.topic_events, events, rate=rate, progress=progress))
        finally:
            self.sent += acknowledged

    def stop(self) -> None:
        """Send no more; raises what ended the sender early."""
        self._stop.set()
        self._thread.join(90)
        assert not self._thread.is_alive(), "the sender did not stop"
        if self._error is not None:
            raise self._error

    def wait(self) -> None:
        """Until all events are sent."""
        self._thread.join()
        self.stop()

    def close(self, partitions: int) -> None:
        """One event more in each partition, when all others are worked through: its watermark is said with it."""
        time.sleep(_PAUSE_S)
        self.latest_ms += 1
        self._send(closing_events(partitions, self.latest_ms), None)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(90)


def closing_events(partitions: int, at_ms: int, name: str = "closing") -> list[Event]:
    """One login in every partition."""
    events: dict[int, Event] = {}
    number: Callable[[], int] = count().__next__
    while len(events) < partitions:
        customer = f"{name}-{number()}"
        partition = partition_of(customer.encode(), partitions)
        if partition not in events:
            events[partition] = Login(
                event_id=f"{name}/{partition}/{at_ms}", event_time_ms=at_ms, schema_version=1, customer_id=customer,
                channel="mobile", result="ok",
            )  # fmt: skip
    return [events[partition] for partition in sorted(events)]
