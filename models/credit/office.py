"""Who holds the cards: the one in force, the one before, the learner's proposal; and the approval that changes them.

The learner (`models/learner.py`) hands over what it reads, in its order, and asks for the credit part of a snapshot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct, convert, to_builtins

from models.credit.card import EXPERT, Card, CompiledCard, expert_card
from models.credit.characteristics import CREDIT_VERSION
from models.credit.learner import OUTCOMES, CreditLearner, CreditSettings
from models.credit.published import CreditPart
from models.governance.records import Command
from models.governance.registry import Registry
from models.grades import DEFAULT_GRADE, GRADES
from models.observation import Observation

DAY_MS = 86_400_000
PROPOSE_EVERY_MS = 30 * DAY_MS
_MOVES_TOLD = 5


class CreditStanding(Struct, frozen=True):
    """What people see of credit: cards, what was learned, and how grades would move under the proposal (`A>BBB`)."""

    card: int
    proposal: int | None
    waiting: int
    counters: dict[str, int]
    moves: dict[str, float]


class CreditOffice:
    """See the module.

    Attributes
    ----------
    learner
        What learns.
    changed
        Whether there is something new to publish.
    card, before, proposal
        In force, in force before it, and what the learner would put in force.
    lessons
        How many the latest proposal was made of.
    """

    def __init__(self, settings: CreditSettings | None = None) -> None:
        self.learner = CreditLearner(settings)
        self.changed = False
        self.card = expert_card()
        self.before: Card | None = None
        self.proposal: Card | None = None
        self._version = EXPERT
        self._proposed_ms, self.lessons = -1, 0

    def take(self, o: Observation) -> None:
        """One decision, in learning order: an observation of credit, an outcome, or neither."""
        if o.customer_id is None or o.disposition != "decision":
            return
        if o.credit_inputs is not None:
            if o.grade == DEFAULT_GRADE:
                self.learner.counters["in_default"] += 1  # what has happened cannot be foretold
            elif o.credit_version == CREDIT_VERSION:
                pd = o.pd_12m if o.pd_12m is not None else 0.0
                self.learner.observe(o.customer_id, o.facility_id or "", o.event_time_ms, o.credit_inputs, pd, o.grade)
            else:
                self.learner.counters["other_catalogue"] += 1
        elif o.outcome in OUTCOMES:
            self.learner.outcome(o.customer_id, o.facility_id or "", str(o.outcome), o.event_time_ms)

    def advance(self, at_ms: int) -> None:
        """Stream time: lessons are learned; once in thirty days, if there were any, a card is proposed."""
        learner = self.learner
        learner.advance(at_ms)
        due = self._proposed_ms < 0 or at_ms - self._proposed_ms >= PROPOSE_EVERY_MS
        if due and learner.ready and learner.counters["lessons"] > self.lessons:
            self.propose(at_ms)

    def propose(self, at_ms: int) -> Card:
        """A card of what is known now, whether due or not."""
        self._version += 1
        self.proposal = self.learner.propose(self._version, at_ms)
        self._proposed_ms, self.lessons = at_ms, self.learner.counters["lessons"]
        self.changed = True
        return self.proposal

    def approve(self, command: Command, at_ms: int, registry: Registry) -> str:
        """Put a card in force: the proposal, the one before, or 1, the expert's.

        Returns
        -------
        Why not; empty when it was done. Then history has a line, and people get one model alert that says how the
        grades of known customers move.
        """
        known = {card.version: card for card in (expert_card(), self.before, self.proposal) if card is not None}
        card = known.get(command.version)
        if card is None or card.version == self.card.version:
            others = " ".join(str(version) for version in sorted(known) if version != self.card.version)
            return f"expected a credit card that waits for approval, found {command.version}; there are: {others}"
        table = self.learner.table(CompiledCard(self.card), CompiledCard(card))
        self.before, self.card = self.card, card
        if self.proposal is not None and self.proposal.version == card.version:
            self.proposal = None
        self.changed = True
        registry.enter(at_ms, "approve_credit", card.version, "credit", command.by, command.why, command.id)
        registry.tell("credit_approved", at_ms, "credit", card.version, told(table), often=True)
        return ""

    def part(self) -> CreditPart:
        """What a snapshot carries."""
        self.changed = False
        return CreditPart(self.card, self.before, self.proposal, self.learner.migration.probabilities())

    def standing(self) -> CreditStanding:
        """What people see."""
        learner, proposal = self.learner, self.proposal
        moves = learner.table(CompiledCard(self.card), CompiledCard(proposal)) if proposal is not None else {}
        version = None if proposal is None else proposal.version
        return CreditStanding(
            self.card.version, version, learner.waiting, dict(sorted(learner.counters.items())), moves
        )

    def dump(self) -> list[Any]:
        """Plain values for the checkpoint."""
        cards = [to_builtins(card) for card in (self.card, self.before, self.proposal)]
        return [cards, self._version, self._proposed_ms, self.lessons, self.changed, self.learner.dump()]

    @classmethod
    def load(cls, data: Sequence[Any]) -> CreditOffice:
        """Restore what `dump` wrote."""
        office = cls()
        cards, office._version, office._proposed_ms, office.lessons, office.changed, learner = data
        office.card = convert(cards[0], Card)
        office.before, office.proposal = (convert(card, Card | None) for card in cards[1:])
        office.learner = CreditLearner.load(learner)
        return office


def told(table: dict[str, float]) -> dict[str, float]:
    """A migration table in the few figures an alert holds: who moves down, up, stays; the commonest moves.

    Examples
    --------
    >>> told({"A>A": 7.0, "A>BBB": 2.0, "BBB>A": 1.0})
    {'down': 2.0, 'up': 1.0, 'same': 7.0, 'A>BBB': 2.0, 'BBB>A': 1.0}
    """
    figures = {"down": 0.0, "up": 0.0, "same": 0.0}
    moves = []
    for move, count in table.items():
        before, after = (GRADES.index(grade) for grade in move.split(">"))
        figures["down" if after > before else "up" if after < before else "same"] += count
        if before != after:
            moves.append((-count, move))
    return figures | {move: -count for count, move in sorted(moves)[:_MOVES_TOLD]}
