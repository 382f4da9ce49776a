"""`riskshift mapping new`: a draft of a mapping file from the columns of a table."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tomllib
from pathlib import Path
from typing import Any

DESCRIPTION = """\
Draft a mapping file by looking at the first 50,000 rows of a CSV or Parquet file: names, values, how many are
different, how times are written, which column may say what was fraud.

Every line of the draft says why; what was assumed says ASSUMED, what has no column MISSING, and what was not used is
listed at the end. The draft is then tried on the first rows, and what would be rejected is said with its reason.
Exit status 1: something that is needed is missing. docs/sources.md explains the keys.

examples:
  riskshift mapping new payments.csv --out payments.toml
  riskshift mapping new payments.parquet --json
"""
_TRIED_ROWS = 5_000
_REASONS_SHOWN = 3


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("what", choices=["new"], help="new: a draft for FILE")
    parser.add_argument("file", type=Path, metavar="FILE", help="CSV or Parquet")
    parser.add_argument("--out", type=Path, metavar="M", help="where to write the draft (default: FILE's name, .toml)")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")


def run(args: argparse.Namespace) -> int:
    """Draft, write, try, say."""
    from streams.sources import SourceError
    from streams.sources.mapping_draft import as_toml, draft_of

    if not args.file.exists():
        raise SourceError(f"expected a table at {args.file}, found nothing there: check the path")
    out = args.out or Path(args.file.name.split(".")[0] + ".toml")
    if out.exists() and not args.force:
        raise SourceError(f"expected no file at {out}, found one: name another with --out, or replace it with --force")
    draft = draft_of(args.file)
    text = as_toml(draft, args.file.name)
    try:
        out.write_text(text, "utf-8")
    except OSError as error:
        raise SourceError(f"expected to write {out}, found: {error.strerror}: name another with --out") from None
    tried = None if draft.missing else _try(args.file, out, text)
    if args.json:
        found = {"mapping": str(out), "fields": {name: value for name, (value, _why) in draft.fields.items()},
                 "label": draft.label, "assumed": draft.assumed, "missing": draft.missing, "unused": draft.unused,
                 "tried": tried}  # fmt: skip
        print(json.dumps(found, ensure_ascii=False))
    else:
        _say(args.file, out, draft, tried)
    if draft.missing:
        print(f"riskshift mapping: no column for {', '.join(draft.missing)}: complete {out}", file=sys.stderr)
        return 1
    return 0


def _try(file: Path, out: Path, text: str) -> dict[str, Any]:
    from streams.sources import Reject, SourceError, open_source
    from streams.sources.mapping import check_mapping

    check_mapping(tomllib.loads(text), str(out))
    rejects: list[Reject] = []
    source = open_source("csv", file, mapping=out, on_reject=rejects.append)
    try:
        events = sum(1 for _event in itertools.islice(source, _TRIED_ROWS))
    except SourceError as error:
        return {"rows": source.rows, "events": 0, "rejected": len(rejects), "reasons": [str(error)]}
    reasons = list(dict.fromkeys(reject.reason for reject in rejects))[:_REASONS_SHOWN]
    return {"rows": source.rows, "events": events, "rejected": len(rejects), "reasons": reasons}


def _say(file: Path, out: Path, draft: Any, tried: dict[str, Any] | None) -> None:
    for name, (value, why) in draft.fields.items():
        shown = value if isinstance(value, str) else ", ".join(f"{k} {v}" for k, v in value.items())
        print(f"  {name:<14} {shown[:60]:<42} {why}")
    if draft.label:
        print(f"  {'label':<14} {draft.label['column']:<42} known {draft.label['delay']} after the row (ASSUMED)")
    else:
        print("  no label: nothing says what was fraud, so nothing will be learned")
    for line in draft.unused:
        print(f"  not mapped     {ascii(line)[1:-1][:100]}")
    if tried is not None:
        print(f"tried {tried['rows']:,} rows: {tried['rejected']:,} rejected")
        for reason in tried["reasons"]:
            print(f"  {ascii(reason)[1:-1]}")
        print(f"wrote {out}; next: riskshift replay {file} --format csv --mapping {out} --out replay")
