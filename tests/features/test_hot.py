"""The hot row against the oracle, and its rules one by one."""

from __future__ import annotations

import copy
import random
from math import log1p
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.catalogue import CATALOGUE, INDEX, NAMES, SIZE
from features.events import (
    ActionResult,
    DeviceChange,
    Event,
    Login,
    Outcome,
    PayeeAdded,
    Profile,
    Transaction,
)
from features.hot import GAP_UNKNOWN_S, NO_SHARED, DeviceFigures, HotRow, TerminalFigures, is_late, update
from features.row import EVENT_IDS_MAX, OUTLIER_RUN_MIN
from tests.features.oracle import accepted, vectors

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
START = 1_533_081_600_000  # a Wednesday, midnight
SHARED = frozenset(f.name for f in CATALOGUE if f.shared)
SHARES = ("night_share_baseline", "channel_share_baseline")


def tx(at: int, amount: int = 1_000, event_id: str = "", **fields: Any) -> Transaction:
    values: dict[str, Any] = {"currency": "EUR", "direction": "debit", "channel": "pos", **fields}
    return Transaction(
        event_id=event_id or f"e-{at}",
        customer_id="c",
        event_time_ms=at,
        schema_version=1,
        amount_minor=amount,
        **values,
    )


def of(kind: type[Event], at: int, **fields: Any) -> Any:
    return kind(event_id=f"{kind.__name__}-{at}", customer_id="c", event_time_ms=at, schema_version=1, **fields)


def vector(row: HotRow, event: Event) -> dict[str, float]:
    values = update(row, event, NO_SHARED)
    assert values is not None
    assert len(values) == SIZE
    return dict(zip(NAMES, values, strict=True))


def drive(row: HotRow, events: list[Event]) -> list[list[float] | None]:
    out = []
    for event in events:
        if row.remember(event.event_id) and not is_late(row, event.event_time_ms):
            out.append(update(row, event, NO_SHARED))
    return out


_EDGES = (0, 0, 1, 5 * MINUTE, HOUR, DAY, 7 * DAY, 30 * DAY)


def stream(seed: int, size: int, pace: str) -> list[Event]:
    """One customer's events: ties, duplicates, up to 26 h out of order, declines, spells of unusual amounts."""
    rng, now, out = random.Random(seed), START, list[Event]()
    unusual = 0
    for n in range(size):
        behind = -rng.randrange(26 * HOUR) if rng.random() < 0.1 else 0
        step = {
            "edges": rng.choice(_EDGES),
            "busy": rng.randrange(20 * MINUTE),
            "daily": rng.randrange(DAY),
        }[pace]
        at = now + (behind or step)
        now = max(now, at)
        event_id = rng.choice(out[-40:]).event_id if out and rng.random() < 0.08 else f"e{n}"
        base: dict[str, Any] = {"event_id": event_id, "customer_id": "c", "event_time_ms": at, "schema_version": 1}
        if n > 30 and not unusual and rng.random() < 0.05:
            unusual = rng.choice([1, 4, 12])
        kind = 0 if unusual else rng.choices(range(7), [30, 2, 1, 1, 1, 1, 1])[0]
        if kind == 0:
            out.append(_any_transaction(rng, base, unusual > 0))
            unusual = max(0, unusual - 1)
        elif kind == 1:
            out.append(Login(**base, channel="mobile", result=rng.choice(["ok", "failed"])))
        elif kind == 2:
            out.append(DeviceChange(**base, device_id="d9"))
        elif kind == 3:
            out.append(PayeeAdded(**base, payee_id="p9"))
        elif kind == 4:
            out.append(Outcome(**base, outcome=rng.choice(["fraud_confirmed", "false_positive"])))
        elif kind == 5:
            result = rng.choice(["confirmed_fraud", "no_answer"])
            out.append(ActionResult(**base, action="call_customer", result=result))
        else:
            out.append(Profile(**base, customer_type="individual"))
    return out


