"""What governance says over the models topic: commands, rulings, cards, history, standing; signed, each a small JSON.

Keys: `command/ID` (a person asks), `ruling/ID` (the learner says after which epoch it counts), `card/VERSION`,
`history/NUMBER`, `standing` (who is who now), `challenger/VERSION/CHUNK/CHUNKS` (weights no worker uses).
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Struct

from models.credit.office import CreditStanding
from models.governance.records import Card, Command, Entry, Ruling
from streams.bulletin import CHECKPOINT_KEY

if TYPE_CHECKING:
    from models.governance.council import Council

log = logging.getLogger(__name__)

COMMAND_KEY, RULING_KEY, CARD_KEY, HISTORY_KEY = b"command/", b"ruling/", b"card/", b"history/"
CHALLENGER_KEY, STANDING_KEY = b"challenger/", b"standing"
# Commands that wait for an answer; more are refused by passing over the oldest.
COMMANDS_MAX = 1_000
_DOMAIN = b"riskshift governance 1"
T = TypeVar("T")


class CandidateStanding(Struct, frozen=True):
    """One candidate as it stands; figures are held-out means in nats, against the champion."""

    name: str
    version: int | None
    e_value: float
    gain: float
    frauds: int
    goods: int
    objection: str


class CouncilStanding(Struct, frozen=True):
    """Who decides, what one can go back to, how the others do, who is not heard."""

    champion: str
    version: int
    kept: list[int]
    candidates: list[CandidateStanding]
    suspended: dict[str, int]
    lessons_rolled_back: int
    labels_quarantined: int
    rules: str
    credit: CreditStanding | None = None


class _Signed(Struct, array_like=True):
    signature: str
    body: msgspec.Raw


def sealed(name: bytes, record: Any, key: bytes) -> tuple[bytes, bytes]:
    """Key and value of a signed record; `name` is part of what is signed."""
    body = msgspec.json.encode(record)
    return name, msgspec.json.encode(_Signed(_signature(name, body, key), msgspec.Raw(body)))


def opened(name: bytes, value: bytes, kind: type[T], key: bytes) -> T | None:
    """The record, or None (and a line in the log) when it is not ours."""
    try:
        signed = msgspec.json.decode(value, type=_Signed)
        if not hmac.compare_digest(signed.signature, _signature(name, bytes(signed.body), key)):
            log.error("passed over %s: expected our signature, found another", name.decode(errors="replace"))
            return None
        return msgspec.json.decode(signed.body, type=kind)
    except msgspec.MsgspecError as error:
        log.error("passed over %s: %s", name.decode(errors="replace"), error)
        return None


def _signature(name: bytes, body: bytes, key: bytes) -> str:
    head = _DOMAIN + len(name).to_bytes(2, "big") + name
    return hmac.new(key, head + body, hashlib.sha256).hexdigest()


def standing_of(
    council: Council, counters: dict[str, int], suspended: dict[str, int], credit: CreditStanding | None = None
) -> CouncilStanding:
    """The council as people see it."""
    champion = council.proof.stand(council.champion.compiled)
    candidates = [
        CandidateStanding(
            it.rules.name, it.versions[-1] if it.versions else None, round(it.evidence.e_value(), 4),
            round(it.evidence.gain(), 6), it.evidence.frauds, it.evidence.goods,
            "" if it is council.champion else council.objection(it, champion, council.kept_ms),
        )
        for it in council.candidates
    ]  # fmt: skip
    return CouncilStanding(
        council.champion.rules.name, council.version, [keep.version for keep in council.keeps], candidates, suspended,
        council.set_aside, counters.get("labels_quarantined", 0) + counters.get("labels_set_aside", 0),
        council.rules.version, credit,
    )  # fmt: skip


class ModelsLog:
    """The models topic as read so far, record by record.

    Attributes
    ----------
    checkpoint
        The newest whole one.
    commands
        Those without a ruling, oldest first.
    rulings, cards, history, standing
        What the learner said.
    """

    def __init__(self, key: bytes) -> None:
        self.checkpoint: bytes | None = None
        self.commands: dict[str, Command] = {}
        self.rulings: list[Ruling] = []
        self.cards: dict[int, Card] = {}
        self.history: dict[int, Entry] = {}
        self.standing: CouncilStanding | None = None
        self._key = key
        self._parts: dict[int, dict[int, bytes]] = {}
        self._ruled: dict[str, None] = {}

    def take(self, name: bytes | None, value: bytes | None) -> None:
        """One record of the topic; what is neither governance's nor a checkpoint is passed over."""
        if name is None or value is None:
            return
        key = self._key
        if name.startswith(CHECKPOINT_KEY):
            self._take_checkpoint(name, value)
        elif name.startswith(COMMAND_KEY):
            command = opened(name, value, Command, key)
            if command is not None and command.id not in self._ruled:
                self.commands[command.id] = command
                while len(self.commands) > COMMANDS_MAX:
                    del self.commands[next(iter(self.commands))]
        elif name.startswith(RULING_KEY):
            ruling = opened(name, value, Ruling, key)
            if ruling is not None:
                self.ruled(ruling)
        elif name.startswith(CARD_KEY):
            card = opened(name, value, Card, key)
            if card is not None:
                self.cards[card.version] = card
        elif name.startswith(HISTORY_KEY):
            entry = opened(name, value, Entry, key)
            if entry is not None:
                self.history[entry.number] = entry
        elif name == STANDING_KEY:
            self.standing = opened(name, value, CouncilStanding, key) or self.standing

    def ruled(self, ruling: Ruling) -> None:
        """Note a ruling; its command waits no more."""
        if ruling.command.id not in self._ruled:
            self._ruled[ruling.command.id] = None
            self.rulings.append(ruling)
        self.commands.pop(ruling.command.id, None)

    def answers(self, command_id: str) -> list[Entry]:
        """Lines of history that answer a command."""
        return [entry for entry in self.history.values() if entry.command == command_id]

    def _take_checkpoint(self, name: bytes, value: bytes) -> None:
        version, place, count = (int(n) for n in name.removeprefix(CHECKPOINT_KEY).split(b"/"))
        if place == 0:
            # The same version's is said again now and then: what came of the one before must not mix with it.
            self._parts[version] = {}
        found = self._parts.setdefault(version, {})
        found[place] = value
        if len(found) == count:
            self.checkpoint = b"".join(found[i] for i in sorted(found))
            self._parts.clear()


def said(entries: Sequence[Entry], cards: Sequence[Card], key: bytes) -> list[tuple[bytes, bytes]]:
    """Signed records of history and cards."""
    records = [sealed(b"%b%d" % (HISTORY_KEY, entry.number), entry, key) for entry in entries]
    return records + [sealed(b"%b%d" % (CARD_KEY, card.version), card, key) for card in cards]


def command_id(kind: str, version: int, by: str, why: str, sent_ms: int, actor: str = "") -> str:
    """Id of a command: a function of all it says."""
    place = "\0".join((kind, str(version), by, why, str(sent_ms), *([actor] if actor else ())))
    return hashlib.sha256(place.encode()).hexdigest()[:16]
