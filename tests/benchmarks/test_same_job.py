"""Our variant does the peers' job: same features, same scores, same alerts, from batches of any size."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import numpy as np
import orjson
import pytest
from river import linear_model, preprocessing

from benchmarks.same_job import stored
from benchmarks.same_job.breakdown import breakdown
from benchmarks.same_job.columns import Features, decode
from benchmarks.same_job.events import by_partition, generate
from benchmarks.same_job.figures import medians, ratios
from benchmarks.same_job.job import DAY_MS, NAMES, Job, Models, Terminals, new_state, update
from benchmarks.same_job.linear import LinearBatch
from benchmarks.same_job.measure import verify
from benchmarks.same_job.ours import BatchJob

SIZES = [1, 7, 250, 1000]
EVENTS = 3_000


@cache
def crowded() -> tuple[bytes, ...]:
    """Few customers and terminals, so that a batch has long runs; events out of order, at the same time, days apart,
    of the same amount again and again."""
    rng, time, values = random.Random(5), 1_735_689_600_000, []
    for i in range(EVENTS):
        time += rng.choice([0, 0, 1, 900, 60_000, DAY_MS // 30, DAY_MS // 2])
        customer = int(rng.expovariate(0.2))
        payment = {
            "event_id": f"e-000-{i:010d}", "customer_id": f"c-{customer}",
            "event_time_ms": time - rng.choice([0, 0, 0, 5_000, 2 * DAY_MS]),
            "amount_minor": 1010 if customer % 3 == 0 else rng.randrange(1, 90_000),
            "channel": rng.choice(["pos", "ecom", "atm"]), "merchant_id": f"m-{rng.randrange(9)}",
            "terminal_id": f"t-{rng.randrange(4)}", "mcc": rng.choice(["5411", "6011", "7995"]),
            "country": rng.choice(["GB", "GB", "RO"]), "is_fraud": rng.random() < 0.05,
        }  # fmt: skip
        values.append(orjson.dumps(payment))
    return tuple(values)


@cache
def ordinary() -> tuple[bytes, ...]:
    return tuple(value for _key, value in generate(EVENTS, 7))


STREAMS = {"crowded": crowded, "ordinary": ordinary}


@cache
def by_river(stream: str) -> tuple[list[list[float]], list[float], list[float]]:
    """Features, probabilities and anomaly scores, event by event as every peer computes them."""
    terminals, models, states = Terminals(), Models(), {}
    features, probabilities, anomalies = [], [], []
    for value in STREAMS[stream]():
        event = orjson.loads(value)
        state = states.setdefault(event["customer_id"], new_state())
        x = update(state, event, terminals.hit(event["terminal_id"], event["event_time_ms"]))
        probability, unusual = models.score_learn_one(x, event["is_fraud"])
        features.append(list(x.values()))
        probabilities.append(probability)
        anomalies.append(unusual)
    return features, probabilities, anomalies


def batches(values: tuple[bytes, ...], size: int) -> list[list[bytes]]:
    return [list(values[start : start + size]) for start in range(0, len(values), size)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stream", STREAMS)
def test_features_and_scores_of_batches_are_those_of_river_event_by_event(stream: str, size: int) -> None:
    job = BatchJob()
    features, probabilities, anomalies = [], [], []
    for values in batches(STREAMS[stream](), size):
        events = decode(values)
        columns, _touched = job.features.update(events)
        features.append(columns.T.copy())
        labels = np.array([event.is_fraud for event in events], dtype=np.float64)
        probabilities.append(job.linear.score_learn_many(columns, labels))
        anomalies.append(job.trees.score_learn_many(columns.T))
    expected, by_regression, by_trees = by_river(stream)
    found = np.vstack(features)
    for place, name in enumerate(NAMES):
        np.testing.assert_allclose(found[:, place], np.array(expected)[:, place], rtol=1e-11, atol=1e-11, err_msg=name)
    np.testing.assert_allclose(np.concatenate(probabilities), by_regression, rtol=0, atol=1e-9)
    np.testing.assert_allclose(np.concatenate(anomalies), by_trees, rtol=0, atol=1e-9)
    # The streams are hard enough to tell models apart: something was learned, and windows ended.
    assert np.ptp(by_regression) > 0.1
    assert np.ptp(by_trees) > 0.1


@pytest.mark.parametrize("size", SIZES)
def test_the_same_events_alert(size: int) -> None:
    job, batch, states = Job(), BatchJob(), {}
    expected = []
    for value in ordinary():
        event = orjson.loads(value)
        if (alert := job.work(states.setdefault(event["customer_id"], new_state()), event)) is not None:
            expected.append(alert)
    found = []
    for values in batches(ordinary(), size):
        found += [orjson.loads(alert) for _key, alert, _headers in batch.work(values)[0]]
    assert [alert["event_id"] for alert in found] == [alert["event_id"] for alert in expected] == batch.alerted
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-9)
    assert batch.order == job.order
    assert len(found) > 20


def test_regression_follows_river_where_its_loss_takes_limits_and_features_never_vary() -> None:
    rng = np.random.default_rng(3)
    # Huge first values far apart and labels that contradict them: logits beyond 18 and 30 on both sides.
    rows = np.column_stack(
        [rng.normal(0, 1, 400) * rng.choice([1, 1, 1, 400], 400), np.full(400, 0.1), rng.random(400)]
    )
    labels = np.where(rng.random(400) < 0.1, rows[:, 0] < 0, rows[:, 0] > 0)
    names = ("x", "constant", "z")
    pipeline = preprocessing.StandardScaler() | linear_model.LogisticRegression(intercept_lr=0.05)
    pipeline["LogisticRegression"].optimizer.lr.learning_rate = 5.0
    batch, expected = LinearBatch(3, rate=5.0, intercept_rate=0.05), []
    for row, label in zip(rows.tolist(), labels.tolist(), strict=True):
        x = dict(zip(names, row, strict=True))
        expected.append(pipeline.predict_proba_one(x)[True])
        pipeline.learn_one(x, label)
    found = batch.score_learn_many(rows.T, labels.astype(np.float64))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    assert {0, 1} <= set(expected)
    assert batch.variance[1, 0] == 0.0


def test_river_goes_on_from_what_the_batches_learned() -> None:
    job, models, values = BatchJob(), Models(), ordinary()
    features = np.array(by_river("ordinary")[0])
    labels = np.array([orjson.loads(value)["is_fraud"] for value in values], dtype=np.float64)
    job.linear.score_learn_many(features[:2000].T, labels[:2000])
    job.linear.write_back(models.linear, NAMES)
    found = []
    for row, label in zip(features[2000:].tolist(), labels[2000:].tolist(), strict=True):
        found.append(models.score_learn_one(dict(zip(NAMES, row, strict=True)), bool(label))[0])
    np.testing.assert_allclose(found, by_river("ordinary")[1][2000:], rtol=0, atol=1e-9)


def test_rows_bring_a_customer_back_whole() -> None:
    whole, before, after = Features(), Features(), Features()
    events = decode(crowded())
    changelog: list[tuple[bytes, bytes | None]] = []
    expected = [whole.update(events[start : start + 300])[0] for start in range(0, EVENTS, 300)][5:]
    for start in range(0, 1500, 300):
        _columns, touched = before.update(events[start : start + 300])
        changelog += stored.pack(before, touched.tolist()).items()
    stored.restore(after, [(b"\xffmeta", b"not a customer"), *changelog])
    # What belongs to no customer is not in the rows, in no variant.
    found = [after.update(events[start : start + 300])[0] for start in range(1500, EVENTS, 300)]
    own = [place for place, name in enumerate(NAMES) if name != "terminal_7d"]
    np.testing.assert_array_equal(np.hstack(found)[own], np.hstack(expected)[own])
    assert max(len(row) for _key, row in changelog) <= 300


def test_a_stream_is_the_same_however_much_of_it_is_asked_for() -> None:
    events = generate(12_000, 7)
    assert generate(500, 7) == events[:500]
    assert generate(500, 8) != events[:500]
    times = [orjson.loads(value)["event_time_ms"] for _key, value in events]
    assert times == sorted(times)
    assert 280 <= np.mean([len(value) for _key, value in events]) <= 320
    split = by_partition(events, 4)
    assert sorted(pair for part in split for pair in part) == sorted(events)
    assert len({key for part in split for key in {key for key, _ in part}}) == sum(
        len({k for k, _ in p}) for p in split
    )


def test_verification_finds_a_variant_that_left_out_an_event_or_alerted_otherwise() -> None:
    events = generate(2_000, 7)
    order = [orjson.loads(value)["event_id"] for part in by_partition(events, 4) for _key, value in part]
    values = {orjson.loads(value)["event_id"]: value for _key, value in events}
    job, states = Job(), {}
    for event_id in order:
        event = orjson.loads(values[event_id])
        job.work(states.setdefault(event["customer_id"], new_state()), event)
    assert job.alerted
    verify("honest", events, order, job.alerted)
    with pytest.raises(SystemExit, match="expected each of 2000 events once, found 1999"):
        verify("short", events, order[1:] + order[1:2], job.alerted)
    with pytest.raises(SystemExit, match="another job: 1 alerts differ"):
        verify("other", events, order, job.alerted[1:])


def test_ratios_pair_each_peer_with_the_run_before_it_and_take_the_median_of_rounds() -> None:
    def pair(ours: float, theirs: float) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"cpu_us_per_event": ours, "note": "x"}, {"cpu_us_per_event": theirs, "note": "y"}

    rounds = [{"quix": pair(10, 80)}, {"quix": pair(20, 100)}, {"quix": pair(10, 70)}]
    assert ratios(rounds) == {"quix": {"median": 7.0, "rounds": [8.0, 5.0, 7.0]}}
    assert medians(rounds) == {"ours": {"cpu_us_per_event": 10}, "quix": {"cpu_us_per_event": 80}}


def test_breakdown_names_the_parts_of_both() -> None:
    parts = breakdown(generate(400, 7))
    assert parts["ours"].keys() - parts["peers"].keys() == {"rows packed"}
    assert all(cost > 0 for costs in parts.values() for cost in costs.values())
