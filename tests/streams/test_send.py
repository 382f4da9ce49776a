"""Sending: Kafka's own partitions, order per customer, pace, acknowledgements, errors in one sentence."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner import murmur2

from features.events import Event, Login, Transaction, decode, encode
from streams import send, topics
from streams.broker.embedded import EmbeddedBroker
from streams.cli import main
from streams.send import SendError, encode_record, partition_of, send_events, send_raw
from streams.tail import Record, tail

ABSENT = "127.0.0.1:1"


def _event(number: int, customer: str = "c-1") -> Transaction:
    return Transaction(
        event_id=f"e-{number}", customer_id=customer, event_time_ms=1_533_081_600_000 + number, schema_version=1,
        amount_minor=100, currency="EUR", direction="debit", channel="pos",
    )  # fmt: skip


def _read(broker: str, topic: str) -> list[Record]:
    async def collect() -> list[Record]:
        return [record async for record in tail(broker, topic, from_beginning=True, until_end=True)]

    return asyncio.run(collect())


@given(st.binary(min_size=1, max_size=70), st.integers(1, 64))
def test_partition_is_the_one_kafka_python_chooses(key: bytes, partitions: int) -> None:
    assert partition_of(key, partitions) == (murmur2(key) & 0x7FFFFFFF) % partitions


def test_every_event_arrives_once_in_order_and_in_its_partition(any_broker: str, prefix: str) -> None:
    topics.declare(any_broker, 3, prefix=prefix)
    # More bytes than one batch holds, so that batches of one partition follow each other.
    events = [_event(n, f"c-{n % 7}") for n in range(6_000)]
    told: list[int] = []
    summary = asyncio.run(send_events(any_broker, f"{prefix}.events", iter(events), rate=None, progress=told.append))
    assert summary.sent == told[-1] == 6_000
    assert not summary.stopped
    records = _read(any_broker, f"{prefix}.events")
    assert len(records) == 6_000
    for customer in {event.customer_id for event in events}:
        mine = [r for r in records if r.key == customer.encode()]
        assert {r.partition for r in mine} == {partition_of(customer.encode(), 3)}
        assert [r.value for r in mine] == [encode(e) for e in events if e.customer_id == customer]


def test_record_time_is_now_not_event_time(tansu: str, prefix: str) -> None:
    topics.declare(tansu, 1, prefix=prefix)
    asyncio.run(send_events(tansu, f"{prefix}.events", [_event(1)], rate=None))
    assert _read(tansu, f"{prefix}.events")[0].timestamp_ms > 1_600_000_000_000


def test_paced_sending_delivers_all_and_takes_its_time(tansu: str, prefix: str) -> None:
    topics.declare(tansu, 2, prefix=prefix)
    summary = asyncio.run(send_events(tansu, f"{prefix}.events", map(_event, range(50)), rate=200))
    assert summary.sent == 50
    # A lower bound only: never faster than asked, however slow the machine.
    assert summary.seconds >= 0.2
    assert len(_read(tansu, f"{prefix}.events")) == 50


def test_stop_delivers_what_was_read_and_reads_no_more(tansu: str, prefix: str) -> None:
    topics.declare(tansu, 1, prefix=prefix)

    async def run() -> tuple[int, bool]:
        stop = asyncio.Event()

        def endless() -> object:
            number = 0
            while True:
                number += 1
                if number == 1_000:
                    stop.set()
                yield _event(number)

        summary = await send_events(tansu, f"{prefix}.events", endless(), rate=None, stop=stop)  # type: ignore[arg-type]
        return summary.sent, summary.stopped

    # The event that was being read when stop was set is sent, and the next one not read.
    assert asyncio.run(run()) == (1_000, True)
    assert len(_read(tansu, f"{prefix}.events")) == 1_000


def test_raw_records_arrive_untouched(tansu: str, prefix: str) -> None:
    topics.declare(tansu, 2, prefix=prefix)
    raw = [(None, b"\xff", [("ce_type", b"x")]), (b"k", None, []), (b"", b"{}", []), encode_record(_event(1))]
    asyncio.run(send_raw(tansu, f"{prefix}.events", raw, partition=1))
    records = _read(tansu, f"{prefix}.events")
    assert [(r.key, r.value, list(r.headers)) for r in records] == [(k, v, list(h)) for k, v, h in raw]
    assert {r.partition for r in records} == {1}


def test_absent_broker_is_one_sentence_with_what_to_do(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "e.jsonl"
    file.write_bytes(encode(_event(1)))
    assert main(["send", str(file), "--format", "events", "--broker", ABSENT]) == 1
    error = capfd.readouterr().err
    assert ABSENT in error
    assert "riskshift broker" in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.tansu
def test_broker_that_dies_is_reported_once_with_what_was_acknowledged(
    prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send, "REQUEST_TIMEOUT_MS", 1_500)
    # Captured log records would hold the failed futures, which could then not complain.
    monkeypatch.setattr(logging.getLogger("aiokafka"), "propagate", False)
    with EmbeddedBroker() as broker:
        topics.declare(broker.address, 3, prefix=prefix)

        def events() -> Iterator[Event]:
            for number in itertools.count():
                if number == 5_000:
                    broker.stop()
                yield _event(number, f"c-{number % 9}")

        complaints: list[str] = []

        async def run() -> str:
            asyncio.get_running_loop().set_exception_handler(lambda _loop, told: complaints.append(told["message"]))
            try:
                await send_events(broker.address, f"{prefix}.events", events(), rate=50_000)
            except SendError as error:
                return str(error)
            return ""

        message = asyncio.run(run())
        gc.collect()
    assert "records were acknowledged before: look at the broker" in message
    assert complaints == []


def test_missing_topic_is_named_and_not_created(tansu: str, prefix: str) -> None:
    for _ in range(2):
        with pytest.raises(SendError, match=f"{prefix}.nowhere.*topics --create"):
            asyncio.run(send_events(tansu, f"{prefix}.nowhere", [_event(1)], rate=None))


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_rate_must_be_positive(rate: float) -> None:
    with pytest.raises(SendError, match="above zero"):
        asyncio.run(send_events(ABSENT, "t", [], rate=rate))


def test_command_sends_counts_and_keeps_rejects(
    tansu: str, prefix: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    topics.declare(tansu, 2, prefix=prefix)
    login = Login(event_id="l", customer_id="c", event_time_ms=5, schema_version=1, channel="mobile", result="ok")
    file, rejects = tmp_path / "e.jsonl", tmp_path / "bad.jsonl"
    file.write_bytes(b"\n".join([encode(_event(1)), b"not json\x1b[2J", encode(login), encode(_event(2))]))
    command = ["send", str(file), "--format", "events", "--broker", tansu, "--topic-prefix", prefix, "--json"]
    assert main([*command, "--rejects", str(rejects), "--from", "2018-01-01"]) == 0
    out, err = capfd.readouterr()
    summary = json.loads(out)
    assert (summary["rows"], summary["sent"], summary["rejected"]) == (3, 2, 1)
    assert "\x1b" not in err
    [reject] = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert (reject["line"], reject["code"]) == (2, "not_json")
    values = [decode(r.value) for r in _read(tansu, f"{prefix}.events")]
    assert sorted(e.event_id for e in values if isinstance(e, Event)) == ["e-1", "e-2"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rate", "fast"], "events per second"),
        (["--from", "yesterday"], "ISO date"),
        (["--label-delay", "7 apples"], "duration"),
        (["--limit", "0"], "at least 1"),
    ],
)
def test_wrong_options_are_refused_with_what_was_expected(
    options: list[str], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["send", "f", "--format", "events", *options])
    assert message in capfd.readouterr().err


def test_limit_sends_the_first_events_only(tansu: str, prefix: str, tmp_path: Path) -> None:
    topics.declare(tansu, 1, prefix=prefix)
    file = tmp_path / "e.jsonl"
    file.write_bytes(b"\n".join(encode(_event(n)) for n in range(10)))
    options = ["--format", "events", "--broker", tansu, "--topic-prefix", prefix, "--limit", "4"]
    assert main(["send", str(file), *options]) == 0
    assert [decode(r.value).event_id for r in _read(tansu, f"{prefix}.events")] == [f"e-{n}" for n in range(4)]


def test_consumers_of_other_libraries_read_what_was_sent(tansu: str, prefix: str) -> None:
    topics.declare(tansu, 1, prefix=prefix)
    asyncio.run(send_events(tansu, f"{prefix}.events", [_event(1)], rate=None))

    async def read() -> bytes | None:
        consumer = AIOKafkaConsumer(f"{prefix}.events", bootstrap_servers=tansu, auto_offset_reset="earliest")
        await consumer.start()
        try:
            return (await asyncio.wait_for(consumer.getone(), 20)).value
        finally:
            await consumer.stop()

    assert asyncio.run(read()) == encode(_event(1))
