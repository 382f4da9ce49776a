"""The command line: one module per command, imported only when it is asked for.

A command module has `DESCRIPTION` (help text that teaches, with examples), `configure(parser)` and
`run(args) -> int`. `--broker` and `--json` are given to every command here.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from types import ModuleType
from typing import NoReturn

from features.errors import RiskshiftError

DEFAULT_BROKER = "127.0.0.1:9092"

# command → one line; the order is the order of `riskshift --help`.
COMMANDS: dict[str, str] = {
    "demo": "everything at once: broker, simulated town, worker, learner; shows the alerts",
    "broker": "run the embedded Kafka-compatible broker (memory only) in the foreground",
    "topics": "declare or check the topics",
    "worker": "consume events, score them, emit alerts and risk changes",
    "simulate": "send a simulated town's events, with planted fraud and hardship",
    "send": "send a file of events (handbook, berka, uci-default, events, csv)",
    "tail": "print alerts, risk changes, decisions or dead letters",
    "evaluate": "say how good the scores are on a file whose truth is known",
    "replay": "read files or topics again, as they were or under another policy",
    "diff": "compare two replays: what would have happened under the second one",
    "explain": "one customer's past: timeline, scores, reasons that sum, and what an edit would change",
    "mapping": "draft a mapping file from the columns of a table",
    "models": "which fraud model decides and why; promote a challenger, go back",
    "explain-credit": "write a customer's letter: how the credit assessment stands, why, what would help",
    "campaign": "pick who gets no offer; say what a campaign brought, by grade, with its interval",
    "portfolio": "exposure, expected loss and concentration by grade, class, industry, district",
    "reconcile": "say whether every event was answered exactly once",
    "state": "hash or describe the customers' rows, or build local rows anew",
    "config": "show every setting, its value and where it came from",
    "doctor": "check this machine, the broker and the topics; say what to do",
}

EPILOG = """\
see it work, nothing else needed:
  riskshift demo                                    alerts of a simulated town; Ctrl-C ends it

step by step, each line in a terminal of its own:
  riskshift broker                                  embedded broker on 127.0.0.1:9092, memory only
  riskshift topics --create --partitions 4          declare every topic, once
  riskshift worker --workers 2                      read, score, alert; and the learner
  riskshift simulate --people 500                   or: riskshift send FILE --format events
  riskshift tail alerts                             what people should look at
  riskshift tail risk-changes                       what card systems act on
  riskshift reconcile                               was every event answered, once?

what would have happened if:
  riskshift replay FILE --format events --out a     again, under this policy; and under another one into b
  riskshift diff a b --out report.html              alerts gained and lost, grades, whom it matters to
  riskshift explain c-1001 a                        one customer's past, with reasons that sum

on a Kafka of your own:
  riskshift doctor --broker kafka-1:9092            what is missing, and what to do about it
  riskshift config                                  every setting, its value, where it came from

`riskshift COMMAND --help` explains one command with examples. Every command takes --broker and --json.
Settings: an option, else RISKSHIFT_NAME, else riskshift.toml, else the default (docs/settings.md).
Exit status: 0 done, 1 failed and one sentence says why, 2 wrong usage, 130 stopped by Ctrl-C.
Docs: README.md, docs/README.md.
"""


def main(argv: list[str] | None = None) -> int:
    """Parse `argv`, run the command, turn every expected error into one sentence and a non-zero status."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        return _main(argv)
    except BrokenPipeError:
        # The reader (head, less) went away: that is its right. Keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        _print_help()
        return 0 if argv else 2
    if argv[0] in ("--version", "version"):
        print(f"riskshift {version()}")
        return 0
    name = argv[0]
    if name not in COMMANDS:
        message = f"no command {name!r}; expected one of: {', '.join(COMMANDS)}"
        if "--json" in argv:
            print(json.dumps({"error": message}, ensure_ascii=False))
        print(f"riskshift: {message}", file=sys.stderr)
        return 2
    module = importlib.import_module(f"streams.cli.{name.replace('-', '_')}")
    parser = parser_of(name, module)
    parser.as_json = "--json" in argv
    args = parser.parse_args(argv[1:])
    try:
        # What the option said; None when it was not given, for the command that shows where values came from.
        args.broker_option = args.broker
        if args.broker is None:
            args.broker = _broker()
        return int(module.run(args))
    except RiskshiftError as error:
        return _fail(name, str(error), args.json)
    except KeyboardInterrupt:
        return 130


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, where argparse would print the whole usage before it; status 2."""

    as_json = False

    def error(self, message: str) -> NoReturn:
        """End with the sentence; with `--json` also as an object on standard output."""
        message = f"{message}; {self.prog} --help explains every option"
        if self.as_json:
            print(json.dumps({"error": message}, ensure_ascii=False))
        self.exit(2, f"{self.prog}: {message}\n")


def parser_of(name: str, module: ModuleType) -> Parser:
    """The parser of one command: its text, the options that all have, its own."""
    parser = Parser(
        prog=f"riskshift {name}",
        description=module.DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--broker",
        metavar="HOST:PORT",
        help=f"Kafka to talk to (default: the setting `broker`: RISKSHIFT_BROKER, riskshift.toml, {DEFAULT_BROKER})",
    )
    parser.add_argument("--json", action="store_true", help="machine-readable output, one JSON object a line")
    module.configure(parser)
    return parser


def _broker() -> str:
    from streams.settings import load

    return load()[0].broker


def version() -> str:
    """The installed version; `0+unknown` in a checkout that was never installed."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("riskshift")
    except PackageNotFoundError:
        return "0+unknown"


def _fail(command: str, message: str, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"error": message}, ensure_ascii=False))
    print(f"riskshift {command}: {message}", file=sys.stderr)
    return 1


def _print_help() -> None:
    print("usage: riskshift COMMAND [options]\n")
    print("Watches every event of every customer and says when credit risk or fraud indicators shift:")
    print("to what, why, and what to do about it.\n\ncommands:")
    for name, line in COMMANDS.items():
        print(f"  {name:<14} {line}")
    print("\n" + EPILOG, end="", flush=True)
