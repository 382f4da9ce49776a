"""`riskshift doctor`: looks at the machine, the broker and the topics, and says what to do."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import re
import shutil
import socket
import stat
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from features.errors import RiskshiftError
from streams import topics
from streams.broker.capabilities import supports_transactions
from streams.broker.wire import any_answers
from streams.settings import Settings, load

DESCRIPTION = """\
Check this machine, the broker and the topics. Each line is ok, warn or fail, with what to do about it.

Exit status 1 when a line fails; a warning does not count. On a broker with transactions the clock is compared
through one record that is never committed, so that no reader sees it.

examples:
  riskshift doctor
  riskshift doctor --broker kafka-1:9092 --json
"""
PYTHON_MIN = (3, 11)
DISK_WARN_BYTES = 2 * 1024**3
DISK_FAIL_BYTES = 200 * 1024**2
CLOCK_WARN_MS = 2_000
# Beyond it events that are right look "far future" or are ticked over too early.
CLOCK_FAIL_MS = 60_000
CLOCK_MAX_S = 20.0

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; `do` is empty when nothing needs doing."""

    check: str
    level: Level
    found: str
    do: str = ""


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument(
        "--state", metavar="DIR", help="folder of keys and local state (default: RISKSHIFT_HOME, else .riskshift)"
    )
    parser.add_argument("--topic-prefix", metavar="P", help="first part of the topic names (default: riskshift)")


def run(args: argparse.Namespace) -> int:
    """Print every finding; 1 when one of them is a failure."""
    settings, _ = load(broker=args.broker, home=args.state, topic_prefix=args.topic_prefix)
    failed = False
    for finding in findings(settings):
        failed |= finding.level == "fail"
        if args.json:
            print(json.dumps(dataclasses.asdict(finding), ensure_ascii=False), flush=True)
        else:
            do = f"\n{'':16}do: {finding.do}" if finding.do else ""
            print(f"{finding.level:<5} {finding.check:<9} {finding.found}{do}", flush=True)
    return 1 if failed else 0


def findings(settings: Settings) -> Iterator[Finding]:
    """All checks in order; those that need the broker are left out when it does not answer."""
    yield python()
    yield packages()
    yield state(Path(settings.home))
    if not any_answers(settings.broker):
        yield Finding(
            "broker", "fail", f"no Kafka answers at {settings.broker}",
            "start it (riskshift broker, docker compose up kafka), or name another with --broker",
        )  # fmt: skip
        return
    yield Finding("broker", "ok", f"{settings.broker} answers")
    try:
        transactional = asyncio.run(supports_transactions(settings.broker))
    except RiskshiftError as error:
        yield Finding("commits", "fail", str(error))
        transactional = False
    else:
        yield commits(transactional)
    declared = _from_error("topics", lambda: topics_present(settings))
    yield declared
    if declared.level == "ok" and transactional:
        yield _from_error("clock", lambda: clock(settings))


def python() -> Finding:
    """The interpreter's version."""
    found = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] < PYTHON_MIN:
        return Finding("python", "fail", f"Python {found}", "install Python 3.11 or newer")
    return Finding("python", "ok", f"Python {found}")


def packages() -> Finding:
    """Every dependency is installed, in the range that was tested."""
    wrong = []
    required = requirements()
    for name, ranges in required:
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{name} is missing")
            continue
        if not in_range(found, ranges):
            wrong.append(f"{name} {found} is not {ranges}")
    if wrong:
        return Finding(
            "packages", "fail", "; ".join(wrong), "pip install riskshift again into a fresh environment (make setup)"
        )
    return Finding("packages", "ok", f"{len(required)} packages in range")


def requirements() -> list[tuple[str, str]]:
    """Name and range of each dependency, extras left out: of the installed package, else of the checkout."""
    try:
        lines = [line for line in metadata.requires("riskshift") or [] if "extra ==" not in line]
    except metadata.PackageNotFoundError:
        project = Path(__file__).parents[2] / "pyproject.toml"
        lines = tomllib.loads(project.read_text("utf-8"))["project"]["dependencies"] if project.exists() else []
    pattern = re.compile(r"([A-Za-z0-9._-]+)\s*([^;]*)")
    return [(match[1], match[2].strip()) for line in lines if (match := pattern.match(line))]


