"""Champion and challengers under one roof: learn, judge, publish, go back. Driven by `models/learner.py`, pure.

Whatever it decides is a function of what it was given in order: lessons, held-out labels and rulings.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from models.compiled import CompiledFraud, FraudArrays
from models.fraud import FraudModel
from models.governance.candidates import Candidate, Keep
from models.governance.evidence import Evidence
from models.governance.guards import Finding, astray, check_standing, check_weights
from models.governance.held_out import Proof, Standing
from models.governance.labels import LabelDesk
from models.governance.promotion import REASONS, objection
from models.governance.records import Card, Command, Lineage, News
from models.governance.registry import Registry
from models.governance.rules import ModelRules
from models.shaping import Floats


class Council:
    """See the module; `Learner` owns one.

    Parameters
    ----------
    rules
        What is allowed. The first candidate is the champion until history says otherwise.
    """

    def __init__(self, rules: ModelRules) -> None:
        self.rules = rules
        self.candidates = [Candidate.new(candidate) for candidate in rules.candidates]
        self.champion = self.candidates[0]
        self.proof = Proof()
        self.registry = Registry()
        self.keeps: list[Keep] = []
        # Their weights by version, as they are asked for at every look back; made anew where they are missing.
        self._kept: dict[int, CompiledFraud] = {}
        self.version = 1
        # Lessons the champion learned since its last keep; what a rollback sets aside.
        self.lessons = 0
        self.set_aside = 0
        self.urgent = False
        self._promoted_ms = -1
        # Event time of the latest keep: challengers are judged and numbered then.
        self.kept_ms = -1
        self._lineage: Lineage | None = None

    @property
    def news(self) -> list[News]:
        """What people should know and was not fetched yet."""
        return self.registry.news

    def tell(self, kind: str, at_ms: int, subject: str, values: dict[str, float], *, often: bool = False) -> None:
        """Make news of something, for the version in force; see `Registry.tell`."""
        self.registry.tell(kind, at_ms, subject, self.version, values, often=often)

    # --- learning ---------------------------------------------------------------------------------------

    def observe(self, vectors: Floats) -> None:
        """All candidates' half-space trees see these events."""
        for candidate in self.candidates:
            candidate.model.observe_many(vectors)

    def learn(self, matrix: Floats, labels: list[tuple[float, bool, float]]) -> None:
        """All candidates learn the same lessons, in order."""
        self.lessons += len(labels)
        for candidate in self.candidates:
            candidate.model.learn_many(matrix, labels)

    def advance(self, at_ms: int) -> None:
        """Let event time pass for what depends on it."""
        for candidate in self.candidates:
            candidate.model.advance(at_ms)

    def quicken(self) -> None:
        """The world has changed: candidates that are declared to do so learn more quickly for a while."""
        for candidate in self.candidates:
            if candidate.rules.quicken:
                candidate.quicken()

    # --- judging ----------------------------------------------------------------------------------------

    def shadow(self, vectors: Floats) -> list[tuple[float, ...]]:
        """Every candidate's probability for held-out events, as it was last published; one tuple an event."""
        columns = [candidate.compiled.score(vectors).probability.tolist() for candidate in self.candidates]
        return list(zip(*columns, strict=True))

    def judge(self, vectors: Floats, shadows: list[tuple[float, ...] | None], fraud: Floats) -> None:
        """Held-out labels that matured, in order: evidence for every challenger, and the newest proof."""
        self.proof.add(vectors, fraud)
        known = [place for place, shadow in enumerate(shadows) if shadow is not None]
        if not known:
            return
        table = np.array([shadows[place] for place in known], dtype=np.float64).T
        truth = fraud[known]
        champion = table[self.candidates.index(self.champion)]
        for candidate, scores in zip(self.candidates, table, strict=True):
            if candidate is not self.champion:
                candidate.evidence.add(champion, scores, truth)

    # --- publishing -------------------------------------------------------------------------------------

    def publish(self, version: int, as_of_ms: int) -> tuple[FraudArrays, Lineage]:
        """The champion's weights that may go out now, and where they come from; the gate is in here."""
        champion = self.champion
        lineage = self._lineage or Lineage(champion.rules.name, "champion", self.version, "learned")
        arrays = champion.model.compile()
        findings = check_weights(arrays, self.rules.guards)
        if not findings:
            compiled = CompiledFraud(arrays)
            standing, in_force = self.proof.stand(compiled), self.proof.stand(champion.compiled)
            # What a named person put in force is held to be finite only.
            findings = check_standing(standing, in_force, self.rules.guards) if self._lineage is None else []
        if findings:
            lineage = self._go_back(as_of_ms, findings)
            champion = self.champion
            arrays = champion.model.compile()
            compiled = CompiledFraud(arrays)
            standing = self.proof.stand(compiled)
        champion.compiled, champion.versions = compiled, [*champion.versions[-99:], version]
        self.version, self._lineage, self.urgent = version, None, False
        self.registry.card(self._card(version, as_of_ms, lineage, standing))
        self._refresh(as_of_ms)
        if self.kept_ms < 0 or as_of_ms - self.kept_ms >= self.rules.keep_every_ms:
            self.kept_ms = as_of_ms
            if not self._look_back(as_of_ms, standing):
                self._keep(version, as_of_ms)
                self._look_ahead(as_of_ms, standing)
        return arrays, lineage

    def challengers(self, version: int, as_of_ms: int) -> list[tuple[int, FraudArrays, Lineage]]:
        """Versions of the challengers to publish beside the champion's, numbered from `version` on."""
        made: list[tuple[int, FraudArrays, Lineage]] = []
        if self.kept_ms == as_of_ms:
            for candidate in self._others():
                lineage = Lineage(candidate.rules.name, "challenger", self.version, "learned")
                made.append((version + len(made), candidate.compiled.arrays, lineage))
                candidate.versions = [*candidate.versions[-99:], made[-1][0]]
                standing = self.proof.stand(candidate.compiled)
                self.registry.card(self._card(made[-1][0], as_of_ms, lineage, standing, candidate.evidence))
        return made

    def _others(self) -> list[Candidate]:
        return [candidate for candidate in self.candidates if candidate is not self.champion]

    def _refresh(self, as_of_ms: int) -> None:
        for candidate in self._others():
            arrays = candidate.model.compile()
            if findings := check_weights(arrays, self.rules.guards):
                candidate.renew(None)
                self.tell("challenger_reset", as_of_ms, candidate.rules.name, findings[0][1])
                arrays = candidate.model.compile()
            candidate.compiled = CompiledFraud(arrays)

    def _card(
        self, version: int, as_of_ms: int, lineage: Lineage, standing: Standing, evidence: Evidence | None = None
    ) -> Card:
        judged = standing.frauds > 0
        return Card(
            version, as_of_ms, lineage, round(standing.loss, 6) if judged else None,
            round(standing.ratio, 4) if judged else None, standing.frauds, len(standing.losses) - standing.frauds,
            round(evidence.e_value(), 4) if evidence else None, round(evidence.gain(), 6) if evidence else None,
        )  # fmt: skip

    # --- going back -------------------------------------------------------------------------------------

    def _keep(self, version: int, as_of_ms: int) -> None:
        champion = self.champion
        self.keeps = [*self.keeps, Keep(version, as_of_ms, champion.rules.name, champion.model.dump())]
        del self.keeps[: -self.rules.keeps_max]
        versions = {keep.version for keep in self.keeps}
        self._kept = {kept: weights for kept, weights in self._kept.items() if kept in versions}
        self._kept[version] = champion.compiled
        self.lessons = 0

    def _go_back(self, at_ms: int, findings: list[Finding]) -> Lineage:
        kind = findings[0][0]
        target = self.keeps[-1].version if self.keeps else 1
        for found, figures in findings:
            self.tell(found, at_ms, self.champion.rules.name, figures)
        return self._restore(target, at_ms, REASONS[kind], "learner", "")

    def _restore(self, target: int, at_ms: int, why: str, by: str, command: str) -> Lineage:
        keep = next((keep for keep in self.keeps if keep.version == target), None)
        name = keep.candidate if keep else self.rules.candidates[0].name
        self.champion = next(candidate for candidate in self.candidates if candidate.rules.name == name)
        self.champion.renew(keep.dump if keep else None)
        self.keeps = [other for other in self.keeps if keep is not None and other.version <= target]
        for candidate in self.candidates:
            candidate.evidence = Evidence()
        self.set_aside += self.lessons
        self.registry.enter(at_ms, "rolled_back", target, name, by, why, command)
        self.tell("rolled_back", at_ms, name, {"to": float(target), "lessons": float(self.lessons)})
        self.lessons = 0
        return Lineage(name, "champion", target, f"rolled back: {why}", by)

    def _look_back(self, at_ms: int, standing: Standing) -> bool:
        # Each gate allows a little; together it may be much.
        for keep in reversed(self.keeps):
            older = self.proof.stand(self._weights(keep))
            if astray(standing, older, self.rules.guards):
                values = {"found": standing.loss, "kept": older.loss}
                self.tell("champion_astray", at_ms, self.champion.rules.name, values)
                self._lineage = self._restore(keep.version, at_ms, REASONS["champion_astray"], "learner", "")
                self.urgent = True
                return True
        return False

    def _weights(self, keep: Keep) -> CompiledFraud:
        if keep.version not in self._kept:
            self._kept[keep.version] = CompiledFraud(FraudModel.load(keep.dump).compile())
        return self._kept[keep.version]

    # --- promotion --------------------------------------------------------------------------------------

    def objection(self, candidate: Candidate, champion: Standing, at_ms: int) -> str:
        """Why this challenger must not take over; empty when it may."""
        since_ms = at_ms - self._promoted_ms if self._promoted_ms >= 0 else None
        return objection(self.rules, candidate.evidence, self.proof.stand(candidate.compiled), champion, since_ms)

    def _look_ahead(self, at_ms: int, standing: Standing) -> None:
        for candidate in self._others():
            if self.urgent or self.objection(candidate, standing, at_ms):
                continue
            if self.rules.promotion.automatic:
                self._promote(candidate, at_ms, "shown to be better on held-out labels", "learner", "")
            else:
                values = {"e_value": candidate.evidence.e_value(), "gain": candidate.evidence.gain()}
                self.tell("challenger_ready", at_ms, candidate.rules.name, values)

    def _promote(self, candidate: Candidate, at_ms: int, why: str, by: str, command: str) -> None:
        parent = candidate.versions[-1] if candidate.versions else self.version
        self.champion, self._promoted_ms = candidate, at_ms
        self._lineage = Lineage(candidate.rules.name, "champion", parent, f"promoted: {why}", by)
        self.urgent = True
        values = {"e_value": candidate.evidence.e_value(), "gain": candidate.evidence.gain()}
        self.registry.enter(at_ms, "promoted", parent, candidate.rules.name, by, why, command)
        self.tell("promoted", at_ms, candidate.rules.name, values, often=True)
        for each in self.candidates:
            each.evidence = Evidence()

    def obey(self, command: Command, at_ms: int, desk: LabelDesk) -> None:
        """Carry a command out, or enter in history why not; `desk` is who hears labels."""
        if command.kind == "release":
            if not (refusal := desk.release(command.actor)):
                why = f"{command.actor}: {command.why}"
                self.registry.enter(at_ms, "released", self.version, "", command.by, why, command.id)
        else:
            refusal = self._promotion(command, at_ms) if command.kind == "promote" else self._rollback(command, at_ms)
        if refusal:
            self.registry.refuse(at_ms, command, refusal)
        self.registry.obeyed(command.id)

    def _promotion(self, command: Command, at_ms: int) -> str:
        candidate = next((it for it in self._others() if command.version in it.versions), None)
        if candidate is None:
            known = ", ".join(str(it.versions[-1]) for it in self._others() if it.versions) or "none"
            return f"expected a challenger's version, found {command.version}; the latest are: {known}"
        refusal = self.objection(candidate, self.proof.stand(self.champion.compiled), at_ms)
        if not refusal:
            self._promote(candidate, at_ms, command.why, command.by, command.id)
        return refusal

    def _rollback(self, command: Command, at_ms: int) -> str:
        kept = [keep.version for keep in self.keeps if keep.version != self.version]
        target = command.version or (kept[-1] if kept else 1)
        if target != 1 and target not in (keep.version for keep in self.keeps):
            return f"expected a version whose state is kept, found {target}; kept are: 1 {' '.join(map(str, kept))}"
        self._lineage = self._restore(target, at_ms, command.why, command.by, command.id)
        self.urgent = True
        return ""

    # --- checkpoint -------------------------------------------------------------------------------------

    def dump(self) -> tuple[list[Any], dict[str, bytes]]:
        """Plain values, and River's objects by name, for the checkpoint."""
        rivers = {f"keep/{keep.version}": keep.dump for keep in self.keeps}
        rivers |= {f"model/{it.rules.name}": it.model.dump() for it in self.candidates}
        lineage = None if self._lineage is None else list(msgspec.structs.astuple(self._lineage))
        plain = [
            self.champion.rules.name, self.version, self.lessons, self.set_aside, self._promoted_ms, self.kept_ms,
            self.urgent, lineage, [[keep.version, keep.as_of_ms, keep.candidate] for keep in self.keeps],
            [it.dump() for it in self.candidates], self.proof.dump(), self.registry.dump(),
        ]  # fmt: skip
        return plain, rivers

    def restore(self, plain: list[Any], rivers: dict[str, bytes]) -> bool:
        """Take over what `dump` wrote; whether the candidates are the same as then.

        They are matched by name; new ones begin as the expert's model, and so does the champion's successor if the
        champion is no longer declared.
        """
        name, self.version, self.lessons, self.set_aside, self._promoted_ms, self.kept_ms, self.urgent = plain[:7]
        lineage, keeps, candidates, proof, registry = plain[7:]
        self._lineage = None if lineage is None else Lineage(*lineage)
        known = {it.rules.name: it for it in self.candidates}
        self.champion = known.get(name, self.candidates[0])
        self.keeps = [Keep(v, at, of, rivers[f"keep/{v}"]) for v, at, of in keeps if of in known]
        for saved in candidates:
            if saved[0] in known:
                known[saved[0]].restore(saved, rivers[f"model/{saved[0]}"])
        self.proof, self.registry = Proof.load(proof), Registry.load(registry)
        return [saved[0] for saved in candidates] == list(known)
