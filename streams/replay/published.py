"""The versions a deployment published, read back from its models topic."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from alerts.policy import Policy, parse_policy
from alerts.shift import Assessor
from models.snapshot import LoadedSnapshot, Snapshot, initial_snapshot, unpack
from streams.bulletin import POLICY_KEY, SNAPSHOT_KEY
from streams.library import INITIAL_VERSION
from streams.replay.work import Record

_LOADED_MAX = 4
_BASES_MAX = 2


class RecordedLibrary:
    """Every version a deployment published: model snapshots by number, policies by name.

    Parameters
    ----------
    records
        The models topic from its beginning.
    key
        The deployment's signing key; what it did not sign is refused when it is needed.
    policies
        Known beside those in the topic: the shipped one. Under a name that both have, the topic's is what was in force.
    """

    def __init__(self, records: Iterable[Record], key: bytes, policies: Iterable[Policy] = ()) -> None:
        self._key = key
        self._chunks: dict[int, dict[int, bytes]] = {}
        self._shipped = {policy.version: policy for policy in policies}
        # As text until one is asked for: one of another release, that nobody asks for, is no error.
        self._texts: dict[str, bytes] = {}
        self._assessors: dict[str, Assessor] = {}
        self._loaded: OrderedDict[int, LoadedSnapshot] = OrderedDict()
        self._bases: OrderedDict[int, Snapshot] = OrderedDict()
        self._initial = LoadedSnapshot(initial_snapshot())
        for record in records:
            name, value = record.key or b"", record.value
            if value is None:
                continue
            if name.startswith(SNAPSHOT_KEY):
                version, place, _count = (int(part) for part in name.removeprefix(SNAPSHOT_KEY).split(b"/"))
                # A learner that crashed in the middle says the version again, from its first chunk.
                chunks = self._chunks.setdefault(version, {})
                if place == 0:
                    chunks.clear()
                chunks[place] = value
            elif name.startswith(POLICY_KEY):
                self._texts.setdefault(name.removeprefix(POLICY_KEY).decode(), value)

    def model(self, version: int) -> LoadedSnapshot:
        """The compiled snapshot; `KeyError` when it was never published or is kept no more."""
        if version == INITIAL_VERSION:
            return self._initial
        loaded = self._loaded.get(version)
        if loaded is None:
            loaded = self._loaded[version] = LoadedSnapshot(unpack(self._parts(version), self._key, self._base))
            while len(self._loaded) > _LOADED_MAX:
                self._loaded.popitem(last=False)
        return loaded

    def assessor(self, policy_version: str) -> Assessor:
        """The assessor of a policy; `KeyError` for one nobody published, `PolicyError` for one of another release."""
        assessor = self._assessors.get(policy_version)
        if assessor is None:
            text = self._texts.get(policy_version)
            policy = self._shipped[policy_version] if text is None else parse_policy(text)
            assessor = self._assessors[policy_version] = Assessor(policy)
        return assessor

    @property
    def any_policy(self) -> str:
        """One of the policies, where nothing was decided yet."""
        return min([*self._texts, *self._shipped])

    def _parts(self, version: int) -> list[bytes]:
        chunks = self._chunks[version]
        return [chunks[place] for place in sorted(chunks)]

    def _base(self, version: int) -> Snapshot:
        base = self._bases.get(version)
        if base is None:
            base = self._bases[version] = unpack(self._parts(version), self._key)
            while len(self._bases) > _BASES_MAX:
                self._bases.popitem(last=False)
        return base
