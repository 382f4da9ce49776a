"""The page of commands, written from the commands themselves so that the two cannot differ."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator

from streams.cli import COMMANDS, parser_of

_HEAD = """\
# Commands

Written from `streams/cli/` by `streams.commands_page.to_markdown()`; a test holds this page to it. After a change,
write the page anew: `python -m streams.pages`. `riskshift COMMAND --help` shows the same in a terminal.

| command | what it does |
|---|---|
{index}

Every command takes `--broker HOST:PORT` (default: the setting `broker`) and `--json` (one JSON object a line on
standard output; an error is `{{"error": ...}}` there and one sentence on standard error). Exit status: 0 done,
1 failed, 2 wrong usage, 130 stopped by Ctrl-C before it was done. Times are durations such as `30s 15m 6h 7d` or
ISO dates, UTC.

{sections}
"""
_SHARED = ("--help", "--broker", "--json")


def to_markdown() -> str:
    """Return the whole page, ending in one newline; shows the defaults of this environment."""
    index = "\n".join(f"| [`{name}`](#{name}) | {line} |" for name, line in COMMANDS.items())
    return _HEAD.format(index=index, sections="\n\n".join(_section(name) for name in COMMANDS))


def _section(name: str) -> str:
    module = importlib.import_module(f"streams.cli.{name.replace('-', '_')}")
    parser = parser_of(name, module)
    return "\n\n".join([f"## {name}", _described(module.DESCRIPTION), *_tables(parser)])


def _described(text: str) -> str:
    """Help text as Markdown: what is indented there stands in a fence here."""
    blocks = []
    for block in text.strip("\n").split("\n\n"):
        lines = block.split("\n")
        plain = [line for line in lines if not line.startswith("  ")]
        if len(plain) == len(lines):
            blocks.append(block)
        else:
            rest = "\n".join(line[2:] for line in lines if line.startswith("  "))
            blocks.append("\n".join(plain) + f"\n\n```text\n{rest}\n```")
    return "\n\n".join(blocks)


def _tables(parser: argparse.ArgumentParser) -> Iterator[str]:
    rows = []
    below: list[tuple[str, argparse.ArgumentParser]] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            below += action.choices.items()
        elif action.help is not argparse.SUPPRESS and not set(_SHARED) & set(action.option_strings):
            rows.append(f"| {_names(action)} | {_help(action)} |")
    if rows:
        yield "\n".join(["| option | meaning |", "|---|---|", *rows])
    for name, sub in below:
        yield f"`{name}`:"
        yield from _tables(sub)


def _names(action: argparse.Action) -> str:
    metavar = action.metavar if isinstance(action.metavar, str) else None
    if metavar is None and action.choices is not None:
        metavar = "|".join(str(choice) for choice in action.choices)
    metavar = metavar and metavar.replace("|", "\\|")
    if not action.option_strings:
        return f"`{metavar or action.dest}`"
    takes = action.nargs != 0
    shown = metavar or action.dest.upper()
    return ", ".join(f"`{option} {shown}`" if takes else f"`{option}`" for option in action.option_strings)


def _help(action: argparse.Action) -> str:
    words = {**vars(action), "prog": "riskshift"}
    text = (action.help or "") % words
    if action.required and action.option_strings:
        text += " (required)"
    return text.replace("|", "\\|")
