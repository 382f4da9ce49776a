"""`riskshift tail`: print what leaves the house, for people or for machines."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from contextlib import aclosing

import orjson

from streams.cli.arguments import count
from streams.cli.lines import LINES, SEVERITY_COLOURS
from streams.settings import load
from streams.tail import Record, tail

DESCRIPTION = """\
Print alerts, risk changes, decisions or dead letters, from now on or from the beginning.

Without --json one line a record, for people: times are UTC, and characters that could play with the
terminal are shown escaped. With --json one object a line: topic, partition, offset, timestamp_ms, key,
headers, value. The value is the record's JSON; for dead letters its untouched bytes as {"base64": ...},
with "text" where they are UTF-8. Only committed records are shown.

examples:
  riskshift tail alerts                                    live, Ctrl-C ends
  riskshift tail alerts --lang zh-CN --customer 596
  riskshift tail decisions --from-beginning --until-end --json > decisions.jsonl
  riskshift tail dead-letters --from-beginning --until-end --limit 20
"""
LANGUAGES = ("en", "zh-CN")


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("what", choices=tuple(LINES), help="which topic")
    parser.add_argument("--from-beginning", action="store_true", help="start with the oldest record")
    parser.add_argument("--until-end", action="store_true", help="end where the topic ended when reading began")
    parser.add_argument("--customer", metavar="C", help="only records of this customer")
    parser.add_argument("--limit", type=count, metavar="N", help="end after N records")
    parser.add_argument("--lang", choices=LANGUAGES, default="en", help="language of titles and reasons (default: en)")
    parser.add_argument(
        "--topic-prefix", metavar="P", help="first part of the topic's name (default: the setting `topic_prefix`)"
    )


def run(args: argparse.Namespace) -> int:
    """Print until the end, the limit or a signal; 0 in all three cases."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    asyncio.run(_tail(args))
    return 0


async def _tail(args: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    prefix = load(topic_prefix=args.topic_prefix)[0].topic_prefix
    records = tail(
        args.broker, f"{prefix}.{args.what}", from_beginning=args.from_beginning, until_end=args.until_end,
        customer=args.customer, limit=args.limit, stop=stop,
    )  # fmt: skip
    coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    # aclosing: the consumer is closed at once, also when the reader of our output goes away.
    async with aclosing(records) as opened:
        async for record in opened:
            if args.json:
                sys.stdout.write(orjson.dumps(record.as_json(raw=args.what == "dead-letters")).decode() + "\n")
            else:
                sys.stdout.write(_line(args, record, coloured) + "\n")
            if not args.until_end:
                # Someone is watching; a batch reader can wait for its buffer.
                sys.stdout.flush()
    sys.stdout.flush()


def _line(args: argparse.Namespace, record: Record, coloured: bool) -> str:
    line, severity = LINES[args.what](record, args.lang)
    colour = SEVERITY_COLOURS.get(severity) if coloured else None
    return f"\033[{colour}m{line}\033[0m" if colour else line
