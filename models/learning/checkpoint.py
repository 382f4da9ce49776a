"""The learner's memory across restarts: signed bytes; what waits for labels is read again, not stored."""

from __future__ import annotations

import hashlib
import hmac
import zlib
from typing import Any

import msgspec
from msgspec import Struct

from features.catalogue import FEATURE_VERSION
from models.errors import CheckpointError
from models.snapshot import check_key

_DOMAIN = b"riskshift checkpoint 3"
_INFLATED_BYTES_MAX = 1 << 30
_ANEW = "start the learner without it (it reads the decisions topic from the beginning)"


class Checkpoint(Struct, array_like=True):
    """State as of the last whole epoch.

    Parameters
    ----------
    offsets, reached_ms, sources
        Per partition: next decisions offset, last tick and last input offset processed.
    resume
        Per partition: (offset, tick, input offset) from where reading again fills the waiting store.
    evicted
        Per partition: offsets among those read again which had been evicted, so they stay out.
    rivers
        Pickled River objects by name; only ever opened through the restricted unpickler, after the signature.
    indicators, joiner, council, drift, credit
        What the learner's parts dumped.
    shadows
        (partition, offset, probabilities) of held-out events that wait for their label.
    warnings, communities
        What the learner of early warnings and the monitor of districts and employers dumped.
    """

    feature_version: int
    settings: dict[str, Any]
    done_ms: int
    published_ms: int
    version: int
    changed: bool
    offsets: list[int]
    reached_ms: list[int]
    sources: list[int]
    resume: list[tuple[int, int, int]]
    evicted: list[list[int]]
    counters: dict[str, int]
    rivers: dict[str, bytes]
    indicators: list[Any]
    joiner: list[Any]
    council: list[Any]
    drift: list[Any]
    shadows: list[Any]
    credit: list[Any] = []
    warnings: list[Any] = []
    communities: list[Any] = []


def seal(checkpoint: Checkpoint, key: bytes) -> bytes:
    """Signed bytes of a checkpoint."""
    check_key(key)
    body = zlib.compress(msgspec.msgpack.encode(checkpoint), 6)
    return hmac.new(key, _DOMAIN + body, hashlib.sha256).digest() + body


def unseal(data: bytes, key: bytes) -> Checkpoint:
    """The checkpoint that `seal` was given, or a `CheckpointError`; nothing is opened before the signature holds."""
    check_key(key)
    signature, body = data[:32], data[32:]
    if not hmac.compare_digest(hmac.new(key, _DOMAIN + body, hashlib.sha256).digest(), signature):
        raise CheckpointError(
            f"expected a checkpoint with our signature, found another or none: check the signing key; else {_ANEW}"
        )
    try:
        raw = zlib.decompressobj().decompress(body, _INFLATED_BYTES_MAX)
        checkpoint = msgspec.msgpack.decode(raw, type=Checkpoint)
    except (zlib.error, msgspec.MsgspecError) as error:
        raise CheckpointError(f"expected a checkpoint of this release, found other bytes ({error}): {_ANEW}") from error
    if checkpoint.feature_version != FEATURE_VERSION:
        raise CheckpointError(
            f"expected a checkpoint for feature version {FEATURE_VERSION}, found {checkpoint.feature_version}: {_ANEW}"
        )
    return checkpoint
