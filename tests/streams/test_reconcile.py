"""The reconciler: a sound log is ok, and every fault written into a copy of it by hand is named."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from kafka import KafkaAdminClient
from kafka.structs import TopicPartition

from features.events import Control, Event, encode
from streams import topics
from streams.cli import main
from streams.dispositions import Output
from streams.reconcile import Reconciler, Report
from streams.send import Raw, send_raw
from streams.tail import tail
from tests.brokers.apache import ApacheKafka
from tests.streams.driver import HOUR_MS, engine, tick, town
from tests.streams.driver import Raw as Input
from tests.streams.harness import Deployment

PARTITIONS = 2
OUTPUTS = ("alerts", "risk-changes", "dead-letters", "decisions")
LIST_OF = {"alerts": "alerts", "risk-changes": "risk_changes", "dead-letters": "dead_letters", "decisions": "decisions"}


def entries() -> list[Raw]:
    """A town's events, one twice, one that is none, and ticks: all five dispositions but late, and derived ones."""
    events: list[Event | Control] = list(town(people=12, days=30)[:900])
    records: list[Raw] = [(e.customer_id.encode(), encode(e), ()) for e in events if isinstance(e, Event)]
    records[400:400] = [records[399], (b"c-bad", b"{", ())]
    last_ms = max(e.event_time_ms for e in events)
    # To the first partition only; three weeks on, so that silence is noticed.
    records.append((None, encode(tick(last_ms + 500 * HOUR_MS)), ()))
    return records


@dataclass(slots=True)
class Log:
    """What the engine says of the events of one prefix, per topic and partition, not yet written."""

    broker: str
    prefix: str
    said: dict[str, dict[int, list[Raw]]] = field(default_factory=dict)

    def write(self) -> None:
        for topic, partitions in self.said.items():
            for partition, records in partitions.items():
                asyncio.run(send_raw(self.broker, f"{self.prefix}.{topic}", records, partition))

    def find(self, topic: str, wanted: Callable[[dict[str, object]], bool]) -> tuple[int, int]:
        """Partition and place of the first record that fits."""
        for partition, records in self.said[topic].items():
            for place, record in enumerate(records):
                if wanted(json.loads(record[1] or b"{}")):
                    return partition, place
        raise AssertionError("no such record")


def answered(broker: str, prefix: str, records: Sequence[Raw] | None = None) -> Log:
    """Send events, read them back with their offsets, and let one engine a partition answer them."""
    topics.declare(broker, PARTITIONS, prefix=prefix)
    asyncio.run(send_raw(broker, f"{prefix}.events", entries() if records is None else records))
    return again(broker, prefix)


def again(broker: str, prefix: str) -> Log:
    async def read() -> dict[int, list[Input]]:
        inputs: dict[int, list[Input]] = {number: [] for number in range(PARTITIONS)}
        async for r in tail(broker, f"{prefix}.events", from_beginning=True, until_end=True):
            inputs[r.partition].append(Input(r.offset, r.key, r.value, r.timestamp_ms))
        return inputs

    log = Log(broker, prefix, {topic: {} for topic in OUTPUTS})
    for number, inputs in asyncio.run(read()).items():
        target = engine(number, PARTITIONS)
        target.topic = f"{prefix}.events"
        output: Output = target.process(inputs)
        for topic in OUTPUTS:
            items = getattr(output, LIST_OF[topic])
            log.said[topic][number] = [(i[0], i[1], tuple(i[2]) if len(i) > 2 else ()) for i in items]
    return log


def reconciled(log: Log, wait_s: float = 0.0) -> Report:
    async def run() -> Report:
        async with Reconciler(log.broker, log.prefix) as reconciler:
            return await reconciler.once(wait_s)

    return asyncio.run(run())


# --- sound logs ---------------------------------------------------------------------------------------------


