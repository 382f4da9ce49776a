"""`riskshift models`: which fraud model decides, why, and who may change that."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from features.errors import RiskshiftError
from streams.cli.arguments import count

if TYPE_CHECKING:
    from streams.governance import ModelsLog
    from streams.settings import Settings

DESCRIPTION = """\
Show which fraud model decides, how its challengers do on held-out labels, and change it by name.

  list       versions that were published, newest last; who is champion, what one can go back to
  show       one version: whose weights, from which version, why, by whom, how it stood
  history    promotions and rollbacks with who and why, refused ones too
  promote    let the challenger of this version decide; only with evidence, see docs/models-governance.md
  approve-credit  put the credit scorecard of this version in force: the learner's proposal (list shows it), the
             one before, or 1, the expert's; credit cards never change by themselves, see docs/credit-models.md
  rollback   go back to an earlier state (the newest kept one, or --to VERSION; 1 is the expert's model)

promote, rollback and approve-credit write a signed command to the models topic; the learner answers there, publishes
the weights under a new number, and every worker switches between two batches. They need the deployment's
signing key, wait up to --wait seconds for the answer, and fail (exit status 1) when it is no, or none.

examples:
  riskshift models list
  riskshift models show 41 --json
  riskshift models promote 42 --by "A. Chen" --why "e-value 31 after three weeks, looked at misses"
  riskshift models rollback --by "A. Chen" --why "alerts doubled since noon"
  riskshift models rollback --to 1 --by "A. Chen" --why "start again from the expert's weights"
  riskshift models approve-credit 2 --by "A. Chen" --why "12 months of outcomes, table of grades looked at"
  riskshift models history --json
"""
WAIT_S = 60.0
_LOOK_S = 0.5
_COMMANDS = ("promote", "rollback", "approve-credit")


class ModelsError(RiskshiftError):
    """The version does not exist, or the learner refused or did not answer."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument(
        "what", choices=("list", "show", "promote", "rollback", "approve-credit", "history"), help="what to do"
    )
    parser.add_argument("version", nargs="?", type=count, metavar="VERSION", help="of show, promote and approve-credit")
    parser.add_argument("--to", type=count, metavar="VERSION", help="rollback: to this version's state")
    parser.add_argument("--by", metavar="NAME", help="promote, rollback, approve-credit: who says so")
    parser.add_argument("--why", metavar="TEXT", help="promote, rollback, approve-credit: why")
    parser.add_argument(
        "--wait", type=float, default=WAIT_S, metavar="S", help="seconds to wait for the learner's answer (default: 60)"
    )
    parser.add_argument("--state", metavar="DIR", help="folder with the signing key (default: as for worker)")
    parser.add_argument("--topic-prefix", metavar="P", help="first part of the names (default: the setting)")


def run(args: argparse.Namespace) -> int:
    """Read the models topic, show or command."""
    from streams.settings import load
    from streams.signing import signing_key

    _check(args)
    settings, _ = load(broker=args.broker, topic_prefix=args.topic_prefix, home=args.state)
    if not settings.key_path().exists():
        raise ModelsError(
            f"expected the deployment's signing key at {settings.key_path()}, found none: name its folder with "
            "--state, RISKSHIFT_HOME or RISKSHIFT_SIGNING_KEY_FILE; a worker makes it on its first start"
        )
    key = signing_key(settings.key_path())
    if args.what in _COMMANDS:
        return asyncio.run(_command(args, settings, key))
    read = asyncio.run(_read(settings, key))
    {"list": _list, "show": _show, "history": _history}[args.what](args, read)
    return 0


def _check(args: argparse.Namespace) -> None:
    if (args.version is None) == (args.what in ("show", "promote", "approve-credit")):
        wanted = "a VERSION" if args.version is None else "no VERSION"
        raise ModelsError(
            f"expected {wanted} after {args.what}: `riskshift models list` shows them; rollback takes --to"
        )
    if args.what in _COMMANDS and not (args.by and args.why):
        raise ModelsError(f"expected --by NAME and --why TEXT with {args.what}: both are kept in history")


async def _read(settings: Settings, key: bytes) -> ModelsLog:
    from streams.governance import ModelsLog
    from streams.tail import tail

    read = ModelsLog(key)
    async with aclosing(tail(settings.broker, settings.topic_models, from_beginning=True, until_end=True)) as records:
        async for record in records:
            read.take(record.key, record.value)
    return read


