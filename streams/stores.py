"""Workers' local stores, opened for reading only: nothing is repaired or thrown away, damage is refused."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rocksdict import AccessType, Options, Rdict

from features.errors import RowError
from streams import store_record
from streams.errors import StateError
from streams.rocks import check_logs
from streams.rows import PartitionMeta, unpack_meta
from streams.store_record import OWN, StoreRecord, unseal


def stores_under(folders: Sequence[Path]) -> list[Path]:
    """Folders FOLDER/rows/SLOT/PARTITION; StateError for a folder without any."""
    found: list[Path] = []
    for folder in folders:
        here = [path for path in sorted(folder.glob("rows/*/*")) if path.name.isdigit() and path.is_dir()]
        if not here:
            raise StateError(
                f"expected rows under {folder}/rows, found none: name the folder that a worker's --state has"
            )
        found += here
    return found


@contextmanager
def opened(path: Path) -> Iterator[Rdict]:
    """The store read only, and nobody else's while it is read."""
    try:
        held = os.open(path / "LOCK", os.O_RDWR)
    except FileNotFoundError:
        raise StateError(f"{path} is not a store of rows: expected a file LOCK in it, found none") from None
    except OSError as error:
        raise StateError(f"cannot open {path}: {error.strerror}: run as the user whose worker wrote it") from None
    try:
        try:
            # The lock that RocksDB itself takes for writing.
            fcntl.lockf(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StateError(
                f"{path} is held by a running worker: stop it first, or leave --state out to read the changelog"
            ) from None
        try:
            check_logs(path)
            db = Rdict(str(path), Options(raw_mode=True), access_type=AccessType.read_only())
        except Exception as error:
            raise _damaged(path, str(error)) from None
        try:
            yield db
        finally:
            db.close()
    finally:
        os.close(held)


def _damaged(path: Path, why: str) -> StateError:
    return StateError(
        f"the store {path} is damaged ({why}): a worker that starts on it reads it back from the changelog; "
        "leave --state out to read that now"
    )


def own_records(path: Path, db: Rdict) -> tuple[StoreRecord, PartitionMeta | None]:
    """What the store and its partition know of themselves; StateError when the store is damaged."""
    try:
        stored: Any = db.get(OWN)
        if stored is None:
            # A cut manifest opens empty; files with rows in them say otherwise.
            if next(iter(db.keys()), None) is not None or any(path.glob("*.sst")):
                raise _damaged(path, "rows without the store's own record")
            return StoreRecord(""), None
        own = unseal(stored)
        return own, None if own.meta is None else unpack_meta(own.meta, str(path))
    except StateError:
        raise
    except Exception as error:  # RocksDB's own complaint about a block, or bytes that are not a record
        raise _damaged(path, str(error)) from None


def verified(path: Path, db: Rdict, own: StoreRecord) -> Iterator[tuple[bytes, bytes | None]]:
    """Every row; at the end what was read is held against the store's own record, so that a lost one is noticed."""
    try:
        yield from store_record.verified(db, own)
    except (RowError, StateError):
        raise
    except Exception as error:  # not the record's sums, or RocksDB's own complaint about a block
        raise _damaged(path, str(error)) from None
