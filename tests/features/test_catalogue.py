"""The catalogue is complete, well formed and is what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from features.catalogue import CATALOGUE, INDEX, NAMES, SIZE, Feature
from features.catalogue_page import to_markdown
from features.events import KINDS

PAGE = Path(__file__).parents[2] / "docs" / "features.md"


def test_there_are_at_least_twenty_five_features_with_unique_names() -> None:
    assert SIZE == len(CATALOGUE) == len(set(NAMES)) >= 25
    assert [INDEX[name] for name in NAMES] == list(range(SIZE))


@pytest.mark.parametrize("feature", CATALOGUE, ids=lambda f: f.name)
def test_a_line_says_everything_in_both_languages(feature: Feature) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]+", feature.name)
    assert feature.source in KINDS
    assert feature.aggregator
    assert feature.window
    assert feature.unit
    assert feature.scale > 0
    assert feature.shape in ("linear", "log1p", "flag", "excess")
    assert feature.en.isascii()
    assert re.search(r"[\u4e00-\u9fff]", feature.zh)
    assert (feature.shape == "flag") == (feature.unit == "0/1")


def test_a_name_that_ends_in_a_window_has_that_window() -> None:
    for feature in CATALOGUE:
        found = re.search(r"_(1h|1d|7d|30d)$", feature.name)
        assert found is None or found.group(1) == feature.window, feature.name


def test_the_page_is_the_catalogue() -> None:
    assert PAGE.read_text(encoding="utf-8") == to_markdown(), "docs/features.md is old: write it anew, it says how"


def test_the_page_names_every_feature_once_in_vector_order() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", to_markdown(), re.MULTILINE)
    assert rows == [(str(place), name) for place, name in enumerate(NAMES)]
