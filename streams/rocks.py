"""How a store of rows is opened, verified, and thrown away where it is damaged.

RocksDB gets bounds that hold for the whole process, not for each partition.

The write-ahead log is not synced at each commit: killed processes lose nothing, a power cut may lose the last
commits, and the changelog has them. Whatever is lost is lost from the end, whole commits at a time.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import Any

from rocksdict import BlockBasedOptions, Cache, DBRecoveryMode, Options, Rdict, WriteBatch, WriteBufferManager

from streams.errors import StateError
from streams.rows import unpack_meta
from streams.store_record import OWN, StoreRecord, seal, unseal, verified

_MIB = 1 << 20
_CACHE_BYTES = 64 * _MIB
_BUFFERS_BYTES, _BUFFER_BYTES = 64 * _MIB, 8 * _MIB
_OPEN_FILES_MAX = 128
_LOG_BYTES = 1 * _MIB
# Log format: blocks of records, each CRC (4), length (2), kind (1: whole, 2 to 4: first, middle, last part).
_BLOCK_BYTES, _HEADER_BYTES, _KIND_MAX = 32_768, 7, 4
_BLOOM_BITS = 10

# What RocksDB says of a lock that is held: by this process, by another. "Block checksum mismatch" is no lock.
_HELD = ("lock hold by current process", "While lock file")
# Not damage: a rebuild would meet the same, and throw good rows away for it.
_FOR_THE_OPERATOR = (
    ("No space left on device", "free space on that disk"),
    ("Disk quota exceeded", "raise the quota"),
    ("File too large", "raise the limit of file sizes (ulimit -f)"),
    ("Permission denied", "run as the user who owns it"),
    ("Read-only file system", "mount it writable"),
    ("Too many open files", "raise the limit of open files (ulimit -n)"),
)


def open_store(path: Path, binding: str) -> tuple[Any, StoreRecord, str | None]:
    """The store in a folder, verified: every row and index entry is held against the store's own record.

    Returns
    -------
    The database, its record, and why its former content was thrown away (None: it was not).

    Raises
    ------
    StateError
        When it is bound elsewhere or held by another process, or the disk refuses.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if next(path.iterdir(), None) is None:
            return *_begin(path, binding), None
    except OSError as error:
        raise StateError(f"cannot make rows in {path}: {error.strerror}: name another folder with --state") from None
    try:
        check_logs(path)
        db = _rocks(path)
    except StateError:
        raise
    except Exception as error:  # RocksDB has no class of its own for damage
        return _anew(path, binding, f"it cannot be opened ({error})")
    try:
        return db, _verify(db, path, binding), None
    except StateError:
        shut(db)
        raise
    except Exception as error:  # ours (ValueError), or RocksDB's complaint about a block
        why = str(error)
    # Outside of the clause above, whose traceback would keep an iterator, and with it the lock, alive.
    shut(db)
    return _anew(path, binding, why)


def check_logs(path: Path) -> None:
    """Raise ValueError where RocksDB's manifest or write-ahead log holds a kind of record that is never written here.

    RocksDB reads a flipped bit that makes a record a "recyclable" one in an endless loop (9.8.4), inside the opening
    and holding Python's lock, so it must not see it. What else is damaged it notices itself.
    """
    for file in (*path.glob("MANIFEST-*"), *path.glob("*.log")):
        data = file.read_bytes()
        for block in range(0, len(data), _BLOCK_BYTES):
            at, end = block, min(block + _BLOCK_BYTES, len(data))
            while at + _HEADER_BYTES <= end:
                length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
                if kind > _KIND_MAX:
                    raise ValueError(f"{file.name} has a record of kind {kind} at {at}")
                if kind == length == 0:
                    break  # the rest was set aside and not written
                at += _HEADER_BYTES + length


def write(db: Any, batch: WriteBatch, path: Path) -> None:
    """Write a batch, all or nothing; StateError when the disk refuses."""
    try:
        db.write(batch)
    except Exception as error:
        raise StateError(
            f"cannot write rows to {path}: {error}: free or mount the disk; nothing is lost, "
            "the changelog has every row"
        ) from error


def shut(db: Any) -> None:
    """Close, come what may: a damaged or full disk fails to, and what counts was written by each commit."""
    with suppress(Exception):
        db.close()


