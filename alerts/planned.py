"""Actions as a policy plans them: which, for whom, how long, and whether a machine may do it."""

from __future__ import annotations

from typing import Any, cast, get_args

from msgspec import Struct

from alerts.records import Action
from alerts.state import Mode, ScopeType
from alerts.tables import Table

ACTIONS: tuple[str, ...] = get_args(Action)
# A card can be stopped by a machine; everything else, adverse credit decisions above all, is advice to a named human.
ENFORCEABLE = ("monitor", "step_up_verification", "freeze_card", "release_card", "decline_transaction")
PLANNED_MAX = 8


class PlannedAction(Struct, frozen=True):
    """An action to recommend. `lasts_ms`: 0 once, None until released."""

    action: str
    mode: Mode
    scope: ScopeType
    lasts_ms: int | None


def planned_actions(table: Table) -> tuple[PlannedAction, ...]:
    planned: list[PlannedAction] = []
    for one in table.tables("actions", PLANNED_MAX):
        action = one.text("action", ACTIONS)
        mode = one.text("mode", ("advise", "enforce"))
        scope = one.text("scope", ("card", "customer", "facility"))
        lasts_ms = one.duration_ms("lasts", {"once": 0, "until_released": None})
        one.done()
        if mode == "enforce" and action not in ENFORCEABLE:
            raise one.refuse(
                "mode", mode, "advise", f"{action} is advice to a named human; only a card can be stopped by a machine"
            )
        if mode == "enforce" and scope == "facility":
            raise one.refuse("scope", scope, "card or customer", "a machine acts on cards, never on a loan")
        planned.append(PlannedAction(action, cast(Any, mode), cast(Any, scope), lasts_ms))
    return tuple(planned)
