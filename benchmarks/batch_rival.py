"""The ensemble that learns online beside a batch LightGBM: the same feature vectors, the same past.

::

    pip install 'riskshift[rival]'                                  # LightGBM, for this benchmark only
    python -m benchmarks.batch_rival worlds --seeds 1 2             # tables unlike our own: benchmarks/worlds.py
    python -m benchmarks.batch_rival handbook                       # RISKSHIFT_DATA names the folder with handbook/
    python -m benchmarks.batch_rival file F --mapping M [--label-delay 7d]

`riskshift evaluate` scores the file; the vectors it scored are kept. The test is the last 30 % of the rows. The rival
is trained on all earlier rows whose label was known when the test began (`once`), or anew at the beginning of every
test week (`weekly`), on every good event and not on a tenth; its figures are the mean of three seeds. Figures go to
`results/batch-rival-*.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from alerts.model_rules import DEFAULT_MODELS_PATH, load_model_rules
from alerts.policy import DEFAULT_PATH, load_policy
from benchmarks import machine
from benchmarks.worlds import WORLDS
from features.catalogue import NAMES
from models.observation import Observation, decode_features
from streams.cli.arguments import duration_ms
from streams.evaluation import RunSettings, Scored, Scores, Watch, drive
from streams.evaluation.calibration import calibration
from streams.evaluation.metrics import auc, average_precision
from streams.sources.labelled import open_labelled
from streams.sources.source import Labelled
from streams.sources.times import DAY_MS

RESULTS = Path(__file__).parent / "results"
TEST_SHARE = 0.3
SEEDS, ROUNDS = 3, 200
RIVAL = {
    "objective": "binary", "num_leaves": 31, "learning_rate": 0.05, "min_child_samples": 20, "feature_fraction": 0.8,
    "bagging_fraction": 0.8, "bagging_freq": 1, "num_threads": 1, "deterministic": True, "verbose": -1,
}  # fmt: skip
_CHUNK = 4_096


class Vectors(Watch):
    """Keeps the vector and the anomaly score of every scored row, 32 bits a number."""

    def __init__(self) -> None:
        self._chunks: list[Any] = []
        self._rows: list[list[float]] = []

    def observed(self, row: Labelled | None, observation: Observation) -> None:
        """Keep it if `Scores` keeps the row too."""
        o = observation
        if row is None or row.row_id is None or o.disposition != "decision" or o.fraud_probability is None:
            return
        self._rows.append([*decode_features(o.features), o.anomaly_score or 0.0])
        if len(self._rows) == _CHUNK:
            self._pack()

    def matrix(self) -> Any:
        """All of them, in the order of the scores; shape (rows, features + 1)."""
        self._pack()
        return np.concatenate(self._chunks)

    def _pack(self) -> None:
        self._chunks.append(np.array(self._rows, dtype=np.float32).reshape(-1, len(NAMES) + 1))
        self._rows = []


def scored_by_us(fmt: str, path: Path, mapping: Path | None, delay_ms: int | None) -> tuple[Scored, Any, int]:
    """What `riskshift evaluate` says of a file, the vectors, and after how long labels are known."""
    source = open_labelled(fmt, path, mapping=mapping, label_delay_ms=delay_ms)
    delay = source.usual_delay_ms
    settings = RunSettings(load_policy(DEFAULT_PATH), load_model_rules(DEFAULT_MODELS_PATH), delay, delay)
    scores = Scores(source.id_column, integer_ids=source.integer_ids, labelled=source.labelled)
    vectors = Vectors()
    drive(source.rows, iter(()), scores, settings, watch=vectors)
    return scores.finish(), vectors.matrix(), delay


def compared(scored: Scored, vectors: Any, delay_ms: int) -> dict[str, Any]:
    """Both on the last rows."""
    fraud, time = scored.fraud, scored.time_ms
    start = int(time[int(len(time) * (1 - TEST_SHARE))])
    test = np.flatnonzero(time >= start)
    if not fraud[test].any() or not fraud[time < start - delay_ms].any():
        sys.exit("expected frauds before the test and in it, found none: give a longer file or a shorter --label-delay")
    ours, truth = scored.score[test], fraud[test]
    fit = calibration(truth, ours)
    figures: dict[str, Any] = {
        "rows": len(time), "frauds": int(fraud.sum()), "test_rows": len(test), "test_frauds": int(truth.sum()),
        "frauds_known_before": int(fraud[time < start - delay_ms].sum()),
        "ours": {"ap": average_precision(truth, ours), "auc": auc(truth, ours), "slope": fit["slope"],
                 "observed_over_expected": fit["observed_over_expected"]},
    }  # fmt: skip
    for name, starts in (("once", [start]), ("weekly", list(range(start, int(time[-1]) + 1, 7 * DAY_MS)))):
        if name == "weekly" and len(starts) == 1:
            continue
        said = [_rival(vectors, fraud, time, starts, delay_ms, seed)[test] for seed in range(SEEDS)]
        figures[name] = {
            "ap": float(np.mean([average_precision(truth, one) for one in said])),
            "auc": float(np.mean([auc(truth, one) for one in said])),
        }
    best = max(figures[name]["ap"] for name in ("once", "weekly") if name in figures)
    return figures | {"gap_ap": figures["ours"]["ap"] - best}


def _rival(vectors: Any, fraud: Any, time: Any, starts: list[int], delay_ms: int, seed: int) -> Any:
    import lightgbm

    said = np.zeros(len(time))
    for begin, end in zip(starts, [*starts[1:], int(time[-1]) + 1], strict=True):
        past, now = time < begin - delay_ms, (time >= begin) & (time < end)
        if now.any():
            known = lightgbm.Dataset(vectors[past], fraud[past].astype(float))
            said[now] = lightgbm.train(RIVAL | {"seed": seed}, known, ROUNDS).predict(vectors[now])
    return said


def _cases(args: argparse.Namespace) -> Iterator[tuple[str, str, Path, Path | None]]:
    if args.what == "handbook":
        path = Path(os.environ.get("RISKSHIFT_DATA", "")) / "handbook" / "transactions.parquet"
        if not path.exists():
            sys.exit(f"expected RISKSHIFT_DATA to name a folder with handbook/, found nothing at {path}: set it")
        yield "handbook", "handbook", path, None
    elif args.what == "file":
        if args.file is None:
            sys.exit("expected FILE after file, found none: name the table, and --mapping for --format csv")
        yield args.file.stem, args.format, args.file, args.mapping
    else:
        for seed in args.seeds:
            for name in args.names or WORLDS:
                with tempfile.TemporaryDirectory() as folder:
                    yield (f"{name}/{seed}", "csv", *WORLDS[name].write(Path(folder), seed, args.size))


def main() -> None:
    """Parse, run, print a line a case and keep the figures."""
    parser = argparse.ArgumentParser(prog="benchmarks.batch_rival", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("worlds", "handbook", "file"))
    parser.add_argument("file", nargs="?", type=Path, help="of file: the table")
    parser.add_argument("--format", default="csv", choices=("csv", "handbook"))
    parser.add_argument("--mapping", type=Path)
    parser.add_argument("--label-delay", type=duration_ms, help="default: the mapping's own")
    parser.add_argument("--names", nargs="+", choices=list(WORLDS), help="worlds; default: all")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--size", type=float, default=1.0, help="of the worlds' usual number of rows")
    parser.add_argument("--name", help="of the result file, if not the first argument")
    args = parser.parse_args()
    table: dict[str, Any] = {}
    for case, fmt, path, mapping in _cases(args):
        table[case] = one = compared(*scored_by_us(fmt, path, mapping, args.label_delay))
        rival = ", ".join(f"{name} {one[name]['ap']:.3f}" for name in ("once", "weekly") if name in one)
        print(
            f"{case:<15} {one['rows']:>9,} rows {one['test_frauds']:>6,} frauds in the test: "
            f"AP {one['ours']['ap']:.3f}, LightGBM {rival}; gap {one['gap_ap']:+.3f}; slope {one['ours']['slope']:.2f}",
            flush=True,
        )
        # Case by case: hours of figures are not lost with the last one.
        if args.what != "file":
            text = json.dumps(
                machine.facts(args.seeds[0]) | {"rival": RIVAL, "rounds": ROUNDS, "cases": table}, indent=1
            )
            (RESULTS / f"batch-rival-{args.name or args.what}.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
