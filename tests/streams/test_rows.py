"""A packed row comes back the same, or not at all."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import RowError
from streams.rows import (
    META_KEY,
    ROW_VERSION,
    CustomerRow,
    PartitionMeta,
    checksum,
    pack,
    state_bytes,
    unpack,
    unpack_meta,
)
from tests.streams.driver import mixed, rows_of, run

HEADER_BYTES = 5


@cache
def lived() -> tuple[CustomerRow, ...]:
    """Rows of a stream with everything in it, busiest first."""
    rows = [row for seed in range(3) for row in rows_of(run(mixed(seed, 600))[0]).values()]
    return tuple(sorted(rows, key=lambda row: -len(pack(row))))


def sealed(body: bytes, version: int = ROW_VERSION) -> bytes:
    return bytes([version]) + checksum(version, body) + body


def test_rows_come_back_the_same() -> None:
    for row in (CustomerRow(), *lived()):
        again = unpack(pack(row))
        assert again == row
        assert pack(again) == pack(row)


def test_the_rows_of_these_tests_have_lived() -> None:
    assert any(row.risk.actions and row.risk.cooldowns for row in lived())
    assert any(row.credit.facilities for row in lived())
    assert any(row.hot.merchants for row in lived())


def test_a_partitions_own_row_comes_back_the_same() -> None:
    meta = PartitionMeta(3, 8, 10**9, 1_735_689_600_000, 1_735_689_600_000, 7, 42, "default-2")
    assert unpack_meta(pack(meta)) == meta
    assert pack(unpack_meta(pack(meta))) == pack(meta)


def test_the_layout_is_version_checksum_body() -> None:
    data = pack(lived()[0])
    assert data[0] == ROW_VERSION
    assert sealed(data[HEADER_BYTES:]) == data
    assert msgspec.msgpack.decode(data[HEADER_BYTES:])[0] == lived()[0].applied_offset


def test_a_customer_cannot_have_the_key_of_the_partition() -> None:
    # Customer ids are text.
    with pytest.raises(UnicodeDecodeError):
        META_KEY.decode()


def test_a_row_does_not_share_anything_with_its_copy() -> None:
    row = lived()[0]
    before = pack(row)
    copy = unpack(before)
    copy.hot.channels[0] += 1
    copy.risk.cooldowns["x"] = 1
    assert pack(row) == before


def test_state_is_the_row_without_its_offset() -> None:
    row = unpack(pack(lived()[0]))
    before = state_bytes(row)
    row.applied_offset += 1
    assert state_bytes(row) == before
    row.hot.latest_ms += 1
    assert state_bytes(row) != before


def test_every_bit_flip_of_a_row_is_refused() -> None:
    data = pack(min(lived(), key=lambda row: len(pack(row))))
    assert len(data) > 100
    for bit in range(len(data) * 8):
        altered = bytearray(data)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(RowError):
            unpack(bytes(altered))


@settings(max_examples=300, deadline=None, print_blob=True)
@given(st.data())
def test_a_flipped_bit_of_a_busy_row_is_refused(data: st.DataObject) -> None:
    packed = pack(data.draw(st.sampled_from(lived())))
    bit = data.draw(st.integers(0, len(packed) * 8 - 1))
    altered = bytearray(packed)
    altered[bit // 8] ^= 1 << bit % 8
    with pytest.raises(RowError, match="row 7: "):
        unpack(bytes(altered), "row 7")


def test_every_cut_and_every_addition_is_refused() -> None:
    data = pack(lived()[-1])
    for length in range(len(data)):
        with pytest.raises(RowError):
            unpack(data[:length])
    with pytest.raises(RowError, match="checksum"):
        unpack(data + b"\0")


def test_bits_of_the_partitions_own_row_are_guarded_too() -> None:
    data = pack(PartitionMeta(0, 1, 5, 6, 7, 8, 9, "default-2"))
    for bit in range(len(data) * 8):
        altered = bytearray(data)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(RowError):
            unpack_meta(bytes(altered))


@pytest.mark.parametrize("version", [0, ROW_VERSION + 1, 255])
def test_another_releases_row_is_refused_by_its_version(version: int) -> None:
    body = pack(CustomerRow())[HEADER_BYTES:]
    with pytest.raises(RowError, match=rf"row of version {ROW_VERSION}, found version {version}: .*use that release"):
        unpack(sealed(body, version))


def test_nothing_is_refused() -> None:
    with pytest.raises(RowError, match="found nothing"):
        unpack(b"")


@pytest.mark.parametrize("body", [b"\xc0", b"\x01", b"\xc1", msgspec.msgpack.encode([1, 2, 3, 4])])
def test_another_body_with_a_right_checksum_is_refused(body: bytes) -> None:
    with pytest.raises(RowError, match="rebuild the rows from the events"):
        unpack(sealed(body))


def test_a_customers_row_is_no_partitions_row() -> None:
    with pytest.raises(RowError):
        unpack_meta(pack(CustomerRow()))
    with pytest.raises(RowError):
        unpack(pack(PartitionMeta(0, 1)))


@settings(max_examples=200, deadline=None, print_blob=True)
@given(st.recursive(st.none() | st.integers(-9, 9) | st.text(max_size=3), lambda kids: st.lists(kids, max_size=5)))
def test_any_body_is_a_row_or_refused(body: Any) -> None:
    try:
        row = unpack(sealed(msgspec.msgpack.encode(body)))
    except RowError:
        return
    assert unpack(pack(row)) == row
