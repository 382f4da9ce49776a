"""The real worker processes on a real broker: what they said is what the engine says of the same log."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from features.events import Event
from streams import topics
from streams.dispositions import Output
from streams.engine import Engine
from streams.library import INITIAL_VERSION, VersionLibrary
from streams.recorded import merged, put_in
from streams.send import send_events
from streams.settings import Settings, load
from streams.signing import signing_key
from streams.sources import open_source
from streams.supervisor import HOME
from streams.tail import Record, tail
from streams.town import Town, TownConfig

PARTITIONS = 4
DEADLINE_S = 90.0
FAST = {
    "RISKSHIFT_REBALANCE_TIMEOUT_S": "3",
    "RISKSHIFT_TICK_EVERY_MS": "3600000",
    "RISKSHIFT_LEARN_EVERY_MS": "3600000",
    "RISKSHIFT_PUBLISH_EVERY_MS": "86400000",
    "RISKSHIFT_PUBLISH_EVERY_S": "0.2",
    # Labels teach at this age; short, so that a few days of data already move the weights.
    "RISKSHIFT_LABEL_MATURITY_MS": "172800000",
}


def town_events() -> list[Event]:
    return list(islice(Town(TownConfig(people=150, days=40, seed=11)).events(), 20_000))


def handbook_events() -> list[Event]:
    folder = os.environ.get("RISKSHIFT_DATA")
    if not folder or not Path(folder, "handbook").is_dir():
        pytest.skip("RISKSHIFT_DATA does not name a folder with the handbook data set")
    source = open_source("handbook", Path(folder, "handbook"), label_delay_ms=7 * 86_400_000)
    # A twentieth of the customers over about sixty days, so that outcomes seven days late are among them.
    some = (event for event in source if int(event.customer_id) % 20 == 0)
    return list(islice(some, 20_000))


@pytest.fixture
def settings(any_broker: str, prefix: str) -> Iterator[Settings]:
    with tempfile.TemporaryDirectory() as home:
        topics.declare(any_broker, PARTITIONS, prefix=prefix)
        yield load(environ=FAST, broker=any_broker, home=home, topic_prefix=prefix)[0]


def run_workers(settings: Settings, workers: int, events: list[Event]) -> tuple[list[dict[str, object]], int]:
    """Run `riskshift worker`, send, wait until all is decided, stop; what it said and its exit status."""
    command = [sys.executable, "-m", "streams", "worker", "--broker", settings.broker, "--state", settings.home,
               "--topic-prefix", settings.topic_prefix, "--workers", str(workers), "--json"]  # fmt: skip
    env = {**os.environ, **FAST, "PYTHONPATH": str(HOME)}
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=env)
        try:
            wait_for(lambda: '"ready": true' in text(out), process, out)
            asyncio.run(send_events(settings.broker, settings.topic_events, events, rate=8_000))
            wait_for(lambda: len(dispositions(settings)) >= len(events), process, out)
            process.terminate()
            status = process.wait(25)
        finally:
            process.kill()
            process.wait()
        said = [json.loads(line) for line in text(out).splitlines() if line.startswith("{")]
    return said, status


def text(file: object) -> str:
    file.seek(0)  # type: ignore[attr-defined]
    return file.read()  # type: ignore[attr-defined,no-any-return]


def wait_for(condition: object, process: subprocess.Popen[bytes], out: object) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():  # type: ignore[operator]
        assert process.poll() is None, text(out)
        assert time.monotonic() < deadline, text(out)
        time.sleep(0.3)


def read(settings: Settings, topic: str) -> dict[int, list[Record]]:
    async def collect() -> list[Record]:
        return [record async for record in tail(settings.broker, topic, from_beginning=True, until_end=True)]

    by_partition: dict[int, list[Record]] = defaultdict(list)
    for record in asyncio.run(collect()):
        by_partition[record.partition].append(record)
    return {partition: sorted(records, key=lambda r: r.offset) for partition, records in by_partition.items()}


def dispositions(settings: Settings) -> Counter[tuple[int, int]]:
    count: Counter[tuple[int, int]] = Counter()
    for partition, records in read(settings, settings.topic_decisions).items():
        for record in records:
            decision = json.loads(record.value or b"{}")
            if decision["disposition"] != "derived" and "offset" in decision:
                count[partition, decision["offset"]] += 1
    return count


class Input:
    """An input record as the engine takes it."""

    def __init__(self, record: Record) -> None:
        self.offset, self.key, self.value = record.offset, record.key, record.value
        self.timestamp, self.headers = record.timestamp_ms, record.headers


@pytest.mark.timeout(240)
@pytest.mark.parametrize("events", [town_events, handbook_events], ids=["town", "handbook"])
def test_two_workers_say_what_the_engine_says(settings: Settings, events: object) -> None:
    sent = events()  # type: ignore[operator]
    said, status = run_workers(settings, 2, sent)
    assert status == 0
    assert [line for line in said if line["worker" if "worker" in line else "ready"] == "restarting"] == []

    # Both workers had partitions: the last assignment of each is not empty.
    last = {line["pid"]: line["partitions"] for line in said if line.get("worker") == "ready" and "partitions" in line}
    assert sorted(p for partitions in last.values() for p in partitions) == list(range(PARTITIONS))
    assert all(last.values()), last

    inputs = read(settings, settings.topic_events)
    assert sum(map(len, inputs.values())) == len(sent)
    found = dispositions(settings)
    assert found == Counter({(p, record.offset): 1 for p, records in inputs.items() for record in records})

    library = VersionLibrary(signing_key(settings.key_path()))
    chunks: dict[int, dict[int, bytes]] = defaultdict(dict)
    for record in read(settings, settings.topic_models).get(0, []):
        if record.key and record.key.startswith(b"snapshot/"):
            version, place, _count = map(int, record.key.split(b"/")[1:])
            chunks[version][place] = record.value or b""
    for version, parts in sorted(chunks.items()):
        library.add_snapshot(version, [parts[place] for place in sorted(parts)])

    live = {name: read(settings, topic) for name, topic in {
        "decisions": settings.topic_decisions, "alerts": settings.topic_alerts,
        "risk_changes": settings.topic_risk_changes, "dead_letters": settings.topic_dead_letters}.items()}  # fmt: skip
    # What the learner says about its models is no partition's.
    live["alerts"] = {p: [r for r in records if r.key != b"model"] for p, records in live["alerts"].items()}
    # A twentieth of the handbook's customers for a month moves states; the default policy need not alert anybody.
    shown = "risk_changes" if events is handbook_events else "alerts"
    assert sum(map(len, live[shown].values())) > 0
    used = set()
    for partition, records in inputs.items():
        engine = Engine(partition, PARTITIONS, settings.topic_events, library,
                        model_version=INITIAL_VERSION, policy_version=library.policy.version)  # fmt: skip
        decisions = [record.value or b"" for record in live["decisions"].get(partition, [])]
        again = Output()
        for controls, turn in merged([Input(r) for r in records], [r.offset for r in records], put_in(decisions)):
            output = engine.process(turn, controls)
            for name in live:
                getattr(again, name).extend(getattr(output, name))
        for name, topic in live.items():
            spoken = [(record.key, record.value) for record in topic.get(partition, [])]
            assert spoken == [item[:2] for item in getattr(again, name)], name
        used |= {json.loads(decision)["model_version"] for decision in decisions}
    # The learner taught while it ran: several versions were in force.
    assert len(used) > 1, used
