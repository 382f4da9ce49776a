"""Versions in memory: model snapshots by number, policies by name; what the engine looks things up in."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

from alerts.errors import PolicyError
from alerts.policy import DEFAULT_PATH, Policy, parse_policy
from alerts.shift import Assessor
from features.errors import RiskshiftError
from models.errors import BaseMissingError
from models.snapshot import LoadedSnapshot, Snapshot, initial_snapshot, pack, unpack
from streams.errors import SettingError, StateError

INITIAL_VERSION = 1
# Snapshots kept unpacked: the one in force, the next, and a few that lagging partitions still use.
LOADED_MAX = 8
# Snapshots kept packed; an older one is read from its topic again.
PACKED_MAX = 256


# Whole snapshots kept unpacked because others add to them.
BASES_MAX = 2


class VersionLibrary:
    """Model snapshots and policies this process knows; `KeyError` for one it does not.

    Parameters
    ----------
    key
        Signing key: what it did not sign is refused.
    policy_path
        The operator's policy file; None for the shipped one.

    Attributes
    ----------
    latest
        Newest model version known.
    policy, policy_source
        The policy this process wants in force, and its text.
    """

    def __init__(self, key: bytes, policy_path: Path | None = None) -> None:
        self._key = key
        self._packed: OrderedDict[int, list[bytes]] = OrderedDict()
        # Read, and not looked at yet: most old versions never are.
        self._offered: OrderedDict[int, list[bytes]] = OrderedDict()
        self._loaded: OrderedDict[int, LoadedSnapshot] = OrderedDict()
        self._bases: OrderedDict[int, Snapshot] = OrderedDict()
        # A snapshot is here that adds to this one, which is not.
        self.missing_base: int | None = None
        self._assessors: dict[str, Assessor] = {}
        self._digests: dict[str, str] = {}
        self.latest = INITIAL_VERSION
        self.refused = 0
        self._initial = LoadedSnapshot(initial_snapshot())
        self.policy_source = _read(policy_path or DEFAULT_PATH)
        try:
            self.policy = parse_policy(self.policy_source)
        except PolicyError as error:
            raise SettingError(f"{policy_path or DEFAULT_PATH}: {error}") from None
        self.add_policy(self.policy)

    def model(self, version: int) -> LoadedSnapshot:
        """The compiled snapshot; unpacked on first use. Raises `KeyError` for an unknown version."""
        if version == INITIAL_VERSION:
            return self._initial
        loaded = self._loaded.get(version)
        if loaded is None:
            try:
                loaded = self._load(unpack(self._packed[version], self._key, self._base))
            except BaseMissingError as error:
                # It was let go of meanwhile: the snapshot waits for it to be read again.
                self._offered[version], self.missing_base = self._packed.pop(version), error.version
                raise KeyError(version) from error
        return loaded

    def _load(self, snapshot: Snapshot) -> LoadedSnapshot:
        loaded = self._loaded[snapshot.version] = LoadedSnapshot(snapshot)
        while len(self._loaded) > LOADED_MAX:
            self._loaded.popitem(last=False)
        return loaded

    def _base(self, version: int) -> Snapshot:
        """The whole snapshot others add to; `KeyError` when it is not here. The latest few stay unpacked."""
        base = self._bases.get(version)
        if base is None:
            if version not in self._packed and version in self._offered:
                with suppress(RiskshiftError):
                    self.add_snapshot(version, self._offered.pop(version))
            base = self._bases[version] = unpack(self._packed[version], self._key)
            while len(self._bases) > BASES_MAX:
                self._bases.popitem(last=False)
        return base

    def assessor(self, policy_version: str) -> Assessor:
        """The assessor of a policy. Raises `KeyError` for an unknown one."""
        return self._assessors[policy_version]

    def knows(self, model_version: int, policy_version: str) -> bool:
        """Whether both versions can be used here; an offered snapshot is checked now."""
        return policy_version in self._assessors and self.has_model(model_version)

    def has_model(self, version: int) -> bool:
        """Whether the snapshot is here and ours; an offered one is checked now."""
        if version in self._offered:
            chunks = self._offered.pop(version)
            try:
                self.add_snapshot(version, chunks)
            except BaseMissingError as error:
                # Nothing is wrong with it: it waits for its base, which `missing_base` names.
                self._offered[version] = chunks
                self.missing_base = error.version
            except RiskshiftError:
                pass
        try:
            return bool(self.model(version))
        except KeyError:
            return False

    def offer(self, version: int, chunks: list[bytes]) -> None:
        """Keep a snapshot without looking at it; `knows` or `adopt` will."""
        self._offered[version] = chunks
        while len(self._offered) > PACKED_MAX:
            self._offered.popitem(last=False)

    def adopt(self) -> None:
        """Make the newest offered snapshot that is ours the latest; newer ones that are not are refused.

        Raises
        ------
        features.errors.RiskshiftError
            What was wrong with the newest one, after a good one was adopted.
        """
        problem: RiskshiftError | None = None
        waiting: dict[int, list[bytes]] = {}
        for version in sorted(self._offered, reverse=True):
            if version < self.latest:
                break
            chunks = self._offered.pop(version, None)
            if chunks is None:
                continue  # taken meanwhile, because a newer one adds to it
            try:
                self.add_snapshot(version, chunks)
            except BaseMissingError as error:
                problem, self.missing_base = error, error.version
                waiting[version] = chunks
            except RiskshiftError as error:
                problem = error
            else:
                break
        self._offered.update(waiting)
        if problem is not None:
            raise problem

    def add_snapshot(self, version: int, chunks: list[bytes]) -> None:
        """Take a snapshot after checking its signature.

        Raises
        ------
        models.errors.SnapshotError
            When it is not signed with our key or was altered; it is counted and nothing changes.
        StateError
            When it is another version than its name says, or the version is known with other content.
        """
        try:
            snapshot = unpack(chunks, self._key, self._base)
            if snapshot.version != version:
                raise StateError(f"expected snapshot {version}, found {snapshot.version} under its name: it is refused")
            if not self._same(version, chunks, snapshot):
                raise StateError(
                    f"model version {version} is already in use with other content: the first one stays; "
                    "check that one learner alone writes to this deployment's models topic"
                )
        except BaseMissingError:
            raise
        except Exception:
            self.refused += 1
            raise
        self._packed[version] = chunks
        if version > self.latest:
            self.latest = version
            self._load(snapshot)
        while len(self._packed) > PACKED_MAX:
            self._packed.popitem(last=False)

    def _same(self, version: int, chunks: list[bytes], snapshot: Snapshot) -> bool:
        """Whether a version said again says the same: whole or as a difference, the bytes may not be."""
        known = self._packed.get(version, chunks)
        if known == chunks:
            return True
        first = unpack(known, self._key, self._base)
        return pack(first, self._key) == pack(snapshot, self._key)

    def add_policy(self, policy: Policy) -> None:
        """Take a policy; the same version with other content is refused, as decisions name only the version."""
        known = self._digests.get(policy.version)
        if known is not None and known != policy.digest:
            raise StateError(
                f"policy version {policy.version!r} is already in use with other content: "
                "give the changed file a new version"
            )
        if known is None:
            self._digests[policy.version] = policy.digest
            self._assessors[policy.version] = Assessor(policy)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(
            f"cannot read the policy file {path}: {error}: check the path and that it is UTF-8"
        ) from None
