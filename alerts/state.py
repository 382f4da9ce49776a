"""What is in force for one customer: levels, grade, actions, facilities; and what hysteresis must remember.

It lives inside the customer's durable row and packs as arrays; a calm customer takes about a dozen
bytes. The *public* part (`alerts.records.PresentState`) changes only together with `sequence`; the rest
(calm counters, the candidate grade, cool-downs) is memory of the rules and moves without a record.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from models.grades import DEFAULT_GRADE
from models.grades import GRADES as PERFORMING

LEVELS = ("normal", "watch", "elevated", "high")
# Best to worst; D is default, a state: from 90 days past due, an outcome or a signal, never from a PD.
GRADES: tuple[str, ...] = (*PERFORMING, DEFAULT_GRADE)
DPD_CLASSES = ("current", "dpd_1", "dpd_30", "dpd_60", "dpd_90")
SIGNALS = ("income_missed", "income_missed_twice", "instalment_missed", "dpd_30", "dpd_60", "dpd_90")
# Kept by the customer row's size: a customer with more suspicious cards than this is suspicious as a whole.
CARDS_MAX = 8
FACILITIES_MAX = 16
# As many facilities as `features.credit` keeps; the answers to the last applications.
LOANS_MAX, APPLICATIONS_MAX = 8, 4
# Best to worst; the last three are non-performing.
FIVE_CLASSES = ("normal", "special_mention", "substandard", "doubtful", "loss")
SUBSTANDARD = FIVE_CLASSES.index("substandard")
STAGES = (1, 2, 3)
# Past this, advice makes room, and what is enforced on many cards becomes one action on the customer.
ACTIONS_MAX = 64
COOLDOWNS_MAX = 32
# Key of what belongs to no card: transfers and the like, and every card beyond `CARDS_MAX`.
ACCOUNT = ""

Mode = Literal["advise", "enforce"]
ScopeType = Literal["card", "customer", "facility", "application"]


class CardState(Struct, array_like=True):
    """Level of one card above normal; a card without an entry is normal."""

    level: int
    since_ms: int
    last_ms: int
    calm_count: int = 0
    calm_since_ms: int = 0
    lapsed: bool = False


class ActiveAction(Struct, array_like=True):
    """An action in force. `expires_ms` None: until released. `reason` is the rule or level that asked for it."""

    action: str
    mode: Mode
    scope_type: ScopeType
    scope_id: str
    since_ms: int
    expires_ms: int | None
    reason: str
    alert_id: str


class Loan(Struct, array_like=True):
    """Regulatory standing of one facility.

    `pd_millionths` is the PD at grant, -1 unknown; `due_ms` the oldest unpaid due (it may lie ahead), -1 for none;
    `stage` 1 to 3, `five` the place in `FIVE_CLASSES`; `*_better_ms` since when the tables say better, -1 when not.
    """

    since_ms: int
    pd_millionths: int = -1
    due_ms: int = -1
    exposure_minor: int = 0
    cover_minor: int = 0
    stage: int = 1
    stage_better_ms: int = -1
    five: int = 0
    five_better_ms: int = -1


class Application(Struct, array_like=True):
    """An application that was answered, while its answer is valid; money in minor units, rates in basis points."""

    application_id: str
    product: str
    decision: str
    decided_ms: int
    expires_ms: int
    fast_track: bool
    currency: str
    limit_minor: int
    term_months: int
    rate_low_bp: int
    rate_high_bp: int
    collateral_minor: int
    reasons: list[str]


class Lending(Struct, array_like=True):
    """What lending remembers of a customer; it is there once they have or want credit.

    `review_ms` is when time alone may move a class or the watch list, -1 for never; `watch_ms` since when the customer
    is on the watch list, -1 for not, `watch_calm_ms` since when nothing asks for it; `points` the credit points by
    code as they were last told, whole numbers that add up, `card` the version of the card that gave them, 0 for none.
    """

    review_ms: int = -1
    loans: dict[str, Loan] = field(default_factory=dict)
    enterprise: bool = False
    watch_ms: int = -1
    watch_reason: str = ""
    watch_calm_ms: int = -1
    tier: str = ""
    applications: list[Application] = field(default_factory=list)
    points: dict[str, int] = field(default_factory=dict)
    card: int = 0


class RiskState(Struct, array_like=True):
    """Present risk state of one customer; a new customer is `RiskState()`.

    Examples
    --------
    >>> import msgspec
    >>> packed = msgspec.msgpack.encode(RiskState())
    >>> len(packed) <= 16, msgspec.msgpack.decode(packed, type=RiskState) == RiskState()
    (True, True)
    """

    sequence: int = 0
    cards: dict[str, CardState] = field(default_factory=dict)
    grade: str = ""
    pd_12m: float | None = None
    candidate: str = ""
    candidate_count: int = 0
    candidate_since_ms: int = 0
    actions: list[ActiveAction] = field(default_factory=list)
    facilities: dict[str, int] = field(default_factory=dict)
    cooldowns: dict[str, int] = field(default_factory=dict)
    lending: Lending | None = None


def is_cooling(risk: RiskState, rule: str, scope_id: str, at_ms: int, cool_down_ms: int) -> bool:
    """Whether `rule` alerted for this scope less than `cool_down_ms` before `at_ms`."""
    last_ms = risk.cooldowns.get(f"{rule}:{scope_id}")
    return last_ms is not None and at_ms - last_ms < cool_down_ms


def start_cooling(risk: RiskState, rule: str, scope_id: str, at_ms: int) -> None:
    """Remember that `rule` alerted at `at_ms`; at most `COOLDOWNS_MAX` are kept, the longest ago goes first."""
    key = f"{rule}:{scope_id}"
    cooldowns = risk.cooldowns
    cooldowns[key] = max(at_ms, cooldowns.get(key, 0))
    if len(cooldowns) > COOLDOWNS_MAX:
        del cooldowns[min(cooldowns, key=cooldowns.__getitem__)]


def next_due(risk: RiskState) -> int | None:
    """Earliest expiry of an active action or review of lending, or None; O(active actions)."""
    due = [a.expires_ms for a in risk.actions if a.expires_ms is not None]
    if risk.lending is not None and risk.lending.review_ms >= 0:
        due.append(risk.lending.review_ms)
    return min(due) if due else None
