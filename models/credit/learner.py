"""The credit learner, pure: observations that wait months for their outcome, lessons, and the card they propose.

An observation is what the card saw of a customer once a month (`features/row.py`). It turns bad when a default
comes within the window (twelve months, or a shorter one that is stated: a card file with one month of outcomes has
no more), good when its facility is paid in full, and good by silence when the window has passed. It teaches when its
window has passed, bad or good: bad ones are known sooner, and learned sooner they would raise everybody's PD while a
book grows. Only where outcomes are listed for everybody it teaches when its outcome is known.

What is learned is a proposal. The card in force changes only when a named person approves it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from msgspec import Struct, convert
from msgspec.structs import astuple

from models.credit.calibrate import level, short_of
from models.credit.card import Card, CompiledCard, expert_card
from models.credit.challenger import pair_hats
from models.credit.curves import hats, points_of, projected, weights_of
from models.credit.migration import Migration
from models.credit.regression import HatRegression
from models.credit.scale import FACTOR, OFFSET, pd_of
from models.errors import LearnerError
from models.grades import DEFAULT_GRADE

DAY_MS = 86_400_000
BAD, CLOSED = "default", "paid_in_full"
OUTCOMES = (BAD, "cured", CLOSED)


@dataclass(frozen=True, slots=True)
class CreditSettings:
    """How credit is learned.

    Parameters
    ----------
    window_ms
        A default within it makes an observation bad; without one by its end it is good.
    silence_is_good
        False where outcomes are listed for everybody (public data): an outcome teaches at once, an observation nobody
        spoke of teaches nothing.
    passes
        How often the lessons of one epoch are gone through: credit outcomes are few.
    lessons_min, defaults_min
        Below either no card is proposed.
    waiting_max, recent_max
        Bounds: observations that wait, lessons kept to set the level by.
    """

    window_ms: int = 365 * DAY_MS
    silence_is_good: bool = True
    passes: int = 3
    lessons_min: int = 200
    defaults_min: int = 20
    waiting_max: int = 500_000
    recent_max: int = 5_000

    def __post_init__(self) -> None:
        for name in ("window_ms", "passes", "waiting_max", "recent_max"):
            if getattr(self, name) < 1:
                raise LearnerError(f"expected {name} to be at least 1, found {getattr(self, name)}: correct it")


class Case(Struct, array_like=True, eq=False, gc=False):
    """One observation that waits; `bad` once its outcome is known, `settled` once it waits no more."""

    customer_id: str
    facility_id: str
    at_ms: int
    inputs: tuple[float, ...]
    pd: float
    grade: str
    bad: bool | None = None
    soon: bool = False
    settled: bool = False


class CreditLearner:
    """See the module.

    Attributes
    ----------
    counters
        Observations, lessons, defaults, evictions since the beginning.
    migration
        How grades moved from an observation to its end.
    """

    def __init__(self, settings: CreditSettings | None = None) -> None:
        self.settings = settings or CreditSettings()
        start, intercept = weights_of(expert_card().points), (OFFSET - expert_card().base) / FACTOR
        self.card_model = HatRegression(start, intercept, projected)
        self.challenger = HatRegression(start, intercept)
        self.counters: Counter[str] = Counter()
        self.migration = Migration()
        self._waiting: deque[Case] = deque()
        self._of: dict[str, list[Case]] = {}
        self._lessons: list[tuple[int, Case]] = []
        # (inputs, bad, bad within 90 days) of the newest lessons.
        self._recent: deque[tuple[tuple[float, ...], bool, bool]] = deque(maxlen=self.settings.recent_max)

    @property
    def waiting(self) -> int:
        """Observations without an outcome yet."""
        return sum(map(len, self._of.values()))

    def observe(
        self, customer_id: str, facility_id: str, at_ms: int, inputs: Sequence[float], pd: float, grade: str
    ) -> None:
        """An observation begins to wait."""
        case = Case(customer_id, facility_id, at_ms, tuple(map(float, inputs)), pd, grade)
        self._waiting.append(case)
        self._of.setdefault(customer_id, []).append(case)
        self.migration.seen(customer_id, grade)
        self.counters["observations"] += 1
        while len(self._waiting) > self.settings.waiting_max:
            evicted = self._waiting.popleft()
            if not evicted.settled:
                self._forget(evicted)
                self.counters["evicted"] += 1

    def outcome(self, customer_id: str, facility_id: str, outcome: str, at_ms: int) -> None:
        """The truth about a customer, as it became known at `at_ms`."""
        if outcome not in OUTCOMES:
            return
        self.counters[f"outcomes_{outcome}"] += 1
        if outcome == BAD:
            for case in list(self._of.get(customer_id, ())):
                late_ms = at_ms - case.at_ms
                if late_ms <= self.settings.window_ms and not case.bad:
                    self._know(at_ms, case, bad=True, soon=late_ms <= 90 * DAY_MS)
        elif outcome == CLOSED:
            for case in list(self._of.get(customer_id, ())):
                in_time = at_ms - case.at_ms <= self.settings.window_ms
                if case.facility_id == facility_id and in_time and case.bad is None:
                    self._know(at_ms, case, bad=False, soon=False)

    def advance(self, at_ms: int) -> int:
        """Stream time has reached `at_ms`: what is old enough is settled, and the lessons of this epoch are learned.

        Returns
        -------
        How many lessons there were.
        """
        waiting = self._waiting
        while waiting and (waiting[0].settled or waiting[0].at_ms + self.settings.window_ms < at_ms):
            case = waiting.popleft()
            if case.settled:
                continue
            if self.settings.silence_is_good:
                self._settle(case.at_ms + self.settings.window_ms, case)
            else:
                self._forget(case)
                self.counters["unlabelled"] += 1
        return self._learn()

    def _know(self, at_ms: int, case: Case, *, bad: bool, soon: bool) -> None:
        case.bad, case.soon = bad, soon
        if not self.settings.silence_is_good:
            self._settle(at_ms, case)

    def _settle(self, at_ms: int, case: Case) -> None:
        case.settled = True
        self._forget(case)
        self.migration.matured(case.customer_id, case.grade, DEFAULT_GRADE if case.bad else "")
        self._lessons.append((at_ms, case))

    def _forget(self, case: Case) -> None:
        own = self._of[case.customer_id]
        own.remove(case)
        if not own:
            del self._of[case.customer_id]

    def _learn(self) -> int:
        lessons, self._lessons = self._lessons, []
        if not lessons:
            return 0
        # The order of what becomes known at one moment must not hang on that of the partitions.
        lessons.sort(key=lambda lesson: (lesson[0], lesson[1].customer_id, lesson[1].at_ms))
        for _, case in lessons:
            self.counters["lessons"] += 1
            self.counters["defaults"] += bool(case.bad)
            self._recent.append((case.inputs, bool(case.bad), case.soon))
        seen = [(hats(case.inputs), pair_hats(case.inputs), bool(case.bad)) for _, case in lessons]
        for _ in range(self.settings.passes):
            for single, paired, bad in seen:
                self.card_model.learn_one(single, bad)
                self.challenger.learn_one(paired, bad)
        # Few lessons shall count too, by what they are of a full turn of the mean.
        for model in (self.card_model, self.challenger):
            model.settle(min(0.1, len(lessons) * self.settings.passes / 2_500))
        return len(lessons)

    @property
    def ready(self) -> bool:
        """Whether there is enough to propose a card from."""
        count, limits = self.counters, self.settings
        return count["lessons"] >= limits.lessons_min and count["defaults"] >= limits.defaults_min

    def propose(self, version: int, as_of_ms: int) -> Card:
        """The card as learned so far: curves run one way, the level fits the newest lessons."""
        model = self.card_model
        squares = dict.fromkeys(model.mean, 1.0)
        points = points_of(projected(model.mean, squares))
        base = OFFSET - FACTOR * model.mean_intercept
        drawn = Card(version, as_of_ms, points, base)
        compiled = CompiledCard(drawn)
        scores = [compiled.points(inputs) for inputs, _, _ in self._recent]
        base += level(scores, [bad for _, bad, _ in self._recent])
        kept = ("observations", "lessons", "defaults")
        short = drawn.short
        if self.settings.window_ms > 90 * DAY_MS:
            short = short_of([s + base - drawn.base for s in scores], [soon for _, _, soon in self._recent], short)
        return Card(version, as_of_ms, points, base, short, {name: self.counters[name] for name in kept})

    def challenger_pd(self, inputs: Sequence[float]) -> float:
        """What the richer model says of a vector: the mean, in log-odds, of the card's lines and the pairs."""
        mean = (self.card_model.log_odds(hats(inputs)) + self.challenger.log_odds(pair_hats(inputs))) / 2
        return 1.0 - pd_of(OFFSET + FACTOR * mean)

    def table(self, before: CompiledCard, after: CompiledCard) -> dict[str, float]:
        """How the newest lessons' grades would move from one card to the other, as counts by `A>BBB`."""
        return self.migration.between([inputs for inputs, _, _ in self._recent], before, after)

    def dump(self) -> list[Any]:
        """Plain values for the checkpoint; everything that waits is in it, for months are too long to read again."""
        waiting = [astuple(case) for case in self._waiting if not case.settled]
        recent = [list(item) for item in self._recent]
        return [
            asdict(self.settings), dict(self.counters), self.card_model.dump(), self.challenger.dump(),
            self.migration.dump(), waiting, recent,
        ]  # fmt: skip

    @classmethod
    def load(cls, data: Sequence[Any]) -> CreditLearner:
        """Restore what `dump` wrote, between two epochs."""
        settings, counters, card_model, challenger, migration, waiting, recent = data
        learner = cls(CreditSettings(**settings))
        learner.counters = Counter(counters)
        learner.card_model = HatRegression.load(card_model, projected)
        learner.challenger = HatRegression.load(challenger)
        learner.migration = Migration.load(migration)
        for case in convert(waiting, list[Case]):
            learner._waiting.append(case)
            learner._of.setdefault(case.customer_id, []).append(case)
        learner._recent.extend((tuple(inputs), bad, soon) for inputs, bad, soon in recent)
        return learner
