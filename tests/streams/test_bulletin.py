"""What all workers read, on a real broker: a whole snapshot that was let go of is read from its place again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from models.shared import Counts, SharedTable
from models.snapshot import Snapshot, initial_snapshot, pack
from streams.bulletin import SNAPSHOT_KEY, Bulletin
from streams.commit import PartitionLog
from streams.library import VersionLibrary
from streams.settings import Settings, load
from tests.streams.harness import Deployment

KEY = b"0123456789abcdef"


def series() -> tuple[Snapshot, list[tuple[bytes, bytes]]]:
    """A snapshot that adds one terminal to a whole one, and both as records of the models topic."""
    known = {f"t{n}": Counts(n, 0, 0, -1) for n in range(3)}
    whole = replace(initial_snapshot(), version=2, shared=SharedTable(known, {}))
    later = replace(whole, version=3, as_of_ms=5, shared=SharedTable({**known, "t9": Counts(9, 1, 1, 4)}, {}))
    records = []
    for version, chunks in ((2, pack(whole, KEY)), (3, pack(later, KEY, whole))):
        for place, chunk in enumerate(chunks):
            records.append((b"%b%d/%d/%d" % (SNAPSHOT_KEY, version, place, len(chunks)), chunk))
    return later, records


async def required(settings: Settings, forget_place: bool) -> tuple[bool, VersionLibrary]:
    """Whether snapshot 3 can be used by a worker that let go of the whole one it adds to."""
    _later, records = series()
    async with PartitionLog(settings, "bulletin-test", transactional=False) as out:
        await out.publish(settings.topic_models, 0, [(key, value, ()) for key, value in records])
    library = VersionLibrary(KEY)
    bulletin = Bulletin(settings, library, 1)
    await bulletin.start()
    try:
        assert library.latest == 3
        library._packed.pop(2, None)
        library._offered.pop(2, None)
        library._loaded.clear()
        library._bases.clear()
        assert not library.has_model(3)
        assert library.missing_base == 2
        if forget_place:
            bulletin._where.clear()
        return await bulletin.require(3, library.policy.version, 3.0 if forget_place else 20.0), library
    finally:
        await bulletin.stop()


@pytest.mark.tansu
@pytest.mark.parametrize("forget_place", [False, True])
def test_a_whole_snapshot_that_was_let_go_of_is_read_again(
    tansu: str, prefix: str, tmp_path: Path, forget_place: bool
) -> None:
    settings, _ = load(broker=tansu, topic_prefix=prefix, home=str(tmp_path))
    with Deployment(tansu, prefix, tmp_path, partitions=1) as deployment:
        deployment.declare()
        found, library = asyncio.run(required(settings, forget_place))
    # Where it lies is all that is needed, and without it there is no way back.
    assert found is not forget_place
    if found:
        assert library.model(3).shared.terminals == series()[0].shared.terminals
