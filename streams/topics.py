"""The topics as data: what each holds, how it is kept; declared and checked here and nowhere else.

Names are `PREFIX.NAME`. Every topic stamps records with the broker's own time (`LogAppendTime`): retention
then counts from arrival, so that a replay of old events is not deleted at once, and "far future" is judged
against a clock the sender cannot set. `min.insync.replicas` is the operator's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError, KafkaTimeoutError, TopicAlreadyExistsError

from streams.broker.wire import any_answers
from streams.errors import BrokerError

DEFAULT_PREFIX = "riskshift"
PARTITIONS_MAX = 1024
_DAY_MS = 86_400_000
_MIB = 1 << 20
_VISIBLE_WITHIN_MS = 15_000


class TopicError(BrokerError):
    """A topic is missing, or has another partition count or policy than asked or than its fellows."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic: its name after the prefix, its own partition count (None: that of the events), how it is kept."""

    name: str
    meaning: str
    partitions: int | None = None
    compacted: bool = False
    retention_ms: int = -1
    message_bytes_max: int = _MIB
    # Compaction leaves alone what is younger: a reader who was away for less sees every record.
    compaction_lag_ms: int = 0

    def configs(self) -> dict[str, str]:
        """Topic settings, all explicit: a cluster's defaults are someone else's decision."""
        configs = {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "max.message.bytes": str(self.message_bytes_max),
            "message.timestamp.type": "LogAppendTime",
            "retention.ms": str(self.retention_ms),
        }
        if self.compacted:
            # Small segments: the one being written is never compacted, and a restore reads all of it.
            configs |= {"segment.bytes": str(64 * _MIB), "min.cleanable.dirty.ratio": "0.3"}
        if self.compaction_lag_ms:
            configs["min.compaction.lag.ms"] = str(self.compaction_lag_ms)
        return configs


