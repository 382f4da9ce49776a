"""The policy: versioned data that says what is a shift and what to do about it; validated whole, or refused.

A policy is TOML. `parse_policy` makes an immutable `Policy` or raises `PolicyError` with the key, what was found,
what was expected and what to do. Nothing has a default: a key that is missing or unknown is an error.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path
from typing import Any, Literal, cast

import msgspec
from msgspec import Struct

from alerts.errors import PolicyError
from alerts.lending.rules import LendingRules, parse_lending
from alerts.levels import Thresholds
from alerts.places import line_of
from alerts.planned import PlannedAction, planned_actions
from alerts.records import SEVERITIES, Severity
from alerts.state import GRADES, LEVELS, SIGNALS
from alerts.tables import Table
from alerts.warning_policy import WarningPolicy, warning_policy
from features.catalogue import NAMES

OPERATORS = (">=", ">", "<=", "<", "==")
SCORES = ("fraud_probability", "anomaly_score")
RULES_MAX, CONDITIONS_MAX = 64, 8
DEFAULT_PATH = Path(__file__).resolve().parent.parent / "policies" / "default.toml"
_NAMED = (
    "default",
    "early_warning",
    "early_warning_cleared",
    *(f"level_{name}" for name in LEVELS),
    "grade_down",
    "grade_up",
    *SIGNALS,
)


class Condition(Struct, frozen=True):
    """`feature op value`."""

    feature: str
    op: Literal[">=", ">", "<=", "<", "=="]
    value: float


class Level(Struct, frozen=True):
    """A fraud level above normal."""

    name: str
    enter: float
    exit: float
    severity: Severity
    alert: bool
    actions: tuple[PlannedAction, ...]


class Rule(Struct, frozen=True):
    """All conditions hold: raise to `level` and alert, unless it did within `cool_down_ms`."""

    id: str
    title: tuple[str, str] | None
    when: tuple[Condition, ...]
    severity: Severity
    level: str
    cool_down_ms: int
    actions: tuple[PlannedAction, ...]


class Move(Struct, frozen=True):
    """A move of the grade: down, up or into default.

    It alerts where the grade it leads to has at least the place `alert_from` in `GRADES`; -1 is never, 0 always. The
    risk change says every move.
    """

    severity: Severity
    cool_down_ms: int
    actions: tuple[PlannedAction, ...]
    alert_from: int = 0

    def alerts(self, grade: str) -> bool:
        """Whether the move to this grade is worth a human's eyes."""
        return 0 <= self.alert_from <= GRADES.index(grade)


class Credit(Struct, frozen=True):
    """Grades: down at once, up after `confirm_count` observations over `confirm_ms`."""

    confirm_count: int
    confirm_ms: int
    pd_change_ratio: float
    down: Move
    up: Move
    default: Move


class Signal(Struct, frozen=True):
    """A signal of silence or arrears."""

    severity: Severity
    cool_down_ms: int
    marks_default: bool
    actions: tuple[PlannedAction, ...]


class Verdict(Struct, frozen=True):
    """What a known outcome does to the card."""

    level: str
    severity: Severity
    alert: bool
    actions: tuple[PlannedAction, ...]


class Policy(LendingRules, frozen=True, kw_only=True):
    """A valid policy. Records carry `version`; two files with one version and unlike `digest` must not both run."""

    version: str
    calm_events: int
    calm_ms: int
    levels: tuple[Level, ...]
    rules: tuple[Rule, ...]
    credit: Credit
    signals: dict[str, Signal]
    outcomes: dict[str, Verdict]
    # Share of customers' days on which what would be declined is let pass, so that its truth becomes known.
    control_share: float = 0.0
    # Absent: nobody is put on the watch list.
    warnings: WarningPolicy | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the meaning: comments, spacing, key order and "24h" for "1d" do not change it."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()

    @property
    def thresholds(self) -> Thresholds:
        """Probabilities by level number, as `alerts.levels.step` takes them."""
        return Thresholds(
            (0.0, *(level.enter for level in self.levels)),
            (0.0, *(level.exit for level in self.levels)),
            self.calm_events,
            self.calm_ms,
        )


def parse_policy(source: bytes | str) -> Policy:
    """Read a policy from TOML text.

    Raises
    ------
    PolicyError
        With the key and its line, what was found, what was expected and what to do.
    """
    try:
        text = source.decode() if isinstance(source, bytes) else source
        document = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise PolicyError("file", f"byte {error.start} is not UTF-8", "UTF-8 text", "save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at (.*)\)$", str(error))
        where = place[1] if place else "file"
        raise PolicyError(where, str(error), "TOML", "correct the line") from None
    try:
        return _policy(Table(document, ""))
    except PolicyError as error:
        raise error.at(line_of(text, error.key)) from None


