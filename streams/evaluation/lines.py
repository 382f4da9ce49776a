"""The figures as lines of text, for people at a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from streams.sources.times import DAY_MS


def lines(summary: dict[str, Any]) -> Iterator[str]:
    """A table of periods, then calibration, learning curve and counts."""
    yield from _counts(summary)
    overall = summary["overall"]
    if overall is None:
        return
    weeks = summary.get("weeks", {})
    yield ""
    periods = {**weeks, **({"mean of weeks": summary["mean"]} if weeks else {}), "all": overall}
    cards = next(key for key in overall if key.startswith("cp"))
    heads = ("AUC", "AP", f"CP@{cards[2:]}", "slope", "O/E", "skill")
    yield f"{'period':<14}{'rows':>11}{'frauds':>8}" + "".join(f"{head:>8}" for head in heads)
    for name, figures in periods.items():
        fit = figures["calibration"]
        values = [_short(figures[key]) for key in ("auc", "ap", cards)]
        values += [_short(fit[key], 2) for key in ("slope", "observed_over_expected", "brier_skill")]
        rows, frauds = (_whole(figures.get(key)) for key in ("transactions", "frauds"))
        yield f"{name:<14}{rows:>11}{frauds:>8}" + "".join(f"{value:>8}" for value in values)
    yield f"95 % of draws of customers, all: AUC {_range(overall['auc_interval'])}, AP {_range(overall['ap_interval'])}"
    yield ""
    for name, key in (
        (f"{overall['budget']['alerts_a_day']} highest scores a day", "budget"),
        ("alerts by the policy", "alerts"),
    ):
        caught = overall[key]
        yield (
            f"{name}: {_short(caught['flagged_a_day'], 1)} a day, precision {_short(caught['precision'])}, recall "
            f"{_short(caught['recall'])}, of the money {_short(caught['amount_recall'])}"
        )
        for typology, kind in caught["typologies"].items():
            yield f"  {typology:<20}{_whole(kind['frauds']):>8} frauds, recall {_short(kind['recall'])}"
    yield ""
    yield f"{'predicted':<16}{'rows':>11}{'frauds':>8}{'mean':>8}{'observed':>10}{'95 %':>16}"
    for one in overall["calibration"]["bins"]:
        yield (
            f"{one['from']:<6g}to {one['until']:<7g}{_whole(one['n']):>11}{_whole(one['frauds']):>8}"
            f"{_short(one['predicted'], 4):>8}{_short(one['observed'], 4):>10}"
            f"{_range([one['observed_low'], one['observed_high']], 4):>16}"
        )
    yield ""
    yield f"{'week':<14}{'rows':>11}{'frauds':>8}{'known':>8}{'AUC':>7}{'AP':>7}"
    for week in summary["learning_curve"]:
        yield (
            f"{week['week']:<14}{_whole(week['transactions']):>11}{_whole(week['frauds']):>8}"
            f"{_whole(week['frauds_known']):>8}{_short(week['auc']):>7}{_short(week['ap']):>7}"
        )


def _counts(summary: dict[str, Any]) -> Iterator[str]:
    delay = summary["label_delay_ms"]
    late = "at times of their own" if delay is None else f"{delay / DAY_MS:g} days late"
    yield (
        f"{summary['scored']:,} of {summary['rows']:,} rows scored, {_whole(summary['frauds'])} frauds, labels {late}, "
        f"{summary['model_versions']:,} model versions, {summary['rejected']:,} rows rejected"
    )
    for reason, number in summary["not_scored"].items():
        yield f"  not scored: {number:,} {reason.replace('_', ' ')}"
    if "learned_from" in summary:
        yield f"  learned from {summary['learned_from']['file']}: {summary['learned_from']['rows']:,} rows"
    lost = summary["learner"].get("events_evicted", 0)
    if lost:
        yield f"  {lost:,} rows were waited for no longer: too many wait at once, choose a shorter label delay"
    if "seconds" in summary:
        yield f"  {summary['events']:,} events in {summary['seconds']:.1f} s, {summary['events_per_second']:,} a second"


def _short(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _whole(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _range(bounds: list[float] | None, digits: int = 3) -> str:
    return "-" if bounds is None else f"{bounds[0]:.{digits}f}-{bounds[1]:.{digits}f}"
