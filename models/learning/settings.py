"""How the learner learns, declared once and checked at construction."""

from __future__ import annotations

from dataclasses import dataclass

from models.errors import LearnerError
from models.shared import DAY_MS

HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class LearnerSettings:
    """How the learner learns; a checkpoint remembers them.

    Parameters
    ----------
    epoch_ms
        Grid of event time on which partitions meet.
    publish_every_ms
        Event time between publications, at least.
    maturity_ms
        Age at which an event teaches; without a report by then it is good.
    retain_ms
        Age up to which a later outcome still corrects.
    negative_keep
        Share of silently good events that are learned, each with weight ``1 / negative_keep``.
    observe_all_max
        The half-space trees see every event up to this many, then the share `negative_keep` only.
    waiting_max, entities_max, queue_max
        Bounds: events that wait, places of each sort, records queued per partition.
    """

    epoch_ms: int = HOUR_MS
    publish_every_ms: int = HOUR_MS
    maturity_ms: int = 7 * DAY_MS
    retain_ms: int = 14 * DAY_MS
    negative_keep: float = 0.1
    observe_all_max: int = 5_000
    waiting_max: int = 200_000
    entities_max: int = 200_000
    queue_max: int = 200_000

    def __post_init__(self) -> None:
        for name in ("epoch_ms", "waiting_max", "entities_max", "queue_max"):
            if getattr(self, name) < 1:
                raise LearnerError(
                    f"expected {name} to be at least 1, found {getattr(self, name)}: correct the setting"
                )
        if not 0 <= self.maturity_ms <= self.retain_ms or self.publish_every_ms < 0:
            raise LearnerError(
                f"expected 0 <= maturity_ms <= retain_ms and publish_every_ms >= 0, found {self.maturity_ms}, "
                f"{self.retain_ms}, {self.publish_every_ms}: correct the settings"
            )
        if not 0.0 < self.negative_keep <= 1.0:
            raise LearnerError(f"expected 0 < negative_keep <= 1, found {self.negative_keep}: correct the setting")
