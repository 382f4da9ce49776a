"""`riskshift models` on a real broker: what the learner publishes, a rollback by name, refusals, forged commands."""

from __future__ import annotations

import json
import time
from itertools import islice
from pathlib import Path

import pytest

from alerts.model_rules import DEFAULT_MODELS_PATH
from features.events import encode
from models.governance.records import Command, Entry
from streams.governance import COMMAND_KEY, ModelsLog, opened, sealed
from streams.signing import signing_key
from streams.town import Town, TownConfig
from tests.streams.harness import Deployment, riskshift

FAST = {
    "RISKSHIFT_MODEL_RULES": str(DEFAULT_MODELS_PATH.with_name("models-challenger.toml")),
    "RISKSHIFT_TICK_EVERY_MS": "3600000",
    "RISKSHIFT_LEARN_EVERY_MS": "3600000",
    "RISKSHIFT_PUBLISH_EVERY_MS": "21600000",
    "RISKSHIFT_PUBLISH_EVERY_S": "0.2",
    "RISKSHIFT_LABEL_MATURITY_MS": "172800000",
}
KEY, OTHER = b"0123456789abcdef", b"fedcba9876543210"


def test_a_signed_record_opens_under_its_own_name_and_key_only() -> None:
    command = Command("c1", "rollback", "A. Chen", "alerts doubled")
    name, value = sealed(COMMAND_KEY + b"c1", command, KEY)
    assert opened(name, value, Command, KEY) == command
    assert opened(name, value, Command, OTHER) is None
    assert opened(COMMAND_KEY + b"c2", value, Command, KEY) is None
    assert opened(name, value.replace(b"doubled", b"tripled"), Command, KEY) is None
    assert opened(name, b"garbage", Command, KEY) is None


def test_a_command_waits_until_it_is_ruled_and_answers_are_found_by_its_id() -> None:
    read = ModelsLog(KEY)
    read.take(*sealed(COMMAND_KEY + b"c1", Command("c1", "rollback", "A", "w"), KEY))
    read.take(*sealed(COMMAND_KEY + b"c2", Command("c2", "rollback", "A", "w"), OTHER))
    assert list(read.commands) == ["c1"]
    entry = Entry(1, 5, "rolled_back", 3, "house", "A", "w", "c1")
    read.take(*sealed(b"history/1", entry, KEY))
    assert read.answers("c1") == [entry]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("show",), "expected a VERSION after show"),
        (("approve-credit", "--by", "A", "--why", "w"), "expected a VERSION after approve-credit"),
        (("approve-credit", "2", "--by", "A"), "expected --by NAME and --why TEXT with approve-credit"),
        (("list", "3"), "expected no VERSION after list"),
        (("rollback", "--by", "A"), "expected --by NAME and --why TEXT"),
        (("show", "latest"), "a whole number, found latest"),
        (("release", "--by", "A", "--why", "checked"), "expected an ACTOR after release"),
        (("release", "analyst-7", "--by", "A"), "expected --by NAME and --why TEXT"),
    ],
)
def test_wrong_usage_says_what_to_do(arguments: tuple[str, ...], says: str) -> None:
    done = riskshift("models", *arguments)
    assert done.status == 1
    assert says in done.err


def test_without_the_deployments_key_nothing_is_read_and_none_is_made(tmp_path: Path) -> None:
    done = riskshift("models", "list", "--state", tmp_path)
    assert done.status == 1
    assert "expected the deployment's signing key" in done.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.timeout(240)
def test_list_show_rollback_and_refusals_on_a_broker(tansu: str, prefix: str, tmp_path: Path) -> None:
    home = tmp_path / "state"
    events = list(islice(Town(TownConfig(people=60, days=30, seed=11)).events(), 6_000))

    def models(deployment: Deployment, *arguments: str) -> tuple[int, list[dict[str, object]]]:
        done = riskshift(
            "models", *arguments, "--json", "--broker", deployment.broker, "--topic-prefix", deployment.prefix,
            "--state", home, timeout_s=90,
        )  # fmt: skip
        return done.status, done.objects()

    with Deployment(tansu, prefix, tmp_path) as deployment:
        deployment.declare()
        with deployment.worker(learner=True, env=FAST):
            deployment.send_raw([(event.customer_id.encode(), encode(event), ()) for event in events])
            deployment.drain()
            deadline = time.monotonic() + 60
            while True:
                status, (listed,) = models(deployment, "list")
                if len(listed.get("kept", [])) >= 2 or time.monotonic() > deadline:  # type: ignore[arg-type]
                    break
                time.sleep(0.5)
            assert status == 0
            kept = listed["kept"]
            assert isinstance(kept, list)
            assert len(kept) >= 2
            assert listed["champion"] == "house"
            names = [each["name"] for each in listed["candidates"]]  # type: ignore[attr-defined]
            assert names == ["house", "nimble"]

            status, (shown,) = models(deployment, "show", str(kept[-1]))
            assert (status, shown["version"]) == (0, kept[-1])

            # No evidence after a month of a small town: a challenger is refused, and history says so.
            challenger = next(
                each["version"]
                for each in listed["candidates"]
                if each["name"] == "nimble"  # type: ignore[attr-defined]
            )
            status, said = models(deployment, "promote", str(challenger), "--by", "A. Chen", "--why", "hope")
            assert status == 1
            assert "held-out frauds" in str(said)

            # A forged command is passed over; the learner goes on.
            forged = sealed(COMMAND_KEY + b"forged", Command("forged", "rollback", "M", "w"), OTHER)
            deployment.send_raw([(*forged, ())], topic="models")

            status, (done,) = models(deployment, "rollback", "--by", "A. Chen", "--why", "alerts doubled")
            assert (status, done["what"], done["by"], done["accepted"]) == (0, "rolled_back", "A. Chen", True)
            _, (after,) = models(deployment, "list")
            newest = after["versions"][-1] if after["versions"][-1]["lineage"][1] == "champion" else None  # type: ignore[index]
            assert after["version"] > listed["version"]  # type: ignore[operator]
            card = next(each for each in after["versions"] if each["version"] == after["version"])  # type: ignore[attr-defined]
            assert card["lineage"][3].startswith("rolled back: alerts doubled"), (card, newest)

            # The workers switch to the new number at a recorded place.
            deployment.send_raw([(events[0].customer_id.encode(), encode(events[0]), ())])
            deployment.drain()
            deadline = time.monotonic() + 30
            switched: set[object] = set()
            while after["version"] not in switched and time.monotonic() < deadline:
                switched = {d["model_version"] for d in deployment.values("decisions") if d["kind"] == "switch"}
                time.sleep(0.5)
            assert after["version"] in switched
        history = models(deployment, "history")[1]
        assert [entry["accepted"] for entry in history if entry["command"]] == [False, True]
        assert "forged" not in json.dumps(history)
        alerts = [a for a in deployment.values("alerts") if a["customer_id"] == ""]
        assert {a["rule"] for a in alerts} >= {"rolled_back"}
        assert len({a["alert_id"] for a in alerts}) == len(alerts)
        assert signing_key(home / "signing.key")
        assert deployment.run("reconcile", "--json").status == 0
