"""Versions in memory: what our key did not sign, was altered, or changes under a known name is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from alerts.policy import DEFAULT_PATH, parse_policy
from features.errors import RiskshiftError
from models.errors import BaseMissingError, SnapshotError
from models.shared import Counts, SharedTable
from models.snapshot import Snapshot, initial_snapshot, pack
from streams.errors import SettingError, StateError
from streams.library import BASES_MAX, INITIAL_VERSION, LOADED_MAX, VersionLibrary

KEY, OTHER = b"0123456789abcdef", b"fedcba9876543210"
POLICY = DEFAULT_PATH.read_text("utf-8")


def chunks(version: int, key: bytes = KEY, as_of_ms: int = 0) -> list[bytes]:
    return pack(replace(initial_snapshot(), version=version, as_of_ms=as_of_ms), key)


def test_a_new_library_has_the_experts_model_and_the_policy_of_the_house() -> None:
    library = VersionLibrary(KEY)
    assert library.latest == INITIAL_VERSION
    assert library.model(INITIAL_VERSION).version == INITIAL_VERSION
    assert library.assessor(library.policy.version).policy == library.policy
    assert library.policy_source == POLICY
    assert library.knows(INITIAL_VERSION, library.policy.version)


def test_an_unknown_version_is_a_key_error() -> None:
    library = VersionLibrary(KEY)
    with pytest.raises(KeyError):
        library.model(2)
    with pytest.raises(KeyError):
        library.model(0)
    with pytest.raises(KeyError):
        library.assessor("nobody-knows")
    assert not library.knows(2, library.policy.version)
    assert not library.knows(INITIAL_VERSION, "nobody-knows")


def test_snapshots_come_in_any_order_and_the_newest_is_the_latest() -> None:
    library = VersionLibrary(KEY)
    for version in (3, 2):
        library.add_snapshot(version, chunks(version))
    assert library.latest == 3
    assert [library.model(version).version for version in (2, 3)] == [2, 3]


def test_a_version_that_was_unpacked_long_ago_is_unpacked_again() -> None:
    library = VersionLibrary(KEY)
    versions = range(2, 2 + LOADED_MAX + 3)
    for version in versions:
        library.add_snapshot(version, chunks(version, as_of_ms=version))
    for _ in range(2):
        assert [library.model(version).as_of_ms for version in versions] == list(versions)
    assert len(library._loaded) == LOADED_MAX


def refused(library: VersionLibrary) -> None:
    assert library.refused == 1
    assert library.latest == INITIAL_VERSION
    assert not library.knows(2, library.policy.version)


def test_another_keys_snapshot_is_refused() -> None:
    library = VersionLibrary(KEY)
    with pytest.raises(SnapshotError, match="check that learner and workers have the same key"):
        library.add_snapshot(2, chunks(2, OTHER))
    refused(library)


@pytest.mark.parametrize("place", [0, 9, 40, -200, -1])
def test_an_altered_snapshot_is_refused(place: int) -> None:
    library = VersionLibrary(KEY)
    altered = [bytearray(chunk) for chunk in chunks(2)]
    altered[-1][place] ^= 1
    with pytest.raises(SnapshotError):
        library.add_snapshot(2, [bytes(chunk) for chunk in altered])
    refused(library)


def test_a_snapshot_under_another_name_is_refused() -> None:
    library = VersionLibrary(KEY)
    with pytest.raises(StateError, match="expected snapshot 2, found 3"):
        library.add_snapshot(2, chunks(3))
    refused(library)


def test_the_same_snapshot_twice_is_one() -> None:
    library = VersionLibrary(KEY)
    for _ in range(2):
        library.add_snapshot(2, chunks(2))
    assert (library.latest, library.refused) == (2, 0)


def test_a_known_version_with_other_content_is_refused_and_the_first_stays() -> None:
    """Decisions name only the version: two contents under it would make them differ from worker to worker."""
    library = VersionLibrary(KEY)
    library.add_snapshot(2, chunks(2, as_of_ms=1))
    with pytest.raises(StateError, match="model version 2 is already in use with other content"):
        library.add_snapshot(2, chunks(2, as_of_ms=2))
    assert library.model(2).as_of_ms == 1
    assert library.refused == 1


def test_the_same_policy_version_with_other_content_is_refused() -> None:
    library = VersionLibrary(KEY)
    other = re.sub(r"calm_events = \d+", "calm_events = 17", POLICY)
    assert other != POLICY
    with pytest.raises(StateError, match=r"policy version 'default-2' .*give the changed file a new version"):
        library.add_policy(parse_policy(other))
    assert library.assessor("default-2").policy == parse_policy(POLICY)


def test_the_same_policy_in_other_words_is_the_same() -> None:
    library = VersionLibrary(KEY)
    library.add_policy(parse_policy("# a comment\n" + POLICY.replace('"24h"', '"1d"')))
    assert list(library._assessors) == ["default-2"]


def test_a_policy_of_another_version_stands_beside() -> None:
    library = VersionLibrary(KEY)
    library.add_policy(parse_policy(POLICY.replace('"default-2"', '"default-3"')))
    assert library.assessor("default-3").policy.version == "default-3"
    assert library.policy.version == "default-2"


def test_the_operators_policy_is_the_one_wanted(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(POLICY.replace('"default-2"', '"own-7"'), "utf-8")
    assert VersionLibrary(KEY, path).policy.version == "own-7"


def test_a_policy_file_that_cannot_be_read_is_a_setting_error(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"cannot read the policy file .*missing\.toml.*check the path"):
        VersionLibrary(KEY, tmp_path / "missing.toml")
    path = tmp_path / "latin.toml"
    path.write_bytes(b'version = "\xe9"')
    with pytest.raises(SettingError, match="UTF-8"):
        VersionLibrary(KEY, path)
    path.write_text("version = 3", "utf-8")
    with pytest.raises(RiskshiftError, match=r"latin\.toml: .*version \(line 1\): expected"):
        VersionLibrary(KEY, path)


def test_a_short_key_is_refused_with_the_first_snapshot() -> None:
    with pytest.raises(SnapshotError, match="at least 16 bytes, found 5"):
        VersionLibrary(b"short").add_snapshot(2, chunks(2))


# --- snapshots that add to a whole one -------------------------------------------------------------------


def places(n: int, changed: int = 0) -> dict[str, Counts]:
    return {f"t{place}": Counts(place, place + (place < changed), 0, -1) for place in range(n)}


def series(n: int = 300) -> tuple[Snapshot, Snapshot, list[bytes], list[bytes]]:
    whole = replace(initial_snapshot(), version=2, shared=SharedTable(places(n), {"gone": Counts(1, 1, 0, -1)}))
    later = replace(whole, version=3, as_of_ms=5, shared=SharedTable(places(n, 3) | {"new": Counts(9, 9, 1, 4)}, {}))
    return whole, later, pack(whole, KEY), pack(later, KEY, whole)


def test_a_difference_is_small_and_gives_the_whole_back() -> None:
    whole, later, first, second = series(5000)
    assert sum(map(len, second)) < sum(map(len, pack(later, KEY))) / 2
    library = VersionLibrary(KEY)
    library.add_snapshot(2, first)
    library.add_snapshot(3, second)
    assert library.latest == 3
    assert library.model(3).shared.terminals == later.shared.terminals
    assert library.model(3).shared.merchants == {}
    assert library.model(2).shared.terminals == whole.shared.terminals


def test_a_difference_whose_whole_one_was_only_offered_is_adopted() -> None:
    _whole, later, first, second = series()
    library = VersionLibrary(KEY)
    library.offer(2, first)
    library.offer(3, second)
    library.adopt()
    assert library.latest == 3
    assert library.model(3).shared.terminals == later.shared.terminals


def test_a_difference_without_its_whole_one_waits_and_says_which_is_missing() -> None:
    _whole, later, first, second = series()
    library = VersionLibrary(KEY)
    library.offer(3, second)
    with pytest.raises(BaseMissingError, match="expected snapshot 2, which snapshot 3 adds to, found none"):
        library.add_snapshot(3, second)
    assert not library.has_model(3)
    assert library.missing_base == 2
    assert (library.refused, library.latest) == (0, INITIAL_VERSION)
    library.add_snapshot(2, first)
    assert library.has_model(3)
    assert library.model(3).shared.terminals == later.shared.terminals


def test_the_same_version_whole_and_as_a_difference_is_one() -> None:
    _whole, later, first, second = series()
    library = VersionLibrary(KEY)
    library.add_snapshot(2, first)
    library.add_snapshot(3, second)
    library.add_snapshot(3, pack(later, KEY))
    with pytest.raises(StateError, match="already in use with other content"):
        library.add_snapshot(3, pack(replace(later, as_of_ms=6), KEY))


def test_an_altered_whole_one_makes_its_differences_useless_not_wrong() -> None:
    _whole, _later, first, second = series()
    broken = bytearray(first[0])
    broken[-5] ^= 1
    library = VersionLibrary(KEY)
    library.offer(2, [bytes(broken)])
    library.offer(3, second)
    with pytest.raises(BaseMissingError):
        library.adopt()
    assert library.latest == INITIAL_VERSION


def test_a_difference_whose_whole_one_was_let_go_of_waits_for_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.library.PACKED_MAX", 2)
    whole, _later, first, second = series()
    library = VersionLibrary(KEY)
    library.add_snapshot(2, first)
    library.add_snapshot(3, second)
    for version in range(4, 4 + BASES_MAX):
        library.add_snapshot(version, pack(replace(whole, version=version), KEY))
    library._loaded.clear()
    library._bases.clear()
    library._packed[3] = second
    assert not library.has_model(3)
    assert library.missing_base == 2
    library.add_snapshot(2, first)
    assert library.has_model(3)
