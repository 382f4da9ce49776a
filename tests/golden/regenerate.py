"""The golden stream and what the engine is expected to say to it.

    python -m tests.golden.regenerate            write expected.jsonl anew: its diff is the change of behaviour
    python -m tests.golden.regenerate --record   record stream.jsonl anew too (seldom: it changes everything)

`stream.jsonl` has one input record a line (`key`, `value`; a value that is no text is `base64`). `expected.jsonl` tells
in order what became of each: disposition, alerts, risk changes, dead letters; at the end every customer's row. Numbers
are rounded to nine digits, so that another machine's mathematics library makes no difference; texts are left out, they
have tests of their own.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from features.events import Event, Login, Transaction
from streams.engine import Engine
from streams.library import VersionLibrary
from streams.town import Town, TownConfig
from tests.streams.driver import BAD, DAY_MS, HOUSE_POLICY, KEY, TOPIC, Entry, Raw, Transcript, recorded, switch, tick

HERE = Path(__file__).resolve().parent
STREAM, EXPECTED = HERE / "stream.jsonl", HERE / "expected.jsonl"
BYTES_MAX = 200_000
SEED = 11
# What a decision repeats of its event, what follows from other lines, and what is the same everywhere.
_LEFT_OUT = frozenset(
    (
        "event_time_ms", "amount_minor", "currency", "terminal_id", "merchant_id", "status", "features",
        "feature_version", "policy_version", "model_version", "partition", "alert_ids", "warnings", "credit_inputs",
    )
)  # fmt: skip


def record() -> str:
    """A stream of a few customers with trouble, and of everything that happens to streams."""
    often = {"card_thefts": 60.0, "terminal_compromises": 20.0, "account_takeovers": 60.0, "job_losses": 60.0}
    town = Town(TownConfig(people=40, days=45, seed=SEED, **often))  # type: ignore[arg-type]
    events = list(town.events())
    first_of = {case.typology: case for case in reversed(town.planted)}
    keep = {first_of[typology].customer_ids[0] for typology in ("card_theft", "account_takeover")}
    thin = {first_of[typology].customer_ids[0] for typology in ("job_loss", "bust_out")} - keep
    planted = {event_id for case in town.planted for event_id in case.event_ids}
    rng = random.Random(SEED)
    entries: list[Entry] = []
    chosen: list[Event] = []
    day = events[0].event_time_ms // DAY_MS
    for event in events:
        if event.customer_id not in keep | thin:
            continue
        ordinary = isinstance(event, (Transaction, Login)) and event.event_id not in planted
        share = 0.06 if isinstance(event, Login) else 0.08 if event.customer_id in thin else 0.45
        if ordinary and rng.random() >= share:
            continue
        if event.event_time_ms // DAY_MS >= day + 3:
            day = event.event_time_ms // DAY_MS
            entries.append(tick(day * DAY_MS))
        entries.append(event)
        chosen.append(event)
        if rng.random() < 0.04:
            entries.append(rng.choice(chosen[-60:]))
        if len(entries) % 20 == 0:
            entries.append(BAD[len(entries) // 20 % len(BAD)][:2])
    entries.append(switch(chosen[-1].event_time_ms, 1, HOUSE_POLICY))
    entries.append(tick(chosen[-1].event_time_ms + 50 * DAY_MS))
    return "".join(_line(raw.key, raw.value) for raw in recorded(entries))


def _line(key: bytes | None, value: bytes | None) -> str:
    told: dict[str, Any] = {"key": None if key is None else key.decode()}
    try:
        told["value"] = None if value is None else value.decode()
    except UnicodeDecodeError:
        told["base64"] = base64.b64encode(value or b"").decode()
    return json.dumps(told, separators=(",", ":")) + "\n"


def read_stream() -> list[Raw]:
    """The recorded stream."""
    records = []
    for offset, line in enumerate(STREAM.read_text("utf-8").splitlines()):
        told = json.loads(line)
        key = None if told["key"] is None else told["key"].encode()
        if "base64" in told:
            value = base64.b64decode(told["base64"])
        else:
            value = None if told["value"] is None else told["value"].encode()
        records.append(Raw(offset, key, value))
    return records


def expected() -> str:
    """What the engine says to the stream, one line a thing."""
    engine = Engine(0, 1, TOPIC, VersionLibrary(KEY), model_version=1, policy_version=HOUSE_POLICY)
    lines: list[dict[str, Any]] = []
    for raw in read_stream():
        transcript = Transcript()
        transcript.add(engine.process([raw]))
        lines += _told(transcript)
    for customer_id, row in sorted(engine.rows.items()):
        told: dict[str, Any] = {"row": customer_id}
        for name in ("hot", "credit", "risk"):
            part = getattr(row, name)
            told[name] = {field: msgspec.to_builtins(getattr(part, field)) for field in part.__struct_fields__}
        lines.append(told)
    return "".join(json.dumps(_rounded(line), separators=(",", ":")) + "\n" for line in lines)


def _told(transcript: Transcript) -> Iterator[dict[str, Any]]:
    for said in transcript.said():
        yield {name: value for name, value in said.items() if name not in _LEFT_OUT}
    for alert in transcript.alerted():
        yield {
            "alert": alert["rule"],
            "id": alert["alert_id"],
            "also": alert["also"],
            "severity": alert["severity"],
            "at_ms": alert["event_time_ms"],
            "source": alert["source_event_id"],
            "scope": alert["scope"],
            "reasons": {reason["code"]: reason["contribution"] for reason in alert["reasons"]},
            "actions": [f"{a['mode']} {a['action']} {a['scope']['type']}" for a in alert["actions"]],
        }
    for change in transcript.changed():
        yield {
            "risk_change": change["sequence"],
            "customer_id": change["customer_id"],
            "at_ms": change["event_time_ms"],
            "cause": change["cause"],
            "changed": [f"{c['path']}: {_rounded(c['from'])} -> {_rounded(c['to'])}" for c in change["changed"]],
        }
    for _key, _value, headers in transcript.dead_letters:
        told = dict(headers)
        yield {
            "dead_letter": told["riskshift.reason.code"].decode(),
            "offset": int(told["__connect.errors.offset"]),
        }


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, (list, tuple)) else value


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description="Write the golden files anew; read the diff before you commit it.")
    parser.add_argument("--record", action="store_true", help="record the stream anew from the simulator too")
    if parser.parse_args().record:
        STREAM.write_text(record(), "utf-8")
    EXPECTED.write_text(expected(), "utf-8")
    for path in (STREAM, EXPECTED):
        print(f"{path.name}: {len(path.read_text('utf-8').splitlines())} lines, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
