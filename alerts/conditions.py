"""Rules of the policy as numbers: each condition is an index and a closed range, each rule a few comparisons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from alerts.policy import SCORES, Condition, Policy, Rule
from alerts.state import LEVELS
from features.catalogue import INDEX, SIZE


class CompiledRule(NamedTuple):
    """A rule, the level it asks for, its ranges over the vector and over (probability, anomaly)."""

    rule: Rule
    level: int
    on_vector: tuple[tuple[int, float, float], ...]
    on_scores: tuple[tuple[int, float, float], ...]

    def holds(self, vector: Sequence[float], probability: float, anomaly: float) -> bool:
        """Whether every condition holds; a value that is no number makes none hold."""
        for index, low, high in self.on_vector:
            if not low <= vector[index] <= high:
                return False
        scores = (probability, anomaly)
        return all(low <= scores[index] <= high for index, low, high in self.on_scores)


def bounds(condition: Condition) -> tuple[float, float]:
    """The closed range that is the same as `op value` for floats."""
    value = condition.value
    if condition.op == ">=":
        return value, math.inf
    if condition.op == ">":
        return math.nextafter(value, math.inf), math.inf
    if condition.op == "<=":
        return -math.inf, value
    if condition.op == "<":
        return -math.inf, math.nextafter(value, -math.inf)
    return value, value


def compile_rules(policy: Policy) -> list[CompiledRule]:
    """Rules in policy order, conditions in the order they are written."""
    return [
        CompiledRule(
            rule,
            LEVELS.index(rule.level),
            tuple((INDEX[c.feature], *bounds(c)) for c in rule.when if c.feature in INDEX),
            tuple((SCORES.index(c.feature), *bounds(c)) for c in rule.when if c.feature in SCORES),
        )
        for rule in policy.rules
    ]


def quick_checks(rules: Sequence[CompiledRule]) -> list[tuple[int, float, float, CompiledRule]]:
    """First condition of every rule, to pass over a quiet event with one comparison a rule.

    A rule over scores alone looks at place 0 of the vector with an open range.
    """
    assert SIZE > 0  # noqa: S101 - place 0 exists
    return [(*(rule.on_vector[0] if rule.on_vector else (0, -math.inf, math.inf)), rule) for rule in rules]
