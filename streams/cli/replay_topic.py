"""`riskshift replay PREFIX --format topic`: a deployment as recorded, or its events as new."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from streams.cli.replay import customers_of, finish, options_of, shown


def run_topic(args: argparse.Namespace) -> int:
    """As recorded, unless something new was asked for; 1 when a check found a difference."""
    from streams.replay.saved import Progress
    from streams.replay.topics import Deployment, ranges_of
    from streams.settings import load

    settings = load(broker=args.broker, home=args.state, topic_prefix=args.source)[0]
    ranges = ranges_of(args.offsets)
    with Deployment(settings) as deployment, ExitStack() as stack:
        if args.as_new or args.policy is not None or args.model_rules is not None or args.learn is not None:
            return _as_new(args, deployment, ranges, stack)
        from streams.replay.output import drop_parts

        Progress(args.out).begin()
        drop_parts(args.out, 0)
        return _as_recorded(args, deployment, ranges, stack)


def _as_new(args: argparse.Namespace, deployment: Any, ranges: Any, stack: ExitStack) -> int:
    from streams.replay import Replay
    from streams.replay.source import steps_of
    from streams.replay.topics import entries_of_topic

    topic = deployment.settings.topic_events
    options = options_of(args, partitions=deployment.partitions, topic=topic)
    entries = entries_of_topic(deployment, ranges, customers_of(args), args.from_ms, args.until_ms)
    done = Replay(options, resume=args.resume).drive(steps_of(entries, args.every_ms), shown(args, stack, None))
    return finish(args, options, done, {})


def _as_recorded(args: argparse.Namespace, deployment: Any, ranges: Any, stack: ExitStack) -> int:
    from alerts.policy import load_policy
    from streams.replay.published import RecordedLibrary
    from streams.replay.recorded import Asked, replay_recorded
    from streams.replay.saved import Progress
    from streams.signing import signing_key

    settings = deployment.settings
    options = options_of(args, partitions=deployment.partitions, topic=settings.topic_events)
    models = deployment.read(settings.topic_models, 0)
    library = RecordedLibrary(models, signing_key(settings.key_path()), [load_policy()])
    if ranges is None and (args.from_ms is not None or args.until_ms is not None):
        ranges = deployment.ranges_between(args.from_ms, args.until_ms)
    asked = Asked(args.out, args.batch, ranges, customers_of(args), args.check)
    done, difference = replay_recorded(deployment, library, asked, shown(args, stack, None))
    Progress(args.out).end()
    counts: dict[str, Any] = {}
    if args.check:
        counts["check"] = {"equal": difference is None, "difference": difference and difference.as_json()}
    status = finish(args, replace(options, rules=None), done, counts, "as recorded")
    if status == 0 and difference is not None:
        print(
            f"replay: expected what was said live, found another {difference.topic} record, number "
            f"{difference.number} of partition {difference.partition}:\n  live     "
            f"{_short(difference.live)}\n  replayed {_short(difference.replayed)}", file=sys.stderr,
        )  # fmt: skip
        return 1
    if args.check and status == 0 and not args.json:
        print("equal to what was said live, byte for byte")
    return status


def _short(value: bytes | None) -> str:
    return "nothing" if value is None else ascii(json.dumps(value.decode("utf-8", "replace"))[:300])
