"""Brokers: the embedded one, and what Riskshift asks of any of them before it trusts them.

`embedded.py` runs Tansu, a Kafka-compatible broker that lives in memory, as a child process: enough for
`riskshift demo`, development and most tests. `capabilities.py` finds out whether a broker has working
transactions. `wire.py` holds the two Kafka requests that are asked by hand, and `child.py` starts a
process that does not outlive its parent.
"""

from streams.broker.capabilities import supports_transactions
from streams.broker.embedded import EmbeddedBroker

__all__ = ["EmbeddedBroker", "supports_transactions"]
