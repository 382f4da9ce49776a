"""Settings: options over environment over file over default; a value that cannot be used says so in one sentence."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from streams.errors import SettingError
from streams.settings import ENV_PREFIX, Settings, load

FIELDS = {field.name: field for field in dataclasses.fields(Settings)}
NUMBERS = sorted(name for name, field in FIELDS.items() if isinstance(field.default, (int, float)))
LOWS = sorted(name for name in NUMBERS if FIELDS[name].metadata["low"] is not None)
HIGHS = sorted(name for name in NUMBERS if FIELDS[name].metadata["high"] is not None)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text(text, "utf-8")
    return path


def refusal(**asked: object) -> str:
    with pytest.raises(SettingError) as caught:
        load(**{"environ": {}, **asked})  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A riskshift.toml of whoever runs the tests must not count.
    monkeypatch.chdir(tmp_path)


# --- where values come from -------------------------------------------------------------------------------------


def test_defaults_when_nothing_is_said() -> None:
    settings, sources = load(environ={})
    assert settings == Settings()
    assert {source.origin for source in sources} == {"default"}
    assert [source.name for source in sources] == list(FIELDS)
    assert all(source.value == getattr(settings, source.name) and source.help for source in sources)


def test_option_over_environment_over_file_over_default(tmp_path: Path) -> None:
    file = written(tmp_path, "batch_max = 11\nbuffer_batches_max = 12\nrows_cached_max = 13000\n")
    environ = {"RISKSHIFT_BATCH_MAX": "21", "RISKSHIFT_BUFFER_BATCHES_MAX": "22"}
    settings, sources = load(environ=environ, file=file, batch_max=31)
    assert (settings.batch_max, settings.buffer_batches_max, settings.rows_cached_max) == (31, 22, 13_000)
    assert settings.tick_every_ms == Settings().tick_every_ms
    origin = {source.name: source.origin for source in sources}
    assert origin["batch_max"] == "--batch-max"
    assert origin["buffer_batches_max"] == "RISKSHIFT_BUFFER_BATCHES_MAX"
    assert origin["rows_cached_max"] == str(file)
    assert origin["tick_every_ms"] == "default"


def test_an_option_that_was_not_given_does_not_count() -> None:
    assert load(environ={"RISKSHIFT_BROKER": "kafka:9092"}, broker=None)[0].broker == "kafka:9092"


def test_the_file_is_named_by_the_environment_or_lies_in_the_working_folder(tmp_path: Path) -> None:
    written(tmp_path, "batch_max = 5").rename(tmp_path / "named.toml")
    (tmp_path / "riskshift.toml").write_text("batch_max = 6")
    assert load(environ={})[0].batch_max == 6
    assert load(environ={"RISKSHIFT_CONFIG": str(tmp_path / "named.toml")})[0].batch_max == 5


def test_the_environment_is_the_process_own_when_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RISKSHIFT_BATCH_MAX", "77")
    assert load()[0].batch_max == 77


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_every_setting_can_be_set_by_environment_and_file(tmp_path: Path, name: str) -> None:
    default = FIELDS[name].default
    if isinstance(default, str):
        value: object = "host:1" if name == "broker" else "another"
    else:
        value = {"heartbeat_s": 2.0, "session_timeout_s": 12.0, "request_timeout_s": 40.0}.get(name, default + 1)
    assert value != default
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    for loaded in (
        load(environ={ENV_PREFIX + name.upper(): str(value)}),
        load(environ={}, file=written(tmp_path, f"{name} = {shown}")),
    ):
        assert getattr(loaded[0], name) == value


def test_a_whole_number_will_do_where_a_number_is_expected(tmp_path: Path) -> None:
    settings, _ = load(environ={}, file=written(tmp_path, "request_timeout_s = 20"))
    assert settings.request_timeout_s == 20.0
    assert isinstance(settings.request_timeout_s, float)


def test_topics_and_the_key_follow_prefix_and_home() -> None:
    settings = Settings(topic_prefix="bank", home="h")
    topics = [getattr(settings, name) for name in dir(Settings) if name.startswith("topic_") and name != "topic_prefix"]
    assert len(topics) == 9
    assert len(set(topics)) == 9
    assert all(topic.startswith("bank.") for topic in topics)
    assert settings.key_path() == Path("h/signing.key")
    assert Settings(signing_key_file="k").key_path() == Path("k")


# --- what is refused --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOWS)
def test_a_value_below_the_range_is_refused_with_name_range_and_value(name: str) -> None:
    low = FIELDS[name].metadata["low"]
    message = refusal(environ={ENV_PREFIX + name.upper(): str(low - 1)})
    assert message.startswith(f"{ENV_PREFIX}{name.upper()}: expected {name} in {low}..")
    assert re.search(rf"found {low - 1}(\.0)?$", message)


@pytest.mark.parametrize("name", HIGHS)
def test_a_value_above_the_range_is_refused(tmp_path: Path, name: str) -> None:
    high = FIELDS[name].metadata["high"]
    file = written(tmp_path, f"{name} = {high + 1}")
    message = refusal(file=file)
    assert message.startswith(f"{file}: expected {name} in ")
    assert f"..{high}, found {high + 1}" in message


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("text", ["", "ten", "1,5", "0x10", "1e"])
def test_text_for_a_number_is_refused(name: str, text: str) -> None:
    message = refusal(environ={ENV_PREFIX + name.upper(): text})
    assert re.fullmatch(rf"{ENV_PREFIX}{name.upper()}: expected a (whole )?number for {name}, found {text!r}", message)


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999"])
def test_what_is_no_finite_number_is_refused(text: str) -> None:
    for name in HIGHS:
        if isinstance(FIELDS[name].default, float):
            assert f"expected {name} in" in refusal(environ={ENV_PREFIX + name.upper(): text})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('batch_max = "10"', "expected int for batch_max, found '10'"),
        ("batch_max = true", "expected int for batch_max, found True"),
        ("batch_max = 1.5", "expected int for batch_max, found 1.5"),
        ("heartbeat_s = true", "expected float for heartbeat_s, found True"),
        ("broker = 9092", "expected str for broker, found 9092"),
        ("home = []", r"expected str for home, found \[\]"),
        (f"heartbeat_s = {'9' * 400}", "expected float for heartbeat_s, found 999"),
        ('home = "a\\nb"', "expected one line for home, found control characters"),
        ('policy = "a\\u0000b"', "expected one line for policy, found control characters"),
        ("batch_size = 3", r"no setting 'batch_size' \(did you mean 'batch_max'\?\); `riskshift config` lists all"),
        ("zzz = 3", "no setting 'zzz'; `riskshift config` lists all"),
        ("= 3", "expected TOML, found: "),
        ("[batch_max]\nx = 3", r"expected int for batch_max, found \{'x': 3\}"),
    ],
)
def test_a_file_with_a_mistake_names_itself_and_the_mistake(tmp_path: Path, line: str, said: str) -> None:
    file = written(tmp_path, line)
    assert re.match(rf"{re.escape(str(file))}: {said}", refusal(file=file))


def test_a_file_that_is_not_text_or_not_there_is_refused(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    expected = f"expected a settings file at {missing}, found none: create it or unset RISKSHIFT_CONFIG"
    assert refusal(environ={"RISKSHIFT_CONFIG": str(missing)}) == expected
    assert refusal(file=missing) == expected
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    assert refusal(file=binary).startswith(f"{binary}: expected TOML, found: ")
    assert refusal(file=tmp_path) == f"cannot read the settings file {tmp_path}: Is a directory"


@pytest.mark.parametrize("broker", ["", "kafka", "kafka:", ":9092", "kafka:x", "kafka:0", "kafka:65536", "k:1,", "k:²"])
def test_an_address_that_is_none_is_refused_with_an_example(broker: str) -> None:
    assert re.fullmatch(
        "broker: expected HOST:PORT, found '.*'; for example 127.0.0.1:9092", refusal(environ={}, broker=broker)
    )


@pytest.mark.parametrize("broker", ["k:1", "a:1,b:65535", "a:1, b:2", "[::1]:9092"])
def test_addresses_that_are_some_are_taken(broker: str) -> None:
    assert load(environ={}, broker=broker)[0].broker == broker


@pytest.mark.parametrize("prefix", ["", "a b", "a/b", "ä", "x" * 101])
def test_a_topic_prefix_that_kafka_would_refuse_is_refused(prefix: str) -> None:
    message = refusal(environ={"RISKSHIFT_TOPIC_PREFIX": prefix})
    assert message == f"topic_prefix: expected letters, digits, dot, underscore or dash, found {prefix!r}"


def test_settings_that_do_not_go_together_are_refused() -> None:
    assert refusal(environ={"RISKSHIFT_HEARTBEAT_S": "4"}) == (
        "heartbeat_s: expected at most a third of session_timeout_s (10.0), found 4.0"
    )
    assert refusal(environ={"RISKSHIFT_SESSION_TIMEOUT_S": "31"}) == (
        "session_timeout_s: expected at most request_timeout_s (30.0), found 31.0"
    )


@hypothesis_settings(max_examples=150, deadline=None, print_blob=True)
@given(st.sampled_from(sorted(FIELDS)), st.text(max_size=12))
def test_any_text_in_the_environment_is_taken_or_refused_with_its_name(name: str, text: str) -> None:
    variable = ENV_PREFIX + name.upper()
    try:
        settings, _ = load(environ={variable: text}, file=None)
    except SettingError as error:
        refused = str(error)
    else:
        value, low = getattr(settings, name), FIELDS[name].metadata["low"]
        assert type(value) is type(FIELDS[name].default)
        assert low is None or value >= low
        return
    assert variable in refused or name in refused
