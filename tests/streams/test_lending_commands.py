"""`explain-credit`, `campaign` and `portfolio` against topics of a real broker."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from features.events import encode
from features.kinds import OfferMade, Outcome, Profile, Statement
from streams import topics
from streams.cli import main
from streams.send import Raw, send_raw
from tests.streams.driver import DAY_MS, Entry, Transcript, recorded, run
from tests.streams.test_lending_engine import START_MS, application, loan, made, ordered, salaries


def life() -> list[Entry]:
    events = [*salaries(), loan(), application(149, amount_minor=90_000_000)]
    events.append(made(Profile, 0, 0, customer_type="individual", district="North"))
    events.append(made(Statement, 148, 5, facility_id="cc", balance_minor=90_000, minimum_due_minor=5_000,
                       due_time_ms=START_MS + 170 * DAY_MS, limit_minor=100_000))  # fmt: skip
    for n in range(40):
        customer = f"k-{n}"
        events.append(made(OfferMade, 150, 60, customer, campaign_id="spring", product="card", holdout=n % 4 == 0))
        if n % 3 == 0:
            events.append(made(Outcome, 155, 61, customer, outcome="campaign_response",
                               about_event_id=f"e-{customer}-60"))  # fmt: skip
    return ordered(*events)


@pytest.fixture
def told(tansu: str, prefix: str) -> tuple[str, str, Transcript]:
    """A broker with the topics an engine would have written."""
    topics.declare(tansu, 1, prefix=prefix)
    _target, said = run(life())

    def send(topic: str, records: list[Raw]) -> None:
        asyncio.run(send_raw(tansu, f"{prefix}.{topic}", records, 0))

    # An older copy of each row before the newest: only the newest counts.
    _early, before = run(life()[:10])
    rows = [*before.rows.items(), *said.rows.items()]
    send("rows", [(key, value, []) for key, value in rows])
    send("decisions", [(key, value, []) for key, value in said.decisions])
    send("events", [(raw.key, raw.value, []) for raw in recorded(life())])
    return tansu, prefix, said


def command(told: tuple[str, str, Transcript], *words: str) -> int:
    return main([*words, "--broker", told[0], "--topic-prefix", told[1]])


def test_the_letter_of_a_customer(told, capfd: pytest.CaptureFixture[str]) -> None:
    assert command(told, "explain-credit", "c-1", "--contact", "desk@bank.example") == 0
    text = capfd.readouterr().out
    assert text.startswith("Your credit assessment\n")
    assert "Use of the credit limit" in text
    assert "The amount is high for the income" in text
    assert "desk@bank.example" in text
    assert command(told, "explain-credit", "c-1", "--lang", "zh-CN") == 0
    assert capfd.readouterr().out.startswith("您的信用评估说明\n")


def test_the_letter_for_machines_and_what_is_not_there(told, capfd: pytest.CaptureFixture[str]) -> None:
    assert command(told, "explain-credit", "c-1", "--at", "2025-06-01T00:00:00Z", "--json") == 0
    made_letter = json.loads(capfd.readouterr().out)
    assert (made_letter["customer_id"], made_letter["at_ms"]) == ("c-1", 1_748_736_000_000)
    assert made_letter["points"] > 0
    assert {"en", "zh-CN"} == set(made_letter["subject"])
    assert command(told, "explain-credit", "nobody", "--json") == 1
    assert "found none: check the id" in json.loads(capfd.readouterr().out)["error"]
    assert command(told, "explain-credit", "c-1", "--at", "tomorrow") == 1


def test_the_report_of_a_campaign(told, capfd: pytest.CaptureFixture[str]) -> None:
    assert command(told, "campaign", "report", "--json") == 0
    report = json.loads(capfd.readouterr().out)
    total = report["campaigns"][-1]
    assert total["grade"] == "all"
    assert (total["offered"]["customers"], total["offered"]["responses"]) == (30, 10)
    assert (total["holdout"]["customers"], total["holdout"]["responses"]) == (10, 4)
    assert total["low"] < total["uplift"] < total["high"]
    assert report["astray"] > 0, "every fourth is not what the hash says"
    assert command(told, "campaign", "report", "spring", "--within", "4") == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[1].split()[:3] == ["spring", "none", "30"]
    assert "0.0%" in lines[1], "answers came on the fifth day"


def test_the_holdout_of_a_campaign(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "customers.txt"
    file.write_text("".join(f"c-{n}\n" for n in range(500)) + "\nc-1\n", encoding="utf-8")
    assert main(["campaign", "holdout", "spring", "--customers", str(file)]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == 500
    assert 25 < sum(line.endswith("\tholdout") for line in lines) < 80
    assert main(["campaign", "holdout", "spring", "--customers", str(file), "--json"]) == 0
    assert [json.loads(line)["holdout"] for line in capfd.readouterr().out.splitlines()] == [
        line.endswith("\tholdout") for line in lines
    ]
    assert main(["campaign", "holdout", "spring"]) == 1
    assert main(["campaign", "holdout", "spring", "--customers", str(tmp_path / "none")]) == 1


def test_the_book(told, capfd: pytest.CaptureFixture[str]) -> None:
    assert command(told, "portfolio", "--districts", "--json") == 0
    book = json.loads(capfd.readouterr().out)
    assert (book["customers"], book["facilities"], book["drawn_minor"]) == (1, 2, 1_090_000)
    assert [(cell["label"], cell["drawn_minor"]) for cell in book["cells"]["district"]] == [("North", 1_090_000)]
    assert book["hhi_names"] == 1.0
    assert command(told, "portfolio", "--by", "grade") == 0
    text = capfd.readouterr().out
    assert "by grade   HHI 1.000" in text
    assert "by district" not in text


def test_events_of_the_book_are_encoded_as_the_bank_sends_them() -> None:
    assert b'"district":"North"' in encode(next(e for e in life() if isinstance(e, Profile)))
