"""Garbage collection without long pauses.

A full collection looks at every object there is: a quarter of a second with a worker's libraries and some
thousand customers in memory, during which no batch is worked. But what survives one here (modules, rows,
snapshots) lives as long as the process or goes by reference count, so it need be looked at only once.
"""

from __future__ import annotations

import gc

# Python looks for cycles among the youngest whenever 700 more objects live than before. A batch is ten thousand that
# all die at its end, so it would look dozens of times a batch and find nothing: a seventh of a worker's CPU.
_YOUNG_MAX = 50_000


def avoid_long_pauses() -> None:
    """Collect once, then seldom, and leave everything that survives a full collection out of all later ones.

    Cost: what is in a cycle, survived a full collection and is dropped later is not given back; rows and
    snapshots hold no cycles. Harmless when called again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_MAX, *gc.get_threshold()[1:])
    if _leave_survivors not in gc.callbacks:
        gc.callbacks.append(_leave_survivors)


def _leave_survivors(phase: str, info: dict[str, int]) -> None:
    if phase == "stop" and info["generation"] == 2:
        gc.freeze()
