"""`riskshift send`: send a file of events to Kafka."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import logging
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from streams.cli.arguments import count, duration_ms, rate, time_ms
from streams.cli.rejects import Rejects
from streams.send import SendSummary, send_events
from streams.settings import load
from streams.sources import FORMATS, Source, open_source

DESCRIPTION = """\
Send a file (or a folder of files) to the events topic, as canonical events in time order.

formats:
{formats}

What each column becomes, and how a mapping file is written, is in docs/sources.md. Labels are sent as
outcome events, as late as they would be known (--label-delay). Bad rows are counted, and kept with
--rejects FILE; the rest is sent. Sending a file twice is harmless as long as the receiver still remembers
the event ids.

examples:
  riskshift send transactions.parquet --format handbook --from 2018-08-01 --until 2018-08-08
  riskshift send transactions.parquet --format handbook --rate 500 --limit 10000
  riskshift send berka/ --format berka
  riskshift send events.jsonl.gz --format events --rejects bad.jsonl
  riskshift send payments.csv --format csv --mapping payments.toml --json
""".format(formats="\n".join(f"  {name:<12} {line}" for name, line in FORMATS.items()))
_LINE_S = 5.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("file", type=Path, metavar="FILE", help="file or folder to send")
    parser.add_argument("--format", required=True, metavar="F", help=f"one of {', '.join(FORMATS)}")
    parser.add_argument("--mapping", type=Path, metavar="M", help="mapping file (TOML), for --format csv")
    parser.add_argument("--rate", type=rate, default=None, metavar="N", help="events per second, or max (default: max)")
    parser.add_argument("--from", dest="from_ms", type=time_ms, metavar="T", help="first event time: ISO date or ms")
    parser.add_argument("--until", dest="until_ms", type=time_ms, metavar="T", help="event time to stop before")
    parser.add_argument(
        "--label-delay", dest="label_delay_ms", type=duration_ms, metavar="D",
        help="how long after its event an outcome becomes known (default: the format's own; handbook 7d)",
    )  # fmt: skip
    parser.add_argument("--no-outcomes", action="store_true", help="leave the outcomes out")
    parser.add_argument("--limit", type=count, metavar="N", help="send at most N events")
    parser.add_argument("--topic", metavar="T", help="topic to send to (default: that of the events)")
    parser.add_argument(
        "--topic-prefix", metavar="P", help="first part of the topic's name (default: the setting `topic_prefix`)"
    )
    parser.add_argument(
        "--rejects", type=Path, metavar="FILE", help="write rejected rows there, one JSON object a line"
    )


def run(args: argparse.Namespace) -> int:
    """Send; 0 when all that was asked for was sent, 130 when stopped early, rejected rows or not."""
    # The client logs each failed try; we say it once, in one sentence.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        rejects = Rejects(args.rejects, stack)
        source = open_source(
            args.format, args.file, mapping=args.mapping, from_ms=args.from_ms, until_ms=args.until_ms,
            label_delay_ms=args.label_delay_ms, outcomes=not args.no_outcomes, on_reject=rejects,
        )  # fmt: skip
        show = _bar(stack, source) if sys.stderr.isatty() and not args.json else _lines(source)
        summary = asyncio.run(_send(args, source, show))
    _report(args, source, summary)
    return 130 if summary.stopped else 0


async def _send(args: argparse.Namespace, source: Source, show: Callable[[int], None]) -> SendSummary:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    # What was read is still delivered and the summary is still true, whoever stops us.
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    events = itertools.islice(source, args.limit)
    topic = args.topic or load(topic_prefix=args.topic_prefix)[0].topic_events
    return await send_events(args.broker, topic, events, rate=args.rate, progress=show, stop=stop)


def _lines(source: Source) -> Callable[[int], None]:
    next_at = time.monotonic() + _LINE_S

    def show(sent: int) -> None:
        nonlocal next_at
        if time.monotonic() >= next_at:
            next_at = time.monotonic() + _LINE_S
            print(f"sent {sent} events of {source.rows} rows", file=sys.stderr, flush=True)

    return show


def _bar(stack: ExitStack, source: Source) -> Callable[[int], None]:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    progress = stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
    task = progress.add_task("sending", total=None)
    began = time.monotonic()

    def show(sent: int) -> None:
        speed = sent / max(0.001, time.monotonic() - began)
        text = f"sent {sent:,} events of {source.rows:,} rows, {speed:,.0f} a second, {source.rejected} rejected"
        progress.update(task, description=text)

    return show


def _report(args: argparse.Namespace, source: Source, summary: SendSummary) -> None:
    figures = {
        "rows": source.rows,
        "sent": summary.sent,
        "rejected": source.rejected,
        "outcomes": source.outcomes,
        "seconds": round(summary.seconds, 3),
        "events_per_second": round(summary.sent / summary.seconds) if summary.seconds > 0 else 0,
        "bytes": summary.bytes,
        "stopped": summary.stopped,
    }
    if args.json:
        print(json.dumps(figures))
    else:
        print(
            f"sent {summary.sent:,} events ({source.outcomes:,} of them outcomes) of {source.rows:,} rows "
            f"in {summary.seconds:.1f} s; {source.rejected} rejected"
        )
