"""A stream as bad networks and bad clocks deliver it: twice, shuffled, a day late, minutes off."""

from __future__ import annotations

import json
import random
import tempfile
from collections import Counter, OrderedDict
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from features.events import Event
from streams.tail import Record
from tests.faults.lessons import read_topic
from tests.faults.load import Load, town_events
from tests.faults.scenes import run_workers_until_drained
from tests.faults.storm import PARTITIONS, settings_for
from tests.faults.verdict import Verdict, judge

_MINUTE_MS, _DAY_MS = 60_000, 86_400_000
DUPLICATE_RATIO, LATE_RATIO, WRONG_CLOCK_RATIO = 0.05, 0.01, 0.2
SHUFFLED_MS, CLOCK_MS = 60_000, 10 * _MINUTE_MS
# The rule, stated in docs/events.md and written down here a second time on purpose.
IDS_REMEMBERED, LATE_AFTER_MS = 32, _DAY_MS


def disordered(seed: int, events: Iterable[Event]) -> list[Event]:
    """The events in the order of their delivery, with clocks that are off and some delivered twice.

    Parameters
    ----------
    events
        In order of event time.
    """
    rng = random.Random(seed)
    delivered: list[tuple[float, int, Event]] = []
    for event in events:
        at_ms = event.event_time_ms + rng.uniform(0, SHUFFLED_MS)
        if rng.random() < LATE_RATIO:
            at_ms += rng.uniform(1.0, 3.0) * _DAY_MS
        if rng.random() < WRONG_CLOCK_RATIO:
            event = msgspec.structs.replace(event, event_time_ms=event.event_time_ms + rng.randint(-CLOCK_MS, CLOCK_MS))
        delivered.append((at_ms, len(delivered), event))
        if rng.random() < DUPLICATE_RATIO:
            again_ms = at_ms + rng.choice((0.0, rng.uniform(0, SHUFFLED_MS), rng.uniform(0, _DAY_MS)))
            delivered.append((again_ms, len(delivered), event))
    delivered.sort(key=lambda entry: entry[:2])
    return [event for _at, _place, event in delivered]


def by_the_rule(records: Iterable[Record]) -> Counter[str]:
    """How many of the input records are decisions, duplicates and late, by the stated rule alone.

    A customer's event more than 24 h before the latest one applied is late; else one whose id is among the last 32
    applied is a duplicate; else it is applied.
    """
    latest: dict[str, int] = {}
    known: dict[str, OrderedDict[str, None]] = {}
    counts: Counter[str] = Counter()
    for record in records:
        event = json.loads(record.value or b"{}")
        customer, at_ms = event["customer_id"], event["event_time_ms"]
        ids = known.setdefault(customer, OrderedDict())
        if at_ms < latest.get(customer, at_ms) - LATE_AFTER_MS:
            counts["late"] += 1
        elif event["event_id"] in ids:
            counts["duplicate"] += 1
        else:
            counts["decision"] += 1
            ids[event["event_id"]] = None
            if len(ids) > IDS_REMEMBERED:
                ids.popitem(last=False)
            latest[customer] = max(latest.get(customer, at_ms), at_ms)
    return counts


def run_disorder(broker: str, prefix: str, seed: int, events: int) -> tuple[Verdict, dict[str, Any]]:
    """Send a disordered town to two workers and judge what they said."""
    stream = disordered(seed, islice(town_events(seed, people=150), events))
    with tempfile.TemporaryDirectory(prefix="riskshift-faults-") as folder:
        settings = settings_for(broker, prefix, Path(folder, "state"))
        sending = Load(settings, stream, rate=4_000)
        owned = run_workers_until_drained(settings, sending)
        verdict = judge(settings, PARTITIONS, owned)
        expected = by_the_rule(sorted(read_topic(settings, settings.topic_events), key=lambda r: r.offset))
    figures = {
        "seed": seed, "events": events, "sent": sending.sent, "expected": dict(sorted(expected.items())),
        **verdict.figures(),
    }  # fmt: skip
    if dict(expected) != verdict.dispositions:
        verdict.examples.append(f"dispositions {verdict.dispositions}, by the rule {dict(expected)}")
        verdict.lost_decisions += 1
    return verdict, figures
