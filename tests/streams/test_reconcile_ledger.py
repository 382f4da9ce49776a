"""The reconciler's ledger alone: any order of reading, what retention and compaction took, bounded memory."""

from __future__ import annotations

import json

import pytest

from streams.reconcile.ledger import ALERTS, DECISIONS, EVENTS, RISK_CHANGES, PartitionLedger
from streams.reconcile.seen import AlertIds
from streams.reconcile.verdict import Report, judge

STARTS = dict.fromkeys((EVENTS, DECISIONS, "dead-letters", ALERTS, RISK_CHANGES), 0)


def ledger(**starts: int) -> tuple[PartitionLedger, AlertIds]:
    ids = AlertIds()
    return PartitionLedger(0, "t.events", STARTS | {k.replace("_", "-"): v for k, v in starts.items()}, ids), ids


def verdict(one: PartitionLedger, ids: AlertIds) -> Report:
    return judge({0: one}, ids, 1_000_000, transactions=True)


def decision(offset: int, **more: object) -> bytes:
    return json.dumps({"disposition": "decision", "partition": 0, "offset": offset, **more}).encode()


def change(one: PartitionLedger, sequence: int, at_ms: int = 0, key: bytes = b"c") -> None:
    one.take(RISK_CHANGES, 0, at_ms, key, json.dumps({"sequence": sequence}).encode(), ())


def test_input_whose_answer_retention_removed_is_expired_not_unaccounted() -> None:
    one, ids = ledger(decisions=7)
    for offset in range(10):
        one.take(EVENTS, offset, 0, b"c", b"{}", ())
    one.read_to = 10
    for offset in (4, 5, 6, 7, 9):
        one.take(DECISIONS, offset, 0, b"c", decision(offset), ())
    report = verdict(one, ids)
    assert (report.total["expired"], report.total["unaccounted"]) == (4, 1)
    assert report.examples["unaccounted"] == ["offset 8 of partition 0"]


@pytest.mark.parametrize(("old", "moved", "gaps"), [(False, 0, 1), (True, 0, 0), (False, 5, 0)])
def test_first_sequence_may_be_any_only_where_older_ones_may_have_been_removed(
    old: bool, moved: int, gaps: int
) -> None:
    one, ids = ledger(risk_changes=moved)
    one.compacted_before_ms = 100
    change(one, 3, at_ms=50 if old else 150)
    change(one, 4, at_ms=200)
    one.take(DECISIONS, 0, 200, b"c", decision(0, sequence=4), ())
    one.take(EVENTS, 0, 0, b"c", b"{}", ())
    one.read_to = 1
    report = verdict(one, ids)
    assert report.total["sequence_gaps"] == gaps
    assert (report.total["missing_sequences"], report.total["unnamed_sequences"]) == (0, 0)


def test_sequences_and_their_naming_may_be_read_in_any_order() -> None:
    for names_first in (True, False):
        one, ids = ledger()

        def name(one: PartitionLedger = one) -> None:
            for offset, sequence in enumerate((1, 3)):
                one.take(EVENTS, offset, 0, b"c", b"{}", ())
                one.take(DECISIONS, offset, 0, b"c", decision(offset, sequence=sequence), ())

        if names_first:
            name()
        for sequence in (1, 2, 3):
            change(one, sequence)
        if not names_first:
            name()
        one.read_to = 2
        assert verdict(one, ids).ok
        assert one.named == {}


def test_alert_ids_match_in_any_order_and_over_many_judgements() -> None:
    ids = AlertIds()
    names = [f"{n:032x}"[::-1] for n in range(500)]  # most end in zeros, which arrays of bytes drop
    for start in range(0, 500, 100):
        for name in names[start : start + 100]:
            ids.add(name, 0, 0, exists=True)
        ids.settle()
        for name in reversed(names[start : start + 50]):
            ids.add(name, 0, 0, exists=False)
        ids.settle()
    assert (ids.count, len(ids.alone[True]), len(ids.alone[False]), len(ids.twice)) == (500, 250, 0, 0)
    ids.add(names[0], 0, 0, exists=True)
    ids.add(names[499], 0, 0, exists=True)
    ids.settle()
    assert len(ids.twice) == 2


def test_follower_forgets_what_is_settled_and_still_sees_it_said_twice() -> None:
    one, ids = ledger()
    count = 600_000
    for offset in range(count):
        one.take(EVENTS, offset, offset, b"c", b"", ())
        one.said.add(offset)
    one.read_to = count
    assert len(one.read.pages) > 70
    one.forget_settled()
    assert len(one.read.pages) == len(one.said.pages) < 40
    one.take(DECISIONS, 0, 0, b"c", decision(10), ())
    one.take(EVENTS, count, count, b"c", b"", ())
    report = verdict(one, ids)
    assert (report.total["twice"], report.total["unaccounted"], report.total["inputs"]) == (1, 1, count + 1)
    assert report.oldest_unaccounted_s is not None
    assert report.oldest_unaccounted_s <= (1_000_000 - count) / 1000 + 1
