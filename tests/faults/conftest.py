"""The fault suite runs only when asked for: `-m faults`. It has a broker of its own, as some of it kills that.

How much is broken is set by the environment, small by default (under three minutes on two free cores): FAULT_KILLS
(random kills), FAULT_POINT_KILLS (kills at each named point), FAULT_BROKER_KILLS, FAULT_AWAY_S, FAULT_PAUSE_S,
FAULT_SIGTERMS, FAULT_PAYLOADS; FAULT_SEED runs one again.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers.apache import ApacheKafka, why_missing

_HERE = Path(__file__).parent
DEFAULTS = {
    "FAULT_KILLS": 3, "FAULT_POINT_KILLS": 0, "FAULT_BROKER_KILLS": 1, "FAULT_AWAY_S": 1,
    "FAULT_PAUSE_S": 15, "FAULT_SIGTERMS": 3, "FAULT_PAYLOADS": 20_000,
}  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """The marker of this folder."""
    config.addinivalue_line("markers", "faults: breaks a real deployment on Apache Kafka (run by `make test-faults`)")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark everything below this folder; take it out unless `-m` speaks of it."""
    ours = [item for item in items if _HERE in item.path.parents]
    for item in ours:
        item.add_marker("faults")
    if ours and "faults" not in (config.getoption("-m") or ""):
        config.hook.pytest_deselected(items=ours)
        items[:] = [item for item in items if item not in ours]


def amount(name: str) -> int:
    """A figure of the environment, or the small one."""
    return int(os.environ.get(name, DEFAULTS[name]))


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """From FAULT_SEED, else a new one each time; shown when a test fails, and by `-rA`."""
    chosen = int(os.environ.get("FAULT_SEED", random.SystemRandom().randrange(1 << 30)))
    print(f"FAULT_SEED={chosen}")
    return chosen


@pytest.fixture(scope="session")
def faults_kafka() -> Iterator[ApacheKafka]:
    """One Apache Kafka for the suite; it may be killed and started again."""
    if reason := why_missing():
        pytest.fail(reason)
    # Its client logs every try while a broker is away on purpose.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with ApacheKafka() as broker:
        yield broker
