"""`riskshift evaluate`: how good the scores are on a file whose truth is known."""

from __future__ import annotations

import argparse
import json
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
from streams.sources.times import DAY_MS

if TYPE_CHECKING:
    from streams.evaluation import Run, Scored, Scores
    from streams.sources.labelled import LabelledSource

DESCRIPTION = """\
Score a file of transactions as they would have been scored live, and say what the scores were worth.

The engine and the learner of this release read the rows in the order of their time. Each row is scored with
what was known by then, and its label is heard only when it becomes known (--label-delay). So every score is
of a row the model had not learned, and no part of the file is lost to training. Before the first label the
expert prior scores. With --learn another file teaches first; where both overlap they are read in time order.

formats:
{formats}
What each column becomes, and how a mapping file describes a file of your own, is in docs/sources.md; what
every figure means is in docs/evaluate.md. Berka and uci-default know of no fraud.

With --target default credit scores are judged: uci-default (a quarter of the clients, by a hash of their id, is scored,
never learned from; with --learn one file teaches and the other is scored) and berka (every loan at its grant, in
time order, outcomes known only when they would be). See docs/credit-models.md.

examples:
  riskshift evaluate transactions.parquet --format handbook --test-weeks 2018-08-08,2018-08-15
  riskshift evaluate payments.csv --format csv --mapping payments.toml --report payments.html
  riskshift evaluate june.csv --format csv --mapping payments.toml --learn may.csv --scores june.parquet
  riskshift evaluate events.jsonl --format events --from 2025-02-01 --json
  riskshift evaluate clients.csv --format uci-default --target default --learn others.csv --scores clients.parquet
  riskshift evaluate berka/ --format berka --target default
""".format(
    formats="\n".join(f"  {name:<12} {line}" for name, line in FORMATS.items() if name not in ("berka", "uci-default"))
)
_LINE_S = 10.0
_HOUR_MS = 3_600_000
# Labels at times of their own still correct a row of this age.
_LATEST_LABEL_MS = 60 * DAY_MS


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("file", type=Path, metavar="FILE", help="file or folder to evaluate")
    parser.add_argument("--format", required=True, metavar="F", help="handbook, events or csv; berka or uci-default")
    parser.add_argument(
        "--target", choices=("fraud", "default"), default="fraud", help="what is predicted (default: fraud)"
    )
    parser.add_argument("--mapping", type=Path, metavar="M", help="mapping file (TOML), for --format csv")
    parser.add_argument("--learn", type=Path, metavar="FILE", help="learn from this file too, of the same format")
    parser.add_argument(
        "--label-delay", dest="label_delay_ms", type=duration_ms, metavar="D",
        help="how long after its row a label becomes known (default: the format's or the mapping's own; handbook 7d)",
    )  # fmt: skip
    parser.add_argument(
        "--label-maturity", dest="maturity_ms", type=duration_ms, metavar="D",
        help="age at which a row teaches, good if nothing is known (default: label delay or the mapping's; events 7d)",
    )  # fmt: skip
    parser.add_argument(
        "--from",
        dest="from_ms",
        type=time_ms,
        metavar="T",
        help="leave earlier rows out of the figures, not the scores",
    )
    parser.add_argument("--until", dest="until_ms", type=time_ms, metavar="T", help="read no row from this time on")
    parser.add_argument(
        "--test-weeks", type=_weeks, default=(), metavar="D,D",
        help="first days of test weeks, judged by the handbook's protocol, each and on average",
    )  # fmt: skip
    parser.add_argument("--card-top", type=count, default=100, metavar="K", help="cards a day in CP@K (default: 100)")
    parser.add_argument("--budget", type=count, default=100, metavar="N", help="alerts a day to open (default: 100)")
    parser.add_argument(
        "--publish-every", dest="publish_every_ms", type=duration_ms, default=6 * _HOUR_MS, metavar="D",
        help="event time between two versions of the model, in whole hours (default: 6h)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the draws for intervals (default: 0)")
    parser.add_argument("--scores", type=Path, metavar="OUT", help="write every scored row there, as Parquet")
    parser.add_argument("--report", type=Path, metavar="OUT", help="write a page with pictures there, as HTML")
    parser.add_argument(
        "--rejects", type=Path, metavar="FILE", help="write rejected rows there, one JSON object a line"
    )


def run(args: argparse.Namespace) -> int:
    """Drive, figure, write, print; 0 when it was done, rejected rows or not."""
    # Found out now, not after minutes of scoring.
    for path in (args.scores, args.report):
        if path is not None and not path.resolve().parent.is_dir():
            raise SourceError(f"expected the folder of {path} to exist, found none: create it or name another")
    if args.target == "default":
        from streams.cli.evaluate_credit import evaluate_credit

        return evaluate_credit(args)
    with ExitStack() as stack:
        rejects = Rejects(args.rejects, stack)
        source, learn = _sources(args, rejects)
        scores, done = _drive(args, source, learn, stack)
    scored = scores.finish()
    summary = _summary(args, source, learn, done, scored)
    summary |= _figures(args, source, scored)
    if args.scores is not None:
        scores.write(args.scores, scored)
    if args.report is not None:
        from streams.evaluation.report import write_report

        write_report(args.report, summary, scored, _asked(args, source))
    summary |= _timing(done)
    if args.json:
        print(json.dumps(summary, ensure_ascii=False))
    else:
        from streams.evaluation.lines import lines

        print("\n".join(lines(summary)))
    return 0


