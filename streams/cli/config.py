"""`riskshift config`: every setting, its value and where it came from."""

from __future__ import annotations

import argparse
import difflib
import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from streams.errors import SettingError
from streams.settings import ENV_PREFIX, Settings, Source, load
from streams.settings_page import bounds, variable

DESCRIPTION = """\
Show every setting, its value and where it came from: an option, a RISKSHIFT_ variable, a file, or the default.

The file is riskshift.toml in the working directory, or the one that RISKSHIFT_CONFIG names. A wrong value
is refused here as a worker would refuse it at start, in one sentence. With --check nothing is shown but
whether a worker could start with these settings: the policy and the signing key are looked at too, the broker
is not (that is `riskshift doctor`). docs/settings.md says what each setting is for.

examples:
  riskshift config                                    name, value, origin
  riskshift config --json                             with bounds, default and meaning, one object a setting
  riskshift config --check                            exit 0, or 1 and what is wrong
  RISKSHIFT_BATCH_MAX=500 riskshift config            see what a variable does
"""
# Not settings, and meant: the file's name, and what tests and docker compose read.
_OTHER_VARIABLES = {f"{ENV_PREFIX}{name}" for name in ("CONFIG", "DATA", "PARTITIONS", "REQUIRE_KAFKA")}


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--check", action="store_true", help="only say whether a worker could start with them")


def run(args: argparse.Namespace) -> int:
    """Show or check; 0 when every value can be used."""
    settings, sources = load(broker=args.broker_option)
    for warning in unknown_variables(os.environ, (source.name for source in sources)):
        print(f"riskshift config: {warning}", file=sys.stderr)
    if args.check:
        check(settings)
        changed = sum(source.origin != "default" for source in sources)
        said = {"ok": True, "settings": len(sources), "changed": changed}
        print(json.dumps(said) if args.json else f"ok: {len(sources)} settings, {changed} of them not the default")
        return 0
    for source in sources:
        print(json.dumps(_as_json(source), ensure_ascii=False) if args.json else _line(source))
    return 0


def check(settings: Settings) -> None:
    """Look at what the settings name: the policy, the signing key, the folder. Makes nothing.

    Raises
    ------
    features.errors.RiskshiftError
        For the first that a worker would refuse.
    """
    from alerts.policy import load_policy
    from streams.signing import signing_key

    if settings.policy:
        path = Path(settings.policy)
        if not path.is_file():
            raise SettingError(f"expected a policy file at {path}, found none: set RISKSHIFT_POLICY, or leave it empty")
        load_policy(path)
    key = settings.key_path()
    if key.exists():
        signing_key(key)
    else:
        _check_can_make(key)


def unknown_variables(environ: Mapping[str, str], names: Iterable[str]) -> list[str]:
    """A sentence for each RISKSHIFT_ variable that is no setting: most are misspelt, and would do nothing.

    Examples
    --------
    >>> unknown_variables({"RISKSHIFT_BROKR": "x", "RISKSHIFT_HOME": "y"}, ["broker", "home"])
    ['RISKSHIFT_BROKR is not a setting and does nothing (did you mean RISKSHIFT_BROKER?)']
    """
    known = {variable(name) for name in names}
    said = []
    for name in sorted(environ):
        if name.startswith(ENV_PREFIX) and name not in known and name not in _OTHER_VARIABLES:
            near = difflib.get_close_matches(name, sorted(known), n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            said.append(f"{name} is not a setting and does nothing{hint}")
    return said


def _check_can_make(path: Path) -> None:
    there = path.parent
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise SettingError(
            f"the signing key {path} is not there and cannot be made: expected a folder this user may write, found "
            f"{there}: set RISKSHIFT_HOME or RISKSHIFT_SIGNING_KEY_FILE"
        )


def _as_json(source: Source) -> dict[str, object]:
    spec = Settings.__dataclass_fields__[source.name]
    return {
        "name": source.name,
        "value": source.value,
        "origin": source.origin,
        "variable": variable(source.name),
        "default": spec.default,
        "low": spec.metadata["low"],
        "high": spec.metadata["high"],
        "help": source.help,
    }


def _line(source: Source) -> str:
    value = source.value if source.value != "" else "(empty)"
    within = bounds(Settings.__dataclass_fields__[source.name])
    return f"{source.name:<22} {value!s:<20} {source.origin:<28} {within}".rstrip()
