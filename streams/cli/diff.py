"""`riskshift diff`: two replays of the same events compared."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from streams.cli.arguments import count

DESCRIPTION = """\
Compare two replays: what would have happened under the second one.

Alerts are matched by customer, scope, event and rule, so that two policies can be compared. What is gained and lost
is told by severity, rule and by what became known later; with precision, recall and average precision where outcomes
are known, grades, alerts a day against the budget, and the fifty customers it matters to most, with reasons.
docs/replay.md says what every figure means.

examples:
  riskshift diff runs/base runs/strict
  riskshift diff runs/base runs/strict --out report.html --budget 50
  riskshift diff runs/base runs/strict --json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("a", type=Path, metavar="A", help="folder of a replay")
    parser.add_argument("b", type=Path, metavar="B", help="folder of another one")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write a page with pictures there, as HTML")
    parser.add_argument("--budget", type=count, default=100, metavar="N", help="alerts a day to open (default: 100)")


def run(args: argparse.Namespace) -> int:
    """Compare, write, print."""
    from streams.replay.diff import ReplayTables, compared
    from streams.replay.errors import ReplayError

    if args.out is not None and not args.out.resolve().parent.is_dir():
        raise ReplayError(f"expected the folder of {args.out} to exist, found none: create it or name another")
    figures = compared(ReplayTables(args.a), ReplayTables(args.b), args.budget)
    if args.out is not None:
        from streams.replay.diff.page import write_page

        write_page(args.out, figures)
    if args.json:
        print(json.dumps(figures, ensure_ascii=False))
        return 0
    from streams.replay.diff.lines import lines

    print("\n".join(lines(figures)))
    if args.out is not None:
        print(f"\n{args.out} opens in any browser, without a network")
    return 0