def _sources(args: argparse.Namespace, rejects: Rejects) -> tuple[LabelledSource, LabelledSource | None]:
    from streams.sources.labelled import open_labelled

    asked = {"mapping": args.mapping, "until_ms": args.until_ms, "label_delay_ms": args.label_delay_ms}
    learn = None
    if args.learn is not None:
        # Rows without ids of their own are named after their file: two files may bear one name.
        learn = open_labelled(args.format, args.learn, stem="learn-", on_reject=rejects, **asked)
    source = open_labelled(args.format, args.file, labels_needed=learn is None, on_reject=rejects, **asked)
    if not source.labelled:
        print(f"{args.file} has no labels: it is scored, and there are no figures", file=sys.stderr)
    return source, learn


def _drive(
    args: argparse.Namespace, source: LabelledSource, learn: LabelledSource | None, stack: ExitStack
) -> tuple[Scores, Run]:
    from alerts.model_rules import DEFAULT_MODELS_PATH, load_model_rules
    from alerts.policy import DEFAULT_PATH, load_policy
    from streams.evaluation import RunSettings, Scores, drive
    from streams.settings import load

    scores = Scores(
        source.id_column, integer_ids=source.integer_ids, labelled=source.labelled, joined=args.format == "events"
    )
    chosen = load()[0]
    rules = load_model_rules(Path(chosen.model_rules) if chosen.model_rules else DEFAULT_MODELS_PATH)
    if not rules.promotion.automatic:
        # Nobody is here to approve a challenger, so it would never score.
        rules = replace(rules, candidates=rules.candidates[:1])
    maturity = _maturity_ms(args, source)
    settings = RunSettings(
        policy=load_policy(Path(chosen.policy) if chosen.policy else DEFAULT_PATH), rules=rules, maturity_ms=maturity,
        retain_ms=_retain_ms(source, maturity),
        publish_every_ms=args.publish_every_ms,
    )  # fmt: skip
    show = _progress(args, stack)
    return scores, drive(source.rows, learn.rows if learn else (), scores, settings, show)


def _maturity_ms(args: argparse.Namespace, source: LabelledSource) -> int:
    if args.maturity_ms is not None:
        return int(args.maturity_ms)
    return source.usual_delay_ms


def _retain_ms(source: LabelledSource, maturity_ms: int) -> int:
    if source.label_delay_ms is None:
        return max(_LATEST_LABEL_MS, 2 * maturity_ms)
    # Labels that all come at the same age correct nothing later.
    return max(source.label_delay_ms, maturity_ms) + DAY_MS


def _asked(args: argparse.Namespace, source: LabelledSource) -> Any:
    from streams.evaluation import Asked

    delay_days = -(-source.usual_delay_ms // DAY_MS)
    return Asked(args.from_ms, args.until_ms, args.test_weeks, delay_days, args.card_top, args.budget, args.seed)


def _figures(args: argparse.Namespace, source: LabelledSource, scored: Scored) -> dict[str, Any]:
    from streams.evaluation import evaluated

    return evaluated(scored, _asked(args, source)) if source.labelled and len(scored) else {"overall": None}


def _summary(
    args: argparse.Namespace, source: LabelledSource, learn: LabelledSource | None, done: Run, scored: Scored
) -> dict[str, Any]:
    summary: dict[str, Any] = {
        "file": str(args.file),
        "format": args.format,
        "rows": source.tally.rows,
        "rejected": source.tally.rejected,
        "scored": len(scored),
        "not_scored": dict(sorted(done.not_scored.items())),
        "frauds": int(scored.fraud.sum()) if source.labelled else None,
        "label_delay_ms": source.label_delay_ms,
        "label_maturity_ms": _maturity_ms(args, source),
        "model_versions": done.versions,
        "learner": done.learner,
        "news": dict(sorted(done.news.items())),
    }
    if learn is not None:
        summary["learned_from"] = {
            "file": str(args.learn), "rows": learn.tally.rows, "rejected": learn.tally.rejected,
        }  # fmt: skip
    return summary


def _timing(done: Run) -> dict[str, Any]:
    return {
        "events": done.events,
        "seconds": round(done.seconds, 1),
        "events_per_second": round(done.events / done.seconds) if done.seconds else 0,
    }


def _weeks(text: str) -> tuple[int, ...]:
    days = tuple(time_ms(part) for part in text.split(","))
    for day in days:
        if day % DAY_MS:
            raise argparse.ArgumentTypeError(f"expected days such as 2018-08-08,2018-08-15, found {text!r}")
    return days


def _progress(args: argparse.Namespace, stack: ExitStack) -> Callable[[Run, int], None]:
    from streams.evaluation.figures import day_text
    from streams.sources.tables import rows_estimate

    totals = [rows_estimate(path) for path in (args.file, args.learn) if path is not None]
    total = None if None in totals else sum(total or 0 for total in totals)
    began = time.monotonic()

    def text(done: Run, hour_ms: int) -> str:
        rows = done.rows + done.learned_rows
        speed = rows / max(0.001, time.monotonic() - began)
        of = "" if total is None else f" of {total:,}"
        return f"{rows:,}{of} rows, {speed:,.0f} a second, {day_text(hour_ms)}"

    if sys.stderr.isatty() and not args.json:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        bar = stack.enter_context(Progress(*columns, console=Console(stderr=True), transient=True))
        task = bar.add_task("reading", total=total)

        def show(done: Run, hour_ms: int) -> None:
            bar.update(task, completed=done.rows + done.learned_rows, description=text(done, hour_ms))

        return show
    next_at = began + _LINE_S

    def say(done: Run, hour_ms: int) -> None:
        nonlocal next_at
        now = time.monotonic()
        if now < next_at:
            return
        next_at = now + _LINE_S
        rows = done.rows + done.learned_rows
        left = "" if not total else f", {max(0.0, (total - rows) * (now - began) / max(1, rows)):.0f} s left"
        print(f"evaluate: {text(done, hour_ms)}{left}", file=sys.stderr, flush=True)

    return say
