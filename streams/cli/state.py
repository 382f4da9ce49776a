"""`riskshift state`: one hash over all customers' rows, what the state is made of, and building local rows anew."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

DESCRIPTION = """\
Hash or describe the customers' rows, from the changelog or from workers' local stores; or build these anew.

`hash` is SHA-256 over all customers' rows without offsets and versions: two deployments that took in the
same events of every customer have the same hash, whatever their partitions and workers. `info` says per
partition how many rows and bytes there are, how far they go and which versions are in force.

`rebuild` removes the local rows of a stopped worker, so that its next start reads all of them from the
changelog: what to do when a worker refuses its local rows. It never touches the changelog.

hash and info read the rows topic (the newest record of each key) unless --state names a worker's folder; name it
again for the folders of other machines. Of several copies of a partition the furthest counts. Stores are
opened for reading only; one that a running worker holds is refused.

examples:
  riskshift state hash
  riskshift state hash --state /var/lib/riskshift/a --state /var/lib/riskshift/b --json
  riskshift state info
  riskshift state rebuild --state /var/lib/riskshift/a
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument(
        "what",
        choices=("hash", "info", "rebuild"),
        help="one hash over all rows, a line a partition, or remove local rows",
    )
    parser.add_argument(
        "--state", action="append", type=Path, metavar="DIR",
        help="read the local stores in this folder instead of the changelog; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--topic-prefix", metavar="P", help="first part of the names (default: RISKSHIFT_TOPIC_PREFIX, else riskshift)"
    )


def run(args: argparse.Namespace) -> int:
    """Read all rows, print; 0 when all of them could be read."""
    from streams.settings import load

    if args.what == "rebuild":
        return _rebuild(args.state or [Path(load(broker=args.broker)[0].home)], args.json)
    from streams.state_hash import from_changelog, from_stores

    if args.state:
        collected = from_stores(args.state)
    else:
        collected = from_changelog(load(broker=args.broker, topic_prefix=args.topic_prefix)[0])
    with collected as state:
        digest, customers = state.hash()
        if args.what == "hash":
            print(
                json.dumps({"hash": digest, "customers": customers})
                if args.json
                else f"{digest}  {customers:,} customers"
            )
        else:
            _show_info(state.describe(), customers, args.json)
    return 0


def _rebuild(homes: list[Path], as_json: bool) -> int:
    from streams.rocks import forget

    removed = {str(home): forget(home) for home in homes}
    if as_json:
        print(json.dumps({"removed": removed}))
    for home, stores in removed.items():
        if not as_json:
            print(f"{home}: {stores} local store(s) removed; the next worker reads them from the changelog")
    return 0


def _show_info(partitions: list[dict[str, Any]], customers: int, as_json: bool) -> None:
    size = sum(line["row_bytes"] for line in partitions)
    if as_json:
        print(json.dumps({"customers": customers, "row_bytes": size, "partitions": partitions}, ensure_ascii=False))
        return
    for line in partitions:
        at = "nothing applied yet" if line["partitions"] is None else f"applied to offset {line['applied_offset']:,}"
        print(
            f"{line['source']}: {line['rows']:,} rows, {line['row_bytes']:,} bytes, {at}, read to {line['position']:,}"
        )
        if line["partitions"] is not None:
            versions = f"model {line['model_version']}, policy {line['policy_version']}"
            times = f"highest event time {line['watermark_ms']}, last tick {line['tick_ms']} (ms, -1: none)"
            print(f"    of {line['partitions']} partitions, {versions}, {times}")
        if line["binding"] is not None:
            size_on_disk = "" if line["disk_bytes"] is None else f", {line['disk_bytes']:,} bytes on disk"
            print(f"    bound to {line['binding']}{size_on_disk}")
    mean = f", {size / customers:,.0f} bytes each" if customers else ""
    print(f"{customers:,} customers, {size:,} bytes{mean}")
