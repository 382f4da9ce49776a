"""What survives a full collection is looked at only once."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from streams import memory


@pytest.fixture(autouse=True)
def _usual_collector() -> Iterator[None]:
    usual = gc.get_threshold()
    yield
    gc.set_threshold(*usual)
    gc.callbacks[:] = [callback for callback in gc.callbacks if callback.__module__ != memory.__name__]
    gc.unfreeze()


def _among_collectable(thing: object) -> bool:
    return any(found is thing for found in gc.get_objects())


def test_what_is_there_is_left_out_of_later_collections() -> None:
    rows = [[]]
    assert _among_collectable(rows)
    memory.avoid_long_pauses()
    assert not _among_collectable(rows)


def test_what_survives_a_later_full_collection_is_left_out_too() -> None:
    memory.avoid_long_pauses()
    rows = [[]]
    gc.collect(1)
    assert _among_collectable(rows)
    gc.collect()
    assert not _among_collectable(rows)


def test_called_again_it_watches_once() -> None:
    before = len(gc.callbacks)
    memory.avoid_long_pauses()
    memory.avoid_long_pauses()
    assert len(gc.callbacks) == before + 1


def test_cycles_made_since_are_still_collected() -> None:
    memory.avoid_long_pauses()
    cycle: list[object] = []
    cycle.append(cycle)
    del cycle
    assert gc.collect() >= 1


def test_a_batch_of_ten_thousand_things_is_not_looked_through() -> None:
    memory.avoid_long_pauses()
    looked: list[str] = []
    gc.callbacks.append(lambda phase, _info: looked.append(phase))
    try:
        batch = [[n] for n in range(10_000)]
        assert looked == []
        del batch
    finally:
        gc.callbacks.pop()
