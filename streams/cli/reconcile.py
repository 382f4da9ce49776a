"""`riskshift reconcile`: was every event answered, once?"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streams.reconcile import Report

DESCRIPTION = """\
Read input and output topics on its own and say whether every event was answered exactly once.

Per partition and in total: every record of the events topic has one disposition (decision, duplicate,
late, control or dead letter), alert ids are distinct and named by a decision, every customer's risk
changes are numbered 1, 2, 3 without holes. Reads committed records, changes nothing, belongs to no
group. Exit status 0 when all of it holds, else 1. docs/reconcile.md says what each figure means.

While workers run, the newest events have no answer yet: give them time with --wait, or watch with
--follow, which tells what time mends (unaccounted) from what it cannot (twice, gaps, duplicate ids).

examples:
  riskshift reconcile                       everything that is there, now
  riskshift reconcile --wait 30 --json      give workers 30 s to answer the rest, then judge
  riskshift reconcile --follow              a line every 5 s; Ctrl-C ends, the exit status is the state's
"""
FOLLOW_EVERY_S = 5.0
EVERY_MIN_S = 0.2
_PROGRESS_EVERY_S = {True: 0.2, False: 5.0}

# count → what it says when it is not 0.
SENTENCES = {
    "unaccounted": "input offsets without a disposition: are the workers running? Wait, or look at their output",
    "twice": "input offsets with more than one disposition: events were counted twice",
    "duplicate_alert_ids": "alert ids that are there or named more than once",
    "sequence_gaps": "risk changes whose number does not follow the one before",
    "unknown_offsets": "dispositions of offsets that hold no record: the events topic was made anew, or cut",
    "missing_alerts": "alerts that a decision names and the alerts topic does not hold",
    "unnamed_alerts": "alerts that no decision names",
    "missing_sequences": "risk changes that a decision names and the topic does not hold",
    "unnamed_sequences": "risk changes that no decision names",
    "malformed": "records in output topics that Riskshift did not write, or not whole",
    "physical_duplicates": "records that are there twice, equal to the byte, though the broker has transactions",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--follow", action="store_true", help="keep watching, a line every few seconds, until Ctrl-C")
    parser.add_argument(
        "--every", type=_seconds, default=FOLLOW_EVERY_S, metavar="S",
        help="seconds between the lines of --follow (default: 5)",
    )  # fmt: skip
    parser.add_argument(
        "--wait", type=_seconds, default=0.0, metavar="S",
        help="give workers up to S seconds to account for everything before judging (default: 0)",
    )  # fmt: skip
    parser.add_argument(
        "--topic-prefix", metavar="P", help="first part of the names (default: RISKSHIFT_TOPIC_PREFIX, else riskshift)"
    )


def run(args: argparse.Namespace) -> int:
    """Read, judge, print; 0 when everything is accounted for, else 1."""
    return asyncio.run(_run(args))


async def _run(args: argparse.Namespace) -> int:
    from streams.reconcile import Reconciler
    from streams.settings import load

    settings, _ = load(broker=args.broker, topic_prefix=args.topic_prefix)
    progress = _Progress()
    stop = asyncio.Event()
    if args.follow:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
    async with Reconciler(settings.broker, settings.topic_prefix, progress) as reconciler:
        if args.follow:
            last: list[str] = []
            async for report in reconciler.follow(max(args.every, EVERY_MIN_S), stop):
                progress.clear()
                last = _follow_line(report, last, args.json)
        report = await reconciler.once(args.wait)
    progress.clear()
    if args.json:
        print(json.dumps(report.as_json(), ensure_ascii=False), flush=True)
    else:
        _show(report)
    return 0 if report.ok else 1


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"expected seconds, 0 or more, found {text!r}")
    return value


class _Progress:
    """Records read so far, on standard error: one line that changes on a terminal, else a line now and then."""

    def __init__(self) -> None:
        self._tty = sys.stderr.isatty()
        self._next_s = time.monotonic() + _PROGRESS_EVERY_S[self._tty]
        self._shown = False

    def __call__(self, records: int, share: float) -> None:
        if share < 1 and time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + _PROGRESS_EVERY_S[self._tty]
            text = f"reading: {records:,} records, {share:.0%}"
            print(f"\r\033[K{text}" if self._tty else text, end="" if self._tty else "\n", file=sys.stderr, flush=True)
            self._shown = self._tty

    def clear(self) -> None:
        """Remove the changing line."""
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
            self._shown = False


def _follow_line(report: Report, last: list[str], as_json: bool) -> list[str]:
    """Print one line of `--follow`, and what has newly gone wrong; returns what is wrong for good."""
    wrong = report.faults(permanent=True)
    total = report.total
    if as_json:
        line = {
            "inputs": total["inputs"], "unaccounted": total["unaccounted"],
            "oldest_unaccounted_s": report.oldest_unaccounted_s, "ok": report.ok,
            "faults": {name: total[name] for name in report.faults()}, "permanent": wrong,
        }  # fmt: skip
        print(json.dumps({"follow": line}), flush=True)
        return wrong
    age = "" if report.oldest_unaccounted_s is None else f", the oldest {report.oldest_unaccounted_s:,.0f} s old"
    print(
        f"{time.strftime('%H:%M:%S')}  {total['inputs']:,} inputs, {total['unaccounted']:,} unaccounted{age}",
        flush=True,
    )
    for name in report.faults():
        if name != "unaccounted" and name not in last:
            _show_fault(report, name)
    return [name for name in report.faults() if name != "unaccounted"]


def _show(report: Report) -> None:
    columns = ("inputs", "decisions", "duplicates", "late", "control", "dead_letters", "unaccounted", "twice")
    print("partition" + "".join(f"{name.replace('_', ' '):>13}" for name in columns))
    for row in [*report.partitions, {"partition": -1, **report.total}]:
        place = row["partition"] if row["partition"] >= 0 else "all"
        print(f"{place:>9}" + "".join(f"{row[name]:>13,}" for name in columns))
    print(f"{report.total['alerts']:,} alerts, {report.total['risk_changes']:,} risk changes", end="")
    asides = [
        f"{report.total[name]:,} {words}"
        for name, words in (
            ("derived", "records derived from ticks"),
            ("controls_put_in", "controls put in by workers"),
            ("before_log_start", "dispositions of events that retention has removed"),
            ("expired", "events whose disposition retention has removed"),
        )
        if report.total[name]
    ]
    print("".join(f", {aside}" for aside in asides))
    if report.total["physical_duplicates"] and not report.transactions:
        print(
            f"{report.total['physical_duplicates']:,} records are there twice, equal to the byte: this broker has no "
            "transactions, a crash says a batch again"
        )
    for name in report.faults():
        _show_fault(report, name)
    print("ok: every event is accounted for, once" if report.ok else "not ok")


def _show_fault(report: Report, name: str) -> None:
    print(f"{report.total[name]:,} {SENTENCES[name]}", flush=True)
    for example in report.examples.get(name, ()):
        print(f"    {example}", flush=True)
