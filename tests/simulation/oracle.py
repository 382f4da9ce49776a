"""What must hold at rest, found out from the logs alone and from one uninterrupted run of the engine.

The uninterrupted run gets the input records and, at their recorded positions, the controls that owners put in
(`streams.recorded`); whatever the world went through, the committed topics must say the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from features.events import Indicator
from streams.dispositions import Output
from streams.engine import Engine
from streams.recorded import merged, put_in
from streams.rows import META_KEY, pack, unpack_meta
from tests.simulation.broker import Log
from tests.simulation.disk import Disk, applied
from tests.simulation.versions import everything

if TYPE_CHECKING:
    from tests.simulation.world import World

_KEPT = 3


class Violation(NamedTuple):
    """A promise that was broken: a short kind, and what was found."""

    kind: str
    text: str


class _Run(NamedTuple):
    said: dict[str, list[tuple[bytes | None, bytes | None]]]
    rows: dict[bytes, bytes]
    sequences: dict[str, int]


def judge(world: World) -> list[Violation]:
    """Everything that does not hold."""
    found: list[Violation] = []
    for partition in range(world.partitions):
        decisions = [msgspec.json.decode(e.value or b"") for e in _log(world, "decisions", partition).committed()]
        found += _dispositions(world, partition, decisions)
        found += _sequences(world, partition)
        if world.fenced:
            found += _versions(partition, decisions)
            found += _figures(world, partition, decisions)
        run = _uninterrupted(world, partition, decisions)
        found += _equal(world, partition, run) if world.fenced else _equal_distinct(world, partition, run)
        found += _rows(world, partition, run)
    found += _alert_ids(world)
    for (_slot, partition), disk in world.disks.items():
        found += local_rows(world, disk, partition)
    return found


def tally(world: World) -> dict[str, int]:
    """What the world was about, for whoever wants to know that it was not calm."""
    counts: Counter[str] = Counter()
    for partition in range(world.partitions):
        counts["inputs"] += len(_log(world, "events", partition).entries)
        for name, topic in (("alerts", "alerts"), ("risk changes", "risk-changes"), ("dead letters", "dead-letters")):
            counts[name] += len(_log(world, topic, partition).committed())
        for entry in _log(world, "decisions", partition).committed():
            decision = msgspec.json.decode(entry.value or b"")
            counts[decision["disposition"]] += 1
            counts["ticks"] += decision["kind"] == "tick"
            counts["switches"] += decision["kind"] == "switch"
    counts["without transactions"] = int(not world.fenced)
    return dict(counts)


def _log(world: World, topic: str, partition: int) -> Log:
    return world.broker.log(f"sim.{topic}", partition)


def _dispositions(world: World, partition: int, decisions: Sequence[dict[str, Any]]) -> Iterable[Violation]:
    said = Counter(d["offset"] for d in decisions if "offset" in d and d["disposition"] != "derived")
    for entry in _log(world, "dead-letters", partition).committed():
        said[int(dict(entry.headers)["__connect.errors.offset"])] += 1
    offsets = {entry.offset for entry in _log(world, "events", partition).entries}
    if missing := sorted(offsets - said.keys()):
        yield Violation("lost", f"partition {partition}: no disposition of offsets {missing}")
    if invented := sorted(said.keys() - offsets):
        yield Violation("invented", f"partition {partition}: dispositions of offsets {invented}")
    if world.fenced and (twice := sorted(offset for offset, count in said.items() if count > 1)):
        yield Violation("twice", f"partition {partition}: two dispositions of offsets {twice}")


def _sequences(world: World, partition: int) -> Iterable[Violation]:
    last: dict[bytes | None, int] = {}
    for entry in _log(world, "risk-changes", partition).committed():
        sequence, before = msgspec.json.decode(entry.value or b"")["sequence"], last.get(entry.key, 0)
        # Without transactions a batch may be said again from its beginning.
        if sequence != before + 1 and (world.fenced or sequence > before):
            yield Violation("sequence", f"partition {partition}: {entry.key!r} goes from {before} to {sequence}")
        last[entry.key] = sequence


def _versions(partition: int, decisions: Sequence[dict[str, Any]]) -> Iterable[Violation]:
    in_force = None
    for decision in decisions:
        stamp = decision["model_version"], decision["policy_version"]
        if in_force is None or decision["kind"] == "switch":
            in_force = stamp
        elif stamp != in_force:
            where = decision.get("offset", decision["event_id"])
            yield Violation("versions", f"partition {partition}: {where} is stamped {stamp}, in force was {in_force}")
            return


def _figures(world: World, partition: int, decisions: Sequence[dict[str, Any]]) -> Iterable[Violation]:
    published = [entry.value for entry in _log(world, "world", 0).committed()]
    copied = [d["detail"].encode() for d in decisions if d["kind"] == Indicator.__struct_config__.tag]
    if copied != published and not any(v.kind == "stuck" for v in world.violations):
        yield Violation("world", f"partition {partition}: {len(copied)} figures copied of {len(published)}, or others")


def _uninterrupted(world: World, partition: int, decisions: Sequence[dict[str, Any]]) -> _Run:
    records = _log(world, "events", partition).entries
    first = decisions[0]["policy_version"] if decisions else world.policy
    engine = Engine(
        partition,
        world.partitions,
        world.settings.topic_events,
        everything(),
        model_version=decisions[0]["model_version"] if decisions else 1,
        policy_version=first,
        binding=world.binding,
    )
    said = {"decisions": [], "alerts": [], "risk-changes": [], "dead-letters": []}
    values = [entry.value or b"" for entry in _log(world, "decisions", partition).committed()]
    worked = False
    for controls, turn in merged(records, [entry.offset for entry in records], put_in(values)):
        if controls or turn:
            _add(said, engine.process(turn, controls))
            worked = True
    rows = engine.snapshot() if worked else {}
    sequences = {customer: row.risk.sequence for customer, row in engine.rows.items()}
    return _Run(said, rows, sequences)


def _add(said: dict[str, list[tuple[bytes | None, bytes | None]]], out: Output) -> None:
    said["decisions"] += out.decisions
    said["alerts"] += [(key, value) for key, value, _ in out.alerts]
    said["risk-changes"] += [(key, value) for key, value, _ in out.risk_changes]
    said["dead-letters"] += [(key, value) for key, value, _ in out.dead_letters]


def _equal(world: World, partition: int, run: _Run) -> Iterable[Violation]:
    """With transactions: the same bytes in the same order."""
    for topic, expected in run.said.items():
        found = [(entry.key, entry.value) for entry in _log(world, topic, partition).committed()]
        if found != expected:
            place = next((i for i, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b), None)
            where = f"lengths {len(found)} and {len(expected)}" if place is None else f"record {place}"
            if place is not None:
                where += f": {_short(found[place])} instead of {_short(expected[place])}"
            yield Violation("said", f"{topic}[{partition}] is not what an uninterrupted run says: {where}")


def _equal_distinct(world: World, partition: int, run: _Run) -> Iterable[Violation]:
    """Without: the same distinct records, each first said in the same order."""
    for topic, expected in run.said.items():
        found = dict.fromkeys((entry.key, entry.value) for entry in _log(world, topic, partition).committed())
        if list(found) != list(dict.fromkeys(expected)):
            less, more = [r for r in expected if r not in found], [r for r in found if r not in expected]
            yield Violation(
                "said",
                f"{topic}[{partition}] is not what an uninterrupted run says: {len(less)} missing, {len(more)} more: "
                + ", ".join(_short(record) for record in (less + more)[:_KEPT]),
            )


def _short(record: tuple[bytes | None, bytes | None]) -> str:
    return f"{(record[1] or b'')[:200]!r}"


def _rows(world: World, partition: int, run: _Run) -> Iterable[Violation]:
    log = _log(world, "rows", partition)
    for after in ("", "compacted, "):
        last: dict[bytes, bytes] = {}
        for entry in log.visible():
            assert entry.key is not None
            assert entry.value is not None
            last[entry.key] = entry.value
        yield from _rows_equal(world, partition, run, last, after)
        log.compact(log.end)
    last_sequence = {
        (entry.key or b"").decode(): msgspec.json.decode(entry.value or b"")["sequence"]
        for entry in _log(world, "risk-changes", partition).visible()
    }
    said = {customer: sequence for customer, sequence in run.sequences.items() if sequence}
    if last_sequence != said:
        yield Violation("state", f"partition {partition}: last risk changes {last_sequence}, rows say {said}")


def _rows_equal(world: World, partition: int, run: _Run, last: dict[bytes, bytes], after: str) -> Iterable[Violation]:
    expected, found = dict(run.rows), dict(last)
    ours, theirs = expected.pop(META_KEY, None), found.pop(META_KEY, None)
    if ours and theirs:
        one, two = unpack_meta(ours), unpack_meta(theirs)
        # How far the world was copied is no part of the recorded controls.
        one.world_offset = two.world_offset
        if not world.fenced:
            # Records of a batch whose rows were half written are passed over, watermark and all.
            one.watermark_ms = two.watermark_ms
        if pack(one) != pack(two):
            yield Violation("meta", f"partition {partition}: {after}{two} instead of {one}")
    elif ours != theirs:
        yield Violation("meta", f"partition {partition}: {after}the partition's own row is missing, or too many")
    if expected != found:
        wrong = sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))
        yield Violation("rows", f"partition {partition}: {after}rows unlike an uninterrupted run's: {wrong[:_KEPT]}")


def _alert_ids(world: World) -> Iterable[Violation]:
    ids: Counter[str] = Counter()
    for partition in range(world.partitions):
        values = [entry.value or b"" for entry in _log(world, "alerts", partition).committed()]
        # Without transactions the same alert may be said twice, with the same bytes.
        ids.update(msgspec.json.decode(v)["alert_id"] for v in (values if world.fenced else dict.fromkeys(values)))
    if twice := sorted(alert_id for alert_id, count in ids.items() if count > 1):
        yield Violation("alert twice", f"alert ids {twice[:_KEPT]}")


def local_rows(world: World, disk: Disk, partition: int) -> Iterable[Violation]:
    """Local rows are the last committed record of each key below their position, which the changelog has reached."""
    position = disk.position
    log = _log(world, "rows", partition)
    if position > log.end:
        yield Violation("local", f"{disk} is at {position}, the changelog ends at {log.end}")
    expected: dict[bytes, bytes] = {}
    for entry in log.ever:
        if entry.offset < position and entry.counts and entry.key is not None and entry.value is not None:
            known = expected.get(entry.key)
            if world.fenced or known is None or applied(entry.key, entry.value) >= applied(entry.key, known):
                expected[entry.key] = entry.value
    found = disk.rows
    if expected != found:
        wrong = sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))
        yield Violation("local", f"{disk} at {position} is not what the changelog says of {wrong[:_KEPT]}")
