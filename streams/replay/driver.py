"""Drives a replay "as new": steps to the engines, what they said to the learner, models back, state to disk."""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from models.governance.rules import ModelRules
from models.learner import Learner, LearnerSettings
from streams.memory import avoid_long_pauses
from streams.replay.engines import EngineSettings
from streams.replay.errors import ReplayError
from streams.replay.manifest import Chains, versions
from streams.replay.output import drop_parts
from streams.replay.processes import Crew, crew
from streams.replay.saved import Progress, Saved
from streams.replay.teaching import Teacher
from streams.replay.versions import Frames, ReplayLibrary, version_of
from streams.replay.work import PARTITIONS, Record, Said, Step, digest_of

SAVE_EVERY_S = 30.0
_SAVE_PAUSE = 20.0
WAITING_MAX = 500_000


@dataclass(frozen=True, slots=True)
class Options:
    """How to replay.

    Parameters
    ----------
    out
        The replay's folder; exists.
    policy_source
        Text of the policy file.
    rules
        Who learns; None: nobody, the expert prior scores.
    learner
        See `LearnerSettings`; epochs are the steps.
    topic, partitions
        Name in dead letters, and logical partitions.
    batch, processes
        Change speed, never bytes.
    asked
        Whatever else decides about bytes, for `--resume` and the manifest.
    save_every_s
        Time between two saved states.
    """

    out: Path
    policy_source: str
    rules: ModelRules | None
    learner: LearnerSettings
    topic: str = "events"
    partitions: int = PARTITIONS
    batch: int = 1_000
    processes: int = 1
    asked: dict[str, Any] = field(default_factory=dict)
    save_every_s: float = SAVE_EVERY_S


@dataclass(slots=True)
class Run:
    """What came of it; `finished` is False when it was asked to stop before the end."""

    chains: Chains
    counts: Counter[str] = field(default_factory=Counter)
    news: Counter[str] = field(default_factory=Counter)
    learner: dict[str, int] = field(default_factory=dict)
    model_version: int = 1
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    reached_ms: int = -1
    finished: bool = True


# Told after every step; answers whether to go on.
Show = Callable[[Run], bool]


