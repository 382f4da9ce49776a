"""What the learner has to say and has not made durable yet; goes out in one transaction, with its checkpoint."""

from __future__ import annotations

from alerts.community import community_alert, encode_community_alert
from alerts.model_alerts import encode_model_alert, model_alert
from alerts.texts import load as load_texts
from models.governance.records import Card
from models.learner import Learner
from models.shared import DAY_MS
from models.snapshot import CHUNK_BYTES_MAX, Snapshot, pack
from streams.bulletin import CHECKPOINT_KEY, SNAPSHOT_KEY
from streams.commit import Item
from streams.governance import CHALLENGER_KEY, STANDING_KEY, said, sealed, standing_of
from streams.settings import Settings
from streams.worker import say

# Snapshots that add to one whole one; a worker that starts reads the whole one and one of these.
DIFFERENCES_MAX = 48

Part = tuple[str, int, list[Item]]


class Outbox:
    """Collects by `gather`, hands out by `parts`.

    Parameters
    ----------
    settings
        Names of the topics.
    key
        Signing key.
    """

    def __init__(self, settings: Settings, key: bytes) -> None:
        self._settings = settings
        self._key = key
        self._texts = load_texts()
        self._snapshot: Snapshot | None = None
        # What the snapshots published since add to; begins anew with the process.
        self._base: Snapshot | None = None
        self._differences = 0
        self._alerts: list[Item] = []
        self._records: list[tuple[bytes, bytes]] = []
        self._cards: dict[int, Card] = {}
        # By candidate: while the learner catches up many are made, only the latest is worth a reader's time.
        self._challengers: dict[str, Snapshot] = {}

    def __bool__(self) -> bool:
        return self._snapshot is not None or bool(self._alerts) or bool(self._records)

    def gather(self, learner: Learner, snapshots: list[Snapshot]) -> None:
        """Take what the learner made: of snapshots the newest, of all else everything."""
        if snapshots:
            self._snapshot = snapshots[-1]
        news, entries, cards = learner.take_news()
        for each in news:
            self._alerts.append(encode_model_alert(model_alert(each, learner.rules.version, self._texts)))
            say("model alert", rule=each.kind, subject=each.subject, **each.values)
        for shock in learner.take_shocks():
            alert = community_alert(shock, learner.version, learner.rules.version, self._texts)
            self._alerts.append(encode_community_alert(alert))
            say("community alert", rule=alert.rule, group=shock.scope_id, struck=shock.struck, members=shock.members)
        self._records += said(entries, (), self._key)
        self._cards |= {card.version: card for card in cards}
        self._challengers |= {challenger.lineage.candidate: challenger for challenger in learner.challengers}
        learner.challengers.clear()

    def parts(self, learner: Learner) -> list[Part]:
        """Everything, to be made durable together and in this order; afterwards the box is empty."""
        snapshot, key = self._snapshot, self._key
        version = snapshot.version if snapshot else learner.version
        chunks = self._packed(snapshot) if snapshot else []
        items = _chunked(SNAPSHOT_KEY, version, chunks)
        for challenger in self._challengers.values():
            items += _chunked(CHALLENGER_KEY, challenger.version, pack(challenger, key))
        # A state one can go back to has a card, even if its snapshot was passed over while catching up.
        known = [version, *(it.version for it in self._challengers.values())]
        known += [keep.version for keep in learner.council.keeps]
        cards = [card for number, card in sorted(self._cards.items()) if number in known]
        standing = standing_of(learner.council, learner.stats(), learner.suspended, learner.credit.standing())
        records = [*self._records, *said((), cards, key), sealed(STANDING_KEY, standing, key)]
        items += [(name, value, ()) for name, value in records]
        state = learner.checkpoint(key)
        # A version's checkpoint is said again when only governance spoke; the last one in the topic counts.
        whole = [state[i : i + CHUNK_BYTES_MAX] for i in range(0, len(state), CHUNK_BYTES_MAX)]
        items += _chunked(CHECKPOINT_KEY, version, whole)
        made: list[Part] = [
            (self._settings.topic_alerts, 0, self._alerts),
            (self._settings.topic_models, 0, items),
        ]
        if snapshot is not None:
            size = sum(map(len, chunks))
            say("snapshot", version=version, as_of_ms=snapshot.as_of_ms, bytes=size, **snapshot.counters)
        self._snapshot, self._alerts, self._records, self._cards, self._challengers = None, [], [], {}, {}
        return made

    def _packed(self, snapshot: Snapshot) -> list[bytes]:
        # At midnight every window moves, so a new day begins with a whole one; within it only what was touched differs.
        base = self._base
        same_day = base is not None and base.as_of_ms // DAY_MS == snapshot.as_of_ms // DAY_MS
        if base is None or not same_day or self._differences >= DIFFERENCES_MAX:
            self._base, self._differences = snapshot, 0
            return pack(snapshot, self._key)
        self._differences += 1
        return pack(snapshot, self._key, base)


def _chunked(key: bytes, version: int, chunks: list[bytes]) -> list[Item]:
    return [(b"%b%d/%d/%d" % (key, version, place, len(chunks)), chunk, ()) for place, chunk in enumerate(chunks)]
