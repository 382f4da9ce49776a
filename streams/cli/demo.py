"""`riskshift demo`: everything at once, to see it work."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from datetime import UTC, datetime

DESCRIPTION = """\
Start an embedded broker, the topics, a worker, the learner and a simulated town, and show the alerts.

Nothing else is needed, nothing is left behind: the broker keeps everything in memory, on a free port of
this machine. The town's truth is known, so the end says which planted cases were caught.

examples:
  riskshift demo                         until Ctrl-C
  riskshift demo --for 30s --json        alerts as JSON lines, then one summary
  riskshift demo --lang zh-CN            提示以中文显示
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    from streams.cli.arguments import duration_ms

    parser.add_argument(
        "--for",
        dest="for_ms",
        type=duration_ms,
        metavar="TIME",
        help="end so long after being ready, for example 30s or 2m",
    )
    parser.add_argument("--lang", choices=("en", "zh-CN"), default="en", help="language of the alerts (default: en)")


def run(args: argparse.Namespace) -> int:
    """Run the demonstration; 0 when it ended in order."""
    from alerts.records import Alert
    from streams.cli.lines import SEVERITY_COLOURS, alert_text
    from streams.demo import Demo

    coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def on_alert(_alert: Alert, raw: bytes) -> None:
        if args.json:
            print(json.dumps({"alert": json.loads(raw)}, ensure_ascii=False), flush=True)
        else:
            line, severity = alert_text(raw, args.lang)
            colour = SEVERITY_COLOURS.get(severity) if coloured else None
            print(f"\033[{colour}m{line}\033[0m" if colour else line, flush=True)

    def on_note(text: str) -> None:
        print(f"· {text}", file=sys.stderr, flush=True)

    demo = Demo(on_alert, on_note)
    summary = asyncio.run(_run(demo, args.for_ms))
    if args.json:
        print(json.dumps({"summary": summary}), flush=True)
    else:
        _show(summary)
    return 0


async def _run(demo: object, for_ms: int | None) -> dict[str, object]:
    from streams.demo import Demo

    assert isinstance(demo, Demo)  # noqa: S101  # imported late, so that --help stays quick
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, demo.stop.set)
    return await demo.run(None if for_ms is None else for_ms / 1000)


def _show(summary: dict[str, object]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print()
    table = Table(
        title=f"{datetime.now(tz=UTC):%H:%M} · {summary['town_days']} days of the town in {summary['seconds']} s"
    )
    table.add_column("what was planted")
    table.add_column("cases", justify="right")
    table.add_column("caught", justify="right")
    by_typology = summary["by_typology"]
    assert isinstance(by_typology, dict)  # noqa: S101
    for typology, line in sorted(by_typology.items()):
        table.add_row(typology.replace("_", " "), str(line["planted"]), str(line["caught"]))
    table.add_row("all", str(summary["planted"]), str(summary["caught"]), style="bold")
    console.print(table)
    console.print(
        f"{summary['events']} events, {summary['alerts']} alerts for {summary['customers_alerted']} customers, "
        f"{summary['dead_letters']} dead letters, {summary['snapshots']} model snapshots learned from late outcomes."
    )
    console.print("Next: riskshift --help, docs/architecture.md")
