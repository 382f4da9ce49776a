"""`riskshift worker`: consume, score, alert, until SIGTERM."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path

from streams import topics
from streams.broker.wire import any_answers
from streams.errors import SettingError
from streams.settings import Settings, load

DESCRIPTION = """\
Consume events, keep customers' rows, score, and emit decisions, alerts and risk changes, until Ctrl-C or SIGTERM.

Starts N worker processes that share the partitions, and one learner that teaches them from outcomes (one
learner is active in a deployment, whatever is started). A process that fails is started again and goes on
where the log says it was. Prints `ready` once its processes have their partitions and their rows.

examples:
  riskshift worker                                 one worker and the learner
  riskshift worker --workers 2                     two share the partitions
  riskshift worker --no-learner                    the models in force stay
  riskshift worker --policy my-policy.toml --broker kafka-1:9092
"""
SETTLE_S = 3.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--workers", type=_count, default=1, metavar="N", help="worker processes (default: 1)")
    parser.add_argument("--no-learner", action="store_true", help="do not start a learner")
    parser.add_argument(
        "--state", metavar="DIR", help="folder of keys and local state (default: RISKSHIFT_HOME, else .riskshift)"
    )
    parser.add_argument("--policy", metavar="FILE", help="policy file (default: the shipped one)")
    parser.add_argument("--topic-prefix", metavar="P", help="first part of the topic names (default: riskshift)")
    # How the supervisor starts its own children; not for people.
    parser.add_argument("--role", choices=("worker", "learner"), help=argparse.SUPPRESS)
    parser.add_argument("--slot", default="1", help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Run until a signal; 0 then."""
    settings = settings_of(args)
    partitions = topics.check(settings.broker, settings.topic_prefix)[settings.topic_events]
    if args.role is not None:
        return _run_role(args.role, args.slot, settings, partitions)
    _check_start(settings)
    return _supervise(args, settings)


def settings_of(args: argparse.Namespace) -> Settings:
    """Settings with this command's options over them."""
    # `--broker` has a default, so it only counts when it differs from what the settings would say.
    settings, _sources = load(broker=args.broker, home=args.state, policy=args.policy, topic_prefix=args.topic_prefix)
    return settings


def _check_start(settings: Settings) -> None:
    """Everything that can be refused before a process is started: key, policy, folder."""
    from streams.library import VersionLibrary
    from streams.signing import signing_key

    path = Path(settings.policy) if settings.policy else None
    if path is not None and not path.is_file():
        raise SettingError(f"expected a policy file at {path}, found none")
    VersionLibrary(signing_key(settings.key_path()), path)


def _run_role(role: str, slot: str, settings: Settings, partitions: int) -> int:
    import asyncio

    from streams.broker.capabilities import supports_transactions
    from streams.signing import signing_key

    key = signing_key(settings.key_path())
    transactional = asyncio.run(supports_transactions(settings.broker))
    if role == "learner":
        from streams.learner import LearnerProcess

        asyncio.run(LearnerProcess(settings, partitions, transactional, key).run())
        return 0
    from streams.worker import run_worker

    binding = topics.binding(settings.broker, settings.topic_prefix)
    return run_worker(settings, partitions, transactional, key, binding, slot)


def child_arguments(settings: Settings, role: str, slot: int = 1) -> list[str]:
    """Arguments of `riskshift` for one child process; the rest travels in the environment."""
    arguments = ["worker", "--role", role, "--slot", str(slot), "--broker", settings.broker]
    arguments += ["--topic-prefix", settings.topic_prefix, "--state", settings.home]
    return arguments + (["--policy", settings.policy] if settings.policy else [])


def _supervise(args: argparse.Namespace, settings: Settings) -> int:
    from streams.supervisor import Said, Supervisor

    def on_said(said: Said) -> None:
        what = said["worker"]
        if args.json:
            # Children are read by a thread each: one write a line, or two lines mix.
            print(json.dumps(said) + "\n", end="", flush=True)
        elif what == "restarting":
            print(
                f"{said['name']} ended (status {said['status']}): {said['reason']}; starting it again", file=sys.stderr
            )
        elif what == "waiting":
            print(f"{said['name']} waits to be started again: {said['reason']}", file=sys.stderr)
        elif what == "log":
            print(f"{said['name']}: {said['line']}", file=sys.stderr)

    children = [(f"worker-{n + 1}", child_arguments(settings, "worker", n + 1)) for n in range(args.workers)]
    if not args.no_learner:
        children.append(("learner", child_arguments(settings, "learner")))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    supervisor = Supervisor(children, on_said=on_said, why_wait=lambda: _no_broker(settings.broker))
    supervisor.start()
    problem = supervisor.run(lambda: stop.is_set() or supervisor.ready)
    if problem is None and not stop.is_set():
        ready = {
            "ready": True,
            "workers": args.workers,
            "learner": not args.no_learner,
            "broker": settings.broker,
            "pid": os.getpid(),
        }
        print(json.dumps(ready) if args.json else f"ready: {args.workers} worker(s) on {settings.broker}", flush=True)
        problem = supervisor.run(stop.is_set)
    killed = supervisor.stop(settings.shutdown_timeout_s + SETTLE_S)
    if problem is not None:
        print(f"riskshift worker: gives up: {problem}", file=sys.stderr)
        return 1
    return 1 if killed else 0


def _no_broker(broker: str) -> str | None:
    # An outage may last longer than the patience with a process that keeps failing.
    return None if any_answers(broker, timeout_s=1.0) else f"no Kafka answers at {broker}"


def _count(text: str) -> int:
    count = int(text) if text.isdigit() else 0
    if not 1 <= count <= 64:
        raise argparse.ArgumentTypeError(f"expected 1 to 64 processes, found {text!r}")
    return count
