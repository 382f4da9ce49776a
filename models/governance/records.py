"""What governance says and is told: where a version comes from, commands, history, news for people."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Role = Literal["champion", "challenger"]
CommandKind = Literal["promote", "rollback", "release", "approve_credit"]
NEWS: tuple[str, ...] = (
    "guard_weights", "guard_loss", "guard_calibration", "guard_alert_volume", "champion_astray", "drift_loss",
    "drift_inputs", "drift_volume", "labels_capped", "challenger_ready", "promoted", "rolled_back", "challenger_reset",
    "credit_approved",
)  # fmt: skip


class Lineage(Struct, frozen=True, array_like=True):
    """Where a version comes from.

    Parameters
    ----------
    candidate, role
        Which of the declared models, and what it was then.
    parent
        The version it follows, or whose weights came back; 0 for the first.
    why
        ``learned``, ``promoted: ...``, ``rolled back: ...``.
    by
        A person's name, or ``learner``.
    """

    candidate: str = "house"
    role: Role = "champion"
    parent: int = 0
    why: str = "learned"
    by: str = "learner"


class Command(Struct, frozen=True):
    """What a person asks of the learner; `sent_ms` is their clock, for people only, `actor` who is heard again."""

    id: str
    kind: CommandKind
    by: str
    why: str
    version: int = 0
    sent_ms: int = 0
    actor: str = ""


class Ruling(Struct, frozen=True):
    """When a command takes effect: after the epoch that ends at `after_ms`, before the next."""

    command: Command
    after_ms: int


class Card(Struct, frozen=True):
    """One published version: what it is and how it stood then; figures are means over held-out labels."""

    version: int
    as_of_ms: int
    lineage: Lineage
    loss: float | None = None
    ratio: float | None = None
    held_frauds: int = 0
    held_goods: int = 0
    e_value: float | None = None
    gain: float | None = None


class Entry(Struct, frozen=True):
    """One line of history; `number` counts from 1 without holes."""

    number: int
    at_ms: int
    what: str
    version: int
    candidate: str
    by: str
    why: str
    command: str = ""
    accepted: bool = True


class News(Struct, frozen=True):
    """Something people should know, as of the epoch that ended at `at_ms`; becomes a model alert.

    Parameters
    ----------
    kind
        One of `NEWS`.
    subject
        The candidate, the actor or the stream it is about.
    values
        Figures by name, what was found beside what was allowed.
    """

    kind: str
    at_ms: int
    subject: str
    version: int
    values: dict[str, float]
