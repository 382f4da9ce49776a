"""`docs/simulator.md` says what the simulator does."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from streams.town import TYPOLOGIES, Town, TownConfig

PAGE = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text(encoding="utf-8")


def test_every_field_is_documented() -> None:
    for field in dataclasses.fields(TownConfig):
        assert f"`{field.name}`" in PAGE


def test_figures_of_the_default_town_are_real() -> None:
    version = re.search(r"with NumPy (\d+\.\d+)", PAGE)
    assert version
    if not np.__version__.startswith(version[1] + "."):
        pytest.skip(f"the page shows figures of NumPy {version[1]}, found {np.__version__}")
    town = Town()
    for _ in town.events():
        pass
    summary = town.summary()
    figures = {
        "events": summary["events"],
        "events per customer and day": summary["events_per_person_day"],
        "transactions": summary["kinds"]["transaction"],
        "sign-ins": summary["kinds"]["login"],
        "outcomes": summary["kinds"]["outcome"],
        **{f"`{name}`": count for name, count in summary["outcomes"].items() if name != "fraud_confirmed"},
    }
    for name, figure in figures.items():
        assert f"| {name} | {figure} |" in PAGE
    for typology in TYPOLOGIES:
        cases, confirmed = summary["planted"][typology], summary["fraud_confirmed"].get(typology, 0)
        assert f"| `{typology}` | {cases} | {confirmed} |" in PAGE
