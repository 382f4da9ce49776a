"""A rebalance waits for the batches under way: whoever owns the partition next would fence them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest

from streams.library import VersionLibrary
from streams.settings import load
from streams.worker import Worker


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    settings, _ = load(environ={}, home=str(tmp_path), rebalance_timeout_s=1.0)
    return Worker(settings, 2, True, VersionLibrary(b"a-key-of-thirty-two-bytes-length"), "binding", "1")


def test_revocation_waits_until_every_batch_is_durable(worker: Worker) -> None:
    asyncio.run(revocation_waits(worker))


async def revocation_waits(worker: Worker) -> None:
    owners = {partition: SimpleNamespace(busy=asyncio.Lock()) for partition in (0, 1)}
    worker.owned = owners  # type: ignore[assignment]  # only their locks are asked for
    await owners[1].busy.acquire()
    revoked = asyncio.create_task(worker._on_partitions_revoked())
    done, _ = await asyncio.wait({revoked}, timeout=0.1)
    assert not done, "the group goes on while a batch is under way"
    owners[1].busy.release()
    await asyncio.wait_for(revoked, 0.3)


def test_a_batch_that_hangs_holds_the_group_up_for_half_of_its_patience_only(worker: Worker) -> None:
    asyncio.run(hanging(worker))


async def hanging(worker: Worker) -> None:
    owner = SimpleNamespace(busy=asyncio.Lock())
    worker.owned = {0: owner}  # type: ignore[dict-item]  # the same
    await owner.busy.acquire()
    await asyncio.wait_for(worker._on_partitions_revoked(), worker.settings.rebalance_timeout_s)
    assert owner.busy.locked(), "the batch itself is left alone: the fence decides"
