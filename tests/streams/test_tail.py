"""Tailing: everything up to the end, filters, JSON for machines, harmless lines for people."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from alerts.records import dead_letter_headers
from features.errors import EventError
from streams import topics
from streams.cli import main
from streams.cli.lines import escaped
from streams.send import Raw, send_raw
from streams.tail import Record, TailError, tail
from tests.brokers.apache import ApacheKafka

ALERT = {
    "alert_id": "0" * 32, "customer_id": "c-1", "severity": "high", "rule": "fraud_level",
    "title": {"en": "Card may be stolen", "zh-CN": "卡片可能被盗"}, "event_time_ms": 1_533_081_600_000,
    "reasons": [{"code": "r", "text": {"en": "far from \x1b[31mhome\nforged line", "zh-CN": "远离常住地"}}],
    "actions": [{"action": "freeze_card", "text": {"en": "Freeze the card", "zh-CN": "冻结卡片"}}],
}  # fmt: skip


def _send(broker: str, topic: str, records: list[Raw], partition: int | None = None) -> None:
    asyncio.run(send_raw(broker, topic, records, partition))


def _keyed(*customers: str) -> list[Raw]:
    return [(c.encode(), json.dumps({"customer_id": c, "n": n}).encode(), []) for n, c in enumerate(customers)]


def _command(broker: str, prefix: str, what: str, *options: str) -> int:
    return main(
        ["tail", what, "--from-beginning", "--until-end", "--broker", broker, "--topic-prefix", prefix, *options]
    )


def test_reads_all_partitions_to_the_end_and_ends(
    any_broker: str, prefix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    topics.declare(any_broker, 3, prefix=prefix)
    # Batches of many records: the embedded broker's "latest offset" lies before the end of the last one.
    _send(any_broker, f"{prefix}.decisions", _keyed(*(f"c-{n % 5}" for n in range(500))))
    assert _command(any_broker, prefix, "decisions", "--json") == 0
    records = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert sorted(r["value"]["n"] for r in records) == list(range(500))
    assert set(records[0]) == {"topic", "partition", "offset", "timestamp_ms", "key", "headers", "value"}
    assert all(r["key"] == r["value"]["customer_id"] for r in records)


def test_empty_topic_ends_without_a_record(tansu: str, prefix: str, capfd: pytest.CaptureFixture[str]) -> None:
    topics.declare(tansu, 2, prefix=prefix)
    assert _command(tansu, prefix, "alerts", "--json") == 0
    assert capfd.readouterr().out == ""


def test_customer_and_limit_select(tansu: str, prefix: str, capfd: pytest.CaptureFixture[str]) -> None:
    topics.declare(tansu, 2, prefix=prefix)
    _send(tansu, f"{prefix}.decisions", _keyed("a", "b", "a", "a"))
    assert _command(tansu, prefix, "decisions", "--json", "--customer", "a", "--limit", "2") == 0
    records = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [r["value"]["n"] for r in records] == [0, 2]


def test_only_committed_records_and_the_end_is_reached_behind_markers_and_open_transactions(
    kafka: ApacheKafka, prefix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    topics.declare(kafka.address, 1, prefix=prefix)

    async def transact() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=kafka.address, transactional_id=prefix)
        await producer.start()
        for number, commit in enumerate((True, False, True)):
            await producer.begin_transaction()
            await producer.send_and_wait(f"{prefix}.decisions", b'{"n":%d}' % number, key=b"c")
            await (producer.commit_transaction() if commit else producer.abort_transaction())
        await producer.begin_transaction()
        await producer.send_and_wait(f"{prefix}.decisions", b'{"n":3}', key=b"c")
        # Left open while it is read: the end is what can be read.
        records = [r async for r in tail(kafka.address, f"{prefix}.decisions", from_beginning=True, until_end=True)]
        assert [r.value for r in records] == [b'{"n":0}', b'{"n":2}']
        await producer.abort_transaction()
        await producer.stop()

    asyncio.run(transact())
    # Now it ends in markers alone.
    assert _command(kafka.address, prefix, "decisions", "--json") == 0
    assert [json.loads(line)["value"]["n"] for line in capfd.readouterr().out.splitlines()] == [0, 2]


def test_from_now_on_leaves_out_what_was_there_and_gives_what_comes(any_broker: str, prefix: str) -> None:
    topics.declare(any_broker, 1, prefix=prefix)
    topic = f"{prefix}.decisions"
    _send(any_broker, topic, _keyed("old-1", "old-2", "old-3"))

    async def run() -> list[bytes | None]:
        stop, seen = asyncio.Event(), []

        async def follow() -> None:
            async for record in tail(any_broker, topic, stop=stop):
                seen.append(record.key)
                if record.key == b"last":
                    stop.set()

        following = asyncio.create_task(follow())
        # What is written before the reader stands is old to it, so news is repeated until some of it arrived.
        for n in range(200):
            if seen or following.done():
                break
            await send_raw(any_broker, topic, _keyed(f"new-{n}"))
            await asyncio.sleep(0.1)
        await send_raw(any_broker, topic, _keyed("last"))
        await asyncio.wait_for(following, 30)
        return seen

    seen = asyncio.run(run())
    assert seen[-1] == b"last"
    assert len(seen) > 1
    assert not any(key.startswith(b"old") for key in seen if key)


def test_dead_letters_keep_their_bytes(tansu: str, prefix: str, capfd: pytest.CaptureFixture[str]) -> None:
    topics.declare(tansu, 1, prefix=prefix)
    error = EventError("not_json", "expected JSON, found \x1b]0;owned\x07")
    headers = dead_letter_headers("riskshift.events", 0, 7, "decode", "not_json", error)
    _send(tansu, f"{prefix}.dead-letters", [(None, b"\xff\x00", headers), (b"\xfe", b"plain\n", headers)], partition=0)
    assert _command(tansu, prefix, "dead-letters", "--json") == 0
    first, second = (json.loads(line) for line in capfd.readouterr().out.splitlines())
    assert base64.b64decode(first["value"]["base64"]) == b"\xff\x00"
    assert "text" not in first["value"]
    assert first["key"] is None
    assert first["headers"]["riskshift.reason.code"] == "not_json"
    assert first["headers"]["__connect.errors.offset"] == "7"
    assert second["value"] == {"base64": base64.b64encode(b"plain\n").decode(), "text": "plain\n"}
    assert second["key"] == "\\xfe"
    assert _command(tansu, prefix, "dead-letters") == 0
    lines = capfd.readouterr().out
    assert len(lines.splitlines()) == 2
    assert "riskshift.events[0]@7" in lines
    assert "\x1b" not in lines
    assert "\x07" not in lines


@pytest.mark.parametrize(
    ("lang", "words"),
    [
        ("en", ["Card may be stolen", "Freeze the card", "far from"]),
        ("zh-CN", ["卡片可能被盗", "冻结卡片", "远离常住地"]),
    ],
)
def test_alert_line_speaks_the_language_and_cannot_forge_lines(
    tansu: str, prefix: str, capfd: pytest.CaptureFixture[str], lang: str, words: list[str]
) -> None:
    topics.declare(tansu, 1, prefix=prefix)
    _send(tansu, f"{prefix}.alerts", [(b"c-1", json.dumps(ALERT).encode(), [])])
    assert _command(tansu, prefix, "alerts", "--lang", lang) == 0
    [line] = capfd.readouterr().out.splitlines()
    assert line.startswith("2018-08-01 00:00:00  HIGH")
    assert "customer c-1" in line
    assert "\x1b" not in line
    for word in words:
        assert word in line


@pytest.mark.parametrize("value", [None, b"not json", b"[1]", b'{"state": 3, "changed": [1]}'])
@pytest.mark.parametrize("what", ["alerts", "risk-changes", "decisions", "dead-letters"])
def test_odd_records_are_printed_not_fatal(
    tansu: str, prefix: str, capfd: pytest.CaptureFixture[str], what: str, value: bytes | None
) -> None:
    topics.declare(tansu, 1, prefix=prefix)
    _send(tansu, f"{prefix}.{what}", [(b"k", value, [])])
    assert _command(tansu, prefix, what) == 0
    assert len(capfd.readouterr().out.splitlines()) == 1
    assert _command(tansu, prefix, what, "--json") == 0
    record = json.loads(capfd.readouterr().out)
    assert (record["key"], record["headers"]) == ("k", {})


def test_value_that_is_not_json_is_given_as_bytes() -> None:
    record = Record("t", 0, 1, 2, b"k", (), b"NaN")
    assert record.as_json(raw=False)["value"] == {"base64": base64.b64encode(b"NaN").decode(), "text": "NaN"}


def test_escaping_leaves_chinese_and_takes_controls_and_direction_marks() -> None:
    assert escaped("冻结卡片 é") == "冻结卡片 é"
    assert escaped("a\r\n\x1b[2J\u202e\u2028\x7f\x9b") == r"a\r\n\x1b[2J\u202e\u2028\x7f\x9b"
    assert len(escaped("x" * 10_000)) == 200


def test_absent_broker_and_missing_topic_say_what_to_do(
    tansu: str, prefix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["tail", "alerts", "--until-end", "--broker", "127.0.0.1:1"]) == 1
    error = capfd.readouterr().err
    assert "riskshift broker" in error
    assert len(error.strip().splitlines()) == 1

    async def read() -> None:
        async for _ in tail(tansu, f"{prefix}.alerts", until_end=True):
            pass

    with pytest.raises(TailError, match="topics --create"):
        asyncio.run(read())


def test_help_of_both_commands_teaches_with_examples(capfd: pytest.CaptureFixture[str]) -> None:
    for command in ("send", "tail"):
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0
        assert f"riskshift {command} " in capfd.readouterr().out.partition("examples:")[2]


def test_documented_formats_are_those_there_are() -> None:
    from streams.sources import FORMATS

    page = (Path(__file__).parents[2] / "docs" / "sources.md").read_text("utf-8")
    for name in FORMATS:
        assert f"\n## {name}" in page
