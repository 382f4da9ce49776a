"""Looking on while a run is under way: what benchmarks and tests see of it beside the scores."""

from __future__ import annotations

from models.governance.records import Entry, News
from models.learner import Learner
from models.observation import Observation
from models.snapshot import LoadedSnapshot, Snapshot
from streams.dispositions import Output
from streams.sources.source import Labelled


class Watch:
    """Sees everything and changes nothing; overload what is wanted."""

    def observed(self, row: Labelled | None, observation: Observation) -> None:
        """A decision before the learner takes it, and its row if it has one. What is changed here is learned so."""

    def output(self, output: Output) -> None:
        """What the engine gave for some records or for a control, before `observed` of its decisions."""

    def learned(self, learner: Learner, snapshots: list[Snapshot], news: list[News], history: list[Entry]) -> None:
        """What the learner published, told people and entered in history at the end of an hour, often nothing."""

    def model(self, loaded: LoadedSnapshot) -> LoadedSnapshot:
        """The snapshot about to come into force, or what is to score in its place."""
        return loaded
