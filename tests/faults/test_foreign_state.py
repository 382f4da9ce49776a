"""State that belongs elsewhere, or lost a part of itself, is refused with a sentence; nothing is guessed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from kafka import KafkaAdminClient

from streams import topics
from streams.broker.embedded import EmbeddedBroker
from streams.send import encode_record
from tests.brokers.apache import ApacheKafka
from tests.faults.load import closing_events
from tests.faults.storm import FAST
from tests.streams.harness import Deployment, until

PARTITIONS = 2
START_MS = 1_735_689_600_000
OF_EVENTS = ("events", "decisions", "alerts", "risk-changes", "dead-letters", "rows", "watermarks")


class Site(Deployment):
    """A deployment with two partitions that has worked once, was found well, and rests."""

    def __init__(self, broker: str, prefix: str, folder: Path) -> None:
        super().__init__(broker, prefix, folder, PARTITIONS)
        self.declare()
        with self.worker(env=FAST):
            self.send_some()
            self.drain()
        assert self.refusal() is None

    def send_some(self) -> None:
        """Some logins in every partition."""
        events = [e for n in range(10) for e in closing_events(PARTITIONS, START_MS + n, f"c{n}")]
        self.send_raw([encode_record(event) for event in events])

    def refusal(self) -> str | None:
        """Start the worker's role alone: its last sentence when it refuses, None when it takes its partitions."""
        running = self.start("worker", "--role", "worker", "--state", self.state, env=FAST)
        until(
            lambda: running.process.poll() is not None or any(said.get("worker") == "ready" for said in running.said),
            60, "the worker to be ready or to end",
        )  # fmt: skip
        if running.process.poll() is None:
            assert running.stop() == 0
            return None
        assert running.wait(10) != 0
        assert not any(said.get("worker") == "ready" for said in running.said)
        return running.errors[-1]

    def forget_local_rows(self) -> None:
        """As on a new machine."""
        shutil.rmtree(self.state / "rows")

    def delete_topic(self, name: str) -> None:
        """Delete one topic and wait until it is gone."""
        admin = KafkaAdminClient(bootstrap_servers=self.broker)
        try:
            admin.delete_topics([f"{self.prefix}.{name}"])
        finally:
            admin.close()
        topic = f"{self.prefix}.{name}"
        until(lambda: topic not in [state.name for state in topics.listing(self.broker, self.prefix)], 30, "no topic")


@pytest.fixture
def site(faults_kafka: ApacheKafka, prefix: str, tmp_path: Path) -> Site:
    return Site(faults_kafka.address, prefix, tmp_path)


def test_events_made_anew_while_the_rows_stayed(site: Site) -> None:
    site.delete_topic("events")
    site.declare()
    site.send_some()
    assert "another cluster, or the topics were made anew" in (site.refusal() or "")
    site.forget_local_rows()
    assert "events was made anew or copied" in (site.refusal() or "")


def test_rows_made_anew_while_the_offsets_stayed(site: Site) -> None:
    site.delete_topic("rows")
    assert "missing on" in (site.refusal() or "")
    site.declare()
    assert "they are of another changelog, or the topic was made anew" in (site.refusal() or "")
    site.forget_local_rows()
    assert "the changelog lost rows" in (site.refusal() or "")


def test_partitions_were_added(site: Site) -> None:
    admin = KafkaAdminClient(bootstrap_servers=site.broker)
    try:
        admin.create_partitions({f"{site.prefix}.{name}": 2 * PARTITIONS for name in OF_EVENTS})
    finally:
        admin.close()
    until(lambda: topics.check(site.broker, site.prefix)[f"{site.prefix}.events"] == 2 * PARTITIONS, 30, "partitions")
    assert "(cluster/topics/partitions)" in (site.refusal() or "")
    site.forget_local_rows()
    assert f"the rows belong to {PARTITIONS} input partitions" in (site.refusal() or "")


def test_local_rows_of_another_cluster(site: Site, prefix: str, tmp_path: Path) -> None:
    with EmbeddedBroker() as elsewhere:
        other = Site(elsewhere.address, prefix, tmp_path / "elsewhere")
    site.forget_local_rows()
    shutil.copytree(other.state / "rows", site.state / "rows")
    assert "another cluster, or the topics were made anew" in (site.refusal() or "")
    site.forget_local_rows()
    assert site.refusal() is None
