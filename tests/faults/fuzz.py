"""Payloads that are almost events, and payloads that are nothing, through the decoder and the engine in one process."""

from __future__ import annotations

import gc
import random
import resource
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import msgspec

from features.errors import EventError
from features.events import Event, encode
from streams.engine import Engine
from streams.library import INITIAL_VERSION, VersionLibrary
from tests.faults.load import town_events
from tests.streams.driver import KEY, TOPIC, Raw

BATCH = 500
_DAY_MS = 86_400_000
_KEPT_PER_KIND, _RENEWED_RATIO = 50, 0.8
# Enough to have made everything that is made once: caches, compiled schemas, the rows of all customers.
_WARM_RATIO = 0.2
_NUMBERS = (
    b"0", b"-1", b"1e308", b"-1e309", b"NaN", b"Infinity", b"9223372036854775808", b"-9223372036854775809", b"1" * 400,
    b"0.1", b"-0", b"1E+2", b"01", b"null", b"true", b'"1"', b"[]", b"{}",
)  # fmt: skip
_STRINGS = (
    b'""', b'"\\u0000"', b'"\\ud800"', b'"' + b"x" * 70_000 + b'"', "\"\u202e客户\"".encode(), b'"4111111111111111"',
    b'"\xff"', b'"\\uDEAD\\uBEEF"',
)  # fmt: skip


class Mutator:
    """Payloads from a seed: valid events of a town, damaged in one of many ways, and plain noise."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._town = town_events(seed, people=60)
        self._kinds: dict[type[Event], list[Event]] = {}
        self._latest_ms = 0
        self._number = count()
        for _ in range(4_000):
            self._live()

    def _live(self) -> None:
        # One event more of the town; of each kind the newest few are kept, so that rare ones are not rare here.
        event = next(self._town)
        self._latest_ms = max(self._latest_ms, event.event_time_ms)
        known = self._kinds.setdefault(type(event), [])
        if len(known) < _KEPT_PER_KIND:
            known.append(event)
        else:
            known[self._rng.randrange(_KEPT_PER_KIND)] = event

    def _event(self) -> Event:
        event = self._rng.choice(self._rng.choice(list(self._kinds.values())))
        if self._rng.random() < _RENEWED_RATIO:
            # Neither late nor a duplicate: should it stay valid, the engine has something to do.
            at_ms = self._latest_ms - self._rng.randrange(_DAY_MS)
            event = msgspec.structs.replace(event, event_id=f"f{next(self._number)}", event_time_ms=at_ms)
        return event

    def next(self) -> tuple[bytes | None, bytes | None]:
        """Key and value of the next record."""
        rng = self._rng
        self._live()
        event = self._event()
        key, value = event.customer_id.encode(), encode(event)
        ways = (
            self._same, self._flip, self._cut, self._splice, self._figure, self._string, self._nest, self._repeat,
            self._noise, self._key,
        )  # fmt: skip
        return rng.choice(ways)(key, value)

    def _same(self, key: bytes, value: bytes) -> tuple[bytes | None, bytes | None]:
        return key, value

    def _flip(self, key: bytes, value: bytes) -> tuple[bytes | None, bytes | None]:
        damaged = bytearray(value)
        for _ in range(self._rng.choice((1, 1, 2, 8))):
            damaged[self._rng.randrange(len(damaged))] ^= 1 << self._rng.randrange(8)
        return key, bytes(damaged)

    def _cut(self, key: bytes, value: bytes) -> tuple[bytes | None, bytes | None]:
        return key, value[: self._rng.randrange(len(value))]

    def _splice(self, key: bytes, value: bytes) -> tuple[bytes | None, bytes | None]:
        tail = encode(self._event())
        return key, value[: self._rng.randrange(len(value))] + tail[self._rng.randrange(len(tail)) :]

    def _swap(self, value: bytes, wanted: tuple[bytes, ...]) -> bytes:
        # Some field's value in place of another: between a colon and the comma or brace after it.
        places = [place for place, byte in enumerate(value) if byte == 0x3A]
        at = self._rng.choice(places) + 1
        end = min((e for e in (value.find(b",", at), value.find(b"}", at)) if e >= 0), default=len(value))
        return value[:at] + self._rng.choice(wanted) + value[end:]

    def _figure(self, key: bytes, value: bytes) -> tuple[bytes | None, bytes | None]:
        return key, self._swap(value, _NUMBERS)

    def _string(self, key: bytes, value: bytes) -> tuple[bytes | None, bytes | None]:
        return key, self._swap(value, _STRINGS)

    def _nest(self, key: bytes, value: bytes) -> tuple[bytes | None, bytes | None]:
        deep = self._rng.choice((1, 5, 100, 2_000, 50_000))
        opening, closing = self._rng.choice(((b"[", b"]"), (b'{"a":', b"}")))
        return key, self._swap(value, (opening * deep + b"1" + closing * deep,))

    def _repeat(self, key: bytes, value: bytes) -> tuple[bytes | None, bytes | None]:
        return key, self._rng.choice((value + value, value[:-1] + b"," + value[1:], b"[" + value + b"]"))

    def _noise(self, key: bytes, _value: bytes) -> tuple[bytes | None, bytes | None]:
        rng = self._rng
        return key, rng.choice((None, b"", b"null", b"{}", rng.randbytes(rng.randrange(1, 300))))

    def _key(self, _key: bytes, value: bytes) -> tuple[bytes | None, bytes | None]:
        rng = self._rng
        return rng.choice((None, b"", b"\xff\xfe", rng.randbytes(8), b"c" * 5_000)), value


def fuzz_alone(seed: int, payloads: int) -> dict[str, Any]:
    """`run_fuzz` in a process of its own: in one that had used and freed memory before, growth would not show."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(run_fuzz, seed, payloads).result()