def _any_transaction(rng: random.Random, base: dict[str, Any], unusual: bool) -> Transaction:
    def maybe(value: Any) -> Any:
        return value if rng.random() < 0.85 else rng.choice([None, msgspec.UNSET])

    return Transaction(
        **base,
        amount_minor=10**9 if unusual else rng.choice([900, 1_000, 1_100, int(rng.lognormvariate(7, 0.5)), 0]),
        currency="EUR",
        direction="credit" if rng.random() < 0.05 else "debit",
        channel=rng.choice(["pos", "ecom", "atm", "mobile", "online", "branch"]),
        type=maybe(rng.choice(["purchase", "purchase", "cash", "transfer", "fee", "refund", "deposit"])),
        status=maybe(rng.choices(["approved", "declined", "reversed"], [9, 1, 1])[0]),
        billing_amount_minor=rng.choices([None, 500, 0], [30, 1, 1])[0],
        merchant_id=maybe(f"m{rng.randrange(22)}"),
        terminal_id=maybe(f"t{rng.randrange(22)}"),
        device_id=maybe(f"d{rng.randrange(6)}"),
        country=maybe(rng.choice(["FR", "FR", "FR", "DE", "IT"])),
        payee_id=maybe(f"p{rng.randrange(11)}"),
    )


STREAMS = st.builds(
    stream,
    seed=st.integers(0, 10**9),
    size=st.integers(1, 160),
    pace=st.sampled_from(["edges", "busy", "daily", "daily"]),
)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(STREAMS)
def test_every_feature_equals_the_oracle(events: list[Event]) -> None:
    got = drive(HotRow(), events)
    want = vectors(accepted(events))
    assert len(got) == len(want)
    for place, (ours, theirs) in enumerate(zip(got, want, strict=True)):
        assert (ours is None) == (theirs is None), place
        if ours is None or theirs is None:
            continue
        assert set(theirs) == set(NAMES) - SHARED
        for name, value in theirs.items():
            # Shares are kept in thousandths and rounded down once a day; everything else is exact to rounding.
            near = {"abs": 0.03} if name in SHARES else {"rel": 1e-9, "abs": 1e-6}
            if name == "unusual_sum_7d":  # a z that lies on the edge of a thousandth
                near = {"abs": 0.002}
            assert ours[INDEX[name]] == pytest.approx(float(value), **near), (place, name)


def test_the_random_streams_reach_every_rule() -> None:
    late = duplicate = accepted_as_new = 0
    reached: set[str] = set()
    for seed in range(12):
        row = HotRow()
        for event in stream(seed, 160, ("edges", "busy", "daily")[seed % 3]):
            if not row.remember(event.event_id):
                duplicate += 1
            elif is_late(row, event.event_time_ms):
                late += 1
            else:
                run = row.run
                values = update(row, event, NO_SHARED) or []
                reached.update(name for name, value in zip(NAMES, values, strict=False) if value)
                accepted_as_new += abs(run) >= OUTLIER_RUN_MIN - 1 and row.weight == OUTLIER_RUN_MIN
    assert min(late, duplicate, accepted_as_new) > 0
    assert set(NAMES) - reached <= SHARED


@settings(max_examples=60, deadline=None, derandomize=True)
@given(events=STREAMS, cut=st.integers(0, 160))
def test_round_trip_in_mid_stream_equals_uninterrupted(events: list[Event], cut: int) -> None:
    whole = HotRow()
    want = drive(whole, events)
    first = HotRow()
    got = drive(first, events[:cut])
    packed = msgspec.msgpack.encode(first)
    second = msgspec.msgpack.decode(packed, type=HotRow)
    assert second == first
    got += drive(second, events[cut:])
    assert got == want
    assert msgspec.msgpack.encode(second) == msgspec.msgpack.encode(whole)
    assert msgspec.msgpack.encode(first) == packed, "the copy changed its original"


