"""`riskshift portfolio`: the book as a whole."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sqlite3
from contextlib import aclosing, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from alerts.lending.portfolio import Book, Portfolio

DESCRIPTION = """\
Show exposure, expected loss and concentration of the whole book, by grade, IFRS 9 stage, five classes, days
past due, service tier and industry; with --districts by district too, as the customers' profiles say.

Reads the newest row of every customer in the rows topic (with --districts the events topic as well) and changes
nothing. Money is in minor units of the currency of the rows. HHI is the sum of squared shares: 1 is one single
name, 1/n is n equal ones. District figures are for the book; no person's terms depend on them.

examples:
  riskshift portfolio
  riskshift portfolio --by grade --by industry
  riskshift portfolio --districts --json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument(
        "--by", action="append", metavar="DIMENSION",
        choices=("grade", "stage", "five_class", "dpd_class", "tier", "industry", "district"),
        help="show only this dimension; may be repeated (default: all)",
    )  # fmt: skip
    parser.add_argument("--districts", action="store_true", help="read profiles for the view by district")
    parser.add_argument("--policy", metavar="FILE", help="policy file (default: the policy of the house)")
    parser.add_argument("--topic-prefix", metavar="P", help="first part of the topics' names (default: the setting)")


def run(args: argparse.Namespace) -> int:
    """Read, add up, print."""
    from alerts.lending.portfolio import Portfolio
    from alerts.policy import DEFAULT_PATH, load_policy
    from streams.settings import load

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    settings, _ = load(broker=args.broker, topic_prefix=args.topic_prefix)
    policy = load_policy(Path(args.policy) if args.policy else DEFAULT_PATH)
    districts: dict[str, str] = {}
    wants = args.districts or "district" in (args.by or ())
    if wants:
        asyncio.run(_read_districts(settings.broker, settings.topic_events, districts))
    portfolio = Portfolio(policy.regulatory, policy.tiers)
    asyncio.run(_read_rows(settings.broker, settings.topic_rows, portfolio, districts))
    book = portfolio.book()
    shown = args.by or [name for name in book.cells if name != "district" or wants]
    if args.json:
        print(json.dumps(as_json(book, shown), ensure_ascii=False))
    else:
        print("\n".join(lines_of(book, shown)))
    return 0


async def _read_rows(broker: str, topic: str, portfolio: Portfolio, districts: dict[str, str]) -> None:
    from streams.rows import META_KEY, head, unpack
    from streams.tail import tail

    # "" is a database of its own in a temporary file: a million rows need no memory.
    with closing(sqlite3.connect("", isolation_level=None)) as table:
        table.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
            "CREATE TABLE rows (customer TEXT PRIMARY KEY, applied INT, packed BLOB) WITHOUT ROWID; BEGIN"
        )
        async with aclosing(tail(broker, topic, from_beginning=True, until_end=True)) as records:
            async for record in records:
                if record.key is None or record.key == META_KEY:
                    continue
                customer = record.key.decode(errors="backslashreplace")
                if record.value is None:
                    table.execute("DELETE FROM rows WHERE customer = ?", (customer,))
                    continue
                # Without transactions a row may be said again: the furthest counts.
                table.execute(
                    "INSERT INTO rows VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET applied = excluded.applied, "
                    "packed = excluded.packed WHERE excluded.applied >= rows.applied",
                    (customer, head(record.value, f"row of {customer}").applied_offset, record.value),
                )
        for customer, packed in table.execute("SELECT customer, packed FROM rows ORDER BY customer"):
            row = unpack(packed, f"row of {customer}")
            portfolio.add(customer, row.credit, row.risk, districts.get(customer, ""))


async def _read_districts(broker: str, topic: str, districts: dict[str, str]) -> None:
    from streams.tail import tail

    async with aclosing(tail(broker, topic, from_beginning=True, until_end=True)) as records:
        async for record in records:
            value = record.value
            if value is None or b'"profile"' not in value or b'"district"' not in value:
                continue
            try:
                event = orjson.loads(value)
            except orjson.JSONDecodeError:
                continue  # a dead letter's bytes: not ours to judge here
            event = event.get("data", event) if isinstance(event, dict) else {}
            if isinstance(event, dict) and event.get("kind") == "profile" and isinstance(event.get("district"), str):
                districts[str(event.get("customer_id"))] = event["district"]


def as_json(book: Book, shown: list[str]) -> dict[str, Any]:
    """The book as one object."""
    made: dict[str, Any] = book._asdict()
    made["cells"] = {name: [cell._asdict() for cell in book.cells[name]] for name in shown}
    made["hhi"] = {name: book.hhi[name] for name in shown}
    names = ("customer_id", "drawn_minor", "share")
    made["largest_names"] = [dict(zip(names, name, strict=True)) for name in book.largest_names]
    return made


def lines_of(book: Book, shown: list[str]) -> list[str]:
    """The book as tables."""
    bad = "-" if book.non_performing_ratio is None else f"{book.non_performing_ratio:.2%}"
    lines = [
        f"{book.customers:,} customers, {book.facilities:,} facilities, drawn {book.drawn_minor:,}, undrawn "
        f"{book.undrawn_minor:,} (minor units)",
        f"expected loss {book.expected_loss_minor:,.0f}, non-performing {bad}, on the watch list "
        f"{book.watch_listed_minor:,}",
    ]
    for name in shown:
        value = book.hhi[name]
        lines += ["", f"by {name.replace('_', ' ')}" + ("" if value is None else f"   HHI {value:.3f}")]
        lines.append(
            f"  {'':<18}{'customers':>10}{'facilities':>12}{'drawn':>18}{'share':>8}{'exp. loss':>14}{'bad':>14}"
        )
        lines += [
            f"  {cell.label:<18}{cell.customers:>10,}{cell.facilities:>12,}{cell.drawn_minor:>18,}{cell.share:>8.1%}"
            f"{cell.expected_loss_minor:>14,.0f}{cell.non_performing_minor:>14,}"
            for cell in book.cells[name]
        ]
    if book.hhi_names:
        lines += ["", f"names   HHI {book.hhi_names:.4f}, worth {1 / book.hhi_names:,.0f} equal ones; the largest:"]
        lines += [f"  {name:<28}{drawn:>18,}{share:>8.1%}" for name, drawn, share in book.largest_names]
    return lines
