"""What early warning costs: CPU per event of a town's mix for keeping the indicators, and per review.

    python -m benchmarks.early_warning_cost

The town's events go through `features.warnings`, best of five rounds, the loop taken off; reading and scoring the
indicators is timed by itself, with how often it is asked for.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import Any

from features import credit, hot, warnings
from features.events import Event, Transaction
from features.row import CreditRow, HotRow
from features.warning_readings import readings
from models.early_warning import probability
from streams.town import Town, TownConfig

_ROUNDS = 5


def measure(events: list[Event]) -> dict[str, Any]:
    """Microseconds; CPU time, so that waiting does not count."""
    hots: dict[str, HotRow] = {}
    memory = []
    for event in events:
        row = hots.setdefault(event.customer_id, HotRow())
        hot.update(row, event, hot.NO_SHARED)
        memory.append(row.merchants)
    best: dict[str, float] = {}
    counts: Counter[str] = Counter()
    for _ in range(_ROUNDS):
        for what in ("all", "transactions"):
            rows: dict[str, CreditRow] = {event.customer_id: CreditRow() for event in events}
            mine = [(rows[e.customer_id], e, m) for e, m in zip(events, memory, strict=True)]
            if what == "transactions":
                mine = [it for it in mine if isinstance(it[1], Transaction) and not it[1].category]
            best[what] = min(best.get(what, 1e9), _time(mine) / len(mine) * 1e6)
            counts[what] = len(mine)
    rows = {event.customer_id: CreditRow() for event in events}
    due, began, spent = 0, 0.0, 0.0
    for event, merchants in zip(events, memory, strict=True):
        row = rows[event.customer_id]
        review = warnings.apply(row, event, merchants)
        credit.apply(row, event)
        if review and row.facilities:
            began = time.process_time()
            probability(readings(row, event.event_time_ms))
            spent += time.process_time() - began
            due += 1
    return {
        "events": len(events),
        "apply_us_per_event": round(best["all"], 3),
        "apply_us_per_ordinary_transaction": round(best["transactions"], 3),
        "reviews_per_event": round(due / len(events), 4),
        "us_per_review": round(spent / max(1, due) * 1e6, 2),
        "us_per_event_in_all": round(best["all"] + spent / len(events) * 1e6, 3),
    }


def _time(mine: list[tuple[CreditRow, Event, bytes]]) -> float:
    # The loop itself is taken off.
    apply = warnings.apply
    began = time.process_time()
    for row, event, merchants in mine:
        apply(row, event, merchants)
    ended = time.process_time()
    for _row, _event, _merchants in mine:
        pass
    return ended - began - (time.process_time() - ended)


if __name__ == "__main__":
    print(json.dumps(measure(list(Town(TownConfig(people=300, days=60)).events())), indent=1))
