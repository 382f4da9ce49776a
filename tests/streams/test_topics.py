"""Topics: declared as the table says, on both brokers; what is missing or different is named."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from streams import topics
from streams.cli import main
from streams.errors import BrokerError

pytestmark = pytest.mark.timeout(120)


def _make(broker: str, name: str, partitions: int, **configs: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=broker)
    options = {"num_partitions": partitions, "replication_factor": 1, "configs": configs}
    admin.create_topics({name: options}, wait_for_metadata=True)
    admin.close()


def test_declare_creates_all_then_nothing_and_check_agrees(any_broker: str, prefix: str) -> None:
    created = topics.declare(any_broker, 3, prefix=prefix)
    assert created == [f"{prefix}.{spec.name}" for spec in topics.TOPICS]
    assert topics.declare(any_broker, 3, prefix=prefix) == []
    counts = topics.check(any_broker, prefix)
    assert list(counts) == created
    assert counts[f"{prefix}.world"] == counts[f"{prefix}.models"] == 1
    assert {count for name, count in counts.items() if not name.endswith((".world", ".models"))} == {3}


def test_broker_keeps_every_setting_that_was_asked_for(any_broker: str, prefix: str) -> None:
    topics.declare(any_broker, 1, prefix=prefix)
    admin = KafkaAdminClient(bootstrap_servers=any_broker)
    names = {f"{prefix}.{spec.name}": spec for spec in topics.TOPICS}
    answer = admin.describe_configs(
        [ConfigResource(ConfigResourceType.TOPIC, name) for name in names], config_filter="all"
    )["topic"]
    admin.close()
    for name, spec in names.items():
        assert {key: answer[name][key]["value"] for key in spec.configs()} == spec.configs()


def test_declare_completes_a_partial_set(tansu: str, prefix: str) -> None:
    _make(tansu, f"{prefix}.events", 2)
    created = topics.declare(tansu, 2, prefix=prefix)
    assert f"{prefix}.events" not in created
    assert len(created) == len(topics.TOPICS) - 1


def test_declare_with_another_count_is_refused_and_creates_nothing(tansu: str, prefix: str) -> None:
    _make(tansu, f"{prefix}.events", 2)
    with pytest.raises(topics.TopicError, match=rf"{prefix}\.events has 2 partitions, asked for 5"):
        topics.declare(tansu, 5, prefix=prefix)
    assert [topic.name for topic in topics.listing(tansu, prefix)] == [f"{prefix}.events"]


def test_check_names_what_is_missing_and_what_to_run(tansu: str, prefix: str) -> None:
    _make(tansu, f"{prefix}.events", 2)
    with pytest.raises(topics.TopicError) as caught:
        topics.check(tansu, prefix)
    message = str(caught.value)
    assert f"{prefix}.rows" in message
    assert f"{prefix}.events" not in message
    assert "riskshift topics --create --partitions 2" in message


def test_check_creates_no_topic_by_asking_for_it(tansu: str, prefix: str) -> None:
    with pytest.raises(topics.TopicError):
        topics.check(tansu, prefix)
    assert topics.listing(tansu, prefix) == []


def test_check_names_unequal_partition_counts(tansu: str, prefix: str) -> None:
    _make(tansu, f"{prefix}.alerts", 2)
    with pytest.raises(topics.TopicError, match="alerts has 2 partitions, asked for 3"):
        topics.declare(tansu, 3, prefix=prefix)
    for spec in topics.TOPICS:
        if spec.name != "alerts":
            _make(tansu, f"{prefix}.{spec.name}", spec.partitions or 3, **spec.configs())
    with pytest.raises(topics.TopicError, match=rf"{prefix}\.alerts has 2 partitions, expected 3"):
        topics.check(tansu, prefix)


def test_rows_that_are_not_compacted_are_refused(any_broker: str, prefix: str) -> None:
    _make(any_broker, f"{prefix}.rows", 1, **{"cleanup.policy": "delete"})
    with pytest.raises(topics.TopicError, match=rf"{prefix}\.rows is kept by 'delete', expected 'compact'"):
        topics.declare(any_broker, 1, prefix=prefix)


def test_too_many_copies_are_refused_with_the_reason(kafka, prefix: str) -> None:
    with pytest.raises(topics.TopicError, match=r"only 1 broker\(s\) are registered"):
        topics.declare(kafka.address, 1, replication=3, prefix=prefix)


@pytest.mark.parametrize("partitions", [0, -1, 5000])
def test_partition_count_out_of_range_is_refused(partitions: int) -> None:
    with pytest.raises(topics.TopicError, match="expected 1 to 1024 partitions"):
        topics.declare("127.0.0.1:1", partitions)


def test_absent_broker_is_one_sentence() -> None:
    with pytest.raises(BrokerError, match=r"no Kafka answers at 127\.0\.0\.1:1"):
        topics.check("127.0.0.1:1")


def test_command_lists_json_and_fails_until_created(
    tansu: str, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--broker", tansu, "--topic-prefix", prefix, "--json"]
    assert main(["topics", *options]) == 1
    assert "missing" in json.loads(capsys.readouterr().out)["error"]
    assert main(["topics", *options, "--create", "--partitions", "2"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == {"name": f"{prefix}.events", "partitions": 2, "policy": "delete", "created": True}
    assert len(lines) == len(topics.TOPICS)
    assert main(["topics", *options]) == 0


def test_architecture_page_lists_the_same_topics() -> None:
    page = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text("utf-8")
    rows = re.findall(r"^\| `riskshift\.([a-z-]+)`( \(1 partition\))? \|.*\| (.*) \|$", page, flags=re.M)
    told = {name: (1 if one else None, kept == "compacted") for name, one, kept in rows}
    assert told == {spec.name: (spec.partitions, spec.compacted) for spec in topics.TOPICS}


def test_kafka_page_tells_partitions_and_retention_of_every_topic() -> None:
    page = (Path(__file__).parents[2] / "docs" / "kafka.md").read_text("utf-8")
    rows = re.findall(r"^\| `riskshift\.([a-z-]+)` \| (N|\d+) \| (compacted|\d+ days)", page, flags=re.M)
    day_ms = 86_400_000
    assert rows == [
        (
            spec.name,
            str(spec.partitions or "N"),
            "compacted" if spec.compacted else f"{spec.retention_ms // day_ms} days",
        )
        for spec in topics.TOPICS
    ]
