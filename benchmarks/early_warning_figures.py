"""Figures of early warning: what was found before the first missed due, at what price, and beside a simple rule."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.early_warning_run import DAY_MS, Lived, Seen
from features.warning_catalogue import CODES, ON
from streams.town import Planted, Town
from streams.town.strain import HARDSHIPS, SHOCKS

QUARTER_MS = 91 * DAY_MS
# Before, customers' habits are not known; nothing is counted.
WARM_DAYS = 60
# An indicator speaks for a default if it was there in the sixty days before the first missed due.
_AHEAD_MS = 60 * DAY_MS
_CREDIT_RULES = ("early_warning", "income_missed", "income_missed_twice", "grade_down", "instalment_missed")
_FLAP_MS, _FLAPS = 30 * DAY_MS, 3
# Signs fade within sixty days or so: a recovery needs as long to be seen.
_TO_CLEAR_MS = 60 * DAY_MS

Cell = tuple[str, int]


@dataclass(slots=True)
class Groups:
    """Who is who in one town, by the planted truth. `missed_ms` is a defaulter's first due that was not paid."""

    start_ms: int
    end_ms: int
    missed_ms: dict[str, int] = field(default_factory=dict)
    recovered: dict[str, Planted] = field(default_factory=dict)
    healthy: frozenset[str] = frozenset()

    def cell(self, customer_id: str, at_ms: int) -> Cell:
        """Customer and quarter."""
        return customer_id, (at_ms - self.start_ms) // QUARTER_MS

    @property
    def quarters(self) -> float:
        """How long was counted."""
        return (self.end_ms - self.start_ms) / QUARTER_MS

    def counts(self, customer_id: str, at_ms: int) -> bool:
        """Whether something said of the customer now is early, and of interest."""
        if at_ms < self.start_ms:
            return False
        return at_ms < self.missed_ms[customer_id] if customer_id in self.missed_ms else customer_id in self.healthy


def groups_of(town: Town, lived: Lived) -> Groups:
    """Defaulters: trouble planted, a due missed, default declared. Healthy: customers who owe, in no case at all."""
    groups = Groups(town.config.start_ms + WARM_DAYS * DAY_MS, town.config.end_ms)
    inside: dict[str, None] = {}
    for case in town.planted:
        inside |= dict.fromkeys(case.customer_ids)
        if case.typology not in HARDSHIPS:
            continue
        customer_id = case.customer_ids[0]
        dues = [lived.due_ms[event_id] for event_id in case.event_ids if event_id in lived.due_ms]
        if case.end == "default" and dues and customer_id in lived.defaults:
            groups.missed_ms[customer_id] = min(dues)
        elif case.end == "recovered":
            groups.recovered[customer_id] = case
    groups.healthy = frozenset(customer_id for customer_id in lived.owing if customer_id not in inside)
    return groups


def found(town: Town, lived: Lived, groups: Groups) -> dict[str, Any]:
    """The early-warning alerts against the truth, and the rival rule at equal volume."""
    missed, healthy = groups.missed_ms, groups.healthy
    ours = [(c, at) for c, at, rule, _ in lived.alerts if rule == "early_warning" and groups.counts(c, at)]
    rival = [(c, at) for c, at in lived.rule_hits if groups.counts(c, at)]
    hits, ahead = _hits(ours, missed), _first(ours)
    our_cells = _cells(ours, groups)
    rival_cells, rival_hits = _cells(rival, groups), _hits(rival, missed)
    volume = min(len(our_cells), len(rival_cells))
    best = _best(ours, lived.reviews, groups, volume)
    at_volume = {
        "cells": volume,
        "ours": len({c for c, _ in best if c in missed}),
        "rule": round(len(rival_hits) * volume / len(rival_cells), 1) if rival_cells else 0,
    }
    every = [(c, at) for c, at, rule, _ in lived.alerts if rule in _CREDIT_RULES and c in healthy]
    every = [(c, at) for c, at in every if at >= groups.start_ms]
    return {
        "events": lived.events,
        "defaulters": len(missed),
        "found_before_first_missed": len(hits),
        "found_ratio": _ratio(len(hits), len(missed)),
        "days_ahead_median": round(median((missed[c] - ahead[c]) / DAY_MS for c in hits), 1) if hits else None,
        "healthy": len(healthy),
        "quarters": round(groups.quarters, 2),
        "healthy_alerted_cells": len({cell for cell in our_cells if cell[0] in healthy}),
        "healthy_alerted_per_quarter": _per_quarter(our_cells, groups),
        "healthy_any_credit_alert_per_quarter": _per_quarter(_cells(every, groups), groups),
        "healthy_per_quarter_by_rule": _by_rule(lived, groups),
        "volume_cells": len(our_cells),
        "rule": {
            "cells": len(rival_cells),
            "found": len(rival_hits),
            "healthy_per_quarter": _per_quarter(rival_cells, groups),
        },
        "at_equal_volume": at_volume,
        "missed_by_cause": dict(
            Counter(
                case.typology for case in town.planted
                if case.typology in HARDSHIPS and case.customer_ids[0] in missed and case.customer_ids[0] not in hits
            )
        ),
        "healthy_alerted_by_chance": dict(Counter(
            next((case.typology for case in town.chances if c in case.customer_ids), "nothing planted")
            for c, _ in sorted(cell for cell in our_cells if cell[0] in healthy)
        )),
    }  # fmt: skip