TOPICS: tuple[TopicSpec, ...] = (
    TopicSpec("events", "customers' events and control records", retention_ms=7 * _DAY_MS),
    TopicSpec("world", "figures about the world outside", partitions=1, retention_ms=35 * _DAY_MS),
    TopicSpec("decisions", "disposition of every input offset", retention_ms=35 * _DAY_MS),
    TopicSpec("alerts", "shifts worth a human's eyes", retention_ms=90 * _DAY_MS),
    TopicSpec("risk-changes", "whole present state of a customer", compacted=True, compaction_lag_ms=7 * _DAY_MS),
    # The untouched bytes of an event of full size, and the reason beside them.
    TopicSpec("dead-letters", "what could not become an event", retention_ms=30 * _DAY_MS, message_bytes_max=2 * _MIB),
    TopicSpec("rows", "changelog of customers' rows", compacted=True),
    # A decision can be replayed only while its model is there; the learner's checkpoint lives here too.
    TopicSpec(
        "models", "signed snapshots, checkpoint", partitions=1, retention_ms=90 * _DAY_MS, message_bytes_max=2 * _MIB
    ),
    TopicSpec("watermarks", "highest event time applied", compacted=True),
)


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as the broker has it."""

    name: str
    partitions: int
    policy: str


def declare(broker: str, partitions: int, replication: int = 1, prefix: str = DEFAULT_PREFIX) -> list[str]:
    """Create the topics that are missing, and wait until the broker shows them.

    Parameters
    ----------
    broker
        HOST:PORT, or several with commas.
    partitions
        Of `events` and all topics that go with it; cannot be changed later, as a customer's state lives
        in the partition of the key.
    replication
        Copies of each partition.

    Returns
    -------
    Names created, in the order of `TOPICS`; empty when all were there.

    Raises
    ------
    TopicError
        When a topic is there with another partition count or policy; nothing is created then.
    BrokerError
        When the broker is absent or refuses.
    """
    if not 1 <= partitions <= PARTITIONS_MAX:
        raise TopicError(f"expected 1 to {PARTITIONS_MAX} partitions, found {partitions}")
    with _admin(broker) as admin:
        present = _describe(admin, prefix)
        wrong = [
            f"{topic.name} has {topic.partitions} partitions, asked for {wanted}"
            for spec in TOPICS
            if (topic := present.get(spec.name)) and topic.partitions != (wanted := spec.partitions or partitions)
        ]
        if wrong:
            raise TopicError(
                f"{'; '.join(wrong)}: ask for the present count, or use another prefix, "
                "or delete the topics if their records may go"
            )
        _check_policies(present)
        missing = [spec for spec in TOPICS if spec.name not in present]
        asked = {
            f"{prefix}.{spec.name}": {
                "num_partitions": spec.partitions or partitions,
                "replication_factor": replication,
                "configs": spec.configs(),
            }
            for spec in missing
        }
        # One at a time: when one is refused, the others' fate is known.
        created = [name for name, options in asked.items() if _create(admin, name, options)]
        try:
            # Created is not yet usable: every partition needs a leader first.
            admin.wait_for_topics(list(asked), timeout_ms=_VISIBLE_WITHIN_MS)
        except KafkaTimeoutError as error:
            raise TopicError(
                f"{broker} created the topics but does not serve them yet: {error}; look at its log"
            ) from None
    return created


def check(broker: str, prefix: str = DEFAULT_PREFIX) -> dict[str, int]:
    """Partition count of every topic, by full name in the order of `TOPICS`.

    Raises
    ------
    TopicError
        When one is missing, differs from `events` in its partition count, or is kept another way; says
        which and what to run.
    """
    with _admin(broker) as admin:
        present = _describe(admin, prefix)
    missing = [f"{prefix}.{spec.name}" for spec in TOPICS if spec.name not in present]
    count = present["events"].partitions if "events" in present else None
    if missing:
        raise TopicError(
            f"missing on {broker}: {', '.join(missing)}; run: riskshift topics --create "
            f"--partitions {count or 'N'} --broker {broker}"
        )
    wrong = [
        f"{prefix}.{spec.name} has {present[spec.name].partitions} partitions, expected {spec.partitions or count}"
        for spec in TOPICS
        if present[spec.name].partitions != (spec.partitions or count)
    ]
    if wrong:
        raise TopicError(
            f"{'; '.join(wrong)}: output goes to the partition its input came from; delete these topics "
            f"if their records may go, then run: riskshift topics --create --partitions {count} --broker {broker}"
        )
    _check_policies(present)
    return {f"{prefix}.{spec.name}": present[spec.name].partitions for spec in TOPICS}


def listing(broker: str, prefix: str = DEFAULT_PREFIX) -> list[TopicState]:
    """The topics that are there, with full names, in the order of `TOPICS`."""
    with _admin(broker) as admin:
        present = _describe(admin, prefix)
    return [
        TopicState(f"{prefix}.{spec.name}", present[spec.name].partitions, present[spec.name].policy)
        for spec in TOPICS
        if spec.name in present
    ]


@contextmanager
def _admin(broker: str) -> Iterator[Any]:
    # The client would try for half a minute and log each try; one direct question first.
    if not any_answers(broker):
        raise BrokerError(f"no Kafka answers at {broker}: start it (riskshift broker), or name another with --broker")
    addresses = [address.strip() for address in broker.split(",")]
    try:
        admin = KafkaAdminClient(bootstrap_servers=addresses, request_timeout_ms=15_000, bootstrap_timeout_ms=10_000)
    except KafkaError as error:
        raise BrokerError(f"{broker} does not let us administer topics: {error}") from None
    try:
        yield admin
    except KafkaError as error:
        raise BrokerError(f"{broker} refused to describe topics: {type(error).__name__}: {error}") from None
    finally:
        admin.close()


def _describe(admin: Any, prefix: str) -> dict[str, TopicState]:
    # All topics, never by name: some brokers create a topic because its name was asked for.
    found = {topic["name"]: len(topic["partitions"]) for topic in admin.describe_topics()}
    names = [name for spec in TOPICS if found.get(name := f"{prefix}.{spec.name}")]
    policies = _policies(admin, names)
    return {
        name.removeprefix(f"{prefix}."): TopicState(name, found[name], policies.get(name, "delete")) for name in names
    }


def _policies(admin: Any, names: list[str]) -> dict[str, str]:
    if not names:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    answer = admin.describe_configs(resources, config_filter="all").get("topic", {})
    return {
        name: str(configs["cleanup.policy"]["value"]) for name, configs in answer.items() if "cleanup.policy" in configs
    }


def _check_policies(present: dict[str, TopicState]) -> None:
    wrong = [
        f"{present[spec.name].name} is kept by {present[spec.name].policy!r}, expected {wanted!r}"
        for spec in TOPICS
        if spec.name in present and present[spec.name].policy != (wanted := spec.configs()["cleanup.policy"])
    ]
    if wrong:
        raise TopicError(
            f"{'; '.join(wrong)}: alter cleanup.policy with kafka-configs.sh, or records will be lost or pile up"
        )


def _create(admin: Any, name: str, options: dict[str, Any]) -> bool:
    try:
        admin.create_topics({name: options})
    except TopicAlreadyExistsError:
        # Somebody else declares them at the same moment; what they made is checked by whoever uses it.
        return False
    except KafkaError as error:
        raise TopicError(f"the broker refused to create {name}: {type(error).__name__}: {error}") from None
    return True


def binding(broker: str, prefix: str = DEFAULT_PREFIX) -> str:
    """What the workers' state belongs to: ``cluster/input topic/partitions``, by the broker's own ids.

    A topic that was deleted and made again, another cluster and another partition count all give another one.
    """
    name = f"{prefix}.events"
    with _admin(broker) as admin:
        cluster = admin.describe_cluster()["cluster_id"]
        topic = admin.describe_topics([name])[0]
    return f"{cluster}/{topic['topic_id']}/{len(topic['partitions'])}"
