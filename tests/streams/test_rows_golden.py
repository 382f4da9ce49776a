"""Rows that a release wrote are read by this one, to the same values; and this one writes the same bytes.

When the writer's test fails, the layout has changed: `docs/rows.md` says what to do about it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.rows import ROW_VERSION, CustomerRow, PartitionMeta, checksum, head, pack, unpack, unpack_meta
from tests.golden.rows.regenerate import plain

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "rows"
# What a release must read: its own version and the one before; version 1 was never released.
READ = [version for version in (ROW_VERSION - 1, ROW_VERSION) if version >= 2]
NAMES = ("empty", "busiest", "every_field", "risk", "partition")


def read(name: str, data: bytes) -> CustomerRow | PartitionMeta:
    return unpack_meta(data) if name == "partition" else unpack(data)


def golden(version: int, name: str) -> bytes:
    return (GOLDEN / f"v{version}" / f"{name}.row").read_bytes()


def with_defaults(value: Any, default: Any) -> Any:
    """What an older release wrote, and the default of every field that came after it."""
    if not isinstance(value, dict) or not isinstance(default, dict):
        return value
    new = {name: item for name, item in default.items() if name not in value}
    return {name: with_defaults(item, default.get(name)) for name, item in value.items()} | new


@pytest.mark.parametrize("version", READ)
@pytest.mark.parametrize("name", NAMES)
def test_a_row_of_a_release_is_read_to_its_values(version: int, name: str) -> None:
    expected = json.loads((GOLDEN / f"v{version}" / f"{name}.json").read_text("utf-8"))
    found = read(name, golden(version, name))
    assert plain(found) == with_defaults(expected, plain(type(found)(0, 1) if name == "partition" else type(found)()))


@pytest.mark.parametrize("name", NAMES)
def test_the_writer_gives_the_bytes_of_its_version(name: str) -> None:
    data = golden(ROW_VERSION, name)
    assert data[0] == ROW_VERSION
    assert pack(read(name, data)) == data


def test_every_field_is_told_apart() -> None:
    def leaves(value: Any) -> list[Any]:
        if isinstance(value, dict):
            return [leaf for item in value.items() for part in item for leaf in leaves(part)]
        if isinstance(value, list):
            return [leaf for item in value for leaf in leaves(item)]
        return [value]

    values = plain(unpack(golden(ROW_VERSION, "every_field")))
    numbers = [leaf for leaf in leaves(values) if isinstance(leaf, int | float) and not isinstance(leaf, bool)]
    assert len(set(numbers)) == len(numbers) > 60


@pytest.mark.parametrize("name", NAMES[:-1])
def test_the_head_is_the_rows_own(name: str) -> None:
    row, first = unpack(golden(ROW_VERSION, name)), head(golden(ROW_VERSION, name))
    assert (first.applied_offset, first.due_ms) == (row.applied_offset, row.due_ms)


@pytest.mark.parametrize("part", [3, 4, 5], ids=["hot", "credit", "risk"])
def test_a_field_added_at_the_end_reads_as_its_default_from_an_older_row(part: int) -> None:
    # An older row seen from here: as if the part's last field had been added since.
    body = msgspec.msgpack.decode(golden(ROW_VERSION, "every_field")[5:])
    body[part].pop()
    packed = msgspec.msgpack.encode(body)
    older = unpack(bytes([ROW_VERSION]) + checksum(ROW_VERSION, packed) + packed)
    whole = unpack(golden(ROW_VERSION, "every_field"))
    name = ("hot", "credit", "risk")[part - 3]
    last = getattr(whole, name).__struct_fields__[-1]
    assert getattr(getattr(older, name), last) == getattr(getattr(CustomerRow(), name), last)
    setattr(getattr(older, name), last, getattr(getattr(whole, name), last))
    assert older == whole
