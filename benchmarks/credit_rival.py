"""The credit card that learns, beside batch models fitted on the same inputs, on clients none of them has seen.

::

    pip install scikit-learn lightgbm
    RISKSHIFT_DATA=... python -m benchmarks.credit_rival

Reads `uci_default/` in the folder RISKSHIFT_DATA (docs/sources.md names the columns). A quarter of the clients, by a
hash of their id, is scored and never learned from. Ours goes through the stream once. The rivals are given all lessons
at once: scikit-learn's logistic regression over the same hats (a batch scorecard on the same binned inputs, free to run
either way), and LightGBM over the same characteristics, unbinned.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from alerts.policy import load_policy
from benchmarks import machine
from models.credit.curves import INPUTS, hats
from models.credit.learner import CreditSettings
from streams.cli.evaluate_credit import UCI_WINDOW_MS
from streams.evaluation.credit_figures import ranked
from streams.evaluation.credit_run import CreditBench, CreditScored, is_held_out
from streams.sources import open_source

RESULTS = Path(__file__).parent / "results" / "credit-rival.json"


def scores_of(path: Path) -> tuple[dict[str, CreditScored], dict[str, CreditScored], dict[str, bool]]:
    """What our models say of the held-out clients, what the rivals may learn from, and the truth of both."""
    settings = CreditSettings(window_ms=UCI_WINDOW_MS, silence_is_good=False)
    bench = CreditBench(load_policy(), settings, at_grant=False)
    learned = (e for e in open_source("uci-default", path) if not is_held_out(e.customer_id))
    bench.go(learned, teach=True, score=lambda _: True)
    lessons = bench.run.scores
    bench.run.scores = {}
    bench.go(
        (e for e in open_source("uci-default", path) if is_held_out(e.customer_id)), teach=False, score=lambda _: True
    )
    return bench.run.scores, lessons, bench.run.outcomes


def matrix(scores: dict[str, CreditScored]) -> np.ndarray[Any, Any]:
    """The hats of every client as columns."""
    made = np.zeros((len(scores), INPUTS))
    for place, scored in enumerate(scores.values()):
        for name, share in hats(scored.inputs).items():
            made[place, name] = share
    return made


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    try:
        from lightgbm import LGBMClassifier
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        sys.exit(f"expected scikit-learn and lightgbm, found no {error.name}: pip install scikit-learn lightgbm")
    folder = os.environ.get("RISKSHIFT_DATA")
    if not folder:
        sys.exit("expected the folder of the public data sets in RISKSHIFT_DATA, found none: set it")
    test, lessons, truth = scores_of(next((Path(folder) / "uci_default").glob("*.parquet")))
    learned = np.array([truth[name] for name in lessons])
    bad = np.array([truth[name] for name in test])
    regression = LogisticRegression(C=1.0, max_iter=1_000).fit(matrix(lessons), learned)
    plain = np.array([scored.inputs for scored in lessons.values()])
    boosted = LGBMClassifier(
        n_estimators=200, learning_rate=0.03, num_leaves=15, min_child_samples=60, colsample_bytree=0.7, subsample=0.7,
        subsample_freq=1, verbose=-1, n_jobs=1, random_state=args.seed,
    ).fit(plain, learned)  # fmt: skip
    said = {
        "card": np.array([scored.pd for scored in test.values()]),
        "challenger": np.array([scored.challenger for scored in test.values()]),
        "expert": np.array([scored.expert for scored in test.values()]),
        "batch_scorecard": regression.predict_proba(matrix(test))[:, 1],
        "lightgbm": boosted.predict_proba(np.array([scored.inputs for scored in test.values()]))[:, 1],
    }
    figures = {name: ranked(bad, score, args.seed) for name, score in said.items()}
    result = {
        **machine.facts(args.seed), "lessons": len(lessons), "clients": len(test), "defaults": int(bad.sum()),
        "behind_batch_scorecard": round(figures["batch_scorecard"]["auc"] - figures["card"]["auc"], 4), **figures,
    }  # fmt: skip
    print(json.dumps(result, indent=1))
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
