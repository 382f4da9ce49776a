"""What lending adds to the records that leave the house; see `alerts/records.py`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

DpdClass = Literal["current", "dpd_1", "dpd_30", "dpd_60", "dpd_90"]
FiveClass = Literal["normal", "special_mention", "substandard", "doubtful", "loss"]
REASONS_MAX = 4


class ScoreChange(Struct, frozen=True):
    """From one whole number of points to another: own + environment + model, and by code; all add up exactly."""

    points_from: int = field(name="from")
    points_to: int = field(name="to")
    own: int
    environment: int
    model: int
    parts: list[tuple[str, int]]


class ApplicationState(Struct, frozen=True):
    """The answer to an application while it is valid: advice with terms; minor units, rates in basis points."""

    application_id: str
    product: str
    decision: Literal["approve", "refer", "decline"]
    fast_track: bool
    limit_minor: int
    currency: str
    term_months: int
    rate_low_bp: int
    rate_high_bp: int
    collateral_minor: int
    reasons: Annotated[list[str], Meta(max_length=REASONS_MAX)]
    expires_ms: int


class WatchListed(Struct, frozen=True):
    """On the watch list: since when, and what put the customer there."""

    since_ms: int
    reason: str


class FacilityClass(Struct, frozen=True):
    """Classes of one facility; one that is not listed is current, in stage 1 and normal."""

    facility_id: str
    dpd_class: DpdClass
    stage: Literal[1, 2, 3] = 1
    five_class: FiveClass = "normal"
