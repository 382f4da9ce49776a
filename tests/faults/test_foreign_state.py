"""State that belongs elsewhere, or lost a part of itself, is refused with a sentence; nothing is guessed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient

from streams import topics
from streams.send import encode_record
from streams.store import LocalRows
from tests.brokers.apache import ApacheKafka
from tests.faults.load import closing_events
from tests.faults.storm import FAST
from tests.streams.harness import Deployment, Running, until

PARTITIONS = 2
START_MS = 1_735_689_600_000
OF_EVENTS = ("events", "decisions", "alerts", "risk-changes", "dead-letters", "rows", "watermarks")


class Site(Deployment):
    """A deployment with two partitions that has worked once and rests."""

    def __init__(self, broker: str, prefix: str, folder: Path) -> None:
        super().__init__(broker, prefix, folder, PARTITIONS)
        self.declare()
        self.send_some()
        running = self._role()
        running.wait_until(lambda: any(said.get("worker") == "ready" for said in running.said), 60, "partitions")
        self.drain()
        assert running.stop() == 0

    def send_some(self) -> None:
        """Some logins in every partition."""
        events = [e for n in range(10) for e in closing_events(PARTITIONS, START_MS + n, f"c{n}")]
        self.send_raw([encode_record(event) for event in events])

    def _role(self) -> Running:
        # Without a supervisor, which would start it again a few times before it gives up.
        return self.start("worker", "--role", "worker", "--state", self.state, env=FAST)

    def refusal(self) -> str:
        """Start a worker, which must refuse: its last sentence."""
        running = self._role()
        status = running.wait(60)
        assert status != 0
        assert not any(said.get("worker") == "ready" for said in running.said)
        return running.errors[-1]

    def forget_local_rows(self) -> None:
        """As on a new machine."""
        shutil.rmtree(self.state / "rows")

    def make_anew(self, name: str) -> None:
        """Delete one topic; `declare` makes it again."""
        topic = f"{self.prefix}.{name}"
        admin = KafkaAdminClient(bootstrap_servers=self.broker)
        try:
            admin.delete_topics([topic])
        finally:
            admin.close()
        until(lambda: topic not in [state.name for state in topics.listing(self.broker, self.prefix)], 30, "no topic")

    def add_partitions(self) -> None:
        """Twice as many, in all topics that go together."""
        admin = KafkaAdminClient(bootstrap_servers=self.broker)
        try:
            admin.create_partitions({f"{self.prefix}.{name}": 2 * PARTITIONS for name in OF_EVENTS})
        finally:
            admin.close()
        until(lambda: topics.check(self.broker, self.prefix)[f"{self.prefix}.events"] == 2 * PARTITIONS, 30, "them")


@pytest.fixture
def site(faults_kafka: ApacheKafka, prefix: str, tmp_path: Path) -> Iterator[Site]:
    with Site(faults_kafka.address, prefix, tmp_path) as site:
        yield site


@pytest.mark.timeout(180)
def test_foreign_local_rows_then_a_changelog_made_anew(site: Site) -> None:
    theirs = site.state / "theirs"
    LocalRows(theirs, "a-cluster/a-topic/2", 100).close()
    ours = site.state / "rows" / "1" / "0"
    ours.rename(site.state / "ours")
    theirs.rename(ours)
    assert "belong to a-cluster/a-topic/2" in site.refusal()
    shutil.rmtree(ours)
    (site.state / "ours").rename(ours)

    site.make_anew("rows")
    assert f"missing on {site.broker}: {site.prefix}.rows" in site.refusal()
    site.declare()
    assert "they are of another changelog, or the topic was made anew" in site.refusal()
    site.forget_local_rows()
    assert "the changelog lost rows" in site.refusal()


@pytest.mark.timeout(180)
def test_events_made_anew_then_partitions_added(site: Site) -> None:
    site.make_anew("events")
    site.declare()
    site.send_some()
    assert "another cluster, or the topics were made anew" in site.refusal()
    site.forget_local_rows()
    assert "events was made anew or copied" in site.refusal()
    site.forget_local_rows()
    site.add_partitions()
    assert f"the rows belong to {PARTITIONS} input partitions" in site.refusal()
