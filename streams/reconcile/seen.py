"""Compact memory of what was seen: offsets as bitmaps, recent records by hash, alert ids in sorted arrays.

An offset costs a bit, an alert 26 bytes until it is matched and 16 after.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

EXAMPLES_MAX = 5
PAGE_BITS = 13
_PAGE = 1 << PAGE_BITS
# More than the largest batch (20,000 records): what is said again after a crash lies within it.
_RECENT_MAX = 32_768

Ids = npt.NDArray[np.void]
_ID = np.dtype([("id", "S16"), ("at_ms", "<i8"), ("partition", "<u2")])
_pack_id = struct.Struct("<16sqH").pack


class Offsets:
    """A set of offsets as bitmaps; `add` says whether the offset is new."""

    def __init__(self) -> None:
        self.pages: dict[int, bytearray] = {}

    def add(self, offset: int) -> bool:
        """Put one in; False when it was there."""
        page = self.pages.get(offset >> PAGE_BITS)
        if page is None:
            page = self.pages[offset >> PAGE_BITS] = bytearray(_PAGE >> 3)
        place, bit = (offset & (_PAGE - 1)) >> 3, 1 << (offset & 7)
        if page[place] & bit:
            return False
        page[place] |= bit
        return True

    def without(self, other: Offsets) -> Iterator[tuple[int, int]]:
        """(first offset, bits) of pages with offsets that `other` lacks, ascending."""
        for number, page in sorted(self.pages.items()):
            theirs = other.pages.get(number)
            if page != theirs:
                bits = int.from_bytes(page, "little") & ~int.from_bytes(theirs or b"", "little")
                if bits:
                    yield number << PAGE_BITS, bits


def between(pages: Iterator[tuple[int, int]], low: int, high: int | None = None) -> tuple[int, list[int]]:
    """How many of the offsets lie in low <= offset < high, and the first few of them."""
    count = 0
    first: list[int] = []
    for start, page in pages:
        bits = page
        if start < low:
            bits = bits >> (low - start) << (low - start)
        if high is not None and start + _PAGE > high:
            bits &= (1 << max(high - start, 0)) - 1
        count += bits.bit_count()
        while bits and len(first) < EXAMPLES_MAX:
            first.append(start + (bits & -bits).bit_length() - 1)
            bits &= bits - 1
    return count, first


class Recent:
    """Hashes of the records just read, so that an exact repeat is known as one."""

    def __init__(self) -> None:
        self._now: set[int] = set()
        self._before: set[int] = set()

    def seen(self, record: object) -> bool:
        """Whether an equal record was among the last; remembers it."""
        mark = hash(record)
        known = mark in self._now or mark in self._before
        if len(self._now) >= _RECENT_MAX:
            self._now, self._before = set(), self._now
        self._now.add(mark)
        return known


class AlertIds:
    """Alert ids that exist and those that decisions name: each must be both, once."""

    def __init__(self) -> None:
        self._new = {True: bytearray(), False: bytearray()}
        # Not yet on both sides: exists but is not named (True), named but does not exist (False).
        self.alone: dict[bool, Ids] = {side: np.zeros(0, _ID) for side in (True, False)}
        self._matched: npt.NDArray[np.bytes_] = np.zeros(0, "S16")
        self.twice: Ids = np.zeros(0, _ID)
        self.count = 0

    def add(self, alert_id: str, at_ms: int, partition: int, *, exists: bool) -> None:
        """One alert, or one naming of it; ValueError when it is no id."""
        packed = bytes.fromhex(alert_id)
        if len(packed) != 16:
            raise ValueError(f"expected 32 hexadecimal digits, found {alert_id!r}")
        self._new[exists] += _pack_id(packed, at_ms, partition)

    def settle(self) -> None:
        """Match what came since the last call."""
        for side in (True, False):
            news = np.frombuffer(bytes(self._new[side]), _ID)
            self._new[side].clear()
            if not len(news):
                continue
            self.count += len(news) if side else 0
            held = np.concatenate([self.alone[side], news])
            order = np.argsort(held["id"], kind="stable")
            held = held[order]
            again = np.zeros(len(held), bool)
            again[1:] = held["id"][1:] == held["id"][:-1]
            again |= _among(held["id"], self._matched)
            # An id may come back on both sides; it is one id twice.
            again_new = held[again]
            fresh = again_new[~np.isin(again_new["id"], self.twice["id"])]
            _ids, places = np.unique(fresh["id"], return_index=True)
            self.twice = np.concatenate([self.twice, fresh[places]])
            self.alone[side] = held[~again]
        exist, named = self.alone[True], self.alone[False]
        both = np.intersect1d(exist["id"], named["id"])
        if len(both):
            self._matched = np.sort(np.concatenate([self._matched, both]), kind="stable")
            self.alone = {side: held[~_among(held["id"], both)] for side, held in self.alone.items()}


def _among(ids: npt.NDArray[np.bytes_], held: npt.NDArray[np.bytes_]) -> npt.NDArray[np.bool_]:
    """Which of `ids` are in the sorted `held`: a search, so that a few new ids do not cost a sort of all."""
    if not len(held):
        return np.zeros(len(ids), bool)
    places = np.minimum(np.searchsorted(held, ids), len(held) - 1)
    return np.asarray(held[places] == ids)


def hex_of(alert_id: bytes) -> str:
    """An id as it is written; NumPy drops zeros at the end."""
    return alert_id.ljust(16, b"\0").hex()
