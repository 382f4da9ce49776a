"""A customer's durable row of our variant: twelve numbers and the merchants of the last day, about 130 bytes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from benchmarks.same_job.columns import WIDTH, Features
from streams.rows import META_KEY

_NUMBERS = WIDTH * 8
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(dict[str, int]).decode


def pack(features: Features, touched: Sequence[int]) -> dict[bytes, bytes]:
    """Rows of the customers touched, by customer_id: each replaces the one before it in the changelog."""
    numbers = features.table.take(touched, axis=0).tobytes()
    names, merchants = features.customers.names, features.merchants
    return {
        names[place].encode(): numbers[start : start + _NUMBERS] + _encode(merchants[place])
        for start, place in zip(range(0, len(numbers), _NUMBERS), touched, strict=True)
    }


def restore(features: Features, rows: Sequence[tuple[bytes, bytes | None]]) -> None:
    """Take rows back as a changelog has them, later ones over earlier; others' keys are passed over."""
    for key, row in rows:
        if key == META_KEY or row is None:
            continue
        place = features.place(key.decode())
        features.table[place] = np.frombuffer(row, count=WIDTH)
        features.merchants[place] = _decode(row[_NUMBERS:])
