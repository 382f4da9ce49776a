"""What the documents say is so: commands parse, links resolve, every name is explained, examples give what is shown."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from alerts.credit import REASONS as CREDIT_RULES
from alerts.policy import load_policy
from alerts.state import LEVELS, SIGNALS
from features.catalogue import NAMES
from features.events import KINDS, REJECT_CODES, decode
from features.events_page import REJECTS
from models.compiled import CONTRIBUTION_NAMES
from models.scorecard import CARD
from streams.cli import COMMANDS, EPILOG, parser_of
from streams.pages import PAGES
from streams.settings import Settings
from streams.settings_page import variable
from streams.topics import TOPICS
from tests.documents import (
    DOCS,
    FENCE,
    HOME,
    anchors,
    assert_shortened,
    command_module,
    example_lines,
    fenced_commands,
    options_of,
    parse,
    relative,
    strings_of,
    text_of,
)  # fmt: skip

DOCUMENTS = sorted([*HOME.glob("*.md"), *DOCS.rglob("*.md"), *(HOME / "benchmarks").glob("*.md")])
PACKAGES = ("features", "models", "alerts", "streams")
_HEAVY = ("numpy", "river", "faust", "aiokafka", "kafka", "msgspec", "aiohttp", "pyarrow", "rich", "matplotlib")


# --- pages written from the code -----------------------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
def test_generated_page_is_up_to_date(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable_name in [v for v in os.environ if v.startswith("RISKSHIFT_")]:
        monkeypatch.delenv(variable_name)
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), f"docs/{name} is old: python -m streams.pages"


def test_every_command_has_a_section_and_its_options() -> None:
    page = text_of("docs/commands.md")
    for name in COMMANDS:
        section = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
        parser = parser_of(name, command_module(name))
        for option in options_of(parser):
            assert f"`{option}" in section, f"{name} {option}"


def test_every_setting_is_explained() -> None:
    page = text_of("docs/settings.md")
    for name, spec in Settings.__dataclass_fields__.items():
        assert f"| `{name}` | `{variable(name)}` |" in page
        assert len(spec.metadata["help"]) > 10, name


def test_every_event_kind_field_and_reject_code_is_explained() -> None:
    page = text_of("docs/events.md")
    for name, kind in KINDS.items():
        section = page.split(f"\n### {name}\n")[1].split("\n### ")[0].split("\n## ")[0]
        own = set(kind.__struct_fields__) - {"event_id", "customer_id", "event_time_ms", "schema_version"}
        assert own == set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)), name
    assert set(REJECTS) == set(REJECT_CODES)
    assert re.findall(r"^\| `(\w+)` \|", page.split("\n## Reject codes\n")[1], re.MULTILINE) == list(REJECT_CODES)


def test_every_feature_rule_and_reason_is_explained() -> None:
    features, alerts = text_of("docs/features.md"), text_of("docs/alerts.md")
    assert [name for name in NAMES if f"| `{name}` |" not in features] == []
    rules = [rule.id for rule in load_policy().rules]
    rules += [f"level_{level}" for level in LEVELS[1:]] + [*SIGNALS, *CREDIT_RULES]
    reasons = [*CONTRIBUTION_NAMES, *(line.code for line in CARD)]
    assert len(rules) > 10 < len(reasons)
    assert [code for code in (*rules, *reasons) if f"| `{code}` |" not in alerts] == []


def test_every_topic_is_in_the_tables() -> None:
    for page in ("docs/kafka.md", "docs/architecture.md"):
        for topic in TOPICS:
            assert f"| `riskshift.{topic.name}`" in text_of(page), f"{page}: {topic.name}"


def test_index_names_every_page() -> None:
    index = text_of("docs/README.md")
    pages = [path.name for path in DOCS.glob("*.md") if path.name != "README.md"]
    assert [name for name in pages if f"]({name})" not in index] == []


# --- links, paths, length ------------------------------------------------------------------------------


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_relative_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", document.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (document.parent / file).resolve() if file else document
        assert path.exists(), f"{relative(document)}: {target}"
        if anchor:
            assert anchor in anchors(path), f"{relative(document)}: {target}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_no_line_names_a_place_outside_the_repository(document: Path) -> None:
    outside = re.compile(r"(?<![\w.])/(work|tmp|home|root|Users|mnt)\b|\.\./\.\./\.\./|\.\./shared")
    lines = document.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if outside.search(line)] == []


def test_decisions_are_numbered_and_short() -> None:
    files = sorted((DOCS / "decisions").glob("*.md"))
    assert [int(path.name[:4]) for path in files] == list(range(1, len(files) + 1))
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 60, path.name
        for part in ("Context", "Decision", "Consequences", "Rejected"):
            assert re.search(rf"(^## {part}|\*\*{part}\.\*\*)", text, re.MULTILINE), f"{path.name} lacks {part}"


def test_module_map_is_the_repository() -> None:
    named = re.findall(r"`((?:[\w.-]+/)+(?:[\w.-]+)?)`", text_of("docs/architecture.md"))
    assert len(named) > 50
    assert [path for path in named if not (HOME / path).exists()] == []
    mapped = text_of("docs/architecture.md").split("## Module map")[1]
    missing = [
        relative(path)
        for package in PACKAGES
        for path in sorted((HOME / package).rglob("*.py"))
        if path.name not in ("__init__.py", "__main__.py")
        and f"`{relative(path)}`" not in mapped
        and f"`{relative(path.parent)}/`" not in mapped
    ]
    assert missing == [], "docs/architecture.md: add them to the module map"


# --- commands ------------------------------------------------------------------------------------------


def test_general_help_names_every_command_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; from streams.cli import main; status = main(['--help']);"
        f"print(sorted(set({_HEAVY!r}) & set(sys.modules)), file=sys.stderr); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=HOME, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr.strip() == "[]"
    assert [name for name in COMMANDS if f"\n  {name} " not in done.stdout] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_has_examples_that_parse(name: str) -> None:
    description = command_module(name).DESCRIPTION
    assert "\nexamples:\n" in description
    lines = description.split("\nexamples:\n")[1].splitlines()
    examples = [line.strip() for line in lines if "riskshift" in line]
    assert examples
    for line in examples:
        assert parse(line) == name, line


def test_general_help_teaches_with_commands_that_parse() -> None:
    assert len([parse(line.strip()) for line in EPILOG.splitlines() if line.startswith("  riskshift")]) > 5


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_fenced_commands_parse(document: Path) -> None:
    for line in fenced_commands(document):
        assert parse(line) in COMMANDS, f"{relative(document)}: {line}"


def test_readme_shows_commands() -> None:
    shown = {parse(line) for line in fenced_commands(HOME / "README.md")}
    assert {"broker", "topics", "worker", "send", "tail"} <= shown


def test_a_wrong_command_would_be_seen() -> None:
    for line in ("riskshift worker --wrokers 2", "riskshift tail nothing", "riskshift send"):
        with pytest.raises(pytest.fail.Exception):
            parse(line)


def test_make_targets_in_the_documents_exist() -> None:
    known = set(re.findall(r"^([\w-]+):", text_of("Makefile"), re.MULTILINE))
    for name in ("README.md", "CONTRIBUTING.md", "docs/quickstart.zh-CN.md"):
        fenced = "\n".join(FENCE.findall(text_of(name)))
        targets = re.findall(r"^make ([\w-]+)", fenced, re.MULTILINE)
        assert targets
        assert set(targets) <= known, name


# --- examples and sentences ----------------------------------------------------------------------------


def test_example_of_an_event_is_one() -> None:
    blocks = [block for block in FENCE.findall(text_of("docs/events.md")) if block.startswith("{")]
    assert [type(decode(block.encode())).__name__ for block in blocks] == ["Transaction"]


def test_walk_through_of_the_readme_says_what_the_engine_says() -> None:
    decisions, alerts = example_lines("en")
    blocks = FENCE.findall(text_of("README.md"))
    shown = next(block for block in blocks if "duplicate  transaction" in block).splitlines()
    assert len(shown) == 5
    for line in shown:
        assert any(real.startswith(line.rstrip("…")) for real in decisions), f"{line!r} is not among {decisions}"
    assert len(alerts) == 1
    block = next(block for block in blocks if "c-1001  Possible account takeover" in block)
    assert_shortened(block.split("rejected\n")[1], alerts[0])


def test_chinese_quickstart_shows_the_alert_of_the_example() -> None:
    _decisions, alerts = example_lines("zh-CN")
    block = next(block for block in FENCE.findall(text_of("docs/quickstart.zh-CN.md")) if "c-1001" in block)
    assert_shortened(block, alerts[0])


def test_sentences_of_the_operations_page_are_said_by_the_code() -> None:
    table = text_of("docs/operations.md").split("| the sentence says |")[1].split("\n\n")[0]
    sentences = [s for row in table.splitlines()[2:] for s in re.findall(r"`([^`]+)`", row.split("|")[1])]
    assert len(sentences) > 20
    said = [text for package in PACKAGES for path in (HOME / package).rglob("*.py") for text in strings_of(path)]
    for sentence in sentences:
        pieces = [p.strip() for p in re.split(r"\.\.\.|\b(?:[NMVP]|KEY|Fenced|TimeoutError)\b|'[^']*'|\d+", sentence)]
        pieces = [piece for piece in pieces if len(piece) > 3]
        assert pieces, sentence
        assert all(any(piece in text for text in said) for piece in pieces), f"nothing says: {sentence}"