def test_copies_share_nothing() -> None:
    row = HotRow()
    drive(row, [tx(START + n * HOUR, merchant_id=f"m{n}", country="FR") for n in range(20)])
    for twin in (row.copy(), copy.copy(row)):
        before = msgspec.msgpack.encode(row)
        assert msgspec.msgpack.encode(twin) == before
        drive(twin, [tx(START + DAY + n, amount=7 + n, merchant_id=f"n{n}", country="DE") for n in range(20)])
        assert msgspec.msgpack.encode(row) == before
        assert twin != row


def test_new_rows_share_nothing() -> None:
    update(HotRow(), tx(START), NO_SHARED)
    assert HotRow() == msgspec.msgpack.decode(msgspec.msgpack.encode(HotRow()), type=HotRow)
    assert HotRow().spent_1h == []
    assert HotRow().channels == [0] * 6


def _largest_packed(per_day: float, days: int) -> int:
    rng, row, at = random.Random(4), HotRow(), START
    largest = 0
    while at < START + days * DAY:
        at += int(rng.expovariate(per_day) * DAY) + 1
        event = tx(
            at,
            int(rng.lognormvariate(8, 1)),
            channel=rng.choice(["pos", "ecom", "atm"]),
            merchant_id=f"m{rng.randrange(300)}",
            terminal_id=f"t{rng.randrange(300)}",
            device_id=f"d{rng.randrange(5)}",
            payee_id=f"p{rng.randrange(20)}",
            country=rng.choice(["FR", "FR", "DE", "IT", "ES"]),
        )
        row.remember(event.event_id)
        update(row, event, NO_SHARED)
        largest = max(largest, len(msgspec.msgpack.encode(row)))
    return largest


def test_row_of_a_busy_customer_stays_within_a_kilobyte() -> None:
    assert _largest_packed(per_day=5, days=90) <= 1024


def test_no_row_grows_beyond_its_bound() -> None:
    assert _largest_packed(per_day=400, days=40) <= 1536


# --- first event ----------------------------------------------------------------------------------------


def test_first_event_is_neutral() -> None:
    event = tx(START + 12 * HOUR, 5_000, merchant_id="m", terminal_id="t", device_id="d", country="FR", payee_id="p")
    v = vector(HotRow(), event)
    for name in ("merchant_new", "terminal_new", "device_new", "country_new", "payee_new", "country_foreign"):
        assert v[name] == 0.0, name
    assert v["amount_zscore_baseline"] == 0.0
    assert v["amount_max_ratio_baseline"] == v["tx_rate_ratio_1d"] == 1.0
    assert v["gap_since_last"] == GAP_UNKNOWN_S
    assert v["tenure"] == 0.0
    for name in SHARES:
        assert v[name] == pytest.approx(CATALOGUE[INDEX[name]].center)
    assert v["tx_count_1h"] == v["tx_count_30d"] == 1.0
    assert v["amount_sum_30d"] == 5_000.0


def test_novelty_needs_a_memory_to_be_new_against() -> None:
    row = HotRow()
    assert vector(row, tx(START, terminal_id="t1"))["terminal_new"] == 0.0
    v = vector(row, tx(START + 1, terminal_id="t2", merchant_id="m1"))
    assert (v["terminal_new"], v["merchant_new"], v["novelty_count_7d"]) == (1.0, 0.0, 1.0)
    assert vector(row, tx(START + 2, terminal_id="t1"))["terminal_new"] == 0.0


def test_terminal_forgotten_after_sixteen_others_is_new_again() -> None:
    row = HotRow()
    for n in range(17):
        vector(row, tx(START + n, terminal_id=f"t{n}"))
    assert vector(row, tx(START + 50, terminal_id="t1"))["terminal_new"] == 0.0
    assert vector(row, tx(START + 51, terminal_id="t0"))["terminal_new"] == 1.0


