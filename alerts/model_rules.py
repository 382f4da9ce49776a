"""`policies/models.toml`: candidates, promotion, guards, caps and drift; validated whole, or refused with its line."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import cast

from alerts.errors import PolicyError
from alerts.tables import Table
from models.governance.rules import (
    CANDIDATES_MAX,
    CandidateRules,
    DriftRules,
    GuardRules,
    LabelRules,
    ModelRules,
    PromotionRules,
)

DEFAULT_MODELS_PATH = Path(__file__).resolve().parent.parent / "policies" / "models.toml"
_HEADER = re.compile(r"\s*(\[\[?)\s*([\w.]+)\s*\]\]?")
_KEY = re.compile(r"\s*([\w-]+)\s*=")


def parse_model_rules(source: bytes | str) -> ModelRules:
    """Read the rules from TOML text.

    Raises
    ------
    PolicyError
        With line and key, what was found, what was expected and what to do.

    Examples
    --------
    >>> parse_model_rules('version = 7')
    Traceback (most recent call last):
    ...
    alerts.errors.PolicyError: policy: line 1: version: expected a text of 1 to 200 characters, found 7: correct it
    """
    try:
        text = source.decode() if isinstance(source, bytes) else source
        document = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise PolicyError("file", f"byte {error.start} is not UTF-8", "UTF-8 text", "save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise PolicyError("file", str(error), "TOML", "correct the line") from None
    try:
        return _rules(Table(document, ""))
    except PolicyError as error:
        line = line_of(text, error.key)
        if line is None:
            raise
        raise PolicyError(f"line {line}: {error.key}", error.found, error.expected, error.advice) from None


def load_model_rules(path: Path = DEFAULT_MODELS_PATH) -> ModelRules:
    """Read a rules file; the only I/O here."""
    try:
        return parse_model_rules(path.read_bytes())
    except OSError as error:
        raise PolicyError(str(path), error.strerror or "an error", "a readable file", "check the path") from None


def line_of(text: str, key: str) -> int | None:
    """Line of a dotted key (``guards.alert_at``, ``candidates[1].name``), or of its table; None if neither is there.

    Examples
    --------
    >>> line_of('a = 1\\n[[c]]\\nn = 1\\n[[c]]\\nn = 2', "c[1].n")
    5
    """
    table, counts, found = "", dict[str, int](), None
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = header[2]
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = f"{table}[{counts[table]}]"
            if table == key or key.startswith(f"{table}."):
                found = number
        elif (entry := _KEY.match(line)) and (f"{table}.{entry[1]}" if table else entry[1]) == key:
            return number
    return found


def _rules(top: Table) -> ModelRules:
    version = top.text("version")
    held_out = top.number("held_out", 0, 0.5)
    keep_every_ms = cast(int, top.duration_ms("keep_every"))
    keeps_max = top.whole("keeps_max", 1, 10)
    candidates = tuple(_candidate(table) for table in top.tables("candidates", CANDIDATES_MAX))
    names = [candidate.name for candidate in candidates]
    if not names or len(dict.fromkeys(names)) < len(names):
        raise top.refuse("candidates", names, "at least one candidate, each with a name of its own", "correct it")
    rules = ModelRules(
        version, candidates, held_out, keep_every_ms, keeps_max, _promotion(top.table("promotion")),
        _guards(top.table("guards")), _labels(top.table("labels")), _drift(top.table("drift")),
    )  # fmt: skip
    top.done()
    return rules


def _candidate(table: Table) -> CandidateRules:
    candidate = CandidateRules(
        table.name("name"), table.number("fast_rate", 0.01, 1), table.number("mean_share", 0.001, 1),
        table.flag("quicken"),
    )  # fmt: skip
    table.done()
    return candidate


def _promotion(table: Table) -> PromotionRules:
    rules = PromotionRules(
        automatic=table.flag("automatic"),
        alpha=table.number("alpha", 0.0001, 0.5),
        frauds_min=table.whole("frauds_min", 1, 1_000_000),
        goods_min=table.whole("goods_min", 1, 1_000_000_000),
        every_ms=cast(int, table.duration_ms("every")),
        shift_logit=table.number("shift_logit", 0.01, 20),
        shift_share_max=table.number("shift_share_max", 0, 1),
    )
    table.done()
    return rules


def _guards(table: Table) -> GuardRules:
    rules = GuardRules(
        frauds_min=table.whole("frauds_min", 1, 200),
        loss_excess_max=table.number("loss_excess_max", 0.001, 10),
        ratio_low=table.number("ratio_low", 0.001, 1),
        ratio_high=table.number("ratio_high", 1, 1000),
        alert_at=table.number("alert_at", 0.001, 1),
        alerts_ratio_max=table.number("alerts_ratio_max", 1, 1000),
        weight_max=table.number("weight_max", 1, 1e6),
    )
    table.done()
    return rules


def _labels(table: Table) -> LabelRules:
    rules = LabelRules(
        actor_day_max=table.whole("actor_day_max", 1, 1_000_000),
        actor_place_day_max=table.whole("actor_place_day_max", 1, 1_000_000),
        actor_share_max=table.number("actor_share_max", 0.001, 1),
        share_from=table.whole("share_from", 1, 1_000_000),
        suspended_ms=cast(int, table.duration_ms("suspended")),
        actors_max=table.whole("actors_max", 1, 10_000_000),
    )
    table.done()
    return rules


def _drift(table: Table) -> DriftRules:
    rules = DriftRules(
        delta=table.number("delta", 1e-9, 0.5),
        quiet_ms=cast(int, table.duration_ms("quiet")),
        react=table.flag("react"),
    )
    table.done()
    return rules
