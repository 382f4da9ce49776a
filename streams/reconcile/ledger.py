"""What was said about every input offset, kept small: the pure part of `riskshift reconcile`.

One `PartitionLedger` a partition takes the records of five topics, each topic in its own order, the topics in any.
An offset costs two bits (read, said), a customer with risk changes one entry of a dict; alert ids are matched across
partitions (`streams.reconcile.seen`). Equal bytes are told from others among the last tens of thousands of records.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence

import msgspec

from streams.reconcile.seen import EXAMPLES_MAX, PAGE_BITS, AlertIds, Offsets, Recent, between

EVENTS, DECISIONS, DEAD_LETTERS, ALERTS, RISK_CHANGES = "events", "decisions", "dead-letters", "alerts", "risk-changes"
KINDS = ("decisions", "duplicates", "late", "control", "dead_letters")
_KIND_OF = {"decision": "decisions", "duplicate": "duplicates", "late": "late", "control": "control"}
_PAGES_KEPT = 32
_SAMPLE_EVERY_MS = 1_000

Headers = Sequence[tuple[str, bytes | None]]


class _Said(msgspec.Struct):
    disposition: str
    partition: int
    offset: int | None = None
    after_offset: int | None = None
    alert_ids: tuple[str, ...] = ()
    sequence: int | None = None


class _Alert(msgspec.Struct):
    alert_id: str
    customer_id: str = "?"


class _Change(msgspec.Struct):
    sequence: int


_said, _alert, _change = msgspec.json.Decoder(_Said), msgspec.json.Decoder(_Alert), msgspec.json.Decoder(_Change)


class PartitionLedger:
    """Everything counted about one partition.

    Parameters
    ----------
    partition
        Its number.
    topic
        Full name of the input topic, as dead letters name it.
    starts
        Log start of each of the five topics; above 0, older records were removed.
    ids
        Alert ids of all partitions.
    """

    def __init__(self, partition: int, topic: str, starts: dict[str, int], ids: AlertIds) -> None:
        self.partition, self.starts = partition, starts
        # Time before which the compacted topic may have dropped superseded records.
        self.compacted_before_ms = -1
        self.inputs = 0
        self.read_to = self.kept_from = starts[EVENTS]
        self.kinds = dict.fromkeys(KINDS, 0)
        self.derived = self.controls_put_in = self.risk_changes = self.alerts = 0
        self.before_log_start = self.physical_duplicates = self.malformed = self.sequence_gaps = 0
        self.read, self.said, self.again = Offsets(), Offsets(), Offsets()
        self.twice = 0
        self.said_to = -1
        self.first_said: int | None = None
        self.first_ms: dict[str, int] = {}
        self.examples: dict[str, list[str]] = {}
        # Per customer the last sequence; and where the last one a decision names differs, that and when it moved.
        self.last: dict[bytes, int] = {}
        self.named: dict[bytes, tuple[int, int]] = {}
        self._topic = topic.encode()
        self._ids = ids
        self._recent = {name: Recent() for name in (DECISIONS, DEAD_LETTERS, ALERTS, RISK_CHANGES)}
        self._settled_page = starts[EVENTS] >> PAGE_BITS
        self._sampled = (array("q"), array("q"))

    def take(self, topic: str, offset: int, at_ms: int, key: bytes | None, value: bytes | None, h: Headers) -> None:
        """One record of one of the five topics (named without prefix), in its order."""
        self.first_ms.setdefault(topic, at_ms)
        if topic == EVENTS:
            self._take_input(offset, at_ms)
            return
        try:
            if topic == DECISIONS:
                self._take_decision(at_ms, key, value)
            elif topic == DEAD_LETTERS:
                self._take_dead_letter(key, value, h)
            elif topic == ALERTS:
                self._take_alert(at_ms, value)
            else:
                self._take_change(offset, at_ms, key, value)
        except (ValueError, KeyError, TypeError) as error:
            # msgspec's errors are ValueErrors. Whoever wrote this, it was not us, or not whole.
            self.malformed += 1
            self._example("malformed", f"{topic}[{self.partition}] offset {offset}: {error}")

    # --- the five kinds of records ------------------------------------------------------------------------

    def _take_input(self, offset: int, at_ms: int) -> None:
        if self.read.add(offset):
            self.inputs += 1
        offsets, times = self._sampled
        if not times or at_ms - times[-1] >= _SAMPLE_EVERY_MS:
            offsets.append(offset)
            times.append(at_ms)

    def _take_decision(self, at_ms: int, key: bytes | None, value: bytes | None) -> None:
        said = _said.decode(value or b"")
        if said.partition != self.partition:
            raise ValueError(f"it is about partition {said.partition}")
        if said.disposition == "derived":
            if self._recent[DECISIONS].seen(value):
                self.physical_duplicates += 1
                return
            self.derived += 1
        elif said.offset is None:
            if said.disposition != "control" or said.after_offset is None:
                raise ValueError(f"a {said.disposition} without an offset")
            self.controls_put_in += 1
        else:
            kind = _KIND_OF[said.disposition]
            if self.first_said is None:
                self.first_said = said.offset
            if not self._dispose(kind, said.offset, self._recent[DECISIONS].seen(value)):
                return
        for alert_id in said.alert_ids:
            self._ids.add(alert_id, at_ms, self.partition, exists=False)
        if said.sequence is not None and key is not None:
            self._name(key, said.sequence, at_ms)

    def _take_dead_letter(self, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        # A record that was a dead letter before and was sent again carries those headers too: ours come last.
        reason = {name: data or b"" for name, data in headers if name.startswith("__connect.errors.")}
        if reason["__connect.errors.topic"] != self._topic:
            return
        if int(reason["__connect.errors.partition"]) != self.partition:
            raise ValueError(f"it is about partition {reason['__connect.errors.partition'].decode()}")
        equal = self._recent[DEAD_LETTERS].seen((key, value, tuple(headers)))
        self._dispose("dead_letters", int(reason["__connect.errors.offset"]), equal)

    def _dispose(self, kind: str, offset: int, equal: bool) -> bool:
        """Put a disposition down; False when it repeats one."""
        if offset < 0:
            raise ValueError(f"offset {offset}")
        settled = self.starts[EVENTS] <= offset and offset >> PAGE_BITS < self._settled_page
        if settled or not self.said.add(offset):
            if equal:
                self.physical_duplicates += 1
            elif self.again.add(offset):
                self.twice += 1
                self._example("twice", f"offset {offset} of partition {self.partition}, the second time as {kind}")
            return False
        self.said_to = max(self.said_to, offset)
        if offset < self.starts[EVENTS]:
            self.before_log_start += 1
        else:
            self.kinds[kind] += 1
        return True

    def _take_alert(self, at_ms: int, value: bytes | None) -> None:
        alert = _alert.decode(value or b"")
        if not alert.customer_id:
            # A model alert: the learner says it, no decision names it.
            return
        alert_id = alert.alert_id
        if self._recent[ALERTS].seen(value):
            self.physical_duplicates += 1
            return
        self._ids.add(alert_id, at_ms, self.partition, exists=True)
        self.alerts += 1

    def _take_change(self, offset: int, at_ms: int, key: bytes | None, value: bytes | None) -> None:
        if key is None:
            raise ValueError("a risk change without a customer")
        if value is None:
            # A customer who was erased begins anew.
            self.last.pop(key, None)
            self.named.pop(key, None)
            return
        sequence = _change.decode(value).sequence
        equal = self._recent[RISK_CHANGES].seen(value)
        last = self.last.get(key)
        first_may_be_any = self.starts[RISK_CHANGES] > 0 or at_ms < self.compacted_before_ms
        if last is None:
            last = sequence - 1 if first_may_be_any else 0
        elif equal and sequence <= last:
            self.physical_duplicates += 1
            return
        if sequence != last + 1:
            self.sequence_gaps += 1
            self._example(
                "sequence_gaps",
                f"customer {key.decode(errors='backslashreplace')}: expected sequence {last + 1}, found {sequence} "
                f"at offset {offset} of partition {self.partition}",
            )
        self.risk_changes += 1
        named = self.named.pop(key, (last, 0))[0]
        self.last[key] = max(sequence, last)
        if named != self.last[key]:
            self.named[key] = (named, at_ms)

    def _name(self, key: bytes, sequence: int, at_ms: int) -> None:
        last = self.last.get(key, 0)
        named = max(sequence, self.named.pop(key, (last, 0))[0])
        if named != last:
            self.named[key] = (named, at_ms)

    # --- questions ----------------------------------------------------------------------------------------

    def unaccounted(self) -> tuple[int, list[int], int]:
        """Inputs without a disposition: how many, the first few; and how many whose disposition was removed."""
        start = self.starts[EVENTS]
        expired = 0
        if self.starts[DECISIONS] > 0:
            # Dispositions are said in offset order, so what lies before the oldest that is left was removed.
            known_from = self.read_to if self.first_said is None else self.first_said
            expired = between(self.read.without(self.said), start, known_from)[0]
            start = max(start, known_from)
        count, first = between(self.read.without(self.said), start)
        return count, first, expired

    def unknown(self, up_to: int) -> tuple[int, list[int]]:
        """Dispositions of offsets that hold no record, below `up_to`."""
        return between(self.said.without(self.read), self.kept_from, up_to)

    def time_of(self, offset: int) -> int | None:
        """Record timestamp of an input offset or of one up to a second before it."""
        place = bisect_right(self._sampled[0], offset)
        return self._sampled[1][place - 1] if place else None

    def removed(self, topic: str, at_ms: int) -> bool:
        """Whether a record of `topic` said at `at_ms` may have been removed by retention."""
        first_ms = self.first_ms.get(topic)
        return self.starts[topic] > 0 and (first_ms is None or at_ms <= first_ms)

    def forget_settled(self) -> None:
        """Drop pages in which everything is accounted for, well behind the end: a follower's memory stays flat."""
        while self._settled_page < (self.read_to >> PAGE_BITS) - _PAGES_KEPT:
            number = self._settled_page
            if self.read.pages.get(number) != self.said.pages.get(number):
                return
            self.read.pages.pop(number, None)
            self.said.pages.pop(number, None)
            self._settled_page += 1
        place = max(bisect_right(self._sampled[0], self._settled_page << PAGE_BITS) - 1, 0)
        for samples in self._sampled:
            del samples[:place]

    def _example(self, fault: str, text: str) -> None:
        examples = self.examples.setdefault(fault, [])
        if len(examples) < EXAMPLES_MAX:
            examples.append(text)