def in_range(version: str, ranges: str) -> bool:
    """Whether `version` lies in ranges such as `>=0.14,<0.15`; numbers only, as our own ranges are.

    Examples
    --------
    >>> in_range("0.14.2", "<0.15,>=0.14"), in_range("0.9", ">=0.14"), in_range("3.0", "<3")
    (True, False, False)
    """
    tests: dict[str, Callable[[list[int], list[int]], bool]] = {
        ">=": lambda a, b: a >= b, "<": lambda a, b: a < b, "==": lambda a, b: a == b,
    }  # fmt: skip
    for part in filter(None, (part.strip() for part in ranges.split(","))):
        match = re.fullmatch(r"(>=|<|==)\s*([0-9.]+)", part)
        if match and not tests[match[1]](_numbers(version), _numbers(match[2])):
            return False
    return True


def state(home: Path) -> Finding:
    """The folder of keys and state: writable, private, with room."""
    there = home
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        private = not home.exists() or not stat.S_IMODE(home.stat().st_mode) & 0o077
        writable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
        free = shutil.disk_usage(there).free
    except OSError as error:
        return Finding("state", "fail", f"{home}: {error.strerror}", "give this user the folder, or set RISKSHIFT_HOME")
    room = f"{home}: {free / 1024**3:.1f} GiB free"
    if not writable:
        return Finding(
            "state", "fail", f"{home} is not a folder this user may write", "chown it, or set RISKSHIFT_HOME"
        )
    if free < DISK_FAIL_BYTES:
        return Finding("state", "fail", room, "free some space, or set RISKSHIFT_HOME to another disk")
    if free < DISK_WARN_BYTES:
        return Finding("state", "warn", room, "free some space before rows and logs need it")
    if not private:
        return Finding(
            "state", "warn", f"{home} may be read by others; the signing key lies there", f"chmod 700 {home}"
        )
    return Finding("state", "ok", room)


def commits(transactional: bool) -> Finding:
    """What the broker gives the commit protocol."""
    if transactional:
        return Finding("commits", "ok", "transactions work: nothing lost, nothing twice")
    return Finding(
        "commits", "warn", "no transactions here: after a crash some output may appear twice",
        "fine for trying out; use Apache Kafka in production",
    )  # fmt: skip


def topics_present(settings: Settings) -> Finding:
    """All topics are there with equal partition counts."""
    counts = topics.check(settings.broker, settings.topic_prefix)
    return Finding("topics", "ok", f"{len(counts)} topics, {counts[settings.topic_events]} partitions")


def clock(settings: Settings) -> Finding:
    """This machine's clock against the broker's, which stamps every record."""
    ahead_ms = asyncio.run(asyncio.wait_for(_clock_ahead_ms(settings), CLOCK_MAX_S))
    if ahead_ms is None:
        return Finding("clock", "warn", "the broker does not stamp records with its own time",
                       "set message.timestamp.type=LogAppendTime on the topics")  # fmt: skip
    away = abs(ahead_ms)
    found = f"within {away} ms of the broker's" if away <= CLOCK_WARN_MS else (
        f"{away / 1000:.1f} s {'ahead of' if ahead_ms > 0 else 'behind'} the broker's"
    )  # fmt: skip
    level: Level = "ok" if away <= CLOCK_WARN_MS else "warn" if away <= CLOCK_FAIL_MS else "fail"
    return Finding("clock", level, found, "" if level == "ok" else "run NTP (chrony) here and on the brokers")


async def _clock_ahead_ms(settings: Settings) -> int | None:
    """Milliseconds by which this clock is beyond the broker's, to half a round trip; None when it does not say."""
    from aiokafka import AIOKafkaProducer

    # Its own for each run, so that two doctors do not fence each other.
    identity = f"riskshift-doctor-{socket.gethostname()}-{os.getpid()}"
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.broker.split(","), transactional_id=identity, acks="all", retry_backoff_ms=20
    )
    try:
        await producer.start()
        await producer.begin_transaction()
        # The first record pays for metadata and for joining the transaction; the second is timed.
        for _ in range(2):
            before_s = time.time()
            stamped = await producer.send_and_wait(settings.topic_world, b"{}", key=b"doctor", partition=0)
        here_ms = int((before_s + time.time()) * 500)
        await producer.abort_transaction()
    finally:
        await producer.stop()
    return here_ms - int(stamped.timestamp) if stamped.timestamp_type == 1 else None


def _from_error(check: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except RiskshiftError as error:
        return Finding(check, "fail", str(error))
    except TimeoutError:
        return Finding(check, "fail", "the broker did not answer in time", "look at the broker's log")
    except Exception as error:
        # A check that breaks is a finding too: the others are still worth reading.
        return Finding(check, "fail", f"{type(error).__name__}: {error}", "look at the broker's log")


def _numbers(version: str) -> list[int]:
    # Trailing zeros say nothing: 3 and 3.0 are the same version.
    numbers = [int(part) for part in re.findall(r"\d+", version)[:4]]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers
