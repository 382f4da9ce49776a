"""`policies/models.toml` is validated whole; a mistake is told with its line."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from alerts.errors import PolicyError
from alerts.model_alerts import encode_model_alert, model_alert
from alerts.model_rules import DEFAULT_MODELS_PATH, line_of, load_model_rules, parse_model_rules
from alerts.texts import load
from models.governance.records import NEWS, News
from models.governance.rules import CandidateRules, ModelRules

CHALLENGER = DEFAULT_MODELS_PATH.with_name("models-challenger.toml")
SOURCE = CHALLENGER.read_text("utf-8")


def line(text: str) -> int:
    return next(n for n, each in enumerate(SOURCE.splitlines(), 1) if each.startswith(text))


@pytest.mark.parametrize(("path", "names"), [(DEFAULT_MODELS_PATH, ["house"]), (CHALLENGER, ["house", "nimble"])])
def test_the_rules_of_the_house_are_those_built_in(path: Path, names: list[str]) -> None:
    rules = load_model_rules(path)
    built_in = ModelRules()
    assert rules.candidates[0] == CandidateRules("house")
    assert [candidate.name for candidate in rules.candidates] == names
    for name in ("held_out", "keep_every_ms", "keeps_max", "promotion", "guards", "labels", "drift"):
        assert getattr(rules, name) == getattr(built_in, name), name
    assert not rules.promotion.automatic


@pytest.mark.parametrize(
    ("old", "new", "where", "says"),
    [
        ("alpha = 0.05", "alpha = 0.9", "alpha", "promotion.alpha: expected a number from 0.0001 to 0.5, found 0.9"),
        ("alert_at = 0.3", "alert_it = 0.3", "[guards]", "guards.alert_at: expected a number"),
        ('suspended = "30d"', 'suspended = "soon"', "suspended", "labels.suspended: expected a duration"),
        ("automatic = false", 'automatic = "no"', "automatic", "promotion.automatic: expected true or false"),
        ("react = true", "react = true\nreaktion = 1", "react", "did you mean 'react'"),
    ],
)
def test_a_mistake_is_told_with_its_line(old: str, new: str, where: str, says: str) -> None:
    assert old in SOURCE
    with pytest.raises(PolicyError) as error:
        parse_model_rules(SOURCE.replace(old, new, 1))
    assert says in str(error.value)
    wanted = line(where) + ("reaktion" in new)
    assert f"line {wanted}: " in str(error.value)


def test_the_second_candidates_mistake_is_told_at_its_own_line() -> None:
    broken = SOURCE.replace("fast_rate = 0.5", "fast_rate = 5")
    number = next(n for n, each in enumerate(broken.splitlines(), 1) if each == "fast_rate = 5")
    with pytest.raises(PolicyError, match=rf"line {number}: candidates\[1\].fast_rate"):
        parse_model_rules(broken)


def test_names_twice_no_candidates_and_no_toml_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="each with a name of its own"):
        parse_model_rules(SOURCE.replace('name = "nimble"', 'name = "house"'))
    with pytest.raises(PolicyError, match="TOML"):
        parse_model_rules("version = ")
    with pytest.raises(PolicyError, match="UTF-8"):
        parse_model_rules(b"\xff")
    with pytest.raises(PolicyError, match="readable file"):
        load_model_rules(tmp_path / "none.toml")


def test_line_of_an_unknown_key_is_none() -> None:
    assert line_of("a = 1", "b") is None
    assert line_of("[t]\na = 1", "t.b") == 1


@pytest.mark.parametrize("kind", NEWS)
def test_every_news_makes_an_alert_that_keeps_its_schema(kind: str) -> None:
    schema = json.loads((DEFAULT_MODELS_PATH.parent.parent / "schemas" / "model-alert.json").read_text("utf-8"))
    news = News(kind, 86_400_000, "analyst-7", 12, {"found": 0.5, "allowed": 0.25})
    key, value, headers = encode_model_alert(model_alert(news, "models-1", load()))
    jsonschema.validate(json.loads(value), schema)
    assert (key, dict(headers)["ce_type"]) == (b"model", b"riskshift.model-alert.v1")
    again = encode_model_alert(model_alert(news, "models-1", load()))
    assert again[1] == value
    other = model_alert(News(kind, 86_400_001, "analyst-7", 12, {}), "models-1", load())
    assert other.alert_id != json.loads(value)["alert_id"]
