"""The signing key: one whole file for all processes of a deployment, read by its owner only."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from streams.errors import SettingError
from streams.signing import KEY_BYTES_MIN, signing_key


def test_a_key_is_made_on_first_use_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "home" / "signing.key"
    key = signing_key(path)
    assert len(key) >= KEY_BYTES_MIN
    assert signing_key(path) == key
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["signing.key"]


def test_two_deployments_have_two_keys(tmp_path: Path) -> None:
    assert signing_key(tmp_path / "a") != signing_key(tmp_path / "b")


def test_many_that_start_at_once_have_one_key(tmp_path: Path) -> None:
    """A reader between creation and writing would find an empty file, and stop."""
    for number in range(20):
        path, begin = tmp_path / str(number), threading.Barrier(8)
        keys: list[bytes | Exception] = []

        def start(path: Path = path, begin: threading.Barrier = begin, keys: list[bytes | Exception] = keys) -> None:
            begin.wait()
            try:
                keys.append(signing_key(path))
            except SettingError as error:
                keys.append(error)

        threads = [threading.Thread(target=start) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert keys == [path.read_bytes()] * 8


def test_a_key_never_appears_before_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "signing.key"
    seen: list[int] = []
    link = os.link

    def watched(source: str, target: Path) -> None:
        assert not path.exists()
        seen.append(Path(source).stat().st_size)
        link(source, target)

    monkeypatch.setattr(os, "link", watched)
    key = signing_key(path)
    assert seen == [len(key)]


def test_white_space_around_a_key_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "k"
    path.touch(0o600)
    path.write_bytes(b"  0123456789abcdef\n")
    assert signing_key(path) == b"0123456789abcdef"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "k"
    signing_key(path)
    path.chmod(mode)
    with pytest.raises(SettingError, match=rf"only its owner can read.*chmod 600 {path}"):
        signing_key(path)


@pytest.mark.parametrize("content", [b"", b"   \n", b"0123456789abcde"])
def test_a_short_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "k"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(SettingError, match=f"at least {KEY_BYTES_MIN} bytes, found {len(content.strip())}"):
        signing_key(path)


def test_a_place_where_no_key_can_be_made_says_which_settings_help(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match=r"signing key .*RISKSHIFT_SIGNING_KEY_FILE or RISKSHIFT_HOME"):
        signing_key(tmp_path / "file" / "signing.key")
