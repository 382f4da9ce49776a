"""What the learner reads from one record of the decisions topic; everything else in the record is passed over."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from features.catalogue import FEATURE_VERSION, SIZE
from models.errors import LearnerError

FRAUD_OUTCOMES = ("fraud_confirmed", "chargeback")
GOOD_OUTCOMES = ("false_positive", "dispute_upheld")


NO_FEATURES = msgspec.Raw()


class Observation(Struct, kw_only=True, gc=False):
    """One disposition as the learner needs it.

    Parameters
    ----------
    disposition, kind
        Of the input record; only decisions teach, only ticks (a control) move time.
    partition, offset
        Of the *input* record. Decisions repeat after a crash on a broker without transactions; the learner
        takes each input offset once.
    features, anomaly_score, fraud_probability, model_version
        As they were when the event was scored; null where it was not. `features` stay JSON: most vectors are never
        learned from, see `decode_features`.
    outcome, about_event_id, typology, actor
        Of `kind` outcome; `actor` is who says it, where that is a person or a desk with a name.
    status
        Of a transaction; one that did not go through is never taken for good because nobody complained.
    control_group, propensity
        Of a transaction the policy would decline while a control group is on: whether it was let pass, and how
        often one like it is, 0..1.
    warnings, warning_probability
        Readings of the early-warning indicators, where they were reviewed; their score, of a customer who owes.
    watch, alert_ids
        Whether a review put the customer on the watch list (true) or took them off (false); alerts raised.
    district, employer
        Of a profile: which groups the customer belongs to.
    """

    disposition: str
    kind: str
    event_time_ms: int
    partition: int
    offset: int = -1
    event_id: str = ""
    customer_id: str | None = None
    features: msgspec.Raw = NO_FEATURES
    feature_version: int = FEATURE_VERSION
    anomaly_score: float | None = None
    fraud_probability: float | None = None
    terminal_id: str | None = None
    merchant_id: str | None = None
    device_id: str | None = None
    model_version: int = 0
    outcome: str | None = None
    about_event_id: str | None = None
    typology: str | None = None
    status: str | None = None
    actor: str | None = None
    control_group: bool = False
    propensity: float | None = None
    warnings: list[float] | None = None
    alert_ids: tuple[str, ...] = ()
    district: str | None = None
    employer: str | None = None
    watch: bool | None = None
    warning_probability: float | None = None
    facility_id: str | None = None
    pd_12m: float | None = None
    grade: str = ""
    credit_inputs: list[float] | None = None
    credit_version: int = 0

    @property
    def is_scored(self) -> bool:
        """Whether it has a vector."""
        return self.features is not NO_FEATURES

    @property
    def is_tick(self) -> bool:
        """Whether this record moves stream time."""
        return self.kind == "tick" and self.disposition == "control"


_decoder = msgspec.json.Decoder(Observation)
_features_decoder = msgspec.json.Decoder(list[float])


def decode_observation(data: bytes) -> Observation:
    """Decode one decisions record; unknown fields are passed over.

    Raises
    ------
    LearnerError
        When it is not a decisions record; the learner should stop, because skipping it would make what it
        learns depend on luck.

    Examples
    --------
    >>> tick = b'{"disposition":"control","kind":"tick","event_time_ms":5,"partition":0,"offset":9}'
    >>> decode_observation(tick).is_tick
    True
    """
    try:
        return _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LearnerError(
            f"expected a record of the decisions topic, found {data[:80]!r} ({error}): "
            "check that learner and workers are of the same release and nobody else writes to the topic"
        ) from error


def decode_features(features: bytes | msgspec.Raw) -> list[float]:
    """The vector of an observation, SIZE floats.

    Raises
    ------
    LearnerError
        When it is not a list of SIZE numbers.

    Examples
    --------
    >>> len(decode_features(b"[" + b",".join([b"0.5"] * SIZE) + b"]")) == SIZE
    True
    """
    try:
        vector = _features_decoder.decode(features)
    except msgspec.MsgspecError as error:
        raise LearnerError(
            f"expected {SIZE} features in a decision, found {bytes(features)[:80]!r} ({error})"
        ) from error
    if len(vector) != SIZE:
        raise LearnerError(
            f"expected {SIZE} features in a decision of feature version {FEATURE_VERSION}, found {len(vector)}: "
            "check that learner and workers are of the same release"
        )
    return vector