def recoveries(lived: Lived, groups: Groups) -> dict[str, Any]:
    """Alerted, and recovered sixty days before the end: how many were taken off the list, and after how long."""
    alerted = {c for c, _, rule, _ in lived.alerts if rule == "early_warning"}
    seen = [
        (customer_id, case.recovered_ms)
        for customer_id, case in groups.recovered.items()
        if customer_id in alerted and 0 <= case.recovered_ms < groups.end_ms - _TO_CLEAR_MS
    ]
    cleared: dict[str, int] = {}
    for customer_id, at_ms, rule, _ in lived.alerts:
        if rule == "early_warning_cleared":
            cleared[customer_id] = at_ms
    days = [(cleared[c] - at) / DAY_MS for c, at in seen if cleared.get(c, 0) > at]
    return {
        "recovered": len(groups.recovered),
        "alerted_and_recovered_in_time": len(seen),
        "cleared": len(days),
        "days_to_clear_median": round(median(days), 1) if days else None,
    }


def lifts(runs: Iterable[tuple[Lived, Groups]]) -> list[dict[str, Any]]:
    """Per indicator: how often it was there in 60 days before a first missed due, and in 60 days of healthy life."""
    bad: dict[Any, list[bool]] = {}
    good: dict[Any, list[bool]] = {}
    for number, (lived, groups) in enumerate(runs):
        for seen in lived.reviews:
            customer_id, at_ms = seen.customer_id, seen.at_ms
            if not groups.counts(customer_id, at_ms):
                continue
            missed_ms = groups.missed_ms.get(customer_id)
            if missed_ms is None:
                block = good.setdefault((number, customer_id, at_ms // _AHEAD_MS), [False] * len(CODES))
            elif at_ms >= missed_ms - _AHEAD_MS:
                block = bad.setdefault((number, customer_id), [False] * len(CODES))
            else:
                continue
            for place, reading in enumerate(seen.readings):
                block[place] |= reading >= ON
    table = []
    for place, code in enumerate(CODES):
        there, usual = sum(b[place] for b in bad.values()), sum(b[place] for b in good.values())
        share, base = there / max(1, len(bad)), usual / max(1, len(good))
        table.append({
            "indicator": code, "before_default": round(share, 3), "healthy": round(base, 4),
            # One healthy case is added, so that a sign never seen among the healthy has a finite lift.
            "lift": round(share / ((usual + 1) / (len(good) + 1)), 1) if there else 0.0,
            "defaulters": there, "healthy_blocks": usual,
        })  # fmt: skip
    return sorted(table, key=lambda row: -float(str(row["lift"])))


def community(town: Town, lived: Lived) -> dict[str, Any]:
    """Shocks planted and found, false ones, and members' alerts folded under them."""
    planted = [case for case in town.planted if case.typology in SHOCKS]
    rows = []
    for case in planted:
        scope = "employer" if case.typology == "factory_closure" else "district"
        mine = [s for s in lived.shocks if (s.scope, s.scope_id) == (scope, case.about) and s.at_ms >= case.start_ms]
        members = dict.fromkeys(case.customer_ids)
        folded = sum(parent in {s.alert_id for s in mine} for c, _, _, parent in lived.alerts if c in members)
        rows.append({
            "kind": case.typology, "group": case.about, "struck": len(members), "alerts": len(mine),
            "days_until_alert": round((mine[0].at_ms - case.start_ms) / DAY_MS, 1) if mine else None,
            "struck_when_alerted": mine[0].struck if mine else 0,
            "members_alerts_named": len(mine[0].alert_ids) if mine else 0, "members_alerts_with_parent": folded,
        })  # fmt: skip
    abouts = [case.about for case in planted]
    return {"planted": rows, "other_alerts": sum(s.scope_id not in abouts for s in lived.shocks)}


def flapping(lived: Lived, enter: float) -> dict[str, Any]:
    """Moves with and without hysteresis, and how much later it lets a customer go."""
    with_: dict[str, list[int]] = defaultdict(list)
    without: dict[str, list[int]] = defaultdict(list)
    grades: dict[str, list[int]] = defaultdict(list)
    last: dict[str, bool] = {}
    fell_ms: dict[str, int] = {}
    delays = []
    for seen in lived.reviews:
        c, at_ms = seen.customer_id, seen.at_ms
        if seen.watch is not None:
            with_[c].append(at_ms)
            if not seen.watch and c in fell_ms:
                delays.append((at_ms - fell_ms[c]) / DAY_MS)
        above = seen.probability >= enter
        if above != last.get(c, False):
            without[c].append(at_ms)
            if not above:
                fell_ms[c] = at_ms
        last[c] = above
    for c, at_ms, _path, _to in lived.moves:
        grades[c].append(at_ms)
    return {
        "customers_reviewed": len(last),
        "moves": sum(map(len, with_.values())),
        "flapping": _flapping(with_),
        "moves_without_hysteresis": sum(map(len, without.values())),
        "flapping_without_hysteresis": _flapping(without),
        "grade_moves": sum(map(len, grades.values())),
        "grade_flapping": _flapping(grades),
        # Nobody waits to be put on the list; hysteresis costs time only on the way out.
        "delay_days_to_enter": 0,
        "delay_days_to_leave_median": round(median(delays), 1) if delays else None,
    }


def _flapping(moves: dict[str, list[int]]) -> int:
    return sum(any(b - a <= _FLAP_MS for a, b in zip(at, at[_FLAPS - 1 :], strict=False)) for at in moves.values())


def _hits(said: list[tuple[str, int]], missed: dict[str, int]) -> set[str]:
    return {c for c, at_ms in said if c in missed and at_ms < missed[c]}


def _first(said: list[tuple[str, int]]) -> dict[str, int]:
    first: dict[str, int] = {}
    for c, at_ms in said:
        first.setdefault(c, at_ms)
    return first


def _cells(said: list[tuple[str, int]], groups: Groups) -> set[Cell]:
    return {groups.cell(c, at_ms) for c, at_ms in said}


def _best(ours: list[tuple[str, int]], reviews: list[Seen], groups: Groups, volume: int) -> list[Cell]:
    """The cells of our alerts with the highest score at the alert."""
    score = {(seen.customer_id, seen.at_ms): seen.probability for seen in reviews}
    cells: dict[Cell, float] = {}
    for c, at_ms in ours:
        cell = groups.cell(c, at_ms)
        cells[cell] = max(cells.get(cell, 0.0), score.get((c, at_ms), 0.0))
    return sorted(cells, key=lambda cell: (-cells[cell], cell))[:volume]


def _by_rule(lived: Lived, groups: Groups) -> dict[str, float | None]:
    said = [(c, at_ms, rule) for c, at_ms, rule, _ in lived.alerts if at_ms >= groups.start_ms]
    return {
        name: _per_quarter(_cells([(c, at_ms) for c, at_ms, rule in said if rule == name], groups), groups)
        for name in _CREDIT_RULES
    }


def _per_quarter(cells: set[Cell], groups: Groups) -> float | None:
    mine = sum(cell[0] in groups.healthy for cell in cells)
    return _ratio(mine, len(groups.healthy) * groups.quarters)


def _ratio(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None
