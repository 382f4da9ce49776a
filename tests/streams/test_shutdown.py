"""SIGTERM in the middle of full load: ends in time with status 0, and the next start loses and repeats nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.broker.embedded import EmbeddedBroker
from tests.streams.account import Account
from tests.streams.harness import Deployment, until

# What an orchestrator waits before it kills; the product promises to be done by then.
STOP_MAX_S = 20.0
DRAIN_MAX_S = 60.0


def test_sigterm_under_load_ends_in_time_and_nothing_is_lost_or_said_twice(
    any_broker: str, prefix: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with Deployment(any_broker, prefix, tmp_path, partitions=4) as deployment:
        deployment.declare()
        with deployment.worker(workers=2) as worker:
            # A town far longer than the test: it is still sending, as fast as the broker takes it, at the signal.
            town = deployment.start("simulate", "--people", "200", "--days", "3650", "--json")
            until(lambda: bool(deployment.read("alerts")), 30, "the first alert")
            assert town.process.poll() is None, town.errors
            worker.process.terminate()
            # The town stops a moment later, as it sends in a second what takes many to drain.
            town.process.terminate()
            assert worker.wait(STOP_MAX_S) == 0
            assert worker.left_over() == []
            assert worker.restarts == []
            assert town.wait(STOP_MAX_S) == 0
        behind = deployment.account()
        assert behind.said, "the first run decided something"
        assert behind.unaccounted(), "it was stopped with work still waiting"
        # One worker now takes over what two had.
        with deployment.worker() as worker:
            account = deployment.drain(DRAIN_MAX_S)
            assert worker.stop(timeout_s=STOP_MAX_S) == 0
            assert worker.left_over() == []
        _check(account, deployment, transactional="kafka" in request.node.callspec.id)
        assert town.said[-1]["events"] == len(account.inputs), "the simulator's summary counts what it sent"


def _check(account: Account, deployment: Deployment, *, transactional: bool) -> None:
    assert not account.unaccounted()
    assert not account.invented()
    # Without transactions a batch cut in half is said again, in the same bytes.
    assert account.twice(equal_allowed=not transactional) == []
    alerts = deployment.read("alerts")
    ids = [alert["alert_id"] for alert in deployment.values("alerts")]
    distinct = len(alerts) if transactional else len({(a.partition, a.value) for a in alerts})
    assert len(set(ids)) == distinct > 0


@pytest.mark.tansu
def test_sigterm_ends_a_worker_whose_broker_is_gone(prefix: str, tmp_path: Path) -> None:
    """Faust's stop waits for things that then never come; the deadline must not hang on any of them."""
    with EmbeddedBroker() as broker, Deployment(broker.address, prefix, tmp_path, partitions=2) as deployment:
        deployment.declare()
        with deployment.worker() as worker:
            broker.stop()
            worker.process.terminate()
            assert worker.wait(STOP_MAX_S) == 0
            assert worker.left_over() == []
