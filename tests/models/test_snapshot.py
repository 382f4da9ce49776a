from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import pytest

from features.catalogue import FEATURE_VERSION
from models import snapshot as module
from models.errors import SnapshotError
from models.shared import Counts, SharedTable
from models.snapshot import CHUNK_BYTES_MAX, LoadedSnapshot, Snapshot, initial_snapshot, pack, unpack
from tests.models.conftest import KEY, SIXTY_DAYS, random_vectors, taught


def large(version: int = 7, seed: int = 0) -> Snapshot:
    """Two chunks or more: ids and figures that do not compress."""
    rng = np.random.default_rng(seed)
    model = taught(SIXTY_DAYS, seed)
    terminals = {
        rng.bytes(16).hex(): Counts(*rng.integers(-1, 2**40, len(Counts._fields)).tolist()) for _ in range(40_000)
    }
    return Snapshot(
        version,
        123,
        model.compile(),
        SharedTable(terminals, {"m": Counts(1, 2, 3, 4)}, {"d": Counts(5, 6, 7, 8)}),
        {"b": 2, "a": 1},
    )


@pytest.fixture(scope="module")
def chunks() -> list[bytes]:
    return pack(large(), KEY)


def test_a_snapshot_comes_back_as_it_was_and_packs_to_the_same_bytes(chunks: list[bytes]) -> None:
    snapshot = large()
    back = unpack(chunks, KEY)
    assert (back.version, back.as_of_ms, back.counters) == (7, 123, {"a": 1, "b": 2})
    assert back.shared.terminals == snapshot.shared.terminals
    assert back.shared.merchants == snapshot.shared.merchants
    assert back.shared.devices == snapshot.shared.devices
    vectors = random_vectors(50, seed=1)
    for a, b in zip(
        LoadedSnapshot(back).fraud.score(vectors), LoadedSnapshot(snapshot).fraud.score(vectors), strict=True
    ):
        assert a.tobytes() == b.tobytes()
    assert pack(back, KEY) == chunks == pack(snapshot, KEY)


def test_chunks_fit_a_record(chunks: list[bytes]) -> None:
    assert len(chunks) > 1
    assert all(len(chunk) < CHUNK_BYTES_MAX for chunk in chunks)


def test_the_bytes_do_not_tell_the_order_in_which_places_were_met() -> None:
    a = {"t1": Counts(1, 1, 0, -1), "t2": Counts(2, 2, 0, -1)}
    b = dict(reversed(a.items()))
    first = dataclasses.replace(initial_snapshot(), shared=SharedTable(a, {}))
    second = dataclasses.replace(initial_snapshot(), shared=SharedTable(b, {}))
    assert pack(first, KEY) == pack(second, KEY)


def test_version_one_is_the_prior_and_scores() -> None:
    snapshot = unpack(pack(initial_snapshot(), KEY), KEY)
    loaded = LoadedSnapshot(snapshot)
    assert loaded.version == 1
    scores = loaded.fraud.score(random_vectors(10, seed=2))
    assert scores.anomaly.tolist() == [0.0] * 10
    assert len(set(scores.probability.tolist())) == 10
    assert loaded.shared.terminal("any", 5) == (0.0, 0.005, *[0.0] * 6)
    assert loaded.shared.device("any", 5) == (0.0, 0.005, 0.0, 0.0)


def test_missing_reordered_repeated_and_foreign_chunks_are_refused(chunks: list[bytes]) -> None:
    other = pack(large(version=8, seed=1), KEY)
    twin = pack(large(version=7, seed=2), KEY)
    cases = [
        ([], "found 0"),
        (chunks[:-1], "wait for the missing chunks"),
        (chunks[1:], "wait for the missing chunks"),
        (chunks[::-1], "keep their order"),
        ([*chunks, chunks[-1]], "keep their order"),
        ([chunks[0], *other[1:]], "two learners"),
        # The same version number from another learner: only the digest tells.
        ([chunks[0], *twin[1:]], "two learners"),
    ]
    for broken, message in cases:
        with pytest.raises(SnapshotError, match=message):
            unpack(broken, KEY)


def test_every_altered_byte_is_refused() -> None:
    (chunk,) = pack(initial_snapshot(), KEY)
    for place in range(len(chunk)):
        broken = bytearray(chunk)
        broken[place] ^= 1
        with pytest.raises(SnapshotError):
            unpack([bytes(broken)], KEY)


def test_unsigned_wrongly_signed_and_foreign_bytes_are_refused() -> None:
    (chunk,) = pack(initial_snapshot(), KEY)
    fields = msgspec.msgpack.decode(chunk)
    fields[-1] = b""
    for broken in (msgspec.msgpack.encode(fields), b"", b"\x80", chunk[:-5], chunk + b"x", b"not msgpack"):
        with pytest.raises(SnapshotError):
            unpack([broken], KEY)
    with pytest.raises(SnapshotError, match="same key"):
        unpack([chunk], b"another key of thirty-two bytes!")
    for use in (lambda: pack(initial_snapshot(), b"short"), lambda: unpack([chunk], b"")):
        with pytest.raises(SnapshotError, match="at least 16 bytes"):
            use()


def test_another_feature_version_is_refused_even_with_our_signature() -> None:
    foreign = dataclasses.replace(initial_snapshot(), feature_version=FEATURE_VERSION + 1)
    with pytest.raises(
        SnapshotError, match=rf"feature version {FEATURE_VERSION}, found {FEATURE_VERSION + 1}.*same release"
    ):
        unpack(pack(foreign, KEY), KEY)


def test_a_signed_body_with_impossible_arrays_is_refused() -> None:
    good = dataclasses.replace(initial_snapshot(), fraud=taught(SIXTY_DAYS, seed=3).compile())
    assert unpack(pack(good, KEY), KEY).fraud.tree_depth > 0
    for change in (
        {"curves": good.fraud.curves * np.nan},
        {"curves": good.fraud.curves[:-1]},
        {"intercept": float("inf")},
        {"tree_paths": good.fraud.tree_paths + np.inf},
        {"tree_children": good.fraud.tree_children - 1},
        {"tree_children": good.fraud.tree_children + len(good.fraud.tree_children)},
        {"tree_feature": good.fraud.tree_feature - 1},
        {"calibration": good.fraud.calibration[:-1]},
        {"calibration": good.fraud.calibration * np.nan},
        {"node_feature": good.fraud.node_feature + 99},
        {"unit": 0.0},
        {"unit": float("nan")},
        {"known_amounts": np.array([2.0, 1.0]), "known_heights": np.zeros(2)},
        {"known_amounts": np.array([1.0, 2.0]), "known_heights": np.zeros(1)},
        {"known_amounts": np.array([1.0]), "known_heights": np.array([np.inf])},
    ):
        with pytest.raises(SnapshotError):
            unpack(pack(dataclasses.replace(good, fraud=dataclasses.replace(good.fraud, **change)), KEY), KEY)


def test_no_pickle_in_what_workers_load() -> None:
    assert "pickle" not in vars(module)
