"""`riskshift replay`: files or topics again, as they were or under another policy."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streams.cli.arguments import count, duration_ms, time_ms
from streams.cli.rejects import Rejects
from streams.sources import FORMATS, SourceError

if TYPE_CHECKING:
    from streams.replay import Options, Run

DESCRIPTION = """\
Read a file, or the topics of a deployment, through the same engine and learner as live, and write what they say.

As new: the policy of --policy decides, a learner starts from the expert prior and hears every label when it becomes
known; engines and learner meet every --publish-every of event time. As recorded (topics, unless --policy, --as-new or
--no-learn is given): the same switches, ticks and world figures at the same places, so that the same bytes come out.

Same input, options and release give the same output_hash, whatever --batch and --processes. DIR gets decisions,
alerts, changes and dead_letters as Parquet, the models, and manifest.json. Ctrl-C keeps what was done for --resume.

formats:
{formats}
  topic        a Kafka deployment: SOURCE is its topic prefix

examples:
  riskshift replay transactions.parquet --format handbook --out runs/base
  riskshift replay transactions.parquet --format handbook --out runs/strict --policy strict.toml --name strict
  riskshift replay payments.csv --format csv --mapping payments.toml --out runs/payments --rejects bad.jsonl
  riskshift replay events.jsonl --format events --out runs/june --from 2025-06-01 --until 2025-07-01 --processes 2
  riskshift replay riskshift --format topic --out runs/live --check
  riskshift replay riskshift --format topic --out runs/whatif --policy strict.toml
