"""Brokers for tests: `tansu` (embedded, an address), `kafka` (Apache Kafka, an object), `any_broker` (both in turn).

A test that asks for one of them gets its marker by itself, so that `-m "not kafka"` never starts one.
"""

from __future__ import annotations

import gc
import os
import uuid
from collections.abc import Iterator

import pytest

from streams.broker.embedded import EmbeddedBroker
from tests.brokers.apache import ApacheKafka, why_missing


def pytest_configure(config: pytest.Config) -> None:
    """kafka-python reads its message schemas with a call that Python 3.11 calls old."""
    config.addinivalue_line("filterwarnings", "ignore:(read|open)_text is deprecated:DeprecationWarning")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark by fixture, before `-m` selects."""
    for item in items:
        for name in ("tansu", "kafka"):
            if name in getattr(item, "fixturenames", ()):
                item.add_marker(name)


@pytest.fixture(scope="session")
def tansu() -> Iterator[str]:
    """Address of one embedded broker for the whole run; use `prefix` to keep tests apart."""
    with EmbeddedBroker() as broker:
        yield broker.address


@pytest.fixture(scope="session")
def kafka() -> Iterator[ApacheKafka]:
    """One Apache Kafka for the whole run; a test that kills it starts its own instead."""
    if reason := why_missing():
        # `make test-kafka` must not pass because it skipped everything.
        if os.environ.get("RISKSHIFT_REQUIRE_KAFKA"):
            pytest.fail(reason)
        pytest.skip(reason)
    with ApacheKafka() as broker:
        yield broker


@pytest.fixture(params=[pytest.param("tansu", marks=pytest.mark.tansu), pytest.param("kafka", marks=pytest.mark.kafka)])
def any_broker(request: pytest.FixtureRequest) -> str:
    """Address of the embedded broker, then of Apache Kafka."""
    broker = request.getfixturevalue(request.param)
    return broker if isinstance(broker, str) else broker.address


@pytest.fixture
def prefix() -> str:
    """A topic prefix nobody else uses."""
    return f"t{uuid.uuid4().hex[:10]}"


@pytest.fixture(autouse=True)
def _garbage_of_clients(request: pytest.FixtureRequest) -> Iterator[None]:
    """Collect what broker clients leave behind inside the test that left it.

    A future nobody asked formats a traceback when it is collected, and Python 3.11 fails with a SystemError when
    that happens in the middle of compiling a module.
    """
    yield
    if any(request.node.get_closest_marker(name) for name in ("tansu", "kafka")):
        gc.collect()
