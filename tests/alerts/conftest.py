"""One policy of the house and easy ways to make facts and vectors."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from alerts.policy import DEFAULT_PATH, Policy, parse_policy
from alerts.shift import Assessor, Facts
from features.catalogue import INDEX, SIZE

HOUR_MS, DAY_MS = 3_600_000, 86_400_000


@pytest.fixture(scope="session")
def policy_text() -> str:
    return DEFAULT_PATH.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def policy(policy_text: str) -> Policy:
    return parse_policy(policy_text)


@pytest.fixture(scope="session")
def assessor(policy: Policy) -> Assessor:
    return Assessor(policy)


@pytest.fixture
def facts() -> Callable[..., Facts]:
    def make(
        number: int = 0, at_ms: int | None = None, card: str | None = "tok_4711000000001234", **more: object
    ) -> Facts:
        when = number * HOUR_MS if at_ms is None else at_ms
        return Facts("c-1", f"e-{number}", when, card, 1200, "EUR", 3, **more)  # type: ignore[arg-type]

    return make


@pytest.fixture
def vector() -> Callable[..., list[float]]:
    def make(**values: float) -> list[float]:
        made = [0.0] * SIZE
        for name, value in values.items():
            made[INDEX[name]] = value
        return made

    return make
