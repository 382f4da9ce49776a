"""What credit scores were worth: ranking with an interval, calibration, and the grades they fell into."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.grades import GRADES, grade_of
from models.shaping import Floats
from streams.evaluation.calibration import calibration
from streams.evaluation.credit_run import CreditScored
from streams.evaluation.metrics import Ranking, Truth, auc, intervals
from streams.sources.source import SourceError


def ks(bad: Truth, score: Floats) -> float | None:
    """Largest distance between the shares of bad and of good found from the worst score down (Kolmogorov-Smirnov).

    Examples
    --------
    >>> ks(np.array([True, True, False, False]), np.array([0.9, 0.4, 0.5, 0.1]))
    0.5
    """
    hits, rows = Ranking(bad, score).curve()
    if not len(hits) or not hits[-1] or rows[-1] == hits[-1]:
        return None
    misses = rows - hits
    return float(np.abs(hits / hits[-1] - misses / misses[-1]).max())


def ranked(bad: Truth, score: Floats, seed: int) -> dict[str, Any]:
    """AUC with its 95 % interval (subjects drawn with replacement), Gini, KS."""
    area = auc(bad, score)
    interval, _, draws = intervals(bad, score, np.arange(len(bad), dtype=np.int32), seed)
    return {
        "auc": area, "auc_interval": interval, "draws": draws,
        "gini": None if area is None else 2 * area - 1, "ks": ks(bad, score),
    }  # fmt: skip


def by_grade(bad: Truth, pd: Floats) -> list[dict[str, Any]]:
    """For each grade of the master scale: how many, the PD that was said, the share that defaulted."""
    grades = np.array([grade_of(float(value)) for value in pd])
    rows = []
    for grade in GRADES:
        here = grades == grade
        if here.any():
            rows.append({
                "grade": grade, "subjects": int(here.sum()), "share": float(here.mean()),
                "mean_pd": float(pd[here].mean()), "default_rate": float(bad[here].mean()),
            })  # fmt: skip
    return rows


def credit_figures(
    scores: Mapping[str, CreditScored], truth: Mapping[str, bool], seed: int, from_ms: int = 0
) -> dict[str, Any]:
    """Figures of the card, its challenger and the expert's card over the subjects whose truth is known."""
    known = [name for name in scores if name in truth and scores[name].at_ms >= from_ms]
    if not known:
        return {"subjects": 0, "defaults": 0, "scorecard": None}
    bad = np.array([truth[name] for name in known], dtype=np.bool_)
    pd, challenger, expert = (
        np.array([getattr(scores[name], which) for name in known]) for which in ("pd", "challenger", "expert")
    )
    return {
        "subjects": len(known), "defaults": int(bad.sum()),
        "scorecard": ranked(bad, pd, seed) | {"calibration": calibration(bad, pd), "grades": by_grade(bad, pd)},
        "challenger": ranked(bad, challenger, seed),
        "expert": ranked(bad, expert, seed),
    }  # fmt: skip


def write_scores(path: Path, id_column: str, ids: Mapping[str, str], scores: Mapping[str, CreditScored]) -> None:
    """Parquet: the source's own id, `event_time`, `score` (12-month PD of the card), `challenger`, `card_version`.

    Raises
    ------
    SourceError
        When it cannot be written.
    """
    names = [ids[name] for name in scores]
    whole: NDArray[Any] | list[str] = names
    if all(name.isdigit() and str(int(name)) == name for name in names):
        whole = np.array([int(name) for name in names], dtype=np.int64)
    said = list(scores.values())
    table = pa.table({
        id_column: pa.array(whole),
        "event_time": pa.array([it.at_ms for it in said], pa.int64()).cast(pa.timestamp("ms", "UTC")),
        "score": pa.array([it.pd for it in said], pa.float64()),
        "challenger": pa.array([it.challenger for it in said], pa.float64()),
        "card_version": pa.array([it.card for it in said], pa.int64()),
    })  # fmt: skip
    try:
        pq.write_table(table, path, compression="zstd")
    except OSError as error:
        raise SourceError(
            f"expected to write the scores to {path}, found: {error.strerror or error}: choose a file in a folder "
            "that exists and is yours"
        ) from None


def credit_lines(summary: Mapping[str, Any]) -> list[str]:
    """The figures as text."""
    head = f"{summary['subjects']:,} {summary['subject']}s judged, {summary['defaults']:,} defaulted"
    rows = [f"{head}; {summary['events']:,} events, {summary['cards']} cards in turn"]
    if summary["scorecard"] is None:
        return [*rows, "no outcome is known of anybody who was scored: there are no figures"]
    rows.append(f"{'':<12}{'AUC':>8}{'95 % interval':>18}{'Gini':>8}{'KS':>8}")
    for name in ("scorecard", "challenger", "expert"):
        it = summary[name]
        if it["auc"] is None:
            rows.append(f"{name:<12}       -   (all of one kind)")
            continue
        interval = "-" if it["auc_interval"] is None else "{:.3f} to {:.3f}".format(*it["auc_interval"])
        rows.append(f"{name:<12}{it['auc']:>8.4f}{interval:>18}{it['gini']:>8.3f}{it['ks']:>8.3f}")
    fit = summary["scorecard"]["calibration"]
    rows.append(f"observed / expected {fit['observed_over_expected']:.2f}, Brier {fit['brier']:.4f}")
    rows.append(f"{'grade':<8}{summary['subject'] + 's':>10}{'PD said':>10}{'defaulted':>11}")
    rows += [
        f"{row['grade']:<8}{row['subjects']:>10,}{row['mean_pd']:>10.2%}{row['default_rate']:>11.2%}"
        for row in summary["scorecard"]["grades"]
    ]
    return rows