# --- what counts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [{"direction": "credit"}, {"type": "refund"}, {"type": "deposit"}, {"status": "reversed"}],
    ids=lambda f: next(iter(f.values())),
)
def test_money_that_is_not_spending_moves_only_the_time(fields: dict[str, str]) -> None:
    row = HotRow()
    update(row, tx(START, terminal_id="t"), NO_SHARED)
    want = row.copy()
    want.latest_ms = START + HOUR
    assert update(row, tx(START + HOUR, terminal_id="other", **fields), NO_SHARED) is None
    assert row == want


def test_declined_is_scored_and_counted_but_teaches_nothing() -> None:
    row = HotRow()
    vector(row, tx(START, 1_000, terminal_id="t", country="FR"))
    v = vector(row, tx(START + 1, 90_000, terminal_id="u", country="DE", status="declined"))
    assert (v["decline_count_1d"], v["tx_count_1h"], v["amount_sum_30d"]) == (1.0, 1.0, 1_000.0)
    assert (v["terminal_new"], v["country_foreign"]) == (1.0, 1.0)
    again = vector(row, tx(START + 2, 1_000, terminal_id="u", country="DE"))
    assert (again["terminal_new"], again["country_new"], again["amount_max_ratio_baseline"]) == (1.0, 1.0, 1.0)


def test_amount_is_the_billing_amount_where_given_even_zero() -> None:
    assert vector(HotRow(), tx(START, 1_000, billing_amount_minor=70))["amount_last"] == 70.0
    assert vector(HotRow(), tx(START, 1_000, billing_amount_minor=0))["amount_last"] == 0.0
    assert vector(HotRow(), tx(START, 1_000, billing_amount_minor=None))["amount_last"] == 1_000.0


def test_missing_type_is_cash_at_an_atm_and_purchase_elsewhere() -> None:
    assert vector(HotRow(), tx(START, channel="atm"))["is_cash"] == 1.0
    assert vector(HotRow(), tx(START, channel="pos"))["is_cash"] == 0.0
    assert vector(HotRow(), tx(START, type="transfer", channel="mobile"))["is_transfer"] == 1.0


def test_night_and_weekend_are_of_the_event_itself() -> None:
    saturday = START + 3 * DAY
    assert vector(HotRow(), tx(saturday + 6 * HOUR - 1))["is_night"] == 1.0
    v = vector(HotRow(), tx(saturday + 6 * HOUR))
    assert (v["is_night"], v["is_weekend"]) == (0.0, 1.0)
    assert vector(HotRow(), tx(saturday - 1))["is_weekend"] == 0.0
    assert vector(HotRow(), tx(saturday + 2 * DAY))["is_weekend"] == 0.0


def test_shared_indicators_are_asked_for_and_neutral_without_an_id() -> None:
    class Known:
        def terminal(self, terminal_id: str, at_ms: int) -> TerminalFigures:
            assert (terminal_id, at_ms) == ("t", START)
            return 9.0, 0.2, 3.0, 4.0, 1.0, 0.5, 2.5, 1.5

        def merchant(self, merchant_id: str, at_ms: int) -> tuple[float, float]:
            assert (merchant_id, at_ms) == ("m", START)
            return 8.0, 0.1

        def device(self, device_id: str, at_ms: int) -> DeviceFigures:
            assert (device_id, at_ms) == ("d", START)
            return 7.0, 0.3, 0.8, 3.5

    known = update(HotRow(), tx(START, terminal_id="t", merchant_id="m", device_id="d"), Known())
    assert known is not None
    assert known[-14:] == [9.0, 0.2, 3.0, 4.0, 1.0, 0.5, 2.5, 1.5, 8.0, 0.1, 7.0, 0.3, 0.8, 3.5]
    neutral = [0.0, 0.005, *[0.0] * 6, 0.0, 0.005, 0.0, 0.005, 0.0, 0.0]
    for row in (
        update(HotRow(), tx(START, terminal_id=None), Known()),
        update(HotRow(), tx(START, terminal_id="t"), NO_SHARED),
    ):
        assert row is not None
        assert row[-14:] == neutral
    shared = [feature.name for feature in CATALOGUE if feature.shared]
    assert shared == list(NAMES[-14:])


