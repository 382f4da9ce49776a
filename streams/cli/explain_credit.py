"""`riskshift explain-credit`: a letter to a customer about their credit assessment."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from alerts.lending.letter import Letter
    from streams.rows import CustomerRow

DESCRIPTION = """\
Write a customer's letter: how the credit assessment stands, why, what would help, and whom to ask.

The letter is for the customer. It has no grade, code, rule or other person's figure in it, in English or
Chinese. It is made from the customer's newest row and speaks of the time of the customer's last event, or of
--at. It reads the rows topic and changes nothing. With --json one object: both languages, points, group.

examples:
  riskshift explain-credit 596
  riskshift explain-credit 596 --lang zh-CN --contact "Credit desk, +86 10 5555 0100"
  riskshift explain-credit 596 --policy policies/default.toml --json
"""
CONTACT = {"en": "your branch", "zh-CN": "您的开户网点"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("customer", metavar="CUSTOMER", help="the customer's id")
    parser.add_argument("--lang", choices=("en", "zh-CN"), default="en", help="language of the letter (default: en)")
    parser.add_argument("--contact", metavar="TEXT", help="how the customer reaches the bank (default: the branch)")
    parser.add_argument("--at", metavar="TIME", help="as of this time, ISO 8601 (default: the customer's last event)")
    parser.add_argument("--policy", metavar="FILE", help="policy file (default: the policy of the house)")
    parser.add_argument("--topic-prefix", metavar="P", help="first part of the topic's name (default: the setting)")


def run(args: argparse.Namespace) -> int:
    """Read the customer's row, print the letter."""
    from pathlib import Path

    from alerts.lending.letter import letter
    from alerts.policy import DEFAULT_PATH, load_policy
    from alerts.texts import load as load_texts
    from models.scorecard import score
    from streams.settings import load

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    settings, _ = load(broker=args.broker, topic_prefix=args.topic_prefix)
    policy = load_policy(Path(args.policy) if args.policy else DEFAULT_PATH)
    row = asyncio.run(_row(settings.broker, settings.topic_rows, args.customer))
    at_ms = _time(args.at) if args.at else max(row.hot.latest_ms, 0)
    date = datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d")
    contact = args.contact or CONTACT[args.lang]
    made = letter(policy, load_texts(), row.credit, row.risk, at_ms, score, date, contact)
    if args.json:
        print(json.dumps({"customer_id": args.customer, "at_ms": at_ms, **msgspec.to_builtins(made)},
                         ensure_ascii=False))  # fmt: skip
    else:
        print("\n".join(lines_of(made, args.lang)))
    return 0


async def _row(broker: str, topic: str, customer: str) -> CustomerRow:
    from streams.errors import StateError
    from streams.rows import unpack
    from streams.tail import tail

    newest: CustomerRow | None = None
    records = tail(broker, topic, from_beginning=True, until_end=True, customer=customer)
    async with aclosing(records) as opened:
        async for record in opened:
            if record.value is not None:
                row = unpack(record.value, f"row of {customer}")
                if newest is None or row.applied_offset >= newest.applied_offset:
                    newest = row
    if newest is None:
        raise StateError(f"expected a row of customer {customer!r} in {topic}, found none: check the id and the prefix")
    return newest


def _time(text: str) -> int:
    from features.errors import RiskshiftError

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise RiskshiftError(f"expected a time such as 2026-11-23T12:00:00Z, found {text!r}: correct --at") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def lines_of(made: Letter, lang: str) -> list[str]:
    """The letter as lines of one language."""

    def said(text: object) -> str:
        return str(getattr(text, "en" if lang == "en" else "zh_cn"))

    lines = [said(made.subject), ""]
    for paragraph in made.paragraphs:
        lines += [said(paragraph.text), *(f"  - {said(item)}" for item in paragraph.items), ""]
    return lines[:-1]
