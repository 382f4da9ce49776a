"""JSON Schemas (2020-12) of what enters and leaves, made from the structs; `python -m alerts.schemas` writes them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Union

import msgspec

from alerts.community import CommunityAlert
from alerts.model_alerts import ModelAlert
from alerts.records import Alert, Decision, RiskChange
from features.events import CONTROL_KINDS, CUSTOMER_KINDS

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
# mypy cannot see a Union built at run time.
_EVENT: Any = Union[(*CUSTOMER_KINDS, *CONTROL_KINDS)]
_TOPICS: tuple[tuple[str, str, Any, str], ...] = (
    ("event", "Event", _EVENT, "One record of riskshift.events or riskshift.world; unknown fields are passed over."),
    ("alert", "Alert", Alert, "One record of riskshift.alerts: a shift worth a human's eyes."),
    ("model-alert", "Model alert", ModelAlert,
     "One record of riskshift.alerts with key `model` and CloudEvents type riskshift.model-alert.v1: something people "
     "should know about the models themselves. It is about no customer."),
    ("community-alert", "Community alert", CommunityAlert,
     "One record of riskshift.alerts with key `community` and CloudEvents type riskshift.community-alert.v1: many "
     "customers of one district or employer lost income at once. It is about no customer."),
    ("risk-change", "Risk change", RiskChange,
     "One record of riskshift.risk-changes (compacted, key customer_id): the customer's whole present state, what "
     "changed and why. Sequence has no holes."),
    ("decision", "Decision", Decision, "One record of riskshift.decisions: the disposition of one input offset."),
)  # fmt: skip


def schemas() -> dict[str, str]:
    """File name → JSON text of every schema; pure and always the same."""
    files: dict[str, str] = {}
    for name, title, kind, description in _TOPICS:
        made = msgspec.json.schema(kind)
        head = {
            "$schema": _DIALECT,
            "$id": f"urn:riskshift:schema:{name}:1",
            "title": title,
            "description": description,
        }
        files[f"{name}.json"] = json.dumps(head | made, indent=2, ensure_ascii=False) + "\n"
    return files


def main(folder: Path) -> None:
    """Write every schema into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in schemas().items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "schemas"))