""".format(formats="\n".join(f"  {name:<12} {line}" for name, line in FORMATS.items()))
_LINE_S = 10.0
_HOUR_MS = 3_600_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    add = parser.add_argument
    add("source", metavar="SOURCE", help="file, folder, or topic prefix")
    add("--format", required=True, metavar="F", choices=[*FORMATS, "topic"], help=", ".join([*FORMATS, "topic"]))
    add("--out", required=True, type=Path, metavar="DIR", help="folder for the replay, made if need be")
    add("--name", metavar="NAME", help="what the replay is called in comparisons (default: the folder's name)")
    add("--policy", type=Path, metavar="P", help="policy file (default: the setting `policy`, else the shipped one)")
    add("--model-rules", type=Path, metavar="FILE", help="who learns and what is published (default: the setting)")
    add("--learn", action=argparse.BooleanOptionalAction, default=None, help="learn from labels (default: yes)")
    add("--mapping", type=Path, metavar="M", help="mapping file (TOML), for --format csv")
    add("--customers", metavar="C,C", help="these customers only; @FILE has one a line")
    add("--from", dest="from_ms", type=time_ms, metavar="T", help="no event before")
    add("--until", dest="until_ms", type=time_ms, metavar="T", help="no event from then on")
    add("--label-delay", dest="label_delay_ms", type=duration_ms, metavar="D",
        help="how long after its row a label becomes known (default: the format's own)")  # fmt: skip
    add("--label-maturity", dest="maturity_ms", type=duration_ms, metavar="D",
        help="age at which a row teaches (default: the setting `label_maturity_ms`)")  # fmt: skip
    add("--publish-every", dest="every_ms", type=duration_ms, default=3 * _HOUR_MS, metavar="D",
        help="event time between two meetings, and so between models, in whole hours (default: 3h)")  # fmt: skip
    add("--batch", type=count, default=1_000, metavar="N", help="records an engine takes at once (default: 1000)")
    add("--processes", type=count, default=min(4, os.cpu_count() or 1), metavar="N",
        help="engine processes; 1: everything in one (default: one a core, at most 4)")  # fmt: skip
    add("--resume", action="store_true", help="go on where a stopped or killed replay into DIR was")
    add("--rejects", type=Path, metavar="FILE", help="write rejected rows there, one JSON object a line")
    add("--state", metavar="DIR", help="topics: where the deployment's signing key is (default: the setting `home`)")
    add("--offsets", metavar="P:A-B,...", help="topics: of partition P the offsets A to B only")
    add("--as-new", action="store_true", help="topics: a learner of its own instead of the recorded switches")
    add("--check", action="store_true", help="topics, as recorded: compare with what was said live; 1 if it differs")


def run(args: argparse.Namespace) -> int:
    """Replay, write, say; 0 done, 1 not as live, 130 stopped."""
    from streams.replay.errors import ReplayError

    _check_options(args, ReplayError)
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReplayError(f"expected to make the folder {args.out}, found: {error.strerror}: name another") from None
    _refuse_strangers(args, ReplayError)
    if args.format == "topic":
        from streams.cli.replay_topic import run_topic

        return run_topic(args)
    with ExitStack() as stack:
        rejects = Rejects(args.rejects, stack)
        return replay_file(args, rejects, stack)


def replay_file(args: argparse.Namespace, rejects: Rejects, stack: ExitStack) -> int:
    """A file as new."""
    from streams.replay import Replay
    from streams.replay.source import entries_of, steps_of
    from streams.sources import open_source

    source = open_source(
        args.format, Path(args.source), mapping=args.mapping, from_ms=args.from_ms, until_ms=args.until_ms,
        label_delay_ms=args.label_delay_ms, on_reject=rejects,
    )  # fmt: skip
    options = options_of(args)
    steps = steps_of(entries_of(source, customers_of(args)), args.every_ms)
    done = Replay(options, resume=args.resume).drive(steps, shown(args, stack, _total(args)))
    return finish(args, options, done, {"rows": source.rows, "rejected": source.rejected})


def options_of(args: argparse.Namespace, *, partitions: int | None = None, topic: str = "events") -> Options:
    """What was asked, with settings for what was not."""
    from alerts.errors import PolicyError
    from alerts.model_rules import DEFAULT_MODELS_PATH, load_model_rules
    from alerts.policy import DEFAULT_PATH, parse_policy
    from models.learner import LearnerSettings
    from streams.errors import SettingError
    from streams.replay import Options
    from streams.replay.driver import WAITING_MAX
    from streams.replay.work import PARTITIONS, STEP_EVENTS_MAX
    from streams.settings import load

    settings = load()[0]
    policy_path = args.policy or (Path(settings.policy) if settings.policy else DEFAULT_PATH)
    rules_path = args.model_rules or (Path(settings.model_rules) if settings.model_rules else DEFAULT_MODELS_PATH)
    try:
        policy_source = policy_path.read_text("utf-8")
        policy = parse_policy(policy_source)
    except (OSError, UnicodeDecodeError, PolicyError) as error:
        raise SettingError(f"{policy_path}: {error}") from None
    rules = None
    if args.learn is not False:
        rules = load_model_rules(rules_path)
        if not rules.promotion.automatic:
            # Nobody is here to approve a challenger, so it would never score.
            rules = replace(rules, candidates=rules.candidates[:1])
    maturity = settings.label_maturity_ms if args.maturity_ms is None else args.maturity_ms
    learner = LearnerSettings(
        epoch_ms=args.every_ms, publish_every_ms=args.every_ms, maturity_ms=maturity, retain_ms=2 * maturity,
        waiting_max=WAITING_MAX, queue_max=2 * STEP_EVENTS_MAX,
    )  # fmt: skip
    asked = {
        "source": args.source, "format": args.format, "mapping": _text(args.mapping), "policy": policy.digest,
        "learn": rules is not None, "rules": repr(rules), "from_ms": args.from_ms, "until_ms": args.until_ms,
        "customers": args.customers, "label_delay_ms": args.label_delay_ms, "label_maturity_ms": maturity,
        "publish_every_ms": args.every_ms, "offsets": args.offsets,
    }  # fmt: skip
    return Options(
        args.out, policy_source, rules, learner, topic, partitions or PARTITIONS, args.batch, args.processes, asked
    )


def finish(args: argparse.Namespace, options: Options, done: Run, counts: dict[str, Any], mode: str = "as new") -> int:
    """Write the manifest and say what was done."""
    if not done.finished:
        again = "the same command with --resume goes on"
        print(f"replay: stopped after {done.counts['events']:,} events; {again}", file=sys.stderr)
        if args.json:
            print(json.dumps({"stopped": True, "events": done.counts["events"]}))
        return 130
    manifest = manifest_of(args, options, done, counts, mode)
    from streams.replay.manifest import write_manifest

    write_manifest(args.out, manifest)
    if args.json:
        print(json.dumps(manifest, ensure_ascii=False))
    else:
        print(f"{args.out}: {manifest['events']:,} events, {manifest['alerts']:,} alerts, "
              f"{manifest['changes']:,} changes, {manifest['dead_letters']:,} dead letters, "
              f"model version {done.model_version}")  # fmt: skip
        print(f"{manifest['events_per_second']:,} events a second, {manifest['cpu_us_per_event']} µs CPU an event")
        print(f"input  {manifest['input_hash']}\noutput {manifest['output_hash']}")
    return 0


def manifest_of(
    args: argparse.Namespace, options: Options, done: Run, counts: dict[str, Any], mode: str
) -> dict[str, Any]:
    """`manifest.json`."""
    from alerts.policy import parse_policy
    from streams.replay.manifest import FORMAT, versions

    events, policy = done.counts["events"], parse_policy(options.policy_source)
    asked = {k: v for k, v in options.asked.items() if k not in ("rules", "policy", "mapping")}
    return {
        "format": FORMAT, "name": args.name or args.out.resolve().name, "mode": mode,
        "input_hash": done.chains.input_hash, "output_hash": done.chains.output_hash,
        "hashes": done.chains.by_topic(), "events": events,
        "events_per_second": round(events / done.seconds) if done.seconds else 0,
        "cpu_us_per_event": round(done.cpu_seconds * 1e6 / events, 1) if events else 0.0,
        "seconds": round(done.seconds, 2), **counts,
        **{topic: done.counts[topic] for topic in ("decisions", "alerts", "changes", "dead_letters")},
        "policy_version": policy.version, "policy_digest": policy.digest, "model_version": done.model_version,
        "learner": done.learner, "news": dict(sorted(done.news.items())), "partitions": options.partitions,
        "batch": options.batch, "processes": options.processes, "options": asked,
        "mapping": str(args.mapping.resolve()) if args.mapping else None,
        "source": str(Path(args.source).resolve()) if args.format != "topic" else args.source,
        "versions": versions(),
    }  # fmt: skip


def customers_of(args: argparse.Namespace) -> frozenset[str]:
    """Names of --customers; empty means all."""
    if not args.customers:
        return frozenset()
    if args.customers.startswith("@"):
        try:
            return frozenset(Path(args.customers[1:]).read_text("utf-8").split())
        except OSError as error:
            raise SourceError(f"expected customers in {args.customers[1:]}, found: {error.strerror}") from None
    return frozenset(name for name in args.customers.split(",") if name)


def shown(args: argparse.Namespace, stack: ExitStack, total: int | None) -> Callable[[Run], bool]:
    """Progress with the time that is left, and the end at SIGINT or SIGTERM."""
    from streams.evaluation.figures import day_text

    stopping: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        stack.callback(signal.signal, number, signal.signal(number, lambda got, _frame: stopping.append(got)))
    began, next_at = time.monotonic(), time.monotonic() + _LINE_S
    first: list[int] = []
    bar: Any = None
    if sys.stderr.isatty() and not args.json:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        bar = stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
        task = bar.add_task("reading", total=total)

    def show(done: Run) -> bool:
        nonlocal next_at
        events, now = done.counts["events"], time.monotonic()
        if not first:
            first.append(events)
        speed = (events - first[0]) / max(0.001, now - began)
        of = "" if total is None else f" of about {total:,}"
        text = f"{events:,}{of} events, {speed:,.0f} a second, {day_text(done.reached_ms)}"
        if bar is not None:
            bar.update(task, completed=events, description=text)
        elif now >= next_at:
            next_at = now + _LINE_S
            left = f", {max(0, total - events) / speed:.0f} s left" if total and speed else ""
            print(f"replay: {text}{left}", file=sys.stderr, flush=True)
        return not stopping

    return show


def _total(args: argparse.Namespace) -> int | None:
    from streams.sources.tables import rows_estimate

    if args.customers or args.from_ms is not None or args.until_ms is not None:
        return None
    path = Path(args.source)
    return rows_estimate(path) if path.exists() else None


def _check_options(args: argparse.Namespace, error: type[Exception]) -> None:
    if args.every_ms < 60_000 or (args.every_ms % _HOUR_MS and _HOUR_MS % args.every_ms):
        raise error(f"expected --publish-every as whole hours or a part of one, found {args.every_ms} ms")
    if args.format != "topic" and (args.check or args.offsets or args.as_new):
        raise error("--check, --offsets and --as-new are for --format topic: leave them out")
    if args.check and (args.as_new or args.policy or args.learn is False):
        raise error("--check compares a replay as recorded: leave --as-new, --policy and --no-learn out")


def _refuse_strangers(args: argparse.Namespace, error: type[Exception]) -> None:
    # A finished replay is replaced; a folder of something else is not.
    from streams.replay.saved import FOLDER

    known = ("manifest.json", FOLDER)
    found = [path.name for path in args.out.iterdir()]
    if found and not any(name in found for name in known):
        raise error(f"expected {args.out} to be empty or a replay, found {sorted(found)[0]}: name another folder")
    if not args.resume:
        (args.out / "manifest.json").unlink(missing_ok=True)


def _text(path: Path | None) -> str | None:
    try:
        return None if path is None else path.read_text("utf-8")
    except OSError as error:
        raise SourceError(f"expected a mapping file at {path}, found: {error.strerror}") from None