async def _command(args: argparse.Namespace, settings: Settings, key: bytes) -> int:
    from models.governance.records import Command
    from streams.commit import PartitionLog
    from streams.governance import COMMAND_KEY, command_id, sealed

    now_ms = int(time.time() * 1000)
    version = (args.to if args.what == "rollback" else args.version) or 0
    kind = args.what.replace("-", "_")
    identity = command_id(kind, version, args.by, args.why, now_ms)
    command = Command(identity, kind, args.by, args.why, version, now_ms)
    async with PartitionLog(settings, f"command-{identity}", transactional=False) as out:
        name, value = sealed(COMMAND_KEY + identity.encode(), command, key)
        await out.publish(settings.topic_models, 0, [(name, value, ())])
    deadline = time.monotonic() + args.wait
    while True:
        answers = (await _read(settings, key)).answers(identity)
        if answers:
            _say(args, msgspec.to_builtins(answers[0]), _history_line(answers[0]))
            if not answers[0].accepted:
                raise ModelsError(answers[0].why)
            return 0
        if time.monotonic() >= deadline:
            raise ModelsError(
                f"expected an answer of the learner to command {identity} within {args.wait:g} s, found none: is a "
                "learner running (riskshift worker)? The command stays; `riskshift models history` will show the answer"
            )
        await asyncio.sleep(_LOOK_S)


def _list(args: argparse.Namespace, read: ModelsLog) -> None:
    standing = read.standing
    if standing is None:
        _say(args, {"champion": None, "version": 1, "versions": []}, "no snapshot yet: the expert's model (1) decides")
        return
    if args.json:
        cards = [msgspec.to_builtins(read.cards[version]) for version in sorted(read.cards)]
        print(json.dumps({**msgspec.to_builtins(standing), "versions": cards}, ensure_ascii=False))
        return
    print("version  as of                role        candidate     loss     observed/expected  why")
    for version in sorted(read.cards):
        card = read.cards[version]
        mark = "*" if version == standing.version else "<" if version in standing.kept else " "
        loss = "-" if card.loss is None else f"{card.loss:.5f}"
        ratio = "-" if card.ratio is None else f"{card.ratio:.2f}"
        origin = card.lineage
        who = f"{origin.role:<11} {origin.candidate:<13}"
        print(f"{version:>7}{mark} {_time(card.as_of_ms)}  {who} {loss:<8} {ratio:<18} {origin.why}")
    print("* decides now, < can be gone back to")
    for it in standing.candidates:
        if it.name != standing.champion:
            judged = f"{it.gain:+.5f} nats on {it.frauds} frauds and {it.goods} goods"
            print(f"challenger {it.name} (version {it.version or '-'}): evidence {it.e_value:g}, gain {judged}")
            print(f"    {it.objection or 'may be promoted'}")
    if standing.credit is not None:
        credit = standing.credit
        waits = f"card {credit.proposal} waits for approval" if credit.proposal else "no card waits for approval"
        print(f"credit card {credit.card} is in force, {waits}; {credit.waiting} observations wait for their outcome")
        for move, count in credit.moves.items():
            if len(set(move.split(">"))) > 1:
                print(f"    {move.replace('>', ' to ')}: {count:.0f} of the newest known customers")
    for actor, until_ms in standing.suspended.items():
        print(f"labels of {actor} wait in quarantine until {_time(until_ms)}")


def _show(args: argparse.Namespace, read: ModelsLog) -> None:
    card = read.cards.get(args.version)
    if card is None:
        known = f"{min(read.cards)} to {max(read.cards)}" if read.cards else "none"
        raise ModelsError(f"expected a published version, found {args.version}; there are {known}")
    if args.json:
        print(json.dumps(msgspec.to_builtins(card), ensure_ascii=False))
        return
    origin = card.lineage
    print(f"version {card.version}, {origin.role}, candidate {origin.candidate}, as of {_time(card.as_of_ms)}")
    print(f"from version {origin.parent}: {origin.why} (by {origin.by})")
    if card.loss is not None:
        print(f"held-out log-loss {card.loss:.5f}, observed/expected {card.ratio:.2f} on {card.held_frauds} frauds")
    if card.e_value is not None:
        print(f"evidence against the champion {card.e_value:g}, gain {card.gain:+.5f} nats")


def _history(args: argparse.Namespace, read: ModelsLog) -> None:
    for number in sorted(read.history):
        entry = read.history[number]
        _say(args, msgspec.to_builtins(entry), _history_line(entry))
    if not read.history and not args.json:
        print("nothing yet: no promotion, no rollback")


def _history_line(entry: Any) -> str:
    done = entry.what if entry.accepted else f"{entry.what} refused"
    return f"{entry.number:>4}  {_time(entry.at_ms)}  {done:<18} {entry.version:>6}  by {entry.by}: {entry.why}"


def _say(args: argparse.Namespace, record: dict[str, Any], line: str) -> None:
    print(json.dumps(record, ensure_ascii=False) if args.json else line)
    sys.stdout.flush()


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
