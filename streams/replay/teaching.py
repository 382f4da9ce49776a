"""The learner of a replay: hears every step, and says which model comes into force.

What it learns from a step is in force from the step after the next one on: while engines work a step through, it
learns the one before. That is a rule of the replay, the same for any number of processes.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import msgspec

from models.governance.rules import ModelRules
from models.learner import Learner, LearnerSettings
from models.observation import decode_observation
from models.snapshot import Snapshot
from streams.replay.versions import Frames
from streams.replay.work import Said

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[list[int], list[Said]])


class Teacher:
    """Drives one learner.

    Parameters
    ----------
    learner
        New, or restored.
    folder
        Where decisions wait in files as long as a learner that is restored must read them again.
    offsets
        Decisions heard of each partition.
    """

    def __init__(self, learner: Learner, folder: Path, offsets: list[int]) -> None:
        self.learner, self.folder, self.offsets = learner, folder, offsets
        self.frames = Frames()
        self.news: Counter[str] = Counter()
        # In force in the engines, and about to come into force with the next step.
        self.in_force: Snapshot | None = None
        self.pending: Snapshot | None = None

    @classmethod
    def new(cls, partitions: int, settings: LearnerSettings, rules: ModelRules, folder: Path) -> Teacher:
        """A teacher who knows the expert prior."""
        return cls(Learner(partitions, settings, rules), folder, [0] * partitions)

    def keep(self, said: list[Said]) -> None:
        """Keep what was said for a learner that is restored later, before it is heard."""
        ends = list(self.offsets)
        path = self.folder / f"said-{said[0].number:08}.bin"
        path.write_bytes(_encoder.encode((ends, said)))

    def hear(self, said: list[Said]) -> bytes:
        """Learn a step; the frame of what comes into force with the next one, or nothing."""
        self._observe(said)
        snapshots = self.learner.drain()
        self.news.update(news.kind for news in self.learner.take_news()[0])
        # They are judged inside the learner; nobody here scores with them.
        self.learner.challengers.clear()
        if self.pending is not None:
            self.in_force, self.pending = self.pending, None
        if not snapshots:
            return b""
        self.pending = snapshots[-1]
        return self.frames.frame(self.pending)

    def forget(self, number: int) -> None:
        """Remove what no learner restored after step `number` would read."""
        resume = self.learner.resume_offsets()
        files = sorted(self.folder.glob("said-*.bin"))
        for path, after in pairwise(files):
            begins = _decoder.decode(after.read_bytes())[0]
            if int(path.stem[5:]) >= number or any(begins[p] > offset for p, offset in resume.items()):
                return
            path.unlink()

    def read_again(self, number: int) -> list[Said]:
        """Fill a restored learner from the files before step `number`; returns what was said in that step."""
        resume = self.learner.resume_offsets()
        for path in sorted(self.folder.glob("said-*.bin")):
            begins, said = _decoder.decode(path.read_bytes())
            if int(path.stem[5:]) > number:
                path.unlink()  # said after the state was saved; it will be said again
                continue
            self.offsets = begins
            if said[0].number == number:
                self.learner.drain()
                return said
            self._observe(said, resume)
        return []

    def _observe(self, said: list[Said], resume: dict[int, int] | None = None) -> None:
        observe, offsets = self.learner.observe, self.offsets
        for one in said:
            for partition, values in one.decisions.items():
                offset = offsets[partition]
                for value in values:
                    if resume is None or offset >= resume[partition]:
                        observe(partition, offset, decode_observation(value))
                    offset += 1
                offsets[partition] = offset