@pytest.mark.timeout(180)
def test_what_real_workers_leave_is_ok_and_counted_as_it_is(any_broker: str, prefix: str, tmp_path: Path) -> None:
    with Deployment(any_broker, prefix, tmp_path, PARTITIONS) as deployment:
        deployment.declare()
        with deployment.worker(workers=2):
            records = entries()
            deployment.send_raw(records)
            done = deployment.run("reconcile", "--json", "--wait", "60", timeout_s=90)
        assert done.status == 0, done
        (report,) = done.objects()
        kinds = ("decisions", "duplicates", "late", "control", "dead_letters")
        by_hand = deployment.account().counts()
        assert report["inputs"] == len(records) == sum(report[kind] for kind in kinds)
        assert report["decisions"] == by_hand["decision"]
        assert report["duplicates"] == by_hand["duplicate"] == 1
        assert report["dead_letters"] == by_hand["dead_letter"] == 1
        assert report["control"] == by_hand["control"] == 1
        assert report["alerts"] == len(deployment.read("alerts")) > 0
        assert report["risk_changes"] == len(deployment.read("risk-changes")) > 0
        assert report["ok"] is True
        for kind in ("inputs", "unaccounted", *kinds):
            assert report[kind] == sum(row[kind] for row in report["partitions"])
        assert [row["partition"] for row in report["partitions"]] == list(range(PARTITIONS))


def test_engines_answers_written_by_hand_are_ok(any_broker: str, prefix: str) -> None:
    log = answered(any_broker, prefix)
    log.write()
    report = reconciled(log)
    assert report.faults() == []
    assert report.total["derived"] > 0  # the tick woke somebody, and that is nobody's disposition
    assert report.ok


# --- faults -------------------------------------------------------------------------------------------------


def drop_decision(log: Log) -> None:
    partition, place = log.find("decisions", lambda d: d["disposition"] == "decision" and "alert_ids" not in d)
    del log.said["decisions"][partition][place]


def drop_dead_letter(log: Log) -> None:
    for letters in log.said["dead-letters"].values():
        letters.clear()


def decide_otherwise_again(log: Log) -> None:
    partition, place = log.find("decisions", lambda d: d["disposition"] == "decision" and "sequence" not in d)
    key, value, headers = log.said["decisions"][partition][place]
    other = (value or b"").replace(b'"disposition":"decision"', b'"disposition":"late"')
    log.said["decisions"][partition].append((key, other, headers))


def dead_letter_beside_decision(log: Log) -> None:
    partition, place = next((p, 0) for p, letters in log.said["dead-letters"].items() if letters)
    key, value, headers = log.said["dead-letters"][partition][place]
    at = next(json.loads(d[1] or b"")["offset"] for d in log.said["decisions"][partition])
    moved = tuple((n, str(at).encode() if n == "__connect.errors.offset" else v) for n, v in headers)
    log.said["dead-letters"][partition].append((key, value, moved))


def same_alert_id_again(log: Log) -> None:
    partition, place = log.find("alerts", lambda _alert: True)
    key, value, headers = log.said["alerts"][partition][place]
    log.said["alerts"][partition].append((key, (value or b"").replace(b'"severity"', b'"x":1,"severity"'), headers))


def same_alert_id_in_other_partition(log: Log) -> None:
    partition, place = log.find("alerts", lambda _alert: True)
    log.said["alerts"][1 - partition].append(log.said["alerts"][partition][place])


def drop_alert(log: Log) -> None:
    partition, place = log.find("alerts", lambda _alert: True)
    del log.said["alerts"][partition][place]


def add_alert(log: Log) -> None:
    partition, place = log.find("alerts", lambda _alert: True)
    key, value, headers = log.said["alerts"][partition][place]
    alert = json.loads(value or b"") | {"alert_id": "ab" * 15 + "00"}
    log.said["alerts"][partition].append((key, json.dumps(alert).encode(), headers))


def drop_middle_change(log: Log) -> None:
    partition, place = log.find("risk-changes", lambda change: change["sequence"] == 2)
    del log.said["risk-changes"][partition][place]


