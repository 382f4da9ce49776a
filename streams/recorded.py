"""What a partition's owner put into its order, read back from the decisions topic.

Input records and these controls together are the partition's whole order: an engine that is driven by both,
with the recorded versions at hand, says the same bytes again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import msgspec

from features.events import Control, Switch, Tick, decode

R = TypeVar("R")


class _Put(msgspec.Struct):
    disposition: str
    kind: str
    event_id: str
    event_time_ms: int
    partition: int
    model_version: int
    policy_version: str
    after_offset: int | None = None
    detail: str | None = None


_decoder = msgspec.json.Decoder(_Put)


def put_in(decisions: Iterable[bytes]) -> Iterator[tuple[int, Control]]:
    """(applied offset, control) for every control that an owner put in, in the order of the decisions topic.

    Parameters
    ----------
    decisions
        Values of one partition of the decisions topic, in offset order.
    """
    for value in decisions:
        # Most records are decisions; looking at the first bytes is cheaper than decoding all of them.
        if not value.startswith(b'{"disposition":"control"'):
            continue
        put = _decoder.decode(value)
        if put.after_offset is None:
            continue
        if put.kind == "tick":
            tick = Tick(
                event_id=put.event_id, event_time_ms=put.event_time_ms, schema_version=1, partition=put.partition
            )
            yield put.after_offset, tick
        elif put.kind == "switch":
            switch = Switch(
                event_id=put.event_id,
                event_time_ms=put.event_time_ms,
                schema_version=1,
                partition=put.partition,
                model_version=put.model_version,
                policy_version=put.policy_version,
            )
            yield put.after_offset, switch
        elif put.detail is not None:
            indicator = decode(put.detail.encode())
            assert isinstance(indicator, Control)  # noqa: S101  # written by `dispositions.controlled`
            yield put.after_offset, indicator


def merged(
    records: Sequence[R], offsets: Sequence[int], controls: Iterable[tuple[int, Control]]
) -> Iterator[tuple[list[Control], list[R]]]:
    """Turns of (controls, the records after them) in the recorded order.

    Parameters
    ----------
    records, offsets
        Input records and their offsets, ascending.
    controls
        From `put_in`.
    """
    place = 0
    waiting: list[Control] = []
    waiting_at: int | None = None
    for after, control in controls:
        if waiting_at is not None and after != waiting_at:
            end = place
            while end < len(offsets) and offsets[end] <= after:
                end += 1
            yield waiting, list(records[place:end])
            place, waiting = end, []
        elif waiting_at is None:
            end = place
            while end < len(offsets) and offsets[end] <= after:
                end += 1
            if end > place:
                yield [], list(records[place:end])
                place = end
        waiting.append(control)
        waiting_at = after
    yield waiting, list(records[place:])
