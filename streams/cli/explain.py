"""`riskshift explain`: one customer's past, and what an edit would have changed."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streams.cli.arguments import duration_ms, time_ms

if TYPE_CHECKING:
    from streams.replay.past import Item, Moment, Versions
    from streams.replay.work import Record

DESCRIPTION = """\
Live one customer's past through again and show it: every event, its score, the reasons that sum to it, alerts, and
the state at the end, or at --at. WHERE is a replay's folder; a file (with --format), scored by the expert prior; or,
left out, the deployment of --broker and --topic-prefix as it was recorded.

With an edit it is lived through twice, and what changes is shown: leave an event out, set its fields, add others.
Scores are sums in logits: intercept + reasons + calibration = logit of the probability.

examples:
  riskshift explain 4312 runs/base
  riskshift explain 4312 runs/base --at 2018-05-02T12:00
  riskshift explain 4312 runs/base --without hb-201833
  riskshift explain 4312 runs/base --set hb-201833 terminal_id=77 --set hb-201833 amount_minor=1200
  riskshift explain c-7 events.jsonl --format events --with more.jsonl --json
  riskshift explain c-7 --broker kafka-1:9092
"""
_SHOWN = 20
_REASONS = 4


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    add = parser.add_argument
    add("customer", metavar="CUSTOMER", help="customer_id")
    add("where", nargs="?", type=Path, metavar="WHERE", help="replay folder or file; without: the deployment")
    add("--at", dest="at_ms", type=time_ms, metavar="T", help="stop at this moment")
    add("--without", action="append", default=[], metavar="EVENT_ID", help="leave this event out")
    add("--set", action="append", nargs=2, default=[], metavar=("EVENT_ID", "FIELD=VALUE"), help="another value")
    add("--with", dest="added", type=Path, metavar="FILE", help="add these events, one JSON object a line")
    add("--all", action="store_true", help=f"the whole timeline (default: the last {_SHOWN} events)")
    add("--format", metavar="F", help="format of a file: handbook, berka, uci-default, events, csv")
    add("--mapping", type=Path, metavar="M", help="mapping file (TOML), for --format csv")
    add("--policy", type=Path, metavar="P", help="policy file, for a file (default: the shipped one)")
    add("--label-delay", dest="label_delay_ms", type=duration_ms, metavar="D", help="as for replay, for a file")
    add("--topic-prefix", metavar="P", help="the deployment (default: the setting `topic_prefix`)")
    add("--state", metavar="DIR", help="where the deployment's signing key is (default: the setting `home`)")
    add("--lang", choices=["en", "zh-CN"], default="en", help="language of alerts (default: en)")


def run(args: argparse.Namespace) -> int:
    """Live through, once or twice, and show."""
    from streams.replay import past
    from streams.replay.errors import ReplayError
    from streams.replay.work import Record

    items, versions, place = _past(args)
    if not any(isinstance(item, Record) for item in items):
        raise ReplayError(f"expected events of customer {args.customer!r}, found none: check the id")
    moments = past.live(items, versions(), until_ms=args.at_ms, **place)
    edited, differences = None, None
    if args.without or args.set or args.added is not None:
        other = _edited(args, items)
        edited = past.live(other, versions(), until_ms=args.at_ms, **place)
        differences = past.differences(moments, edited)
    if args.json:
        found: dict[str, Any] = {
            "customer_id": args.customer, "at_ms": args.at_ms, "timeline": [m.as_json() for m in moments],
            "state": _state(moments),
        }  # fmt: skip
        if edited is not None:
            found |= {"differences": differences, "state_after_edit": _state(edited)}
        print(json.dumps(found, ensure_ascii=False))
        return 0
    _say(args, moments)
    if edited is not None:
        _say_differences(differences or [], moments, edited)
    return 0


def _past(args: argparse.Namespace) -> tuple[list[Item], Any, dict[str, Any]]:
    from streams.replay.manifest import is_replay

    if args.where is None:
        return _of_deployment(args, args.topic_prefix)
    if args.where.is_dir() and (is_replay(args.where) or args.format is None):
        return _of_replay(args)
    return _of_file(args)


def _of_replay(args: argparse.Namespace) -> tuple[list[Item], Any, dict[str, Any]]:
    from streams.replay.errors import ReplayError
    from streams.replay.manifest import read_manifest
    from streams.replay.past import FolderVersions, controls_of, woven
    from streams.replay.work import partition_of

    folder, manifest = args.where, read_manifest(args.where)
    options = manifest["options"]
    if options["format"] == "topic":
        if manifest["mode"] == "as recorded":
            return _of_deployment(args, options["source"])
        raise ReplayError(
            "expected a replay of a file, or one as recorded; found a topic as new: replay it from a file"
        )
    partition = partition_of(args.customer.encode())
    mapping = Path(manifest["mapping"]) if manifest["mapping"] else None
    records = _records(
        args.customer, options["format"], Path(manifest["source"]), mapping=mapping, from_ms=options["from_ms"],
        until_ms=options["until_ms"], label_delay_ms=options["label_delay_ms"],
    )  # fmt: skip
    items = woven(records, controls_of(folder, partition, args.customer))
    place = {"partition": partition, "partitions": manifest["partitions"], "policy_version": manifest["policy_version"]}
    return items, lambda: FolderVersions(folder), place


def _of_file(args: argparse.Namespace) -> tuple[list[Item], Any, dict[str, Any]]:
    from alerts.policy import DEFAULT_PATH, load_policy
    from streams.replay.errors import ReplayError
    from streams.replay.versions import ReplayLibrary

    if args.format is None:
        raise ReplayError(f"expected --format for the file {args.where}, or a replay's folder")
    records = _records(args.customer, args.format, args.where, mapping=args.mapping, label_delay_ms=args.label_delay_ms)
    policy = load_policy(args.policy or DEFAULT_PATH)
    items: list[Item] = [*records]
    return items, lambda: ReplayLibrary([policy]), {"partition": 0, "partitions": 1, "policy_version": policy.version}


def _of_deployment(args: argparse.Namespace, prefix: str | None) -> tuple[list[Item], Any, dict[str, Any]]:
    from alerts.policy import load_policy
    from streams.recorded import put_in
    from streams.replay.published import RecordedLibrary
    from streams.replay.recorded import first_policy, turns
    from streams.replay.topics import Deployment, Range
    from streams.send import partition_of
    from streams.settings import load
    from streams.signing import signing_key

    settings = load(broker=args.broker, home=args.state, topic_prefix=prefix)[0]
    with Deployment(settings) as deployment:
        key = args.customer.encode()
        partition = partition_of(key, deployment.partitions)
        models = deployment.read(settings.topic_models, 0)
        library: Versions = RecordedLibrary(models, signing_key(settings.key_path()), [load_policy()])
        inputs = deployment.read(settings.topic_events, partition, Range())
        decisions = deployment.read(settings.topic_decisions, partition)
        controls = put_in(r.value for r in decisions if r.value is not None)
        items: list[Item] = []
        for records, put in turns(inputs, controls, 1_000):
            items += [record for record in records if record.key == key]
            items += put
        policy = first_policy(deployment, partition, library)  # type: ignore[arg-type]  # made above
        place = {"partition": partition, "partitions": deployment.partitions, "policy_version": policy}
    return items, lambda: library, place


def _records(customer: str, fmt: str, path: Path, **asked: Any) -> list[Record]:
    from streams.replay.source import entries_of
    from streams.sources import open_source

    source = open_source(fmt, path, **asked)
    return [record for _partition, record, _at_ms in entries_of(source, frozenset([customer]))]


def _edited(args: argparse.Namespace, items: list[Item]) -> list[Item]:
    from streams.replay import past
    from streams.replay.errors import ReplayError

    changes: dict[str, dict[str, Any]] = {}
    for event_id, assignment in args.set:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise ReplayError(f"expected FIELD=VALUE after --set {event_id}, found {assignment!r}")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        if name.endswith("_id"):
            value = text
        changes.setdefault(event_id, {})[name] = value
    for event_id, fields in changes.items():
        items = past.changed(items, event_id, fields)
    if args.without:
        items = past.without(items, args.without)
    if args.added is not None:
        try:
            lines = [line for line in args.added.read_bytes().splitlines() if line.strip()]
        except OSError as error:
            raise ReplayError(f"expected events in {args.added}, found: {error.strerror}") from None
        items = past.inserted(items, lines)
    return items


def _state(moments: list[Moment]) -> Any:
    return next((moment.change["state"] for moment in reversed(moments) if moment.change), None)


def _say(args: argparse.Namespace, moments: list[Moment]) -> None:
    shown = moments if args.all else moments[-_SHOWN:]
    if len(shown) < len(moments):
        print(f"... {len(moments) - len(shown):,} events before (--all shows them)")
    for moment in shown:
        decision, amount = moment.decision, ""
        if "amount_minor" in decision:
            amount = f"{decision['amount_minor'] / 100:,.2f} {decision.get('currency', '')}"
        score = ""
        if moment.parts is not None:
            score = f"{moment.parts['probability'] * 100:6.2f} %  {decision['fraud_level']}"
        what = decision.get("outcome") or decision["kind"]
        if decision["disposition"] not in ("decision", "derived"):
            what += f" ({decision['disposition']})"
        print(f"{_time(moment.time_ms)}  {decision['event_id']:<18} {what:<16} {amount:>16}  {score}")
        if moment.alerts and moment.parts is not None:
            print(f"    {_sum(moment.parts)}")
        for alert in moment.alerts:
            print(f"    ! {alert['severity']}: {alert['title'][args.lang]}")
            for reason in alert["reasons"]:
                print(f"        {reason['text'][args.lang]}")
    last = next((moment for moment in reversed(moments) if moment.parts is not None), None)
    if last is not None and last.parts is not None:
        print(f"last score, {last.decision['event_id']}, model version {last.decision['model_version']}:")
        print(f"    {_sum(last.parts)}")
    state = _state(moments)
    if state is not None:
        actions = ", ".join(action["action"] for action in state["actions"]) or "none"
        print(f"state: fraud level {state['fraud_level']}, grade {state['grade'] or '–'}, actions {actions}")


def _sum(parts: dict[str, Any]) -> str:
    """The sum that is the score; what is not named is one term."""
    named, rest = parts["reasons"][:_REASONS], parts["reasons"][_REASONS:]
    terms = [f"intercept {parts['intercept']:+.2f}"]
    terms += [f"{reason['code']} {reason['contribution']:+.2f}" for reason in named]
    if rest:
        terms.append(f"{len(rest)} others {sum(reason['contribution'] for reason in rest):+.2f}")
    terms.append(f"calibration {parts['calibration']:+.2f}")
    return f"{', '.join(terms)} = {parts['margin']:+.2f} ({parts['probability'] * 100:.2f} %)"


def _say_differences(differences: list[dict[str, Any]], before: list[Moment], after: list[Moment]) -> None:
    print("\nwith the edit:")
    if not differences:
        print("  nothing changes")
    for one in differences:
        print(
            f"  {_time(one['event_time_ms'])}  {one['event_id']:<18} {_short(one['before'])}  →  {_short(one['after'])}"
        )
    levels = [(_state(moments) or {"fraud_level": "normal"})["fraud_level"] for moments in (before, after)]
    print(f"  level at the end: {levels[0]} → {levels[1]}")


def _short(side: dict[str, Any] | None) -> str:
    if side is None:
        return "not there"
    p = side["fraud_probability"]
    score = "no score" if p is None else f"{p * 100:.2f} % {side['fraud_level']}"
    return f"{score}{' !' + ','.join(side['alerts']) if side['alerts'] else ''}"


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
