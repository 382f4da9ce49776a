"""The verdict on what was read: counts per partition and in total, and what is wrong with examples.

What time can mend (an offset not answered yet, an alert whose decision is on its way) is told from what it
cannot (`PERMANENT`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from streams.reconcile.ledger import ALERTS, DECISIONS, KINDS, RISK_CHANGES, PartitionLedger
from streams.reconcile.seen import EXAMPLES_MAX, AlertIds, Ids, hex_of

MENDABLE = ("unaccounted", "missing_alerts", "unnamed_alerts", "missing_sequences", "unnamed_sequences")
PERMANENT = ("twice", "duplicate_alert_ids", "sequence_gaps", "unknown_offsets", "malformed")
# In the order of the output; the first ten, then `ok`, then the rest.
COUNTS = (
    "inputs", *KINDS, "unaccounted", "twice", "duplicate_alert_ids", "sequence_gaps", "before_log_start", "expired",
    "derived", "controls_put_in", "alerts", "risk_changes", "physical_duplicates", "unknown_offsets", "missing_alerts",
    "unnamed_alerts", "missing_sequences", "unnamed_sequences", "malformed",
)  # fmt: skip
_FIRST = 10


@dataclass(frozen=True, slots=True)
class Waiting:
    """What was not matched at one moment: only what is still unmatched later is missing."""

    alone: dict[bool, Ids]
    named: dict[int, dict[bytes, tuple[int, int]]]
    said_to: dict[int, int]


@dataclass(slots=True)
class Report:
    """Counts in total and per partition, and examples of what is wrong.

    `oldest_unaccounted_s` is how long ago the oldest input without a disposition was written, to the second; None
    when there is none.
    """

    total: dict[str, int]
    partitions: list[dict[str, int]]
    transactions: bool
    ok: bool
    oldest_unaccounted_s: float | None
    examples: dict[str, list[str]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """One object: the totals, `ok`, then the rest."""
        return {
            **{name: self.total[name] for name in COUNTS[:_FIRST]},
            "ok": self.ok,
            **{name: self.total[name] for name in COUNTS[_FIRST:]},
            "transactions": self.transactions,
            "oldest_unaccounted_s": self.oldest_unaccounted_s,
            "examples": self.examples,
            "partitions": self.partitions,
        }

    def faults(self, *, permanent: bool = False) -> list[str]:
        """Names of the counts that should be 0 and are not; `permanent` leaves out what time can mend."""
        names = PERMANENT if permanent else MENDABLE + PERMANENT
        # With transactions nothing is ever said again; without, a crash repeats a batch, with the same bytes.
        again = ("physical_duplicates",) if self.transactions else ()
        return [name for name in (*names, *again) if self.total[name]]


def waiting(ledgers: Mapping[int, PartitionLedger], ids: AlertIds) -> Waiting:
    """What is unmatched now."""
    ids.settle()
    return Waiting(
        dict(ids.alone),
        {number: dict(ledger.named) for number, ledger in ledgers.items()},
        {number: ledger.said_to for number, ledger in ledgers.items()},
    )


def judge(
    ledgers: Mapping[int, PartitionLedger],
    ids: AlertIds,
    now_ms: float,
    *,
    transactions: bool,
    before: Waiting | None = None,
) -> Report:
    """The verdict on what was read.

    Parameters
    ----------
    transactions
        Whether the broker has them: then a record that is there twice is a fault, equal or not.
    before
        What was unmatched a while ago; only what was and still is counts as missing. The topics are read one after
        another, so something is always on its way while workers run.
    """
    ids.settle()
    examples: dict[str, list[str]] = {}
    rows = {number: _judge_partition(ledger, before, examples) for number, ledger in ledgers.items()}
    _judge_alerts(ledgers, rows, ids, before, examples)
    total = {name: sum(row[name] for row in rows.values()) for name in COUNTS}
    # Only the oldest second of any partition: what is counted as unaccounted, not what retention removed.
    times = [at for number, ledger in ledgers.items() if (at := _oldest_ms(ledger)) is not None]
    age_s = round(max(0.0, now_ms - min(times)) / 1000, 1) if times else None
    report = Report(total, list(rows.values()), transactions, True, age_s, examples)
    report.ok = not report.faults()
    return report


def _judge_partition(ledger: PartitionLedger, before: Waiting | None, examples: dict[str, list[str]]) -> dict[str, int]:
    number = ledger.partition
    unaccounted, first_unaccounted, expired = ledger.unaccounted()
    # A disposition ahead of what we read of the input is on its way; one that we knew a while ago is not.
    up_to = ledger.said_to if before is None else before.said_to[number]
    unknown, first_unknown = ledger.unknown(max(ledger.read_to, up_to + 1))
    missing, unnamed = _judge_sequences(ledger, before, examples)
    for fault, found in ledger.examples.items():
        _add(examples, fault, found)
    _add(examples, "unaccounted", [f"offset {offset} of partition {number}" for offset in first_unaccounted])
    _add(examples, "unknown_offsets", [f"offset {offset} of partition {number}" for offset in first_unknown])
    counts = dict.fromkeys(COUNTS, 0) | ledger.kinds
    return (
        {"partition": number}
        | counts
        | {
            "inputs": ledger.inputs,
            "unaccounted": unaccounted,
            "twice": ledger.twice,
            "sequence_gaps": ledger.sequence_gaps,
            "before_log_start": ledger.before_log_start,
            "expired": expired,
            "derived": ledger.derived,
            "controls_put_in": ledger.controls_put_in,
            "alerts": ledger.alerts,
            "risk_changes": ledger.risk_changes,
            "physical_duplicates": ledger.physical_duplicates,
            "unknown_offsets": unknown,
            "missing_sequences": missing,
            "unnamed_sequences": unnamed,
            "malformed": ledger.malformed,
        }
    )


def _judge_sequences(
    ledger: PartitionLedger, before: Waiting | None, examples: dict[str, list[str]]
) -> tuple[int, int]:
    """Customers whose last risk change is not the last one a decision names: (missing, unnamed) sequences."""
    missing = unnamed = 0
    for key, (named, at_ms) in ledger.named.items():
        if before is not None and key not in before.named[ledger.partition]:
            continue
        last = ledger.last.get(key, 0)
        customer = key.decode(errors="backslashreplace")
        if named > last:
            if not ledger.removed(RISK_CHANGES, at_ms):
                missing += named - last
                text = f"customer {customer}: a decision names sequence {named}, the last risk change is {last}"
                _add(examples, "missing_sequences", [text])
        elif not ledger.removed(DECISIONS, at_ms):
            unnamed += last - named
            text = f"customer {customer}: the last risk change is {last}, the last that a decision names {named}"
            _add(examples, "unnamed_sequences", [text])
    return missing, unnamed


def _judge_alerts(
    ledgers: Mapping[int, PartitionLedger],
    rows: Mapping[int, dict[str, int]],
    ids: AlertIds,
    before: Waiting | None,
    examples: dict[str, list[str]],
) -> None:
    for entry in ids.twice:
        rows[int(entry["partition"])]["duplicate_alert_ids"] += 1
        _add(examples, "duplicate_alert_ids", [f"{hex_of(entry['id'])} in partition {entry['partition']}"])
    for exists, fault, topic in ((True, "unnamed_alerts", DECISIONS), (False, "missing_alerts", ALERTS)):
        alone = ids.alone[exists]
        if before is not None:
            alone = alone[np.isin(alone["id"], before.alone[exists]["id"])]
        for entry in alone:
            number = int(entry["partition"])
            if not ledgers[number].removed(topic, int(entry["at_ms"])):
                rows[number][fault] += 1
                _add(examples, fault, [f"{hex_of(entry['id'])} in partition {number}"])


def _oldest_ms(ledger: PartitionLedger) -> int | None:
    count, first, _expired = ledger.unaccounted()
    return ledger.time_of(first[0]) if count else None


def _add(examples: dict[str, list[str]], fault: str, found: list[str]) -> None:
    if found:
        held = examples.setdefault(fault, [])
        held += found[: EXAMPLES_MAX - len(held)]