def test_unusual_amounts_count_for_what_comes_after_them_within_a_week() -> None:
    row = HotRow()
    for n in range(30):
        vector(row, tx(START + n * DAY, 1_000 + 10 * (n % 3)))
    at = START + 30 * DAY
    first = vector(row, tx(at, 50_000))
    assert first["amount_zscore_baseline"] > 2
    assert (first["unusual_count_7d"], first["unusual_sum_7d"], first["amount_excess"]) == (0.0, 0.0, 50_000.0)
    after = vector(row, tx(at + HOUR, 1_000))
    assert after["unusual_count_7d"] == 1.0
    assert after["unusual_sum_7d"] == pytest.approx(first["amount_zscore_baseline"], abs=0.001)
    second = vector(row, tx(at + HOUR, 40_000))["amount_zscore_baseline"]
    both = vector(row, tx(at + HOUR, 1_000))
    assert both["unusual_count_7d"] == 2.0
    assert both["unusual_sum_7d"] == pytest.approx(first["amount_zscore_baseline"] + second, abs=0.002)
    assert vector(row, tx(at + 2 * HOUR, 50_000, status="declined"))["unusual_count_7d"] == 2.0
    assert vector(row, tx(at + 3 * HOUR, 1_000))["unusual_count_7d"] == 2.0
    late = vector(row, tx(at + 7 * DAY, 1_000))
    assert (late["unusual_count_7d"], late["unusual_sum_7d"]) == (0.0, 0.0)


# --- time -----------------------------------------------------------------------------------------------


def test_late_is_more_than_a_day_behind() -> None:
    row = HotRow()
    assert not is_late(row, 0)
    update(row, tx(START), NO_SHARED)
    assert not is_late(row, START - DAY)
    assert is_late(row, START - DAY - 1)


def test_out_of_order_event_is_read_as_of_the_latest_time() -> None:
    row = HotRow()
    vector(row, tx(START + DAY, 100))
    v = vector(row, tx(START + DAY - 2 * HOUR, 50))
    assert (v["tx_count_1h"], v["tx_count_1d"], v["amount_sum_1d"], v["gap_since_last"]) == (1.0, 2.0, 150.0, 0.0)
    assert row.latest_ms == row.last_tx_ms == START + DAY


def test_event_exactly_a_day_old_has_left_the_day() -> None:
    row = HotRow()
    vector(row, tx(START))
    v = vector(row, tx(START + DAY))
    assert (v["tx_count_1d"], v["tx_count_7d"]) == (1.0, 2.0)


def test_freshness_halves_and_never_is_zero() -> None:
    row = HotRow()
    assert vector(row, tx(START))["device_change_recent"] == 0.0
    update(row, of(DeviceChange, START + HOUR, device_id="d"), NO_SHARED)
    update(row, of(PayeeAdded, START + HOUR, payee_id="p"), NO_SHARED)
    update(row, of(Outcome, START + HOUR, outcome="fraud_confirmed"), NO_SHARED)
    assert vector(row, tx(START + HOUR))["device_change_recent"] == 1.0
    v = vector(row, tx(START + HOUR + DAY))
    assert v["device_change_recent"] == v["payee_added_recent"] == 0.5
    assert vector(row, tx(START + HOUR + 30 * DAY))["fraud_confirmed_recent"] == 0.5


def test_device_bound_before_the_money_moves_is_still_new() -> None:
    row = HotRow()
    vector(row, tx(START, device_id="own"))
    update(row, of(DeviceChange, START + 1, device_id="thief"), NO_SHARED)
    assert vector(row, tx(START + 2, device_id="thief"))["device_new"] == 1.0


