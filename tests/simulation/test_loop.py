"""The virtual loop: time costs nothing, and signals to a process do what the real ones do."""

from __future__ import annotations

import asyncio

import pytest

from tests.simulation.loop import OUTSIDE, Process, StuckError, VirtualLoop


def in_loop(loop: VirtualLoop, work: object) -> object:
    try:
        return loop.run_until_complete(work)  # type: ignore[arg-type]
    finally:
        loop.close()


def test_a_day_passes_in_an_instant_and_timers_keep_their_order() -> None:
    loop, said = VirtualLoop(), []

    async def story() -> None:
        for delay_s in (86_400.0, 1.0, 60.0):
            loop.call_later(delay_s, said.append, delay_s)
        await asyncio.sleep(86_401)

    in_loop(loop, story())
    assert said == [1.0, 60.0, 86_400.0]
    assert loop.time() == 86_401


def test_waits_time_out_in_virtual_time() -> None:
    loop = VirtualLoop()

    async def story() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loop.create_future(), 30)

    in_loop(loop, story())
    assert loop.time() == 30


def test_a_stopped_process_misses_nothing_and_finds_its_timeout_when_it_goes_on() -> None:
    loop, said = VirtualLoop(), []
    process = Process("p")

    async def waits() -> None:
        try:
            await asyncio.wait_for(loop.create_future(), 5)
        except TimeoutError:
            said.append(loop.time())

    async def story() -> None:
        process.spawn(waits())
        await asyncio.sleep(1)
        process.stopped = True
        loop.call_later(20, loop.resume, process, context=OUTSIDE)
        await asyncio.sleep(100)

    in_loop(loop, story())
    assert said == [21.0]


def test_a_dead_process_runs_no_cleanup() -> None:
    loop, said = VirtualLoop(), []
    process = Process("p")

    async def works() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            said.append("cleaned up")

    async def story() -> None:
        process.spawn(works())
        await asyncio.sleep(1)
        process.stopped = process.dead = True
        await asyncio.sleep(1_000)
        assert said == []
        loop.resume(process)
        await asyncio.wait(process.tasks)

    in_loop(loop, story())


def test_what_a_process_starts_belongs_to_it() -> None:
    loop, said = VirtualLoop(), []
    process = Process("p")

    async def child() -> None:
        await asyncio.sleep(5)
        said.append(loop.time())

    async def parent() -> None:
        await asyncio.gather(child(), child())

    async def story() -> None:
        process.spawn(parent())
        await asyncio.sleep(1)
        process.stopped = True
        await asyncio.sleep(50)
        loop.resume(process)
        await asyncio.wait(process.tasks)

    in_loop(loop, story())
    assert said == [51.0, 51.0]


def test_everybody_waiting_for_somebody_is_noticed() -> None:
    loop = VirtualLoop()
    with pytest.raises(StuckError):
        in_loop(loop, asyncio.wait_for(loop.create_future(), None))
