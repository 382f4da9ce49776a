"""What simulated worlds found out about `streams.owner.Owner`, each in the smallest world that shows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest

from streams.errors import StateError
from streams.owner import Changes, Owner
from streams.rows import CustomerRow, pack
from tests.simulation.loop import Process, clear_away
from tests.simulation.member import Member
from tests.simulation.world import Protocol, World, in_place


def told(story: Callable[[World, Member], Awaitable[None]], fenced: bool = True) -> None:
    """Run a story as a process of a quiet world, with a member that never starts and its estate."""
    world = World(1, Protocol(fenced=fenced))
    process = Process("teller")

    async def run() -> None:
        process.spawn(story(world, Member(world, 0, 0)))  # type: ignore[arg-type]
        await asyncio.wait(process.tasks, timeout=1_000)
        try:
            process.tasks[0].result()
        finally:
            await clear_away([process])

    try:
        with in_place(world):
            world.loop.run_until_complete(run())
    finally:
        world.loop.close()


@pytest.mark.parametrize("fenced", [True, False])
def test_a_first_batch_cut_in_half_is_gone_on_with_only_where_it_can_happen(fenced: bool) -> None:
    async def story(world: World, member: Member) -> None:
        world.broker.log("sim.rows", 0).append([(b"c-1", pack(CustomerRow(applied_offset=0)), ())], 0, None)
        if fenced:
            with pytest.raises(StateError, match="not written by Riskshift"):
                await Owner.take_over(member.estate, 0, 1)
        else:
            owner = await Owner.take_over(member.estate, 0, 1)
            assert owner.engine.meta.applied_offset == -1

    told(story, fenced)


def test_what_a_next_owner_commits_during_a_takeover_is_no_loss_but_what_was_committed_before_is() -> None:
    async def story(world: World, member: Member) -> None:
        async def overtaken(partition: int, start: int) -> AsyncIterator[Changes]:
            async for changes in member.estate.read_changelog(partition, start):
                yield changes
            world.broker.group_offsets[0] = 5

        await Owner.take_over(replace(member.estate, read_changelog=overtaken), 0, 1)
        with pytest.raises(StateError, match="the changelog lost rows"):
            await Owner.take_over(member.estate, 0, 1)

    told(story)


def test_letting_go_waits_for_what_is_under_way_but_not_for_ever() -> None:
    async def story(world: World, member: Member) -> None:
        owner = await Owner.take_over(member.estate, 0, 1)
        before = world.loop.time()
        async with owner.busy:
            going = asyncio.ensure_future(owner.release())
            await asyncio.sleep(1)
            assert not going.done()
            assert list(owner.engine.rows.items()) == []
        await going
        assert world.loop.time() - before < 2
        with pytest.raises(RuntimeError, match="closed"):
            list(owner.engine.rows.items())
        hung = await Owner.take_over(member.estate, 0, 2)
        async with hung.busy:
            await hung.release()
        assert world.loop.time() - before < world.settings.rebalance_timeout_s

    told(story)
