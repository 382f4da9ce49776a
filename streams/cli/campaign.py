"""`riskshift campaign`: who gets no offer, and what an offer brought."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from features.errors import RiskshiftError
from streams.cli.arguments import count

if TYPE_CHECKING:
    from alerts.lending.campaigns import CampaignTally, Uplift
    from alerts.policy import Policy

DESCRIPTION = """\
Pick a campaign's holdout before it starts, and say what it brought afterwards.

  holdout   reads customer ids, one a line, from --customers (a file, or - for standard input), and says of each
            whether it is offered or held out: a hash of campaign, customer and the policy's salt decides, alike on
            every run. Send an offer_made event for both, with "holdout": true for those who get none.
  report    reads offers and responses (outcome campaign_response) from the decisions topic: rates with and without
            the offer by the grade of that moment, and the uplift with its 95 % interval (Newcombe). An interval
            that holds 0 shows no effect. Offers that go against the hash are counted as astray.

examples:
  riskshift campaign holdout spring-2026 --customers customers.txt
  riskshift campaign report
  riskshift campaign report spring-2026 --within 30 --json
"""


class CampaignError(RiskshiftError):
    """What was asked for is incomplete, or the file of customers cannot be read."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("what", choices=("holdout", "report"), help="pick the holdout, or report")
    parser.add_argument("campaign", nargs="?", metavar="CAMPAIGN", help="its id (report: all when left out)")
    parser.add_argument("--customers", metavar="FILE", help="holdout: customer ids, one a line; - is standard input")
    parser.add_argument(
        "--within", type=count, default=60, metavar="DAYS", help="report: days in which a response counts (default: 60)"
    )
    parser.add_argument("--policy", metavar="FILE", help="policy file (default: the policy of the house)")
    parser.add_argument("--topic-prefix", metavar="P", help="first part of the topic's name (default: the setting)")


def run(args: argparse.Namespace) -> int:
    """Pick or report."""
    from alerts.policy import DEFAULT_PATH, load_policy

    policy = load_policy(Path(args.policy) if args.policy else DEFAULT_PATH)
    return _holdout(args, policy) if args.what == "holdout" else _report(args, policy)


def _holdout(args: argparse.Namespace, policy: Policy) -> int:
    from alerts.lending.segments import in_holdout

    if not args.campaign or not args.customers:
        raise CampaignError("expected CAMPAIGN and --customers FILE with holdout: name both")
    try:
        text = sys.stdin.read() if args.customers == "-" else Path(args.customers).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CampaignError(f"expected customer ids in {args.customers}, found {error}: check the file") from None
    for customer in dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()):
        held = in_holdout(policy.campaigns, args.campaign, customer)
        if args.json:
            line = {"campaign_id": args.campaign, "customer_id": customer, "holdout": held}
            print(json.dumps(line, ensure_ascii=False))
        else:
            print(f"{customer}\t{'holdout' if held else 'offer'}")
    return 0


def _report(args: argparse.Namespace, policy: Policy) -> int:
    from alerts.lending.campaigns import CampaignTally
    from alerts.lending.segments import in_holdout
    from streams.settings import load

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    settings, _ = load(broker=args.broker, topic_prefix=args.topic_prefix)
    tally = CampaignTally(args.within)
    asyncio.run(_read(settings.broker, settings.topic_decisions, tally))
    lines = tally.report(args.campaign)
    astray = sum(
        in_holdout(policy.campaigns, campaign, customer) != held
        for campaign, customer, held in tally.offers()
        if args.campaign in (None, campaign)
    )
    if args.json:
        print(json.dumps({"campaigns": [_as_json(line) for line in lines], "astray": astray}, ensure_ascii=False))
        return 0
    if not lines:
        print("no offers: send offer_made events, `riskshift campaign holdout` picks who gets none")
        return 0
    print(f"{'campaign':<20} {'grade':<6} {'offered':>8} {'rate':>7} {'holdout':>8} {'rate':>7} {'uplift':>8}  95 %")
    for line in lines:
        print(_line(line))
    if astray:
        print(f"{astray:,} offers go against the hash of this policy: uplift may be biased")
    return 0


async def _read(broker: str, topic: str, tally: CampaignTally) -> None:
    from streams.tail import tail

    async with aclosing(tail(broker, topic, from_beginning=True, until_end=True)) as records:
        async for record in records:
            value = record.value
            # Most decisions are about something else: look before parsing.
            if value is not None and (b'"campaign_response"' in value or b'"offer_made"' in value):
                take(tally, orjson.loads(value))


def take(tally: CampaignTally, decision: dict[str, Any]) -> None:
    """Count one decision, if it is about an offer or a response."""
    if decision.get("disposition") != "decision":
        return
    customer, at_ms = decision.get("customer_id", ""), decision["event_time_ms"]
    if decision["kind"] == "offer_made" and "campaign_id" in decision:
        grade, held = decision.get("grade", ""), bool(decision.get("holdout"))
        tally.offer(customer, decision["event_id"], decision["campaign_id"], grade, at_ms, holdout=held)
    elif decision.get("outcome") == "campaign_response" and "about_event_id" in decision:
        tally.response(customer, decision["about_event_id"], at_ms)


def _as_json(line: Uplift) -> dict[str, Any]:
    return {**line._asdict(), "offered": line.offered._asdict(), "holdout": line.holdout._asdict()}


def _line(line: Uplift) -> str:
    def rate(value: float | None) -> str:
        return "-" if value is None else f"{value:.1%}"

    uplift = "-" if line.uplift is None else f"{line.uplift:+.1%}"
    interval = "" if line.low is None or line.high is None else f"{line.low:+.1%} to {line.high:+.1%}"
    return (
        f"{line.campaign_id:<20} {line.grade:<6} {line.offered.customers:>8,} {rate(line.offered.rate):>7} "
        f"{line.holdout.customers:>8,} {rate(line.holdout.rate):>7} {uplift:>8}  {interval}"
    )
