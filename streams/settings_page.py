"""The page of settings, written from `streams.settings` so that the two cannot differ."""

from __future__ import annotations

import dataclasses
from typing import Any

from streams.settings import ENV_PREFIX, Settings

_HEAD = """\
# Settings

Written from `streams/settings.py` by `streams.settings_page.to_markdown()`; a test holds this page to it. After a
change, write the page anew: `python -m streams.pages`.

Each setting has one name. From strongest to weakest: an option of the command (`--broker`, `--state` for `home`,
`--policy`, `--topic-prefix`), the environment (`RISKSHIFT_` and the name in capitals), the file, the default. The
file is TOML, `riskshift.toml` in the working directory or the one that `RISKSHIFT_CONFIG` names. All workers
and the learner of a deployment need the same values.

```toml
# riskshift.toml
broker = "kafka-1:9092,kafka-2:9092"
home = "/var/lib/riskshift"
batch_max = 2000
```

`riskshift config` shows what is in force and where it came from; `riskshift config --check` says whether a worker could
start. A name that does not exist, a wrong type or a value out of range stops the start with one sentence that names
the key, the value and its source. A `RISKSHIFT_` variable that is no setting is named by `riskshift config`.

Units are last in a name: `_s` seconds, `_ms` milliseconds, `_bytes` bytes, `_max` a limit.

| setting | variable | default | from .. to | meaning |
|---|---|---|---|---|
{rows}

Held together: `heartbeat_s` is at most a third of `session_timeout_s`, and that is at most `request_timeout_s`.
`broker` is one or more HOST:PORT with commas; `topic_prefix` holds letters, digits, dot, underscore and dash.
"""


def to_markdown() -> str:
    """Return the whole page, ending in one newline."""
    return _HEAD.format(rows="\n".join(_row(spec) for spec in dataclasses.fields(Settings)))


def variable(name: str) -> str:
    """The environment variable of a setting.

    Examples
    --------
    >>> variable("batch_max")
    'RISKSHIFT_BATCH_MAX'
    """
    return ENV_PREFIX + name.upper()


def bounds(spec: dataclasses.Field[Any]) -> str:
    """Lowest and highest value allowed, empty where there is none."""
    low, high = spec.metadata["low"], spec.metadata["high"]
    if low is None and high is None:
        return ""
    return f"{_number(low)} .. {_number(high)}".strip()


def _row(spec: dataclasses.Field[Any]) -> str:
    default = f"`{_number(spec.default)}`" if spec.default != "" else "empty"
    cells = (f"`{spec.name}`", f"`{variable(spec.name)}`", default, bounds(spec), str(spec.metadata["help"]))
    return "| " + " | ".join(cells) + " |"


def _number(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:,}".replace(",", "_") if isinstance(value, int) else str(value)
