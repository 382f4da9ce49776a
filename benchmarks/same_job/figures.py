"""From runs to ratios: each peer against a run of ours right before it, so that a slow minute weighs on both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

OURS = "ours"
COST = "cpu_us_per_event"
Run = Mapping[str, Any]
# Peer → the run of ours before it, and its own.
Round = Mapping[str, tuple[Run, Run]]


def ratios(rounds: Sequence[Round]) -> dict[str, dict[str, Any]]:
    """Per peer: its CPU per event over ours, in each round, and the median of the rounds; at least one round."""
    found = {}
    for peer in rounds[0]:
        each = [theirs[COST] / ours[COST] for ours, theirs in (pairs[peer] for pairs in rounds)]
        found[peer] = {"median": round(median(each), 2), "rounds": [round(ratio, 2) for ratio in each]}
    return found


def medians(rounds: Sequence[Round]) -> dict[str, dict[str, float]]:
    """Per variant, ours first, the median of every figure that is a number; for ours over all its runs."""
    found = {OURS: _medians([ours for pairs in rounds for ours, _theirs in pairs.values()])}
    return found | {peer: _medians([pairs[peer][1] for pairs in rounds]) for peer in rounds[0]}


def _medians(runs: Sequence[Run]) -> dict[str, float]:
    numbers = [key for key, value in runs[0].items() if isinstance(value, int | float)]
    return {key: round(median(run[key] for run in runs), 2) for key in numbers}


def table(result: Mapping[str, Any]) -> str:
    """For a person: one line a variant."""
    lines = [f"{'variant':<12}{'CPU us/event':>14}{'events/s':>12}{'RSS MiB':>10}{'broker us':>11}{'against ours':>14}"]
    for name, run in result["medians"].items():
        ratio = result["ratios"].get(name, {"median": 1.0})["median"]
        lines.append(
            f"{name:<12}{run[COST]:>14.1f}{run['events_per_second']:>12,.0f}{run['rss_mib_max']:>10.0f}"
            f"{run['broker_cpu_us_per_event']:>11.1f}{ratio:>13.1f}x"
        )
    return "\n".join(lines)
