"""The page of features, written from the catalogue so that the two cannot differ."""

from __future__ import annotations

from features.catalogue import CATALOGUE, FEATURE_VERSION, Feature
from features.windows import DAY, HOUR, MONTH, WEEK, Span

_HEAD = """\
# Features

Written from `features/catalogue.py` by `features.catalogue_page.to_markdown()`; a test holds this page to it. After a
change of the catalogue, write the page anew:

```sh
python -c "from features.catalogue_page import to_markdown as page; print(page(), end='')" > docs/features.md
```

Feature version {version}: {size} features, in vector order. Missing knowledge is neutral: ratios are 1, z is 0, shares
and gap stand at their centre, novelty is 0 while its memory is empty. The rules in full are in `features/hot.py`.

## Windows

A window of size S in buckets of width b keeps, at time T, the buckets whose start lies in `(T − S, T]`: the newest
S / b, the current one included. T is the customer's latest event time and never moves back. Events up to 24 h out of
order are added to their own bucket; older ones are `late` and not applied.

| window | bucket | buckets |
|---|---|---|
{windows}

## The vector

| # | name | source | aggregator | window | unit | shape | center | scale | meaning | 含义 |
|---|---|---|---|---|---|---|---|---|---|---|
{rows}
"""

_SPANS: tuple[tuple[str, Span, str], ...] = (
    ("1h", HOUR, "5 min"),
    ("1d", DAY, "1 h"),
    ("7d", WEEK, "1 d"),
    ("30d", MONTH, "1 d"),
)


def to_markdown() -> str:
    """Return the whole page, English and Chinese, ending in one newline."""
    windows = "\n".join(f"| {name} | {bucket} | {span.buckets_max} |" for name, span, bucket in _SPANS)
    rows = "\n".join(_row(place, feature) for place, feature in enumerate(CATALOGUE))
    return _HEAD.format(version=FEATURE_VERSION, size=len(CATALOGUE), windows=windows, rows=rows)


def _row(place: int, feature: Feature) -> str:
    source = f"{feature.source} (shared)" if feature.shared else feature.source
    cells = (
        place, f"`{feature.name}`", source, feature.aggregator, feature.window, feature.unit, feature.shape,
        f"{feature.center:g}", f"{feature.scale:g}", feature.en, feature.zh,
    )  # fmt: skip
    return "| " + " | ".join(str(cell) for cell in cells) + " |"
