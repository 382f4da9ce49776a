"""The words a person may read, from the catalogues `texts_en.toml` and `texts_zh_CN.toml`.

A sentence may hold one placeholder, filled from the value of its reason: `{money}` `{count}` `{number}`
`{percent}` `{times}` `{duration}` `{days}` `{rate}`.
"""

from __future__ import annotations

import math
import string
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from alerts.errors import TextError
from alerts.records import Text

LANGUAGES = ("en", "zh-CN")
SECTIONS = ("reasons", "usual", "credit", "rules", "levels", "grades", "signals", "signal_reasons", "outcomes",
            "actions", "facilities", "models", "warnings", "facts", "origination", "measures", "watch", "plan",
            "stages", "five_classes", "tiers", "letter", "units", "currencies")  # fmt: skip
PLACEHOLDERS = (
    "money",
    "count",
    "number",
    "percent",
    "times",
    "duration",
    "days",
    "rate",
    "from",
    "to",
    "code",
    "level",
    "grade",
    "points",
    "band",
    "months",
    "low",
    "high",
    "product",
    "outcome",
    "contact",
    "date",
)
_FOLDER = Path(__file__).resolve().parent
# ISO 4217 minor units that are not two.
_NO_DECIMALS = ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF",
                "XPF")  # fmt: skip
_THREE_DECIMALS = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")
_EXPONENTS = dict.fromkeys(_NO_DECIMALS, 0) | dict.fromkeys(_THREE_DECIMALS, 3)
_MISSING = "—"


class Catalogue:
    """One language: section → key → sentence."""

    def __init__(self, source: bytes, language: str) -> None:
        try:
            document = tomllib.loads(source.decode())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise TextError(f"texts {language}: expected TOML, found {error}: correct the file") from None
        self.language = language
        self.lines: dict[str, dict[str, str]] = {section: document.get(section, {}) for section in SECTIONS}

    def line(self, section: str, key: str) -> str | None:
        """The sentence, or None when the catalogue has none."""
        return self.lines[section].get(key)

    def fill(self, section: str, key: str, value: float | None, currency: str | None, **words: str) -> str:
        """The sentence with its placeholder filled; an unknown key reads as the neutral sentence."""
        template = self.line(section, key)
        if template is None:
            template, words = self.lines["units"]["unknown"], {**words, "code": key}
        wanted = [name for _, name, _, _ in string.Formatter().parse(template) if name]
        return template.format(**{name: words.get(name) or self._value(name, value, currency) for name in wanted})

    def _value(self, how: str, value: float | None, currency: str | None) -> str:
        if value is None or not math.isfinite(value):
            return _MISSING
        if how == "money":
            return self.money(value, currency)
        if how == "percent":
            return f"{value:.1%}"
        if how in ("count", "days"):
            return f"{value:,.0f}"
        if how == "duration":
            return self._duration(value)
        return f"{value:,.1f}"

    def money(self, minor: float, currency: str | None) -> str:
        """An amount of minor units as people write it."""
        exponent = _EXPONENTS.get(currency or "", 2)
        name = self.lines["currencies"].get(currency or "", currency or "")
        amount = f"{minor / 10**exponent:,.{exponent}f}"
        return self.lines["units"]["money"].format(amount=amount, currency=name).strip()

    def _duration(self, seconds: float) -> str:
        units = self.lines["units"]
        if seconds < 120:
            return units["seconds"].format(n=f"{seconds:.0f}")
        if seconds < 7_200:
            return units["minutes"].format(n=f"{seconds / 60:.0f}")
        if seconds < 172_800:
            return units["hours"].format(n=f"{seconds / 3_600:.0f}")
        return units["days"].format(n=f"{seconds / 86_400:.0f}")


class Texts:
    """Both languages side by side; every sentence comes as a `Text`."""

    def __init__(self, en: Catalogue, zh: Catalogue) -> None:
        self.en, self.zh = en, zh

    def both(
        self, section: str, key: str, value: float | None = None, currency: str | None = None,
        words: tuple[dict[str, str], dict[str, str]] = ({}, {}),
    ) -> Text:  # fmt: skip
        """The sentence of a key in both languages."""
        return Text(
            self.en.fill(section, key, value, currency, **words[0]),
            self.zh.fill(section, key, value, currency, **words[1]),
        )

    def has(self, section: str, key: str) -> bool:
        """Whether both languages have the sentence."""
        return self.en.line(section, key) is not None and self.zh.line(section, key) is not None

    def reason(self, code: str, value: float, currency: str | None) -> Text:
        """A fraud reason: what is true of the transaction."""
        return self.both("reasons", code, value, currency)

    def credit_reason(self, code: str, worse: bool) -> Text:
        """A credit reason and which way it pushed."""
        text = self.both("credit", code)
        direction = self.both("grades", "reason_worse" if worse else "reason_better")
        return Text(f"{text.en}: {direction.en}", f"{text.zh_cn}：{direction.zh_cn}")

    def grade_title(self, move: str, before: str, after: str) -> Text:
        """Title of a move of the grade."""
        words = {"from": before or _MISSING, "to": after}
        return self.both("grades", move, words=(words, words))


@cache
def load(folder: Path = _FOLDER) -> Texts:
    """Read both catalogues once; the only I/O here."""
    catalogues: list[Any] = []
    for language in LANGUAGES:
        path = folder / f"texts_{language.replace('-', '_')}.toml"
        try:
            catalogues.append(Catalogue(path.read_bytes(), language))
        except OSError as error:
            raise TextError(f"texts {language}: expected {path}, found {error.strerror}: reinstall Riskshift") from None
    return Texts(*catalogues)
