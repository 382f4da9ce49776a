"""How far a replay has come, on disk, so that it can go on: written whole at meetings, removed at the end."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from streams.replay.errors import ReplayError
from streams.signing import signing_key

FOLDER = ".progress"
_STATE = "state.bin"


class Saved(Struct, array_like=True):
    """State after a step.

    Parameters
    ----------
    asked
        The options and versions that decide about bytes; another run must ask the same.
    number
        The last step worked through.
    segment
        Number of the next files.
    in_force, pending
        Frames: the model the engines score with (whole), and the one that comes with the next step.
    learner
        Its signed checkpoint; empty without learning.
    chains, counts, news
        Digests and counters so far.
    seconds, cpu_seconds
        Spent so far.
    """

    asked: dict[str, Any]
    number: int
    segment: int
    in_force: bytes
    pending: bytes
    learner: bytes
    chains: list[Any]
    counts: dict[str, int]
    news: dict[str, int]
    seconds: float
    cpu_seconds: float


class Progress:
    """The folder of a replay that is under way.

    Parameters
    ----------
    out
        The replay's folder.
    """

    def __init__(self, out: Path) -> None:
        self.path = out / FOLDER

    def begin(self) -> None:
        """An empty folder."""
        shutil.rmtree(self.path, ignore_errors=True)
        for name in ("said", "now"):
            (self.path / name).mkdir(parents=True)

    @property
    def said(self) -> Path:
        """Where decisions wait that a restored learner must read again."""
        return self.path / "said"

    @property
    def now(self) -> Path:
        """Where the state saved last is."""
        return self.path / "now"

    def key(self) -> bytes:
        """Signs the learner's checkpoint, as a deployment's key does."""
        return signing_key(self.path / "key")

    def draft(self) -> Path:
        """An empty folder for the next state."""
        draft = self.path / "next"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        return draft

    def save(self, draft: Path, saved: Saved) -> None:
        """Complete the draft and put it in the place of the state before."""
        (draft / _STATE).write_bytes(msgspec.msgpack.encode(saved))
        old = self.path / "old"
        shutil.rmtree(old, ignore_errors=True)
        self.now.rename(old)
        draft.rename(self.now)
        shutil.rmtree(old)

    def read(self) -> Saved | None:
        """The state saved last; None when there is none yet.

        Raises
        ------
        ReplayError
            When it was cut or written by another release.
        """
        for name in ("now", "old"):
            path = self.path / name / _STATE
            if path.is_file():
                break
        else:
            return None
        if name == "old":
            # Stopped between two renames.
            shutil.rmtree(self.now, ignore_errors=True)
            (self.path / "old").rename(self.now)
            path = self.now / _STATE
        try:
            return msgspec.msgpack.decode(path.read_bytes(), type=Saved)
        except (OSError, msgspec.MsgspecError) as error:
            raise ReplayError(
                f"expected the state of a replay in {path}, found other bytes ({error}): start anew without --resume"
            ) from None

    def end(self) -> None:
        """Done: nothing to go on with."""
        shutil.rmtree(self.path, ignore_errors=True)
