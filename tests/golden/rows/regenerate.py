"""Write the golden rows of the present row version: `python -m tests.golden.rows.regenerate`.

Only for a new version: the files of a version that was released never change.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin

import msgspec

from streams.rows import ROW_VERSION, CustomerRow, PartitionMeta, pack
from tests.streams.driver import engine, feed, mixed, recorded, rows_of

HERE = Path(__file__).parent


def plain(value: Any) -> Any:
    """A row as JSON can show it: every field by name, bytes as hexadecimal digits."""
    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.hex() if isinstance(value, bytes) else value


def filled(kind: Any, numbers: Iterator[int]) -> Any:
    """A value of a type with another number in every field, so that two exchanged fields show."""
    origin, inner = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind(*(filled(part.type, numbers) for part in msgspec.structs.fields(kind)))
    if origin is list:
        return [filled(inner[0], numbers), filled(inner[0], numbers)]
    if origin is dict:
        return {filled(inner[0], numbers): filled(inner[1], numbers)}
    if origin is Literal:
        return inner[-1]
    if origin is UnionType:
        return filled(inner[0], numbers)
    made = {int: int, float: lambda n: n + 0.5, str: "s{}".format, bytes: lambda n: b"b%d" % n, bool: bool}
    return made[kind](next(numbers))


def chosen() -> dict[str, CustomerRow | PartitionMeta]:
    """An empty row, rows with everything a row can hold, a partition's own."""
    target = engine()
    feed(target, recorded(mixed(0, 900)), 100)
    lived = [row for _customer, row in sorted(rows_of(target).items())]
    return {
        "empty": CustomerRow(),
        "busiest": max(lived, key=lambda row: len(row.hot.event_ids) + len(row.hot.merchants)),
        "every_field": filled(CustomerRow, count(1000)),
        "risk": max(lived, key=lambda row: len(row.risk.actions) + len(row.risk.cooldowns) + len(row.risk.cards)),
        "partition": PartitionMeta(3, 8, 10**9, 1_735_689_600_000, 1_735_689_600_001, 7, 42, "default-2", "a/b/8"),
    }


def main() -> None:
    """Write one file of bytes and one of values for each."""
    folder = HERE / f"v{ROW_VERSION}"
    folder.mkdir(exist_ok=True)
    for name, row in chosen().items():
        (folder / f"{name}.row").write_bytes(pack(row))
        (folder / f"{name}.json").write_text(json.dumps(plain(row), indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