# --- ids ------------------------------------------------------------------------------------------------


def test_the_last_thirty_two_ids_are_remembered() -> None:
    row = HotRow()
    assert not row.seen("e0")
    for n in range(EVENT_IDS_MAX):
        assert row.remember(f"e{n}")
    assert not row.remember("e0")
    assert row.seen("e0")
    assert row.remember("one more")
    assert not row.seen("e0")
    assert row.seen("e1")


# --- baseline -------------------------------------------------------------------------------------------


def _ordinary(days: int = 40, seed: int = 1) -> HotRow:
    row, rng = HotRow(), random.Random(seed)
    for day in range(days):
        update(row, tx(START + day * DAY + 12 * HOUR, int(rng.lognormvariate(7, 0.3))), NO_SHARED)
    return row


def test_baseline_leaves_out_the_event_itself() -> None:
    row = _ordinary()
    mean, weight = row.mean, row.weight
    event = tx(row.latest_ms + 1, 1_100)
    spread = ((row.m2 + 3 * 0.64) / (weight + 3)) ** 0.5
    z = vector(row, event)["amount_zscore_baseline"]
    assert z == pytest.approx((log1p(1_100) - mean) / spread)
    assert row.mean != mean


def test_outlier_is_not_learned() -> None:
    row = _ordinary()
    before = (row.mean, row.m2, row.weight, row.largest_minor, row.channels, row.night)
    v = vector(row, tx(row.latest_ms + 1, 500_000, channel="ecom"))
    assert v["amount_zscore_baseline"] > 3
    assert v["amount_max_ratio_baseline"] > 50
    assert (row.mean, row.m2, row.weight, row.largest_minor, row.channels, row.night) == before
    assert vector(row, tx(row.latest_ms + 1, 500_000))["amount_max_ratio_baseline"] > 50


def test_changed_customer_is_accepted_after_five_in_a_row_over_a_day() -> None:
    row = _ordinary()
    scores = [
        vector(row, tx(row.latest_ms + DAY, 500_000))["amount_zscore_baseline"] for _ in range(OUTLIER_RUN_MIN + 1)
    ]
    assert min(scores[:OUTLIER_RUN_MIN]) > 3
    assert abs(scores[OUTLIER_RUN_MIN]) < 1
    assert vector(row, tx(row.latest_ms + DAY, 500_000))["amount_max_ratio_baseline"] == 1.0


def test_evening_of_theft_does_not_become_normal() -> None:
    row = _ordinary()
    scores = [vector(row, tx(row.latest_ms + MINUTE, 500_000))["amount_zscore_baseline"] for _ in range(20)]
    assert min(scores) > 3


def test_ordinary_amount_ends_a_run_of_outliers() -> None:
    row = _ordinary()
    for _ in range(6):
        for _ in range(OUTLIER_RUN_MIN - 1):
            assert vector(row, tx(row.latest_ms + DAY, 500_000))["amount_zscore_baseline"] > 3
        assert abs(vector(row, tx(row.latest_ms + DAY, 1_100))["amount_zscore_baseline"]) < 3


def test_old_months_fade() -> None:
    row = _ordinary()
    weight = row.weight
    vector(row, tx(row.latest_ms + 90 * DAY, 1_100))
    assert row.weight == pytest.approx(weight / 2 + 1)


def test_home_is_where_most_spending_is_and_moves_with_the_customer() -> None:
    row = HotRow()
    for n in range(5):
        vector(row, tx(START + n, country="FR"))
    assert vector(row, tx(START + 10, country="DE"))["country_foreign"] == 1.0
    assert vector(row, tx(START + 11, country="FR"))["country_foreign"] == 0.0
    foreign = [vector(row, tx(START + 20 + n, country="DE"))["country_foreign"] for n in range(40)]
    assert foreign[0] == 1.0
    assert foreign[-1] == 0.0
