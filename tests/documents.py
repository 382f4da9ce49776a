"""Reading the documents for `tests/test_docs.py`: their fences, commands and anchors, and what the example gives."""

from __future__ import annotations

import argparse
import ast
import importlib
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from features.events import encode
from streams.cli import COMMANDS, parser_of
from streams.cli.lines import LINES
from streams.engine import Engine
from streams.library import VersionLibrary
from streams.sources import open_source
from streams.tail import Record

HOME = Path(__file__).resolve().parent.parent
DOCS = HOME / "docs"
FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def text_of(name: str) -> str:
    return (HOME / name).read_text(encoding="utf-8")


def relative(path: Path) -> str:
    return str(path.relative_to(HOME))


def command_module(name: str) -> ModuleType:
    return importlib.import_module(f"streams.cli.{name.replace('-', '_')}")


def options_of(parser: argparse.ArgumentParser) -> list[str]:
    options = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            options += [option for sub in action.choices.values() for option in options_of(sub)]
        elif action.help is not argparse.SUPPRESS:
            options += [o for o in action.option_strings if o not in ("-h", "--help", "--broker", "--json")]
    return options


def fenced_commands(document: Path) -> list[str]:
    lines = "\n".join(FENCE.findall(document.read_text(encoding="utf-8"))).splitlines()
    command = re.compile(r"(?:\$ )?((?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?riskshift .*)")
    return [match[1] for line in lines if (match := command.match(line.strip()))]


def parse(line: str) -> str:
    """The command of a line as people write it; fails the test when its own parser refuses it."""
    # After two spaces, a comment sign or a redirection comes prose or the shell's business.
    line = re.split(r"\s{2,}|\s[#>|&]", line)[0]
    words = shlex.split(re.sub(r"^((?:[A-Z_]+=\S+ )*)(\.venv/bin/)?riskshift ", "", line))
    if words[0] in ("--help", "--version"):
        return words[0]
    if words[0] not in COMMANDS:
        pytest.fail(f"no command {words[0]!r}: {line}")
    try:
        parser_of(words[0], command_module(words[0])).parse_args(words[1:])
    except SystemExit as ended:
        if ended.code != 0:
            pytest.fail(f"its own parser refuses: {line}")
    return words[0]


def anchors(path: Path) -> set[str]:
    """Anchors of the headings, as the usual renderers make them."""
    found = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def example_lines(lang: str) -> tuple[list[str], list[str]]:
    """Lines that `tail decisions` and `tail alerts` print for docs/examples/events.jsonl."""
    library = VersionLibrary(b"a key of the tests, long enough")
    engine = Engine(
        0, 1, "riskshift.events", library, model_version=library.latest, policy_version=library.policy.version
    )
    events = list(open_source("events", DOCS / "examples" / "events.jsonl"))
    assert len(events) == 13
    output = engine.process(
        [Sent(place, event.customer_id.encode(), encode(event)) for place, event in enumerate(events)]
    )
    assert output.dead_letters == []
    decisions = [LINES["decisions"](tailed(item[1]), lang)[0] for item in output.decisions]
    return decisions, [LINES["alerts"](tailed(item[1]), lang)[0] for item in output.alerts]


@dataclass(frozen=True)
class Sent:
    """An input record as the engine reads it; the broker's time is not known."""

    offset: int
    key: bytes
    value: bytes
    timestamp: int = -1
    headers: tuple[tuple[str, bytes], ...] = ()


def tailed(value: bytes) -> Record:
    return Record("riskshift.decisions", 0, 0, 0, None, (), value)


def assert_shortened(shown: str, real: str) -> None:
    """`shown` is `real`, wrapped, with parts left out where it says …"""
    flat = re.sub(r"\s+", " ", real)
    place = 0
    for piece in re.sub(r"\s+", " ", shown).split("…"):
        found = flat.find(piece.strip(), place)
        assert found >= 0, f"not in the alert: {piece!r}\n{flat}"
        place = found + len(piece.strip())


def strings_of(path: Path) -> list[str]:
    """Every string of a module as it reads, with a mark where a value goes in."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            found.append("".join(str(v.value) if isinstance(v, ast.Constant) else "\0" for v in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return found
