"""`riskshift broker`: the embedded broker in the foreground."""

from __future__ import annotations

import argparse
import json
import signal
import threading

from streams.broker.embedded import EmbeddedBroker
from streams.broker.wire import split_address
from streams.errors import BrokerError

DESCRIPTION = """\
Run the embedded Kafka-compatible broker in the foreground, until Ctrl-C or SIGTERM.

It keeps everything in memory and forgets it when it ends, asks nobody for a password, and has no
transactions: for trying things out and for tests. Production is Apache Kafka; see docs/kafka.md.
Prints `ready HOST:PORT` as soon as clients can connect.

examples:
  riskshift broker                      on 127.0.0.1:9092
  riskshift broker --port 0             on a free port, printed
  riskshift broker --port 9099 --json   {"ready": "127.0.0.1:9099"}
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("--port", type=_port, default=None, help="port, 0 for a free one (default: that of --broker)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine)")


def run(args: argparse.Namespace) -> int:
    """Run until a signal; 0 then, and no process left."""
    port = split_address(args.broker)[1] if args.port is None else args.port
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with EmbeddedBroker(port, args.host) as broker:
        print(json.dumps({"ready": broker.address}) if args.json else f"ready {broker.address}", flush=True)
        while not stop.wait(1.0):
            if message := broker.died():
                raise BrokerError(message)
    return 0


def _port(text: str) -> int:
    port = int(text) if text.isdigit() else -1
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, found {text!r}")
    return port
