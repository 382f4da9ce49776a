"""Engine and credit learner over a file of credit histories whose outcomes are known, day by day.

A day begins with a tick; what was learned up to it comes into force at once (live, a named person would approve it);
then the day's events are scored. `uci-default` holds six months of every client and then the outcome of all: a part of
the clients teaches, the others are scored. `berka` runs once, in time order: a loan is scored when it is granted, and
teaches when it has ended.
"""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from alerts.policy import Policy
from alerts.shift import Assessor
from features.events import Event, Outcome, Switch, Tick, encode
from models.credit.learner import CreditSettings
from models.credit.office import CreditOffice
from models.governance.records import Command
from models.governance.registry import Registry
from models.observation import Observation, decode_observation
from models.scorecard import EXPERT_CARD
from models.snapshot import LoadedSnapshot, initial_snapshot
from streams.engine import Engine
from streams.sources.times import DAY_MS

_RECORDS_MAX = 8_192
_HELD_OUT_OF = 4


class CreditScored(NamedTuple):
    """What was said of one subject: 12-month PDs of the card in force, the challenger, the expert; on what."""

    at_ms: int
    pd: float
    challenger: float
    expert: float
    card: int
    inputs: tuple[float, ...] = ()


@dataclass(slots=True)
class CreditRun:
    """How it went beside the scores; `scores` by customer, or by facility where loans are scored."""

    events: int = 0
    seconds: float = 0.0
    cards: int = 1
    scores: dict[str, CreditScored] = field(default_factory=dict)
    outcomes: dict[str, bool] = field(default_factory=dict)


class CreditBench:
    """One learner, and an engine per pass.

    Parameters
    ----------
    policy
        Which alerts there would have been; scores do not depend on it.
    settings
        How credit is learned.
    at_grant
        Score and learn at `loan_granted`, by facility; else at every observation, the last counts, by customer.
    """

    def __init__(self, policy: Policy, settings: CreditSettings, *, at_grant: bool) -> None:
        self.office = CreditOffice(settings)
        self.run = CreditRun()
        self._at_grant = at_grant
        self._library = _Library(policy)
        self._registry = Registry()
        self._policy = policy

    def go(
        self, events: Iterable[Event], *, teach: bool, score: Callable[[Event], bool],
        progress: Callable[[CreditRun, int], None] = lambda _run, _day_ms: None,
    ) -> None:  # fmt: skip
        """Run events in time order through a new engine.

        Parameters
        ----------
        teach
            Whether observations and outcomes are learned.
        score
            Whose events' scores are kept.
        """
        engine = Engine(
            0, 1, "events", self._library, model_version=self._library.version, policy_version=self._policy.version
        )
        began = time.monotonic()
        offset = 0
        for day_ms, day in _days(events):
            engine.process([], [_tick(day_ms)])
            if teach:
                self.office.advance(day_ms)
                self._renew(engine, day_ms)
            for start in range(0, len(day), _RECORDS_MAX):
                batch = day[start : start + _RECORDS_MAX]
                records = [
                    _Record(offset + place, event.customer_id.encode(), encode(event))
                    for place, event in enumerate(batch)
                ]
                for _key, value in engine.process(records).decisions:
                    # Only what has inputs or an outcome is of interest: most decisions need not be decoded.
                    if b'"credit_inputs":' in value or b'"outcome":' in value:
                        o = decode_observation(value)
                        self._take(o, batch[o.offset - offset], teach, score)
                offset += len(batch)
            self.run.events += len(day)
            progress(self.run, day_ms)
        if teach:
            self.office.advance(day_ms + DAY_MS if offset else 0)
            self._renew(None, 0)
        self.run.seconds += time.monotonic() - began

    def _take(self, o: Observation, event: Event, teach: bool, score: Callable[[Event], bool]) -> None:
        if o.credit_inputs is not None and o.pd_12m is not None and (not self._at_grant or o.kind == "loan_granted"):
            if teach:
                self.office.take(o)
            if score(event):
                inputs = o.credit_inputs
                self.run.scores[self._subject(o)] = CreditScored(
                    o.event_time_ms, o.pd_12m, self.office.learner.challenger_pd(inputs),
                    EXPERT_CARD.score(inputs).pd_12m, self.office.card.version, tuple(inputs),
                )  # fmt: skip
        elif type(event) is Outcome:
            if teach:
                self.office.take(o)
            if score(event) and o.outcome in ("default", "paid_in_full"):
                self.run.outcomes[self._subject(o)] = o.outcome == "default"

    def _subject(self, o: Observation) -> str:
        return (o.facility_id if self._at_grant else o.customer_id) or ""

    def _renew(self, engine: Engine | None, at_ms: int) -> None:
        """Propose what was learned since the last card, approve it, and let the engine switch."""
        office = self.office
        if office.learner.ready and office.learner.counters["lessons"] > office.lessons:
            office.propose(at_ms)
        card = office.proposal
        if card is None:
            return
        command = Command(f"evaluate-{card.version}", "approve_credit", "evaluate", "every card learned", card.version)
        office.approve(command, at_ms, self._registry)
        version = self._library.renew(office)
        self.run.cards = version
        if engine is not None:
            policy = self._policy.version
            switch = Switch(
                event_id=f"switch/{version}", event_time_ms=at_ms, schema_version=1, partition=0,
                model_version=version, policy_version=policy,
            )  # fmt: skip
            engine.process([], [switch])


def is_held_out(customer_id: str) -> bool:
    """Whether a client is scored and never learned from where one file serves for both: a quarter, by a hash.

    Examples
    --------
    >>> 2_300 < sum(is_held_out(str(n)) for n in range(10_000)) < 2_700
    True
    """
    digest = hashlib.blake2b(customer_id.encode(), digest_size=8, person=b"held out credit").digest()
    return int.from_bytes(digest, "big") % _HELD_OUT_OF == 0


class _Library:
    def __init__(self, policy: Policy) -> None:
        self._assessor = Assessor(policy)
        self._snapshot = initial_snapshot()
        self._model = LoadedSnapshot(self._snapshot)
        self.version = self._snapshot.version

    def renew(self, office: CreditOffice) -> int:
        self.version += 1
        self._model = LoadedSnapshot(replace(self._snapshot, version=self.version, credit=office.part()))
        return self.version

    def model(self, version: int) -> LoadedSnapshot:
        if version != self.version:
            raise KeyError(version)
        return self._model

    def assessor(self, policy_version: str) -> Assessor:  # noqa: ARG002
        return self._assessor


@dataclass(frozen=True, slots=True)
class _Record:
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = -1
    headers: tuple[tuple[str, bytes], ...] = ()


def _tick(day_ms: int) -> Tick:
    return Tick(event_id=f"tick/0/{day_ms}", event_time_ms=day_ms, schema_version=1, partition=0)


def _days(events: Iterable[Event]) -> Iterator[tuple[int, list[Event]]]:
    for day, group in itertools.groupby(events, lambda event: event.event_time_ms // DAY_MS):
        yield day * DAY_MS, list(group)