def run_fuzz(seed: int, payloads: int) -> dict[str, Any]:
    """Figures: exceptions nobody expected, offsets without exactly one answer, growth of memory."""
    mutator = Mutator(seed)
    library = VersionLibrary(KEY)
    engine = Engine(
        0, 1, TOPIC, library, model_version=INITIAL_VERSION, policy_version=library.policy.version
    )  # fmt: skip
    answers: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    errors: list[str] = []
    began, warm_bytes, unanswered = time.monotonic(), 0, 0
    for first in range(0, payloads, BATCH):
        batch = [Raw(first + i, *mutator.next()) for i in range(min(BATCH, payloads - first))]
        if not warm_bytes and first >= payloads * _WARM_RATIO:
            warm_bytes = _resident_bytes()
        try:
            output = engine.process(batch)
        except EventError as error:
            raise AssertionError("a reject must become a dead letter") from error
        except Exception as error:
            errors.append(f"offsets {first}..{batch[-1].offset}: {error!r}")
            if len(errors) >= 10:
                break
            continue
        answered = [msgspec.json.decode(value) for _key, value in output.decisions]
        answers.update(d["disposition"] for d in answered)
        codes.update(dict(headers)["riskshift.reason.code"].decode() for _k, _v, headers in output.dead_letters)
        offsets = [d["offset"] for d in answered if d["disposition"] != "derived" and "offset" in d]
        offsets += [int(dict(headers)["__connect.errors.offset"]) for _k, _v, headers in output.dead_letters]
        unanswered += sorted(offsets) != [record.offset for record in batch]
    answers["dead_letter"] = codes.total()
    return {
        "seed": seed, "payloads": payloads, "seconds": round(time.monotonic() - began, 1), "uncaught": errors,
        "unanswered": unanswered, "dispositions": dict(sorted(answers.items())),
        "reject_codes": dict(sorted(codes.items())), "customers": len(engine.rows),
        "growth_mib": round((_resident_bytes() - warm_bytes) / (1 << 20), 1),
        "largest_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }  # fmt: skip


def _resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
