"""Models and policies of the simulated world: small, unlike each other, made once."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache

from alerts.policy import DEFAULT_PATH, Policy, parse_policy
from alerts.shift import Assessor
from models.snapshot import LoadedSnapshot, initial_snapshot
from streams.library import INITIAL_VERSION

MODELS_MAX = 4
POLICIES = ("sim-1", "sim-2", "sim-3")
# Probabilities that make a card watched and elevated.
_ENTER = {"sim-1": (0.02, 0.1), "sim-2": (0.01, 0.05), "sim-3": (0.05, 0.2)}


@cache
def models() -> dict[int, LoadedSnapshot]:
    """Every model version; each scores the same event otherwise."""
    first = initial_snapshot()
    return {
        version: LoadedSnapshot(
            replace(
                first,
                version=version,
                fraud=replace(first.fraud, intercept=first.fraud.intercept + 0.4 * (version - INITIAL_VERSION)),
            )
        )
        for version in range(INITIAL_VERSION, INITIAL_VERSION + MODELS_MAX)
    }


@cache
def policies() -> dict[str, tuple[Policy, Assessor]]:
    """Every policy; nearly everything is a shift under them."""
    made = {}
    for name in POLICIES:
        watch, elevated = _ENTER[name]
        text = DEFAULT_PATH.read_text("utf-8").replace('version = "default-2"', f'version = "{name}"', 1)
        for level, enter in (("watch", watch), ("elevated", elevated)):
            place = text.index(f"[fraud.levels.{level}]")
            end = text.index("[", place + 1)
            table, found = re.subn(r"\nenter = .*", f"\nenter = {enter}", text[place:end])
            table, also = re.subn(r"\nexit = .*", f"\nexit = {enter / 2}", table)
            text = text[:place] + table + text[end:]
            assert found == also == 1, f"the policy of the house has no such level {level}"
        policy = parse_policy(text)
        made[name] = policy, Assessor(policy)
    return made


class Library:
    """What `Owner` and `Engine` use of `VersionLibrary`, told of versions instead of reading and unpacking them."""

    def __init__(self, policy: str) -> None:
        self.latest = INITIAL_VERSION
        self.policy = policies()[policy][0]
        self._models = {INITIAL_VERSION}
        self._policies = {policy}

    def model(self, version: int) -> LoadedSnapshot:
        """The snapshot, or KeyError for one not heard of."""
        if version not in self._models:
            raise KeyError(version)
        return models()[version]

    def assessor(self, policy_version: str) -> Assessor:
        """The policy's, or KeyError for one not heard of."""
        if policy_version not in self._policies:
            raise KeyError(policy_version)
        return policies()[policy_version][1]

    def knows(self, model_version: int, policy_version: str) -> bool:
        """Whether both were heard of."""
        return model_version in self._models and policy_version in self._policies

    def hear_model(self, version: int) -> None:
        """A snapshot was read from the models topic."""
        self._models.add(version)
        self.latest = max(self.latest, version)

    def hear_policy(self, version: str) -> None:
        """A policy was read from the models topic."""
        self._policies.add(version)


def everything() -> Library:
    """The library of the oracle."""
    library = Library(POLICIES[0])
    for version in models():
        library.hear_model(version)
    for version in POLICIES:
        library.hear_policy(version)
    return library
