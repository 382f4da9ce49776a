"""A replay's folder as arrays: what a comparison needs of decisions and alerts, and what became known."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset
from numpy.typing import NDArray

from models.observation import FRAUD_OUTCOMES, GOOD_OUTCOMES
from models.shaping import Floats
from streams.replay.manifest import read_manifest
from streams.replay.output import SCHEMAS

DEFAULTS = ("default",)
# Between a customer and an event; not the usual NUL, which NumPy drops at the end of a text.
SEPARATOR = "\x1f"
_SCORED = (
    "customer_id", "event_id", "event_time_ms", "fraud_probability", "amount_minor", "fraud_level", "alert_ids",
)  # fmt: skip
_OUTCOMES = ("customer_id", "event_time_ms", "outcome", "about_event_id", "typology")


@dataclass(frozen=True, slots=True)
class Scored:
    """Every scored event, in the order of partition and offset."""

    key: NDArray[np.object_]
    customer: NDArray[np.object_]
    time_ms: NDArray[np.int64]
    score: Floats
    amount_minor: NDArray[np.int64]
    alerted: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Truths:
    """What became known: fraud or not by event, kind of fraud by event, time of default by customer."""

    fraud: dict[str, bool] = field(default_factory=dict)
    typology: dict[str, str] = field(default_factory=dict)
    default_ms: dict[str, int] = field(default_factory=dict)


class ReplayTables:
    """One replay.

    Parameters
    ----------
    folder
        Of a finished replay.

    Raises
    ------
    ReplayError
        When it is none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest: dict[str, Any] = read_manifest(folder)

    @property
    def name(self) -> str:
        """What people call it."""
        return str(self.manifest["name"])

    def table(self, topic: str, columns: list[str] | None = None, where: Any = None) -> Any:
        """Columns of a table as Arrow, in the order of partition and place."""
        paths = sorted((self.folder / topic).glob("p*-s*.parquet"))
        schema = SCHEMAS[topic]
        if not paths:
            empty = schema.empty_table()
            return empty if columns is None else empty.select(columns)
        found = pyarrow.dataset.dataset([str(path) for path in paths], schema=schema)
        return found.to_table(columns=columns, filter=where)

    def scored(self) -> Scored:
        """Every scored event."""
        known = pc.field("fraud_probability").is_valid()
        table = self.table("decisions", list(_SCORED), known)
        customer = _objects(table, "customer_id")
        alerts = pc.fill_null(pc.list_value_length(table.column("alert_ids")), 0).to_numpy()
        return Scored(
            key_of(customer, _objects(table, "event_id")), customer, table.column("event_time_ms").to_numpy(),
            table.column("fraud_probability").to_numpy(), pc.fill_null(table.column("amount_minor"), 0).to_numpy(),
            alerts > 0,
        )  # fmt: skip

    def truths(self) -> Truths:
        """What the outcomes among the events say; a later one counts."""
        table = self.table("decisions", list(_OUTCOMES), pc.field("kind") == "outcome")
        table = table.take(pc.sort_indices(table, sort_keys=[("event_time_ms", "ascending")]))
        truths = Truths()
        for row in table.to_pylist():
            key = f"{row['customer_id']}{SEPARATOR}{row['about_event_id']}"
            if row["outcome"] in FRAUD_OUTCOMES:
                truths.fraud[key] = True
                truths.typology[key] = row["typology"] or "unnamed"
            elif row["outcome"] in GOOD_OUTCOMES:
                truths.fraud[key] = False
            elif row["outcome"] in DEFAULTS:
                truths.default_ms.setdefault(row["customer_id"], row["event_time_ms"])
        return truths

    def alerts(self) -> list[dict[str, Any]]:
        """Whole alerts, by time; among those of one moment by customer and rule."""
        found = [orjson.loads(record) for record in self.table("alerts", ["record"]).column("record").to_pylist()]
        return sorted(found, key=lambda a: (a["event_time_ms"], a["customer_id"], a["rule"], a["alert_id"]))

    def grades(self) -> dict[str, str]:
        """The last grade of every customer who has one."""
        where = pc.field("grade").is_valid()
        table = self.table("changes", ["customer_id", "sequence", "grade"], where)
        last: dict[str, tuple[int, str]] = {}
        for row in table.to_pylist():
            if row["sequence"] >= last.get(row["customer_id"], (0, ""))[0]:
                last[row["customer_id"]] = (row["sequence"], row["grade"])
        return {customer: grade for customer, (_sequence, grade) in last.items()}


def key_of(customer: NDArray[np.object_], event: NDArray[np.object_]) -> NDArray[np.object_]:
    """Names an event: its customer and its id."""
    keys: NDArray[np.object_] = customer + SEPARATOR + event
    return keys


def _objects(table: Any, name: str) -> NDArray[np.object_]:
    column = table.column(name)
    if pa.types.is_dictionary(column.type):
        column = pc.cast(column, pa.string())
    found: NDArray[np.object_] = column.to_numpy(zero_copy_only=False)
    return found.astype(object)
