from __future__ import annotations

import os
import pickle
from pathlib import Path

import msgspec
import pytest

from features.catalogue import FEATURE_VERSION
from models.errors import CheckpointError, SnapshotError
from models.fraud import FraudModel
from models.learner import Learner
from models.learning.checkpoint import seal, unseal
from models.learning.unpickler import load_river
from tests.models.conftest import KEY


class Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, (str(self.target),))


def test_a_malicious_pickle_is_refused_before_it_runs(tmp_path: Path) -> None:
    target = tmp_path / "owned"
    bomb = pickle.dumps(Malicious(target))
    with pytest.raises(CheckpointError, match="mkdir"):
        load_river(bomb)
    # Even with a good signature, as if the key had leaked.
    saved = unseal(Learner(1).checkpoint(KEY), KEY)
    saved.rivers["model/house"] = bomb
    with pytest.raises(CheckpointError, match="mkdir"):
        Learner.restore(seal(saved, KEY), KEY)
    assert not target.exists()
    pickle.loads(bomb)  # noqa: S301
    assert target.exists()


@pytest.mark.parametrize("code", ["builtins.eval", "builtins.getattr", "os.system", "river.utils.pandas.import_pandas"])
def test_names_off_the_list_are_refused(code: str) -> None:
    module, name = code.rsplit(".", 1)
    with pytest.raises(CheckpointError, match=name):
        load_river(f"c{module}\n{name}\n.".encode())


def test_bytes_that_are_no_pickle_are_refused() -> None:
    for data in (b"", b"garbage", FraudModel().dump()[:-10]):
        with pytest.raises(CheckpointError):
            load_river(data)


def test_every_altered_byte_of_the_head_and_any_cut_is_refused() -> None:
    data = Learner(2).checkpoint(KEY)
    for place in (*range(64), len(data) - 1):
        broken = bytearray(data)
        broken[place] ^= 1
        with pytest.raises(CheckpointError, match="signature"):
            Learner.restore(bytes(broken), KEY)
    for cut in (b"", data[:10], data[:-1]):
        with pytest.raises(CheckpointError, match="signature"):
            Learner.restore(cut, KEY)
    with pytest.raises(CheckpointError, match="key"):
        Learner.restore(data, b"another key of thirty-two bytes!")
    with pytest.raises(SnapshotError, match="at least 16 bytes"):
        Learner.restore(data, b"")


def test_a_checkpoint_of_another_catalogue_or_release_is_refused() -> None:
    saved = unseal(Learner(1).checkpoint(KEY), KEY)
    saved.feature_version = 99
    with pytest.raises(CheckpointError, match=f"feature version {FEATURE_VERSION}, found 99"):
        Learner.restore(seal(saved, KEY), KEY)
    saved = unseal(Learner(1).checkpoint(KEY), KEY)
    saved.settings = {"unknown": 1}
    with pytest.raises(CheckpointError, match="settings of this release"):
        Learner.restore(seal(saved, KEY), KEY)


def test_a_checkpoint_is_plain_data_but_for_the_river_objects() -> None:
    saved = unseal(Learner(1).checkpoint(KEY), KEY)
    plain = msgspec.structs.asdict(saved)
    assert all(isinstance(dump, bytes) for dump in plain.pop("rivers").values())
    assert msgspec.json.decode(msgspec.json.encode(plain)) is not None
