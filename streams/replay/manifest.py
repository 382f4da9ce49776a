"""What a replay folder says of itself: `manifest.json`."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from features.catalogue import FEATURE_VERSION
from streams.replay.errors import ReplayError
from streams.replay.work import TOPICS, chained
from streams.rows import ROW_VERSION

FORMAT = 1
_NAME = "manifest.json"
_NEEDED = ("format", "output_hash", "policy_version", "events")


class Chains:
    """Digests of everything so far, by partition and topic; can be kept and gone on with."""

    def __init__(self, partitions: int) -> None:
        self.inputs = [b""] * partitions
        self.outputs = [[b""] * len(TOPICS) for _ in range(partitions)]

    def take_input(self, partition: int, digest: bytes) -> None:
        """The records of one step in one partition."""
        self.inputs[partition] = chained(self.inputs[partition], digest)

    def take_output(self, digests: Mapping[int, Sequence[bytes]]) -> None:
        """What one step said, by partition in the order of `TOPICS`."""
        for partition, of_topics in digests.items():
            chain = self.outputs[partition]
            for place, digest in enumerate(of_topics):
                chain[place] = chained(chain[place], digest)

    @property
    def input_hash(self) -> str:
        """Of all input records."""
        return _whole(self.inputs)

    @property
    def output_hash(self) -> str:
        """Of all decisions, alerts, changes and dead letters."""
        return _whole([digest for of_topics in self.outputs for digest in of_topics])

    def by_topic(self) -> dict[str, str]:
        """One hash a topic."""
        return {topic: _whole([of_topics[place] for of_topics in self.outputs]) for place, topic in enumerate(TOPICS)}

    def dump(self) -> list[Any]:
        """Plain values."""
        return [self.inputs, self.outputs]

    @classmethod
    def load(cls, data: list[Any]) -> Chains:
        """What was dumped."""
        chains = cls(0)
        chains.inputs, chains.outputs = data
        return chains


def _whole(digests: Sequence[bytes]) -> str:
    whole = b""
    for digest in digests:
        whole = chained(whole, digest)
    return whole.hex()


def versions() -> dict[str, Any]:
    """What decides about bytes beside input and options: our release, and the family of the CPU."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        release = version("riskshift")
    except PackageNotFoundError:
        release = "0+unknown"
    return {
        "riskshift": release,
        "features": FEATURE_VERSION,
        "rows": ROW_VERSION,
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "river": version("river"),
        "cpu": platform.machine(),
    }


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write it whole or not at all."""
    draft = folder / f".{_NAME}"
    draft.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", "utf-8")
    draft.replace(folder / _NAME)


def is_replay(folder: Path) -> bool:
    """Whether a finished replay lies there."""
    return (folder / _NAME).is_file()


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a finished replay.

    Raises
    ------
    ReplayError
        No replay there, an unfinished one, or one of another release.
    """
    path = folder / _NAME
    if not path.is_file():
        unfinished = (folder / ".progress").is_dir()
        raise ReplayError(
            f"expected a replay in {folder}, found "
            + (
                "one that is not finished: go on with riskshift replay ... --resume"
                if unfinished
                else "none: make one with riskshift replay SOURCE --format F --out DIR"
            )
        )
    try:
        manifest = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ReplayError(f"expected a readable {path}, found: {error}: replay again") from None
    if not isinstance(manifest, dict) or any(name not in manifest for name in _NEEDED) or manifest["format"] != FORMAT:
        raise ReplayError(f"expected {path} of format {FORMAT}, found another: replay again with this release")
    return manifest
