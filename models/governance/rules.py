"""The numbers of governance, declared once; `alerts/model_rules.py` reads them from `policies/models.toml`."""

from __future__ import annotations

from dataclasses import dataclass, field

from models.errors import LearnerError
from models.shared import DAY_MS

CANDIDATES_MAX = 4


@dataclass(frozen=True, slots=True)
class CandidateRules:
    """One fraud model that learns.

    Parameters
    ----------
    name
        Its name for ever: evidence and history refer to it.
    fast_rate
        Step size of the fast member; 0.01 to 1.
    mean_share
        Share of the way its running means move every six hours; 0.001 to 1.
    quicken
        Whether drift makes it learn more quickly for a while.
    """

    name: str
    fast_rate: float = 0.3
    mean_share: float = 0.05
    quicken: bool = True


@dataclass(frozen=True, slots=True)
class PromotionRules:
    """When a challenger may take over.

    Parameters
    ----------
    automatic
        Without a named approval; fraud models only.
    alpha
        Chance of promoting one that is no better, over all looks together.
    frauds_min, goods_min
        Held-out labels both were judged on.
    every_ms
        Event time between two promotions, at least.
    shift_logit, shift_share_max
        At most this share of held-out events may move by more than so many logits.
    """

    automatic: bool = False
    alpha: float = 0.05
    frauds_min: int = 30
    goods_min: int = 1000
    every_ms: int = 7 * DAY_MS
    shift_logit: float = 2.0
    shift_share_max: float = 0.1


@dataclass(frozen=True, slots=True)
class GuardRules:
    """What is never published.

    Parameters
    ----------
    frauds_min
        Held-out frauds from which on loss and calibration are judged.
    loss_excess_max
        Share by which the held-out loss may exceed that of the weights in force, if clearly so (4 standard errors).
    ratio_low, ratio_high
        Observed over expected frauds.
    alert_at, alerts_ratio_max
        At most so many times the held-out events at or above this probability.
    weight_max
        Largest weight, logit units.
    """

    frauds_min: int = 20
    loss_excess_max: float = 0.25
    ratio_low: float = 0.4
    ratio_high: float = 2.5
    alert_at: float = 0.3
    alerts_ratio_max: float = 3.0
    weight_max: float = 100.0


@dataclass(frozen=True, slots=True)
class LabelRules:
    """How much one named actor may say; sources without an actor (a card scheme) have no cap.

    Parameters
    ----------
    actor_day_max
        Labels of one actor in a UTC day of event time.
    actor_place_day_max
        Of these, about one terminal or one merchant.
    actor_share_max, share_from
        Share of all labels of the day, judged from so many labels of the actor on.
    suspended_ms
        How long an actor that exceeded a cap is not heard.
    actors_max
        Actors remembered in one day; beyond it, one that was never seen is over its cap.
    """

    actor_day_max: int = 200
    actor_place_day_max: int = 5
    actor_share_max: float = 0.5
    share_from: int = 50
    suspended_ms: int = 30 * DAY_MS
    actors_max: int = 100_000


@dataclass(frozen=True, slots=True)
class DriftRules:
    """When the world has changed.

    Parameters
    ----------
    delta
        Of ADWIN: chance of a false alarm.
    quiet_ms
        Event time before the same stream alarms again.
    react
        Whether candidates with `quicken` do so.
    """

    delta: float = 0.002
    quiet_ms: int = 7 * DAY_MS
    react: bool = True


@dataclass(frozen=True, slots=True)
class ModelRules:
    """Everything; what `Learner` takes.

    Parameters
    ----------
    version
        Names the file, in history and alerts.
    candidates
        The first is the champion of a new deployment.
    held_out
        Share of customers that never teach.
    keep_every_ms, keeps_max
        How often the champion's state is kept for a rollback, and how many.
    """

    version: str = "built-in"
    candidates: tuple[CandidateRules, ...] = (CandidateRules("house"),)
    held_out: float = 0.05
    keep_every_ms: int = DAY_MS
    keeps_max: int = 3
    promotion: PromotionRules = field(default_factory=PromotionRules)
    guards: GuardRules = field(default_factory=GuardRules)
    labels: LabelRules = field(default_factory=LabelRules)
    drift: DriftRules = field(default_factory=DriftRules)

    def __post_init__(self) -> None:
        names = [candidate.name for candidate in self.candidates]
        if not 1 <= len(names) <= CANDIDATES_MAX or len(dict.fromkeys(names)) != len(names):
            raise LearnerError(
                f"expected 1 to {CANDIDATES_MAX} candidates with names of their own, found {names}: correct the rules"
            )
        if not 0.0 <= self.held_out <= 0.5:
            raise LearnerError(f"expected a held-out share of 0 to 0.5, found {self.held_out}: correct the rules")
