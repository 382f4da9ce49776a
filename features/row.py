"""What is kept per customer: the hot row (behaviour, fraud), how approved spending teaches it, and the credit row.

The baseline of the hot row: an amount with |z| > 3, once the weight is 10, is an outlier and is not learned. At least
five in a row on one side, over at least a day, become the new level: a changed customer is accepted, an evening of
theft is not. Weights halve in 90 days, in whole days.
"""

from __future__ import annotations

from hashlib import blake2b
from zlib import crc32

import msgspec

from features.facility import DAY_MS, Facility
from features.income import IncomeRhythm
from features.months import Months
from features.warnings import Warnings

EVENT_IDS_MAX = 32
MERCHANTS_MAX, TERMINALS_MAX, DEVICES_MAX, COUNTRIES_MAX, PAYEES_MAX = 16, 16, 4, 8, 8
HOME_VOTES_MAX = 30
OUTLIER_Z, OUTLIER_WEIGHT_MIN, OUTLIER_RUN_MIN, OUTLIER_RUN_MIN_MS = 3.0, 10.0, 5, 86_400_000
BASELINE_HALF_LIFE_DAYS, COUNT_HALF_LIFE_DAYS = 90.0, 180.0
CHANNELS = ("pos", "ecom", "atm", "mobile", "online", "branch")
# Levels of a run of outliers are summed in millionths for the same reason as shares, below.
_LEVEL_ONE = 1_000_000
# Channel and night weights are integers in thousandths: three bytes in a stored row where a float takes nine.
SHARE_ONE = 1000

_ID_BYTES, _KEY_BYTES = 8, 4
_IDS_BYTES_MAX = EVENT_IDS_MAX * _ID_BYTES


class HotRow(msgspec.Struct, array_like=True, gc=False):
    """What is kept per customer for behaviour and fraud: about 1 KB for a busy one, -1 for "never" in times.

    Windows are lists as in `features.windows`. Memories are bytes, oldest first: `event_ids` of 8-byte
    blake2b, the others of 4-byte crc32 in order of last use, so they are compact and cannot alias.
    """

    latest_ms: int = -1
    first_seen_ms: int = -1
    last_tx_ms: int = -1
    device_change_ms: int = -1
    payee_added_ms: int = -1
    fraud_ms: int = -1
    spent_1h: list[int] = []
    spent_1d: list[int] = []
    spent_30d: list[int] = []
    declined_1d: list[int] = []
    login_failed_1d: list[int] = []
    # New merchants and terminals, as counts; unusual amounts, with their z in thousandths.
    novel_7d: list[int] = []
    unusual_7d: list[int] = []
    event_ids: bytes = b""
    merchants: bytes = b""
    terminals: bytes = b""
    devices: bytes = b""
    countries: bytes = b""
    payees: bytes = b""
    home: str = ""
    home_votes: int = 0
    decay_day: int = 0
    weight: float = 0.0
    mean: float = 0.0
    m2: float = 0.0
    largest_minor: int = 0
    night: int = 0
    channels: list[int] = msgspec.field(default_factory=lambda: [0] * len(CHANNELS))
    # Outliers in a row: positive above the baseline, negative below.
    run: int = 0
    run_sum_millionths: int = 0
    run_largest_minor: int = 0
    run_since_ms: int = -1

    def __copy__(self) -> HotRow:
        return msgspec.convert(msgspec.to_builtins(self, builtin_types=(bytes,)), HotRow)

    def copy(self) -> HotRow:
        """Return a row that shares nothing changeable with this one."""
        return self.__copy__()

    def seen(self, event_id: str) -> bool:
        """Whether the id is among the last 32 remembered."""
        return _find(self.event_ids, blake2b(event_id.encode(), digest_size=_ID_BYTES).digest(), _ID_BYTES) >= 0

    def remember(self, event_id: str) -> bool:
        """Remember the id as the newest of 32; False, and no change, if it is already among them."""
        key = blake2b(event_id.encode(), digest_size=_ID_BYTES).digest()
        ids = self.event_ids
        if _find(ids, key, _ID_BYTES) >= 0:
            return False
        self.event_ids = (ids + key)[-_IDS_BYTES_MAX:]
        return True