class Replay:
    """One replay as new.

    Parameters
    ----------
    options
        See `Options`.
    resume
        Go on where the state saved last says; from the beginning where there is none.
    """

    def __init__(self, options: Options, *, resume: bool = False) -> None:
        self.options = options
        self.progress = Progress(options.out)
        self.run = Run(Chains(options.partitions))
        self._asked = {**options.asked, "versions": versions()}
        self._done = -1
        self._before: list[Said] = []
        self._frame = b""
        self._segment = 0
        saved = self.progress.read() if resume else None
        if saved is not None and saved.asked != self._asked:
            other = sorted(k for k in {**saved.asked, **self._asked} if saved.asked.get(k) != self._asked.get(k))
            raise ReplayError(
                f"expected the options of the replay in {options.out}, found other {', '.join(other)}: "
                "give the same, or start anew without --resume"
            )
        if saved is None:
            self.progress.begin()
            drop_parts(options.out, 0)
            shutil.rmtree(options.out / "models", ignore_errors=True)
        (options.out / "models").mkdir(exist_ok=True)
        (options.out / "policy.toml").write_text(options.policy_source, "utf-8")
        self._teacher = self._teach(saved)
        self._crew: Crew = crew(self._engine_settings(saved.segment if saved else 0), options.processes)
        if saved is not None:
            self._go_on(saved)

    def drive(self, steps: Iterable[Step], show: Show = lambda _run: True) -> Run:
        """Work all steps through, or until `show` says stop; those done before a restart are passed over."""
        avoid_long_pauses()
        run, teacher = self.run, self._teacher
        began, spent, cpu, cpu_spent = time.monotonic(), run.seconds, _cpu_s(), run.cpu_seconds
        save_at = began + self.options.save_every_s
        try:
            for step in steps:
                if step.number <= self._done:
                    continue
                step.frame = self._frame
                self._note_input(step)
                self._crew.give(step)
                self._keep_frame()
                self._frame = teacher.hear(self._before) if teacher and self._before else b""
                said = self._crew.take()
                self._note(step, said)
                now = time.monotonic()
                run.seconds, run.cpu_seconds = spent + now - began, cpu_spent + _cpu_s() - cpu
                if now >= save_at:
                    self._save()
                    save_at = self._next_save(now)
                if not show(run):
                    self._save()
                    run.finished = False
                    break
        finally:
            self._crew.close()
        run.seconds, run.cpu_seconds = spent + time.monotonic() - began, cpu_spent + _cpu_s() - cpu
        if teacher is not None:
            run.learner, run.news = teacher.learner.stats(), teacher.news
        if run.finished:
            self.progress.end()
        return run

    def _next_save(self, began_s: float) -> float:
        """A twentieth of the time at most goes into saving, however many customers there are."""
        now, every_s = time.monotonic(), self.options.save_every_s
        return now + (max(every_s, _SAVE_PAUSE * (now - began_s)) if every_s else 0.0)

    def _note_input(self, step: Step) -> None:
        by_partition: dict[int, list[Record]] = {}
        for hour in step.hours:
            for partition, records in hour.records.items():
                by_partition.setdefault(partition, []).extend(records)
        for partition, records in by_partition.items():
            self.run.chains.take_input(partition, digest_of(records))

    def _note(self, step: Step, said: list[Said]) -> None:
        run = self.run
        for one in said:
            run.counts.update(one.counts)
            run.chains.take_output(one.digests)
        run.reached_ms = step.hours[-1].tick_ms
        self._done, self._before = step.number, said
        if self._teacher is not None:
            self._teacher.keep(said)

    def _keep_frame(self) -> None:
        # The frame now in force, for those who look back.
        if self._frame:
            self.run.model_version = version_of(self._frame)
            data = len(self._frame).to_bytes(8, "big") + pa.compress(self._frame, codec="zstd", asbytes=True)
            (self.options.out / "models" / f"{self.run.model_version:08}.zst").write_bytes(data)

    # --- saved state --------------------------------------------------------------------------------------

    def _save(self) -> None:
        draft, teacher, run = self.progress.draft(), self._teacher, self.run
        self._crew.save(draft)
        self._segment += 1
        in_force = learner = b""
        if teacher is not None:
            in_force = Frames().frame(teacher.in_force) if teacher.in_force is not None else b""
            learner = teacher.learner.checkpoint(self.progress.key())
        self.progress.save(
            draft,
            Saved(
                self._asked, self._done, self._segment, in_force, self._frame, learner, run.chains.dump(),
                dict(run.counts), dict(teacher.news if teacher else {}), run.seconds, run.cpu_seconds,
            ),
        )  # fmt: skip
        if teacher is not None:
            teacher.forget(self._done)

    def _teach(self, saved: Saved | None) -> Teacher | None:
        options = self.options
        if options.rules is None:
            return None
        if saved is None:
            return Teacher.new(options.partitions, options.learner, options.rules, self.progress.said)
        learner = Learner.restore(saved.learner, self.progress.key(), options.learner, options.rules)
        return Teacher(learner, self.progress.said, [0] * options.partitions)

    def _go_on(self, saved: Saved) -> None:
        run, teacher = self.run, self._teacher
        drop_parts(self.options.out, saved.segment)
        run.chains = Chains.load(saved.chains)
        run.counts, run.seconds, run.cpu_seconds = Counter(saved.counts), saved.seconds, saved.cpu_seconds
        self._done, self._frame, self._segment = saved.number, saved.pending, saved.segment
        frames = [saved.in_force] if saved.in_force else []
        self._crew.restore(self.progress.now, frames)
        if teacher is not None:
            teacher.news = Counter(saved.news)
            self._before = teacher.read_again(saved.number)
            library = ReplayLibrary([])
            for frame in (*frames, saved.pending):
                if frame:
                    snapshot = library.read(frame)
                    teacher.frames.go_on(snapshot)
                    if frame is saved.pending:
                        teacher.pending = snapshot
                    else:
                        teacher.in_force = snapshot
                        run.model_version = snapshot.version

    def _engine_settings(self, segment: int) -> EngineSettings:
        options = self.options
        return EngineSettings(
            str(options.out), options.topic, options.partitions, options.batch, options.policy_source,
            options.rules is not None, segment,
        )  # fmt: skip


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
