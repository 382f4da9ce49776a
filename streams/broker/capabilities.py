"""Whether a broker has transactions that work, found out before the first batch relies on them."""

from __future__ import annotations

import asyncio
import struct

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    ProducerFenced,
    TransactionalIdAuthorizationFailed,
)

from streams.broker.wire import api_versions
from streams.errors import BrokerError

PROBE_ID = "riskshift-transactions-probe"
PROBE_MAX_S = 20.0
# InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn, EndTxn, TxnOffsetCommit; and DescribeTransactions, which no
# broker has without keeping transactions. The embedded broker answers the first five and not the last.
_NEEDED = (22, 24, 25, 26, 28, 65)


async def supports_transactions(broker: str, probe_id: str = PROBE_ID, timeout_s: float = PROBE_MAX_S) -> bool:
    """Whether a second producer with the same transactional id fences the first, as the commit protocol needs.

    Asks for the broker's request versions first, which is enough to say no without leaving a trace. Then two
    producers start under `probe_id`, and the first must be refused. Several workers may probe at once: they
    fence one another, which is the same answer. About 0.15 s on Apache Kafka, 0.5 s the first time ever.

    Parameters
    ----------
    broker
        HOST:PORT, or several with commas.
    probe_id
        Transactional id to use; no record is written under it.
    timeout_s
        Longest time the whole may take.

    Raises
    ------
    BrokerError
        When the broker is absent, forbids the transactional id, fails or does not answer in time: no answer
        is not a no, and running without transactions is not decided by accident.
    """
    versions = await _versions(broker)
    if any(key not in versions for key in _NEEDED):
        return False
    try:
        return await asyncio.wait_for(_fences(broker, probe_id), timeout_s)
    except TimeoutError:
        raise BrokerError(
            f"{broker} speaks of transactions but did not answer within {timeout_s:.0f} s: look at its transaction "
            "coordinator (transaction.state.log.replication.factor, min.isr against the number of brokers)"
        ) from None
    except (TransactionalIdAuthorizationFailed, GroupAuthorizationFailedError):
        raise BrokerError(
            f"{broker} forbids the transactional id or group {probe_id!r}: allow Write on transactional ids and Read "
            "on groups that begin with riskshift"
        ) from None
    except KafkaError as error:
        raise BrokerError(
            f"{broker} failed while its transactions were tried: {type(error).__name__}: {error}"
        ) from None


async def _versions(broker: str) -> dict[int, tuple[int, int]]:
    for address in broker.split(","):
        try:
            return await asyncio.to_thread(api_versions, address)
        except (OSError, struct.error, UnicodeError) as error:
            reason = error
    raise BrokerError(f"no Kafka answers at {broker} ({reason}): start it, or name another with --broker")


async def _fences(broker: str, probe_id: str) -> bool:
    first, second = _producer(broker, probe_id), _producer(broker, probe_id)
    try:
        await first.start()
        await second.start()
        await first.begin_transaction()
        # Refused when the group is added, so no offset of this topic, which need not exist, is ever written.
        await first.send_offsets_to_transaction({TopicPartition(probe_id, 0): 0}, probe_id)
    except ProducerFenced:
        return True
    finally:
        for producer in (first, second):
            await producer.stop()
            _hear_out(producer)
    return False


def _hear_out(producer: AIOKafkaProducer) -> None:
    # The producer keeps the refusal a second time, for a commit that is never asked for; unheard, it would be logged
    # with a traceback at every start.
    waiter = getattr(producer._txn_manager, "_transaction_waiter", None)
    if waiter is not None and waiter.done() and not waiter.cancelled():
        waiter.exception()


def _producer(broker: str, probe_id: str) -> AIOKafkaProducer:
    return AIOKafkaProducer(
        bootstrap_servers=broker.split(","), transactional_id=probe_id, acks="all", retry_backoff_ms=20
    )
