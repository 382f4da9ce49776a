"""A TOML table that is read key by key: every key known, every type right, or a `PolicyError` that says where."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from alerts.errors import PolicyError

_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")


class Table:
    """One table of the policy; `done` must be called last, it refuses keys nobody asked for."""

    def __init__(self, value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise PolicyError(path or "file", _show(value), "a table", "write the keys under its own [table]")
        self.path = path
        self._left = dict(value)
        self._known: list[str] = []

    def key(self, name: str) -> str:
        """Dotted path of a key of this table."""
        return f"{self.path}.{name}" if self.path else name

    def _take(self, name: str, expected: str) -> Any:
        self._known.append(name)
        if name not in self._left:
            near = get_close_matches(name, self._left, 3)
            advice = f"add it, or correct the spelling of {' or '.join(near)}" if near else "add it"
            advice += "; nothing is assumed"
            raise PolicyError(self.key(name), "nothing", expected, advice)
        return self._left.pop(name)

    def refuse(self, name: str, value: Any, expected: str, advice: str) -> PolicyError:
        """The error for a key of this table."""
        return PolicyError(self.key(name), _show(value), expected, advice)

    def has(self, name: str) -> bool:
        """Whether an optional key is there."""
        self._known.append(name)
        return name in self._left

    def text(self, name: str, choices: Sequence[str] = ()) -> str:
        """A string of 1 to 200 characters, one of `choices` when given."""
        expected = f"one of {', '.join(choices)}" if choices else "a text of 1 to 200 characters"
        value = self._take(name, expected)
        if not isinstance(value, str) or not 0 < len(value) <= 200:
            raise self.refuse(name, value, expected, "correct it")
        if choices and value not in choices:
            near = get_close_matches(value, choices, 1)
            raise self.refuse(name, value, expected, f"did you mean {near[0]!r}?" if near else "use one of these")
        return value

    def name(self, key: str) -> str:
        """An identifier: lower case letters, digits and underscores."""
        value = self.text(key)
        if not _NAME.fullmatch(value):
            raise self.refuse(key, value, "lower case letters, digits and underscores, at most 48", "rename it")
        return value

    def number(self, name: str, low: float = -math.inf, high: float = math.inf) -> float:
        """A finite number in `[low, high]`."""
        expected = "a finite number" if low == -math.inf else f"a number from {low:g} to {high:g}"
        value = self._take(name, expected)
        # bool is an int in Python, and `true` is not a number in a policy.
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.refuse(name, value, expected, "write a number")
        if not low <= value <= high:
            raise self.refuse(name, value, expected, "correct it")
        return float(value)

    def whole(self, name: str, low: int, high: int) -> int:
        """A whole number in `[low, high]`."""
        expected = f"a whole number from {low} to {high}"
        value = self._take(name, expected)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.refuse(name, value, expected, "correct it")
        return value

    def flag(self, name: str) -> bool:
        """`true` or `false`."""
        value = self._take(name, "true or false")
        if not isinstance(value, bool):
            raise self.refuse(name, value, "true or false", "write true or false without quotes")
        return value

    def duration_ms(self, name: str, words: dict[str, int | None] | None = None) -> int | None:
        """A duration such as "30m", "24h", "7d" in milliseconds, or one of `words`."""
        words = words or {}
        expected = ", ".join(['a duration such as "30m", "24h" or "7d"', *(f'"{word}"' for word in words)])
        value = self._take(name, expected)
        if isinstance(value, str) and value in words:
            return words[value]
        match = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise self.refuse(name, value, expected, "write a whole number and one unit of s, m, h, d, in quotes")
        return int(match[1]) * _UNITS_MS[match[2]]

    def table(self, name: str) -> Table:
        """A table within this one."""
        return Table(self._take(name, "a table"), self.key(name))

    def tables(self, name: str, most: int) -> list[Table]:
        """A list of at most `most` tables; it may be empty, not absent."""
        value = self._take(name, "a list of tables (it may be empty)")
        if not isinstance(value, list) or len(value) > most:
            raise self.refuse(name, value, f"a list of at most {most} tables", "correct it")
        return [Table(item, f"{self.key(name)}[{place}]") for place, item in enumerate(value)]

    def title(self) -> tuple[str, str] | None:
        """The optional `title`: what the house names has its words in the catalogues, others bring both languages."""
        if not self.has("title"):
            return None
        title = self.table("title")
        texts = (title.text("en"), title.text("zh-CN"))
        title.done()
        return texts

    def done(self) -> None:
        """Refuse what was not asked for: a typo must not become a default."""
        for name, value in self._left.items():
            known = list(dict.fromkeys(self._known))
            near = get_close_matches(name, known, 1)
            advice = f"did you mean {near[0]!r}?" if near else "remove it"
            raise self.refuse(name, value, f"only the keys {', '.join(known)}", advice)


def _show(value: Any) -> str:
    return repr(value)[:80]
