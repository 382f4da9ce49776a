"""`riskshift evaluate --target default`: how good credit scores are on a file whose outcomes are known."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streams.cli.rejects import Rejects
from streams.sources import SourceError, open_source
from streams.sources.times import DAY_MS

if TYPE_CHECKING:
    from features.events import Event
    from streams.evaluation.credit_run import CreditBench, CreditRun

FORMATS = ("uci-default", "berka")
# One month lies between the last statement of the file and its outcome.
UCI_WINDOW_MS = 45 * DAY_MS
# A loan is judged by how it ends: the longest runs five years.
_BERKA_WINDOW_MS = 6 * 366 * DAY_MS
# Few loans have ended when the others are granted; the first ones must count.
_BERKA_LESSONS_MIN, _BERKA_DEFAULTS_MIN = 20, 5
_LINE_S = 10.0


def evaluate_credit(args: argparse.Namespace) -> int:
    """Drive, figure, write, print; 0 when it was done, rejected rows or not."""
    _check(args)
    with ExitStack() as stack:
        rejects = Rejects(args.rejects, stack)
        summary = _berka(args, rejects) if args.format == "berka" else _uci(args, rejects)
    if args.json:
        print(json.dumps(summary, ensure_ascii=False))
    else:
        from streams.evaluation.credit_figures import credit_lines

        print("\n".join(credit_lines(summary)))
    return 0


def _check(args: argparse.Namespace) -> None:
    if args.format not in FORMATS:
        raise SourceError(
            f"expected format {' or '.join(FORMATS)} with --target default, found {args.format}: only they say who "
            "defaulted; leave --target out to evaluate fraud scores"
        )
    if args.mapping is not None:
        raise SourceError(f"format {args.format} knows its columns and takes no mapping file: leave --mapping out")
    if args.report is not None:
        raise SourceError("expected no --report with --target default: take --json or --scores")
    if args.format == "berka" and args.learn is not None:
        raise SourceError(
            "expected no --learn with berka: its loans teach when they have ended, in one run; --from leaves earlier "
            "loans out of the figures"
        )
    for path in (args.file, *filter(None, (args.learn,))):
        if not path.exists():
            raise SourceError(f"expected a file or folder at {path}, found nothing there: check the path")


def _bench(args: argparse.Namespace, window_ms: int, at_grant: bool, **limits: int) -> CreditBench:
    from alerts.policy import DEFAULT_PATH, load_policy
    from models.credit.learner import CreditSettings
    from streams.evaluation.credit_run import CreditBench
    from streams.settings import load

    chosen = load()[0]
    policy = load_policy(Path(chosen.policy) if chosen.policy else DEFAULT_PATH)
    window_ms = args.maturity_ms if args.maturity_ms is not None else window_ms
    settings = CreditSettings(window_ms=window_ms, silence_is_good=False, **limits)
    return CreditBench(policy, settings, at_grant=at_grant)


def _uci(args: argparse.Namespace, rejects: Rejects) -> dict[str, Any]:
    from streams.evaluation.credit_run import is_held_out
    from streams.sources.uci_default import has_labels

    bench = _bench(args, UCI_WINDOW_MS, at_grant=False)
    show = _progress(args)
    labelled = has_labels(args.file)
    if args.learn is None:
        if not labelled:
            raise SourceError(f"expected a column of outcomes in {args.file}, found none: give one with --learn FILE")
        learned = _events(args, args.file, rejects, lambda customer: not is_held_out(customer))
        scored = _events(args, args.file, _silent, is_held_out)
    else:
        learned = _events(args, args.learn, rejects, lambda _: True)
        scored = _events(args, args.file, rejects, lambda _: True, outcomes=labelled)
    bench.go(learned, teach=True, score=lambda _: False, progress=show)
    bench.go(scored, teach=False, score=lambda _: True, progress=show)
    run = bench.run
    return _summary(args, bench, run.outcomes, "ID", {name: name for name in run.scores}, "client")


def _berka(args: argparse.Namespace, rejects: Rejects) -> dict[str, Any]:
    from streams.sources.berka_tables import loan_ends

    bench = _bench(
        args, _BERKA_WINDOW_MS, at_grant=True, lessons_min=_BERKA_LESSONS_MIN, defaults_min=_BERKA_DEFAULTS_MIN
    )
    events = _events(args, args.file, rejects, lambda _: True)
    bench.go(events, teach=True, score=lambda _: True, progress=_progress(args))
    truth = loan_ends(args.file)
    return _summary(
        args, bench, truth, "loan_id", {name: name.removeprefix("loan-") for name in bench.run.scores}, "loan"
    )


def _events(
    args: argparse.Namespace, path: Path, rejects: Callable[[Any], None], keep: Callable[[str], bool],
    *, outcomes: bool = True,
) -> Iterator[Event]:  # fmt: skip
    source = open_source(
        args.format, path, until_ms=args.until_ms, label_delay_ms=args.label_delay_ms, outcomes=outcomes,
        on_reject=rejects,
    )  # fmt: skip
    return (event for event in source if keep(event.customer_id))


def _silent(_reject: Any) -> None:
    """What was rejected at the first reading was told then."""


def _summary(
    args: argparse.Namespace, bench: CreditBench, truth: dict[str, bool], id_column: str, ids: dict[str, str],
    subject: str,
) -> dict[str, Any]:  # fmt: skip
    from streams.evaluation.credit_figures import credit_figures, write_scores

    run, learner = bench.run, bench.office.learner
    summary = {
        "file": str(args.file), "format": args.format, "target": "default", "subject": subject,
        "learned_from": None if args.learn is None else str(args.learn),
        "scored": len(run.scores), "cards": run.cards, "learner": dict(sorted(learner.counters.items())),
        "window_days": learner.settings.window_ms // DAY_MS,
        **credit_figures(run.scores, truth, args.seed, args.from_ms or 0),
        "events": run.events, "seconds": round(run.seconds, 1),
        "events_per_second": round(run.events / run.seconds) if run.seconds else 0,
    }  # fmt: skip
    if args.scores is not None:
        write_scores(args.scores, id_column, ids, run.scores)
    return summary


def _progress(args: argparse.Namespace) -> Callable[[CreditRun, int], None]:
    next_at = time.monotonic() + _LINE_S

    def say(run: CreditRun, _day_ms: int) -> None:
        nonlocal next_at
        now = time.monotonic()
        if now >= next_at and not args.json:
            next_at = now + _LINE_S
            print(f"evaluate: {run.events:,} events", file=sys.stderr, flush=True)

    return say
