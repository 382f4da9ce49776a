"""`riskshift topics`: declare or check the topics."""

from __future__ import annotations

import argparse
import dataclasses
import json

from streams import topics
from streams.settings import load

DESCRIPTION = """\
Check the topics, or declare those that are missing.

Without --create it only looks: exit 1 when one is missing or their partition counts differ. With --create
it makes what is missing and leaves the rest alone; running it again is harmless. The number of partitions
is the number of workers that can share the load, and stays: a customer's state lives in its partition.

examples:
  riskshift topics                                     what is there
  riskshift topics --create --partitions 4             for one machine
  riskshift topics --create --partitions 32 --replication 3 --broker kafka-1:9092,kafka-2:9092
"""
DEFAULT_PARTITIONS = 4


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--create", action="store_true", help="create the topics that are missing")
    parser.add_argument(
        "--partitions", type=int, default=DEFAULT_PARTITIONS, metavar="N",
        help="partitions of the events and what goes with them (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--replication", type=int, default=1, metavar="R", help="copies of each partition (default: 1)")
    parser.add_argument(
        "--topic-prefix", metavar="P", help="first part of the names (default: RISKSHIFT_TOPIC_PREFIX, else riskshift)"
    )


def run(args: argparse.Namespace) -> int:
    """Create if asked, list, check; 0 when all are there and equal."""
    settings, _ = load(broker=args.broker, topic_prefix=args.topic_prefix)
    broker, prefix = settings.broker, settings.topic_prefix
    created: list[str] = []
    if args.create:
        created = topics.declare(broker, args.partitions, args.replication, prefix)
    meanings = {f"{prefix}.{spec.name}": spec.meaning for spec in topics.TOPICS}
    for topic in topics.listing(broker, prefix):
        if args.json:
            print(json.dumps({**dataclasses.asdict(topic), "created": topic.name in created}))
        else:
            made = " (created)" if topic.name in created else ""
            print(f"{topic.name:<26} {topic.partitions:>4}  {topic.policy:<8} {meanings[topic.name]}{made}")
    topics.check(broker, prefix)
    return 0