def forget(home: Path) -> int:
    """Remove every local store of a worker's folder, so that the next start reads all rows from the changelog.

    Parameters
    ----------
    home
        The folder a worker's `--state` names; its stores are HOME/rows/SLOT/PARTITION.

    Returns
    -------
    How many stores were removed; 0 where there are none.

    Raises
    ------
    StateError
        When a worker holds one of them (then none is removed), or the disk refuses.
    """
    stores = [path for path in sorted(home.glob("rows/*/*")) if path.name.isdigit() and path.is_dir()]
    try:
        with ExitStack() as held:
            for path in stores:
                lock = os.open(path / "LOCK", os.O_RDWR | os.O_CREAT, 0o600)
                held.callback(os.close, lock)
                try:
                    # The lock that RocksDB itself takes for writing.
                    fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    raise StateError(f"{path} is held by a running worker: stop it first") from None
            for path in stores:
                shutil.rmtree(path)
    except OSError as error:
        raise StateError(f"cannot remove rows under {home}: {error}: run as the user whose worker wrote them") from None
    return len(stores)


def _anew(path: Path, binding: str, why: str) -> tuple[Any, StoreRecord, str]:
    try:
        shutil.rmtree(path)
        path.mkdir(mode=0o700)
    except OSError as error:
        raise StateError(
            f"the rows in {path} are damaged ({why}) and cannot be removed: {error.strerror}: "
            "remove that folder, the changelog has every row"
        ) from None
    return *_begin(path, binding), why


def _begin(path: Path, binding: str) -> tuple[Any, StoreRecord]:
    try:
        db = _rocks(path)
    except StateError:
        raise
    except Exception as error:
        raise StateError(f"cannot make rows in {path}: {error}: name another folder with --state") from None
    own, batch = StoreRecord(binding), WriteBatch(raw_mode=True)
    batch.put(OWN, seal(own))
    write(db, batch, path)
    return db, own


def _verify(db: Any, path: Path, binding: str) -> StoreRecord:
    stored = db.get(OWN)
    if stored is None:
        raise ValueError("the store's own record is missing")
    own = unseal(stored)
    if own.binding != binding:
        raise StateError(
            f"the rows in {path} belong to {own.binding}, this is {binding} "
            "(cluster/topics/partitions): another cluster, or the topics were made anew; "
            f"use the right broker, or remove {path}"
        )
    if own.meta is not None:
        unpack_meta(own.meta)
    # Read to the end: a lost row is noticed too.
    for _row in verified(db, own):
        pass
    return own


def _rocks(path: Path) -> Any:
    # The rest of what RocksDB raises here is damage.
    try:
        options = _options()
        # Named for the column family too: else an existing store takes the options it was made with, and a cache of
        # its own.
        return Rdict(str(path), options, column_families={"default": options})
    except Exception as error:
        said = str(error)
        if any(sign in said for sign in _HELD):
            raise StateError(
                f"{path} is held by another process: give every worker its own --state, or stop the other"
            ) from None
        advice = next((advice for sign, advice in _FOR_THE_OPERATOR if sign in said), None)
        if advice is not None:
            raise StateError(f"cannot open the rows in {path}: {said}: {advice}; nothing is lost") from None
        raise


def _options() -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_wal_recovery_mode(DBRecoveryMode.point_in_time())
    options.set_write_buffer_size(_BUFFER_BYTES)
    options.set_max_write_buffer_number(2)
    options.set_write_buffer_manager(_buffers())
    options.set_max_open_files(_OPEN_FILES_MAX)
    options.set_keep_log_file_num(2)
    options.set_max_log_file_size(_LOG_BYTES)
    options.set_stats_dump_period_sec(0)
    blocks = BlockBasedOptions()
    # Faust's way of opening it takes two gigabytes of cache a partition; ours is one, bounded, for all of them.
    blocks.set_block_cache(_blocks())
    blocks.set_cache_index_and_filter_blocks(True)
    # A customer never seen is asked for once: without the filter that costs a read on every level.
    blocks.set_bloom_filter(_BLOOM_BITS, False)
    options.set_block_based_table_factory(blocks)
    return options


@cache
def _blocks() -> Cache:
    return Cache(_CACHE_BYTES)


@cache
def _buffers() -> WriteBufferManager:
    return WriteBufferManager(_BUFFERS_BYTES, False)
