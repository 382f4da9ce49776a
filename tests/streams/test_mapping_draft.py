"""A stranger's table becomes a replay in two commands; what cannot be mapped is said."""

from __future__ import annotations

import json
import random
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from streams.sources.mapping import check_mapping
from streams.sources.mapping_draft import Draft, as_toml, draft_of
from tests.streams.harness import riskshift


def german(path: Path, rows: int = 400) -> Path:
    rng = random.Random(1)
    at = datetime(2024, 3, 1, tzinfo=UTC)
    lines = ["Trx No;Kunde;Booking Date;Booking Time;Betrag;Shop;Fraud?;Mood"]
    for number in range(rows):
        at += timedelta(seconds=rng.randrange(10, 2_000))
        amount = f"{rng.randrange(100, 9_999) / 100:.2f}".replace(".", ",")
        fraud = "Yes" if number % 50 == 7 else "No"
        lines.append(f"{number};K{rng.randrange(40)};{at:%d.%m.%Y};{at:%H:%M:%S};{amount};s {number % 9};{fraud};ok")
    lines.append("x;;;;;;;")
    path.write_text("\n".join(lines), "utf-8")
    return path


def drafted(path: Path) -> Draft:
    draft = draft_of(path)
    text = as_toml(draft, path.name)
    if not draft.missing:
        check_mapping(tomllib.loads(text), "draft")
    return draft


def written(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def test_two_commands_from_a_strangers_file_to_a_replay(tmp_path: Path) -> None:
    table = german(tmp_path / "bank.csv")
    first = riskshift("mapping", "new", table, "--out", tmp_path / "bank.toml", "--json")
    assert first.status == 0, first.err
    said = first.objects()[-1]
    assert said["fields"]["customer_id"] == "Kunde"
    assert said["fields"]["event_time_ms"] == {
        "columns": ["Booking Date", "Booking Time"], "format": "%d.%m.%Y %H:%M:%S",
    }  # fmt: skip
    assert said["fields"]["amount_minor"] == {"column": "Betrag", "decimal": ","}
    assert said["label"]["column"] == "Fraud?"
    assert [line.partition(":")[0] for line in said["unused"]] == ["Mood"]
    assert (said["tried"]["rejected"], said["missing"]) == (1, [])
    second = riskshift(
        "replay", table, "--format", "csv", "--mapping", tmp_path / "bank.toml", "--out", tmp_path / "out",
        "--rejects", tmp_path / "bad.jsonl", "--processes", "1", "--json",
    )  # fmt: skip
    assert second.status == 0, second.err
    manifest = second.objects()[-1]
    assert (manifest["events"], manifest["rejected"]) == (408, 1)
    reject = json.loads((tmp_path / "bad.jsonl").read_text())
    assert reject["line"] == 401
    assert reject["reason"]


def test_what_is_missing_ends_with_status_one_and_is_named(tmp_path: Path) -> None:
    table = written(tmp_path / "t.csv", "colour,shape\nred,round\nblue,square\n")
    done = riskshift("mapping", "new", table, "--out", tmp_path / "t.toml")
    assert done.status == 1
    assert "no column for customer_id, event_time_ms, amount_minor" in done.err
    text = (tmp_path / "t.toml").read_text()
    assert "MISSING: customer_id" in text
    assert "#   colour: text, 2 different" in text
    # A draft somebody worked on is not replaced.
    again = riskshift("mapping", "new", table, "--out", tmp_path / "t.toml")
    assert "found one: name another" in again.err


@pytest.mark.parametrize(
    ("header", "row", "field", "value"),
    [
        ("time,user,amount", "2024-01-01T10:00:00Z,u{n},$1,204.50", "amount_minor", None),
        ("time,user,amount", "1704103200{n:02},u{n},10.5", "event_time_ms", None),
        ("step,nameOrig,amount,type", "{n},C{n},9.5,CASH_OUT", "event_time_ms",
         {"column": "step", "format": "hours", "origin": "2020-01-01"}),
        ("ts,account,amount", "17041032{n:02},a{n},10", "event_time_ms", {"column": "ts", "format": "s"}),
        ("date,client,amt_cents", "2024-01-{n:02},a,1000", "amount_minor", {"column": "amt_cents", "digits": 0}),
        ("date,client,amount", "2024-01-{n:02},a,-{n}.5", "amount_minor", {"column": "amount", "absolute": True}),
        ("date,cc_num,amt", "2024-01-{n:02},41111111111111{n:02},7", "customer_id",
         {"column": "cc_num", "hash": True}),
        ("time,user,amount,type", "2024-01-{n:02}T01:00:00,u,3,TRANSFER", "type",
         {"column": "type", "values": {"TRANSFER": "transfer"}, "optional": True}),
    ],
)  # fmt: skip
def test_columns_are_recognised(tmp_path: Path, header: str, row: str, field: str, value: object) -> None:
    rows = [row.format(n=number) for number in range(10, 29)]
    if "$" in row:
        rows = [line.replace("$1,204.50", '"$1,204.50"') for line in rows]
        value = {"column": "amount", "strip": "$,"}
    elif "{n:02},u{n},10.5" in row:
        value = None
    draft = drafted(written(tmp_path / "t.csv", "\n".join([header, *rows]) + "\n"))
    if value is None:
        # Twelve digits are no time between 1990 and 2100, in milliseconds or seconds: said, not guessed.
        assert field in draft.missing or "ASSUMED" in draft.fields[field][1]
    else:
        assert draft.fields[field][0] == value


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    times = [datetime(2024, 1, day, tzinfo=UTC) for day in range(1, 21)]
    table = pa.table({"when": times, "user_id": [n % 4 for n in range(20)], "amount": [1.5] * 20,
                      "isFraud": [n % 9 == 0 for n in range(20)], "gender": ["f", "m"] * 10})  # fmt: skip
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    draft = drafted(tmp_path / "t.parquet")
    assert draft.fields["event_time_ms"][0] == "when"
    assert draft.label is not None
    assert draft.label["column"] == "isFraud"
    assert draft.missing == []
    assert draft.unused == ["gender: text, 2 different: f, m (left out on purpose)"]


def test_names_cannot_break_the_file(tmp_path: Path) -> None:
    table = written(tmp_path / "t.csv", '"user ""x""\\",time,amount\n' + "".join(
        f"u{n % 3},2024-01-{n:02}T00:00:00,1.5\n" for n in range(1, 28)
    ))  # fmt: skip
    draft = drafted(table)
    assert draft.fields["customer_id"][0] == 'user "x"\\'
