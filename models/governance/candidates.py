"""One fraud model that learns: its state, as it was last published, and what speaks for it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import msgspec
import numpy as np

from models.compiled import CompiledFraud, FraudArrays
from models.fraud import FraudModel
from models.governance.evidence import Evidence
from models.governance.rules import CandidateRules


class Keep(NamedTuple):
    """A state of the champion one can go back to."""

    version: int
    as_of_ms: int
    candidate: str
    dump: bytes


@dataclass(slots=True, eq=False)
class Candidate:
    """One of the declared models.

    Attributes
    ----------
    model
        What learns.
    compiled
        What is published of it, or would be: shadow scores come from here.
    versions
        Numbers under which it was published, the latest hundred.
    """

    rules: CandidateRules
    model: FraudModel
    compiled: CompiledFraud
    versions: list[int] = field(default_factory=list)
    evidence: Evidence = field(default_factory=Evidence)

    @classmethod
    def new(cls, rules: CandidateRules) -> Candidate:
        """The expert's model with these settings."""
        model = made(rules)
        return cls(rules, model, CompiledFraud(model.compile()))

    def renew(self, dump: bytes | None) -> None:
        """Begin again from a dump, or from the expert's model; what spoke for it speaks no more."""
        self.model = made(self.rules, dump)
        self.evidence = Evidence()

    def quicken(self) -> None:
        """Learn more quickly for a while."""
        self.model.quicken()

    def dump(self) -> list[Any]:
        """Plain values, what is published among them; the model itself goes with River's objects."""
        evidence = list(msgspec.structs.astuple(self.evidence))
        return [self.rules.name, list(self.versions), evidence, _packed(self.compiled.arrays)]

    def restore(self, saved: list[Any], river: bytes) -> None:
        """Take over what `dump` wrote, and the model."""
        _, self.versions, evidence, arrays = saved
        self.model = made(self.rules, river)
        self.evidence = Evidence(*evidence)
        self.compiled = CompiledFraud(_unpacked(arrays))


def made(rules: CandidateRules, dump: bytes | None = None) -> FraudModel:
    """A model with these settings, from a dump or from the expert's prior."""
    if dump is not None:
        return FraudModel.load(dump)
    return FraudModel(fast_rate=rules.fast_rate, mean_share=rules.mean_share)


def _packed(arrays: FraudArrays) -> list[Any]:
    # By field: what has a shape as bytes with type and shape, numbers as they are.
    values = [getattr(arrays, field.name) for field in fields(arrays)]
    return [[v.dtype.str, list(v.shape), v.tobytes()] if isinstance(v, np.ndarray) else v for v in values]


def _unpacked(values: list[Any]) -> FraudArrays:
    made: list[Any] = [
        np.frombuffer(v[2], dtype=v[0]).reshape(v[1]).copy() if isinstance(v, list) else v for v in values
    ]
    return FraudArrays(*made)
