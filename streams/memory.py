"""Garbage collection without long pauses.

A full collection looks at every object there is: a quarter of a second with a worker's libraries and some
thousand customers in memory, during which no batch is worked. But what survives one here (modules, rows,
snapshots) lives as long as the process or goes by reference count, so it need be looked at only once.
"""

from __future__ import annotations

import gc


def avoid_long_pauses() -> None:
    """Collect once, then leave everything that survives a full collection out of all later ones.

    Cost: what is in a cycle, survived a full collection and is dropped later is not given back; rows and
    snapshots hold no cycles. Harmless when called again.
    """
    gc.collect()
    gc.freeze()
    if _leave_survivors not in gc.callbacks:
        gc.callbacks.append(_leave_survivors)


def _leave_survivors(phase: str, info: dict[str, int]) -> None:
    if phase == "stop" and info["generation"] == 2:
        gc.freeze()
