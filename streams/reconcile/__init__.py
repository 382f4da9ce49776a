"""Reconciling: whether every input offset was answered exactly once, found out from the topics alone.

`reader.Reconciler` reads input and outputs (Kafka, its own consumer, no group); `ledger.PartitionLedger` keeps what
was said about one partition in little memory (`seen`: bitmaps, id arrays); `verdict.judge` turns ledgers into a
`Report`. Ledger and verdict are pure. Start at `reader`.
"""

from streams.reconcile.reader import ReconcileError, Reconciler, has_transactions
from streams.reconcile.verdict import Report

__all__ = ["ReconcileError", "Reconciler", "Report", "has_transactions"]
