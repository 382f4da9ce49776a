"""`riskshift simulate`: a seeded town's events into the broker, or into a file."""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import logging
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from features.events import Event, encode
from streams.errors import SettingError
from streams.send import send_events
from streams.settings import load
from streams.town.config import DAY_MS, TownConfig
from streams.town.scenario import load as load_scenario
from streams.town.scenario import names as scenario_names
from streams.town.town import Town

DESCRIPTION = """\
Send the events of a simulated town: people with pay days, habits, loans and cards, honest oddities, and
planted card theft, terminal compromise, account takeover, bust-out and job loss. What really was follows
as `outcome` events, days later in event time. The same options give the same bytes.

examples:
  riskshift simulate                                     500 people for 60 days, as fast as the broker takes them
  riskshift simulate --people 2000 --rate 1000           paced, 1000 events a second
  riskshift simulate --out town.jsonl --planted town.json   no broker: JSON lines, and what was planted
  riskshift simulate --seed 8 --bust-outs 0 --card-thefts 40
  riskshift simulate --scenario downturn --out town.jsonl   job losses, a factory that closes, a district struck

Ctrl-C or SIGTERM ends it in order: what was begun is delivered, and the summary is printed.
"""

_WHOLE = ("people", "days", "seed", "firms", "merchants", "terminals", "districts")
_CASES = ("card_thefts", "terminal_compromises", "account_takeovers", "bust_outs", "job_losses")
_LINE_EVERY_S = 5.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command; those that are left out keep the defaults of `TownConfig`."""
    for name in _WHOLE:
        default = getattr(TownConfig(), name)
        shown = "in proportion to --people" if default is None else default
        parser.add_argument(f"--{name}", type=int, metavar="N", help=f"default: {shown}")
    parser.add_argument("--start", type=_midnight, metavar="DATE", help="first day, UTC (default: 2025-01-01)")
    for name in _CASES:
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=float,
            metavar="X",
            help=f"cases per 1000 people and 30 days; 0: none (default: {getattr(TownConfig(), name):g})",
        )
    parser.add_argument(
        "--scenario", metavar="NAME|FILE",
        help=f"credit life from a file ({', '.join(scenario_names())}, or a path); other options count over it",
    )  # fmt: skip
    parser.add_argument(
        "--rate", type=_rate, default=None, metavar="R|max", help="events a second to the broker (default: max)"
    )
    parser.add_argument("--topic", metavar="T", help="topic to send to (default: that of the events)")
    parser.add_argument("--out", metavar="FILE", help="write JSON lines to FILE (- for standard output), no broker")
    parser.add_argument("--planted", metavar="FILE", help="write the planted cases to FILE, as JSON")


def run(args: argparse.Namespace) -> int:
    """Build the town, send or write it, print the summary."""
    chosen = {name: getattr(args, name) for name in (*_WHOLE, *_CASES) if getattr(args, name) is not None}
    if args.start is not None:
        chosen["start_ms"] = args.start
    town = Town(TownConfig.of(load_scenario(args.scenario), **chosen) if args.scenario else TownConfig(**chosen))
    args.topic = args.topic or load()[0].topic_events
    if args.planted:
        # Found out now, not after an hour of sending.
        _write(args.planted, "[]\n")
    view = _View(town.config, quiet=args.json)
    began = time.monotonic()
    with view.shown():
        events = view.follow(town.events())
        count, stopped = _write_lines(args.out, events) if args.out else asyncio.run(_send(args, events))
    seconds = time.monotonic() - began
    if args.planted:
        _write(args.planted, json.dumps([msgspec.to_builtins(case) for case in town.planted], indent=1) + "\n")
    summary = {
        "events": count,
        "planted": town.summary()["planted"],
        "seconds": round(seconds, 3),
        "events_per_second": round(count / seconds) if seconds else 0,
        "stopped": stopped,
    }
    # Standard output belongs to the events where they go there.
    out = sys.stderr if args.out == "-" else sys.stdout
    print(json.dumps(summary) if args.json else _sentence(summary, args), file=out)
    return 0


async def _send(args: argparse.Namespace, events: Iterator[Event]) -> tuple[int, bool]:
    # The client logs each failed try; we say it once, in one sentence.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    summary = await send_events(args.broker, args.topic, events, rate=args.rate, stop=stop)
    return summary.sent, summary.stopped


def _write_lines(path: str, events: Iterator[Event]) -> tuple[int, bool]:
    stopped = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    count = 0
    try:
        with nullcontext(sys.stdout.buffer) if path == "-" else Path(path).open("wb") as file:
            for event in events:
                file.write(encode(event) + b"\n")
                count += 1
                if stopped:
                    break
            file.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return count, stopped


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: str, error: OSError) -> SettingError:
    reason = error.strerror or type(error).__name__
    return SettingError(
        f"expected to write {path}, found: {reason}: choose a file in a folder that exists and is yours"
    )


class _View:
    # Progress by simulated day: how many events there will be is not known before. On standard error.
    def __init__(self, config: TownConfig, *, quiet: bool) -> None:
        self._config = config
        self._console = Console(stderr=True)
        self._quiet = quiet
        self._bar: Progress | None = None
        if self._console.is_terminal and not quiet:
            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(),
                console=self._console, transient=True,
            )  # fmt: skip

    def shown(self) -> AbstractContextManager[Any]:
        return nullcontext() if self._bar is None else self._bar

    def follow(self, events: Iterator[Event]) -> Iterator[Event]:
        config, bar = self._config, self._bar
        task = None if bar is None else bar.add_task("simulating", total=config.days)
        next_day_ms, line_at = config.start_ms, time.monotonic() + _LINE_EVERY_S
        for count, event in enumerate(events):
            if event.event_time_ms >= next_day_ms or count % 1_000 == 999:
                day = (event.event_time_ms - config.start_ms) // DAY_MS
                next_day_ms = config.start_ms + (day + 1) * DAY_MS
                text = f"{_date(event.event_time_ms)}, {count:,} events"
                if bar is not None and task is not None:
                    bar.update(task, completed=day, description=text)
                elif not self._quiet and time.monotonic() >= line_at:
                    print(f"simulate: {text}", file=sys.stderr, flush=True)
                    line_at = time.monotonic() + _LINE_EVERY_S
            yield event


def _sentence(summary: dict[str, Any], args: argparse.Namespace) -> str:
    where = f"to {args.out}" if args.out else f"to {args.topic} on {args.broker}"
    cases = ", ".join(f"{count} {name}" for name, count in summary["planted"].items())
    early = "stopped early; " if summary["stopped"] else ""
    return (
        f"{early}{summary['events']:,} events {where} in {summary['seconds']:.1f} s "
        f"({summary['events_per_second']:,} a second); planted: {cases}"
    )


def _date(time_ms: int) -> str:
    return datetime.date.fromordinal(719_163 + time_ms // DAY_MS).isoformat()


def _midnight(text: str) -> int:
    try:
        return (datetime.date.fromisoformat(text).toordinal() - 719_163) * DAY_MS
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a date such as 2025-01-01, found {text!r}") from None


def _rate(text: str) -> float | None:
    if text == "max":
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError(f"expected events a second above 0, or max, found {text!r}")
    return rate