def drop_first_change(log: Log) -> None:
    partition, place = log.find("risk-changes", lambda change: change["sequence"] == 1)
    del log.said["risk-changes"][partition][place]


def swap_changes(log: Log) -> None:
    partition, place = log.find("risk-changes", lambda change: change["sequence"] == 2)
    changes = log.said["risk-changes"][partition]
    changes.append(changes.pop(place))


def drop_last_change(log: Log) -> None:
    for changes in log.said["risk-changes"].values():
        if changes:
            del changes[-1]
            return


def drop_derived(log: Log) -> None:
    partition, place = log.find("decisions", lambda d: d["disposition"] == "derived" and "sequence" in d)
    del log.said["decisions"][partition][place]


def decide_what_nobody_sent(log: Log) -> None:
    partition, place = log.find("decisions", lambda d: d["disposition"] == "decision" and "sequence" not in d)
    key, value, headers = log.said["decisions"][partition][place]
    decision = json.loads(value or b"") | {"offset": 1_000_000}
    decision.pop("alert_ids", None)
    log.said["decisions"][partition].append((key, json.dumps(decision).encode(), headers))


def write_nonsense(log: Log) -> None:
    log.said["decisions"][0].append((b"c-1", b'{"disposition":"decision"', ()))


def answer_in_wrong_partition(log: Log) -> None:
    partition, place = log.find("decisions", lambda d: d["disposition"] == "decision" and "sequence" not in d)
    log.said["decisions"][1 - partition].append(log.said["decisions"][partition][place])


FAULTS = {
    drop_decision: {"unaccounted"},
    drop_dead_letter: {"unaccounted"},
    decide_otherwise_again: {"twice"},
    dead_letter_beside_decision: {"twice"},
    same_alert_id_again: {"duplicate_alert_ids"},
    same_alert_id_in_other_partition: {"duplicate_alert_ids"},
    drop_alert: {"missing_alerts"},
    add_alert: {"unnamed_alerts"},
    drop_middle_change: {"sequence_gaps"},
    drop_first_change: {"sequence_gaps"},
    swap_changes: {"sequence_gaps"},
    drop_last_change: {"missing_sequences"},
    drop_derived: {"unnamed_sequences"},
    decide_what_nobody_sent: {"unknown_offsets"},
    write_nonsense: {"malformed"},
    answer_in_wrong_partition: {"malformed"},
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_fault_is_named_and_nothing_else(
    tansu: str, prefix: str, fault: Callable[[Log], None], capfd: pytest.CaptureFixture[str]
) -> None:
    log = answered(tansu, prefix)
    fault(log)
    log.write()
    assert main(["reconcile", "--json", "--broker", tansu, "--topic-prefix", prefix]) == 1
    report = json.loads(capfd.readouterr().out)
    assert report["ok"] is False
    names = {name for name in ("unaccounted", "twice", "duplicate_alert_ids", "sequence_gaps", "unknown_offsets",
                               "missing_alerts", "unnamed_alerts", "missing_sequences", "unnamed_sequences",
                               "malformed") if report[name]}  # fmt: skip
    # A dropped derived record takes the naming of its alerts with it.
    assert names - {"unnamed_alerts"} == FAULTS[fault] - {"unnamed_alerts"}
    assert FAULTS[fault] <= names
    assert all(report["examples"][name] for name in names)


def test_exact_repeats_are_a_fault_only_where_the_broker_has_transactions(any_broker: str, prefix: str) -> None:
    log = answered(any_broker, prefix)
    # A batch said twice, as after a crash without transactions.
    for partitions in log.said.values():
        for records in partitions.values():
            records.extend(records[-40:])
    log.write()
    report = reconciled(log)
    repeated = sum(min(len(r) // 2, 40) for parts in log.said.values() for r in parts.values())
    assert report.total["physical_duplicates"] >= repeated * 0.9 > 0
    assert (report.total["twice"], report.total["sequence_gaps"], report.total["duplicate_alert_ids"]) == (0, 0, 0)
    assert report.ok is not report.transactions
    assert report.faults() == (["physical_duplicates"] if report.transactions else [])


def test_aborted_answers_do_not_count_and_markers_are_no_input(kafka: ApacheKafka, prefix: str) -> None:
    topics.declare(kafka.address, PARTITIONS, prefix=prefix)
    records = entries()

    async def send(topic: str, chunks: Sequence[tuple[Sequence[Raw], int | None, bool]]) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=kafka.address, transactional_id=f"{prefix}-{topic}")
        await producer.start()
        for chunk, partition, commit in chunks:
            await producer.begin_transaction()
            for key, value, headers in chunk:
                await producer.send(
                    f"{prefix}.{topic}", value, key, partition=partition, headers=list(headers), timestamp_ms=None
                )
            await (producer.commit_transaction() if commit else producer.abort_transaction())
        await producer.stop()

    # Inputs in transactions too: markers and aborted records leave gaps in the offsets.
    asyncio.run(
        send("events", [(records[:100], None, True), (records[100:200], None, False), (records[200:], 0, True)])
    )
    log = again(kafka.address, prefix)
    decisions = log.said.pop("decisions")
    log.write()
    asyncio.run(send("decisions", [(d, p, False) for p, d in decisions.items()]))
    report = reconciled(log)
    assert report.total["inputs"] == len(records) - 100
    assert report.total["unaccounted"] == report.total["inputs"] - report.total["dead_letters"]
    asyncio.run(send("decisions", [(d, p, True) for p, d in decisions.items()]))
    report = reconciled(log)
    assert (report.faults(), report.total["unaccounted"]) == ([], 0)


def test_answers_to_events_that_retention_removed_are_fine(kafka: ApacheKafka, prefix: str) -> None:
    log = answered(kafka.address, prefix)
    log.write()
    admin = KafkaAdminClient(bootstrap_servers=kafka.address)
    try:
        admin.delete_records({TopicPartition(f"{prefix}.events", 0): 50})
    finally:
        admin.close()
    report = reconciled(log)
    assert report.total["before_log_start"] == 50
    assert report.total["inputs"] == len(entries()) - 50
    assert report.ok


# --- time ---------------------------------------------------------------------------------------------------


def test_wait_gives_workers_time_to_answer(tansu: str, prefix: str) -> None:
    log = answered(tansu, prefix)
    assert reconciled(log).total["unaccounted"] == len(entries())
    later = threading.Timer(2.0, log.write)
    later.start()
    try:
        began = time.monotonic()
        report = reconciled(log, wait_s=60)
    finally:
        later.join()
    assert report.ok
    # Done when all is answered, not when the time is over.
    assert time.monotonic() - began < 50


@pytest.mark.timeout(120)
@pytest.mark.parametrize("fault", [None, decide_otherwise_again])
def test_follow_counts_down_and_names_what_time_cannot_mend(
    tansu: str, prefix: str, tmp_path: Path, fault: Callable[[Log], None] | None
) -> None:
    log = answered(tansu, prefix)
    if fault is not None:
        fault(log)
    with Deployment(tansu, prefix, tmp_path, PARTITIONS) as deployment:
        following = deployment.start("reconcile", "--follow", "--every", "0.3", "--json")

        def lines() -> list[dict[str, object]]:
            return [said["follow"] for said in following.said if "follow" in said]

        following.wait_until(lambda: bool(lines()), 30, "a first line")
        first = lines()[0]
        assert first["unaccounted"] == first["inputs"] == len(entries())
        assert isinstance(first["oldest_unaccounted_s"], float)
        assert first["permanent"] == []
        log.write()
        following.wait_until(lambda: lines()[-1]["unaccounted"] == 0, 30, "everything answered")
        if fault is not None:
            following.wait_until(lambda: lines()[-1]["permanent"] == ["twice"], 30, "the fault")
        assert following.stop(signal.SIGINT) == (0 if fault is None else 1)
        assert following.said[-1]["ok"] is (fault is None)
