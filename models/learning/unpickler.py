"""A pickle reader that knows the River classes the fraud model is made of, and refuses everything else."""

from __future__ import annotations

import io
import pickle
from typing import Any

from models.errors import CheckpointError

# Exactly what `FraudModel.dump` writes today. `partial`, `tuple` and `float` are default factories.
ALLOWED: frozenset[tuple[str, str]] = frozenset({
    ("river.linear_model.log_reg", "LogisticRegression"),
    ("river.optim.schedulers", "Constant"),
    ("river.optim.losses", "Log"),
    ("river.optim.initializers", "Zeros"),
    ("river._river_rust.vectordict", "VectorDict"),
    ("models.linear", "LeanAdaGrad"),
    ("river.tree.hoeffding_tree_classifier", "HoeffdingTreeClassifier"),
    ("river.tree.nodes.branch", "NumericBinaryBranch"),
    ("river.tree.nodes.htc_nodes", "LeafMajorityClass"),
    ("river.tree.splitter.histogram_splitter", "HistogramSplitter"),
    ("river.sketch.histogram", "Histogram"),
    ("river.sketch.histogram", "Bin"),
    ("river.anomaly.hst", "HalfSpaceTrees"),
    ("river.tree.padded", "PaddedBranch"),
    ("river.tree.padded", "PaddedLeaf"),
    ("river.drift.adwin", "ADWIN"),
    ("river._river_rust.drift", "AdaptiveWindowing"),
    ("collections", "defaultdict"),
    ("functools", "partial"),
    ("random", "Random"),
    ("builtins", "tuple"),
    ("builtins", "float"),
})  # fmt: skip


class _RiverUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise CheckpointError(
                f"expected only River's model classes in a checkpoint, found {module}.{name}: "
                "do not use this checkpoint; start the learner without it and find out who wrote it"
            )
        return super().find_class(module, name)


def load_river(data: bytes) -> Any:
    """Objects of the allowed classes, or a `CheckpointError`; nothing else is ever called."""
    try:
        return _RiverUnpickler(io.BytesIO(data)).load()
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(
            f"expected River models in the checkpoint, found bytes that do not load ({error}): "
            "start the learner without the checkpoint"
        ) from error