def learn_amount(row: HotRow, amount: int, level: float, z: float, at: int) -> None:
    """Learn one approved amount by the module's rule; afterwards `row.run` is 0 unless it was an outlier."""
    weight = row.weight
    if weight >= OUTLIER_WEIGHT_MIN and (z > OUTLIER_Z or z < -OUTLIER_Z):
        side = 1 if z > 0 else -1
        if row.run * side <= 0:
            row.run, row.run_sum_millionths, row.run_largest_minor, row.run_since_ms = 0, 0, 0, at
        row.run += side
        row.run_sum_millionths += round(level * _LEVEL_ONE)
        row.run_largest_minor = max(row.run_largest_minor, amount)
        if abs(row.run) < OUTLIER_RUN_MIN or at - row.run_since_ms < OUTLIER_RUN_MIN_MS:
            return
        # The spread stays the customer's own; the small weight lets the level settle before it judges again.
        row.mean = row.run_sum_millionths / _LEVEL_ONE / abs(row.run)
        row.m2 *= OUTLIER_RUN_MIN / weight
        row.weight = float(OUTLIER_RUN_MIN)
        row.largest_minor = row.run_largest_minor
    else:
        row.weight = weight = weight + 1.0
        ahead = level - row.mean
        row.mean += ahead / weight
        row.m2 += ahead * (level - row.mean)
        if amount > row.largest_minor:
            row.largest_minor = amount
    if row.run:
        row.run, row.run_sum_millionths, row.run_largest_minor, row.run_since_ms = 0, 0, 0, -1


def decay(row: HotRow, day: int) -> None:
    """Let the baseline fade to the given day; the time is in whole days, so most events of a day need no work."""
    keep = 0.5 ** ((day - row.decay_day) / BASELINE_HALF_LIFE_DAYS)
    row.decay_day = day
    row.weight *= keep
    row.m2 *= keep
    row.night = int(row.night * keep)
    row.channels = [int(weight * keep) for weight in row.channels]


def _find(memory: bytes, key: bytes, width: int) -> int:
    place = memory.find(key)
    # A match across two entries is not an entry.
    while place > 0 and place % width:
        place = memory.find(key, place + 1)
    return place


def meet(memory: bytes, name: str, limit: int) -> tuple[float, bytes]:
    """Whether the name is new, and the memory with it as the latest."""
    key = crc32(name.encode()).to_bytes(_KEY_BYTES, "little")
    if memory.endswith(key):
        return 0.0, memory
    place = _find(memory, key, _KEY_BYTES)
    if place >= 0:
        return 0.0, memory[:place] + memory[place + _KEY_BYTES :] + key
    return (1.0 if memory else 0.0), (memory + key)[-limit * _KEY_BYTES :]


def vote(row: HotRow, country: str) -> None:
    """One vote for the home country: a steady majority holds it, a customer who has moved changes it."""
    if row.home == country:
        row.home_votes = min(HOME_VOTES_MAX, row.home_votes + 1)
    elif row.home_votes > 0:
        row.home_votes -= 1
    else:
        row.home, row.home_votes = country, 1


class Fading(msgspec.Struct, array_like=True):
    """A count that halves every `COUNT_HALF_LIFE_DAYS`."""

    value: float = 0.0
    at_ms: int = 0

    def at(self, at_ms: int) -> float:
        """Return the count as of a time."""
        days = max(0, at_ms - self.at_ms) / DAY_MS
        return float(self.value * 0.5 ** (days / COUNT_HALF_LIFE_DAYS))

    def add(self, at_ms: int) -> None:
        """Count one more."""
        self.value = self.at(at_ms) + 1.0
        self.at_ms = max(self.at_ms, at_ms)


class CreditRow(msgspec.Struct, array_like=True):
    """What is kept per customer for credit: at most 2 KB, tested; -1 is "never" in times, "unknown" in scores."""

    first_seen_ms: int = -1
    facilities: list[Facility] = []
    income: IncomeRhythm = msgspec.field(default_factory=IncomeRhythm)
    employment_ended_ms: int = -1
    legal_count: int = 0
    legal_ms: int = -1
    bureau_score: int = -1
    bureau_ms: int = -1
    bureau_dpd_max: int = 0
    bureau_inquiries: int = 0
    returned: Fading = msgspec.field(default_factory=Fading)
    minimum_only: Fading = msgspec.field(default_factory=Fading)
    # crc32 of the accounts now below zero.
    overdrawn: list[int] = []
    overdrawn_since_ms: int = -1
    penalty_ms: int = -1
    applications: list[int] = []
    defaulted_ms: int = -1
    enterprise: bool = False
    # Kept by rows of version 2 and read by nobody: written empty.
    occupation: str = ""
    industry: str = ""
    employer: str = ""
    customer_since_ms: int = -1
    warnings: Warnings = msgspec.field(default_factory=Warnings)
    months: Months = msgspec.field(default_factory=Months)
    registry: Fading = msgspec.field(default_factory=Fading)
    household_ms: int = -1
    # Calendar month of the last observation the learner was given, see `models/credit`.
    observed_month: int = -1
    # What the customer was last scored with: version of the card, points, the part of them that a change of cards
    # brought and that no grade has taken over yet, the environment's points; and between which grades the customer went
    # to and fro: month, best and worst place on the scale of that month and of the one before.
    card_version: int = 0
    card_points: float = 0.0
    card_shift: float = 0.0
    card_environment: float = 0.0
    card_range: list[int] = []

    def __copy__(self) -> CreditRow:
        return msgspec.convert(msgspec.to_builtins(self), CreditRow)

    def copy(self) -> CreditRow:
        """Return a row that shares nothing changeable with this one."""
        return self.__copy__()
