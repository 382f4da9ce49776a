"""The page opens without anything from outside, says everything twice, and cannot be played with."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from streams.cli import main
from streams.evaluation.texts import TEXTS
from tests.streams.shop import Shop

ROOT = Path(__file__).parents[2]


class Page(HTMLParser):
    """Counts elements, notes addresses, and refuses what is not nested."""

    VOID = frozenset(("meta", "input", "br"))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    shop = Shop(days=20, customers=20)
    for payment in shop.payments:
        if payment.how == "robbery":
            payment.how = "<b>$rob$</b>"
    file = shop.write(folder)
    out = folder / "report.html"
    arguments = ["--format", "csv", "--mapping", str(folder / "shop.toml"), "--report", str(out), "--json"]
    assert main(["evaluate", str(file), *arguments, "--test-weeks", "2023-11-25"]) == 0
    return out.read_text("utf-8")


def test_page_is_whole_and_needs_nothing_from_outside(page: str) -> None:
    parsed = Page(page)
    assert parsed.open == []
    assert parsed.tags.count("svg") == 5
    assert "script" not in parsed.tags
    assert [address for address in parsed.addresses if not address.startswith("#")] == []
    assert re.findall(r"url\((?!#)|@import", page) == []


def test_every_word_is_there_in_both_languages(page: str) -> None:
    visible = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    words = [key for key in TEXTS if key not in ("nothing", "learned_from", "not_scored", "unnamed", "own_times")]
    missing = [key for key in words for text in TEXTS[key] if text not in visible]
    assert missing == []
    assert '<tspan class="zh" lang="zh-CN">召回率</tspan>' in page
    for name in ("en", "zh"):
        assert f"#lang-{name}:checked" in page


def test_names_from_the_file_cannot_become_markup(page: str) -> None:
    assert "<b>$rob$" not in page
    assert page.count("&lt;b&gt;$rob$&lt;/b&gt;") >= 2


def test_a_file_without_labels_gives_a_page_without_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = Shop(days=6, customers=5)
    learn = shop.write(tmp_path, "learn.csv")
    lines = learn.read_text("utf-8").splitlines()
    file, out = tmp_path / "new.csv", tmp_path / "r.html"
    file.write_text("\n".join(line.rsplit(",", 2)[0] for line in lines) + "\n", "utf-8")
    arguments = ["--format", "csv", "--mapping", str(tmp_path / "shop.toml"), "--learn", str(learn), "--json"]
    assert main(["evaluate", str(file), *arguments, "--report", str(out)]) == 0
    assert json.loads(capsys.readouterr().out)["overall"] is None
    text = out.read_text("utf-8")
    assert TEXTS["nothing"][1] in text
    assert "<svg" not in text


def test_pictures_are_imported_only_for_a_report() -> None:
    code = "import sys, streams.cli.evaluate, streams.evaluation.report; print('matplotlib' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "False"