def _policy(top: Table) -> Policy:
    version = top.text("version")
    if len(version) > 64:
        raise top.refuse("version", version, "at most 64 characters", "shorten it")
    fraud = top.table("fraud")
    policy = Policy(
        version=version,
        calm_events=fraud.whole("calm_events", 1, 1000),
        calm_ms=cast(int, fraud.duration_ms("calm_time", {"none": 0})),
        levels=_levels(fraud.table("levels")),
        rules=_rules(fraud),
        credit=_credit(top.table("credit")),
        signals=_signals(top.table("signals")),
        outcomes=_outcomes(top.table("outcomes")),
        **parse_lending(top),
        control_share=fraud.number("control_group", 0, 0.2) if fraud.has("control_group") else 0.0,
        warnings=warning_policy(top.table("warnings")) if top.has("warnings") else None,
    )
    fraud.done()
    top.done()
    return policy


def load_policy(path: Path = DEFAULT_PATH) -> Policy:
    """Read a policy file; the only I/O here."""
    try:
        return parse_policy(path.read_bytes())
    except OSError as error:
        raise PolicyError(str(path), error.strerror or "an error", "a readable file", "check the path") from None


def _levels(table: Table) -> tuple[Level, ...]:
    levels: list[Level] = []
    for name in LEVELS[1:]:
        one = table.table(name)
        level = Level(
            name=name,
            enter=one.number("enter", 0, 1),
            exit=one.number("exit", 0, 1),
            severity=_severity(one),
            alert=one.flag("alert"),
            actions=planned_actions(one),
        )
        one.done()
        if not level.exit < level.enter:
            raise one.refuse("exit", level.exit, f"less than enter ({level.enter:g})", "leave room for hysteresis")
        if levels and not level.enter > levels[-1].enter:
            lower = levels[-1]
            raise one.refuse(
                "enter", level.enter, f"more than {lower.name}'s enter ({lower.enter:g})", "order the levels upward"
            )
        if levels and level.exit < levels[-1].exit:
            lower = levels[-1]
            raise one.refuse(
                "exit", level.exit, f"at least {lower.name}'s exit ({lower.exit:g})", "order the levels upward"
            )
        levels.append(level)
    table.done()
    return tuple(levels)


def _rules(fraud: Table) -> tuple[Rule, ...]:
    rules: list[Rule] = []
    for one in fraud.tables("rules", RULES_MAX):
        rule = Rule(
            id=one.name("id"),
            title=one.title(),
            when=tuple(_condition(c) for c in one.tables("when", CONDITIONS_MAX)),
            severity=_severity(one),
            level=one.text("level", LEVELS),
            cool_down_ms=_cool_down(one),
            actions=planned_actions(one),
        )
        one.done()
        if not rule.when:
            raise one.refuse("when", [], "at least one condition", "a rule without conditions would always hit")
        if rule.id in _NAMED or any(rule.id == other.id for other in rules):
            raise one.refuse("id", rule.id, "an id of its own", "rename the rule; its id is part of every alert id")
        rules.append(rule)
    return tuple(rules)


def _condition(table: Table) -> Condition:
    feature = table.text("feature", (*NAMES, *SCORES))
    op = table.text("op", OPERATORS)
    value = table.number("value")
    table.done()
    return Condition(feature, cast(Any, op), value)


def _severity(table: Table) -> Severity:
    return cast(Severity, table.text("severity", SEVERITIES))


def _cool_down(table: Table) -> int:
    return cast(int, table.duration_ms("cool_down", {"none": 0}))


def _move(table: Table) -> Move:
    alert_from = 0
    if table.has("alert_worse_than"):
        alert_from = GRADES.index(table.text("alert_worse_than", GRADES[:-1])) + 1
    if table.has("alert") and not table.flag("alert"):
        alert_from = -1
    move = Move(_severity(table), _cool_down(table), planned_actions(table), alert_from)
    table.done()
    return move


def _credit(table: Table) -> Credit:
    credit = Credit(
        confirm_count=table.whole("confirm_observations", 1, 100),
        confirm_ms=cast(int, table.duration_ms("confirm_time", {"none": 0})),
        pd_change_ratio=table.number("pd_change_ratio", 0.01, 10),
        down=_move(table.table("down")),
        up=_move(table.table("up")),
        default=_move(table.table("default")),
    )
    table.done()
    return credit


def _signals(table: Table) -> dict[str, Signal]:
    signals: dict[str, Signal] = {}
    for kind in SIGNALS:
        one = table.table(kind)
        signals[kind] = Signal(_severity(one), _cool_down(one), one.flag("marks_default"), planned_actions(one))
        one.done()
    table.done()
    return signals


def _outcomes(table: Table) -> dict[str, Verdict]:
    outcomes: dict[str, Verdict] = {}
    for kind in ("fraud_confirmed", "chargeback"):
        one = table.table(kind)
        level = one.text("level", LEVELS)
        if kind == "fraud_confirmed" and level != "high":
            raise one.refuse("level", level, "high", "a card with confirmed fraud is at the highest level")
        outcomes[kind] = Verdict(level, _severity(one), one.flag("alert"), planned_actions(one))
        one.done()
    table.done()
    return outcomes
