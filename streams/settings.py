"""Every setting, declared once: environment over file over default, checked before anything starts.

`SETTINGS` is the reference (`riskshift config` and docs/settings.md are made from it). A setting's
environment name is `RISKSHIFT_` + its name in capitals; the file is TOML, named by `RISKSHIFT_CONFIG`
or `riskshift.toml` in the working directory.
"""

from __future__ import annotations

import dataclasses
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streams.errors import SettingError

ENV_PREFIX = "RISKSHIFT_"


def _setting(default: Any, help: str, *, low: float | None = None, high: float | None = None) -> Any:
    return field(default=default, metadata={"help": help, "low": low, "high": high})


@dataclass(frozen=True, slots=True)
class Settings:
    """Values in force. Units are in the names: `_s` seconds, `_ms` milliseconds, `_bytes` bytes."""

    broker: str = _setting("127.0.0.1:9092", "Kafka bootstrap address, HOST:PORT[,HOST:PORT]")
    topic_prefix: str = _setting("riskshift", "first part of every topic name and of the consumer group")
    policy: str = _setting("", "policy file (TOML); empty: the policy that ships with Riskshift")
    model_rules: str = _setting(
        "", "file of candidates, guards and label caps (TOML); empty: the one that ships with Riskshift"
    )
    home: str = _setting(".riskshift", "folder of keys and local state; created with mode 0700")
    signing_key_file: str = _setting(
        "", "file with the key that signs model snapshots; empty: HOME/signing.key, made on first use"
    )
    batch_max: int = _setting(1000, "most records in one batch, and so in one transaction", low=1, high=20_000)
    buffer_batches_max: int = _setting(16, "batches held in memory per worker before fetching pauses", low=1, high=1000)
    pace_ms: int = _setting(
        15, "under load, how long events wait for company in a batch; not at all when quiet", low=0, high=1000
    )
    rebalance_timeout_s: float = _setting(10.0, "how long a rebalance may wait for members", low=1, high=300)
    session_timeout_s: float = _setting(10.0, "silence after which a worker counts as dead", low=6, high=300)
    heartbeat_s: float = _setting(
        3.0, "time between heartbeats; a third of the session timeout or less", low=0.5, high=60
    )
    request_timeout_s: float = _setting(30.0, "longest wait for one answer of the broker", low=2, high=300)
    shutdown_timeout_s: float = _setting(
        15.0, "after SIGTERM, end hard when a clean stop takes longer", low=1, high=120
    )
    stall_s: float = _setting(
        60.0, "a partition with work that does not move for so long ends the process", low=10, high=3600
    )
    tick_every_ms: int = _setting(60_000, "grid of stream-time ticks, event time", low=1_000, high=86_400_000)
    live_within_s: float = _setting(
        300.0, "the wall clock drives ticks only while input is this near to it", low=0, high=3600
    )
    idle_after_s: float = _setting(
        10.0, "a partition without progress for so long no longer holds stream time back", low=1, high=3600
    )
    rows_cached_max: int = _setting(
        100_000, "customers' rows one partition holds in memory; the others are on local disk", low=100, high=10_000_000
    )
    learn_every_ms: int = _setting(60_000, "grid of event time on which the learner's partitions meet", low=1_000)
    label_maturity_ms: int = _setting(7 * 86_400_000, "no report of fraud for so long counts as good", low=0)
    credit_window_ms: int = _setting(
        365 * 86_400_000, "a default within it makes a credit observation bad; none by its end, good", low=86_400_000
    )
    publish_every_ms: int = _setting(3_600_000, "event time between two model snapshots, at least", low=0)
    publish_every_s: float = _setting(2.0, "wall time between two model snapshots, at least", low=0, high=86_400)

    @property
    def topic_events(self) -> str:
        """Input topic of customers' events and control records."""
        return f"{self.topic_prefix}.events"

    @property
    def topic_decisions(self) -> str:
        """Disposition of every input offset."""
        return f"{self.topic_prefix}.decisions"

    @property
    def topic_alerts(self) -> str:
        """Shifts worth a human's eyes."""
        return f"{self.topic_prefix}.alerts"

    @property
    def topic_risk_changes(self) -> str:
        """The card systems' contract."""
        return f"{self.topic_prefix}.risk-changes"

    @property
    def topic_dead_letters(self) -> str:
        """What could not become an event."""
        return f"{self.topic_prefix}.dead-letters"

    @property
    def topic_rows(self) -> str:
        """Changelog of customers' rows."""
        return f"{self.topic_prefix}.rows"

    @property
    def topic_models(self) -> str:
        """Signed snapshots and the learner's checkpoint."""
        return f"{self.topic_prefix}.models"

    @property
    def topic_watermarks(self) -> str:
        """Highest event time applied, per partition."""
        return f"{self.topic_prefix}.watermarks"

    @property
    def topic_world(self) -> str:
        """Figures about the world outside."""
        return f"{self.topic_prefix}.world"

    def key_path(self) -> Path:
        """Where the snapshot signing key lies."""
        return Path(self.signing_key_file) if self.signing_key_file else Path(self.home) / "signing.key"


@dataclass(frozen=True, slots=True)
class Source:
    """A setting's value and where it came from, for `riskshift config`."""

    name: str
    value: object
    origin: str
    help: str


def load(
    environ: Mapping[str, str] | None = None, file: Path | None = None, **overrides: object
) -> tuple[Settings, tuple[Source, ...]]:
    """Settings from options over environment over file over defaults.

    Raises
    ------
    SettingError
        For an unknown name (with the nearest known one), a wrong type or a value out of range.
    """
    environ = os.environ if environ is None else environ
    path = file or Path(environ.get(f"{ENV_PREFIX}CONFIG", "riskshift.toml"))
    explicit = file is not None or f"{ENV_PREFIX}CONFIG" in environ
    from_file = _read_file(path, explicit)
    fields = {f.name: f for f in dataclasses.fields(Settings)}
    values: dict[str, object] = {}
    sources: list[Source] = []
    for name, value in from_file.items():
        if name not in fields:
            raise SettingError(f"{path}: no setting {name!r}{_nearest(name, fields)}; `riskshift config` lists all")
        values[name] = _check(fields[name], value, f"{path}")
    for name, spec in fields.items():
        origin = str(path) if name in values else "default"
        variable = ENV_PREFIX + name.upper()
        if variable in environ:
            values[name], origin = _check(spec, _parse(spec, environ[variable], variable), variable), variable
        if overrides.get(name) is not None:
            values[name], origin = _check(spec, overrides[name], "option"), f"--{name.replace('_', '-')}"
        sources.append(Source(name, values.get(name, spec.default), origin, str(spec.metadata["help"])))
    settings = Settings(**values)  # type: ignore[arg-type]  # checked one by one above
    _check_together(settings)
    return settings, tuple(sources)


def _read_file(path: Path, explicit: bool) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        if explicit:
            raise SettingError(
                f"expected a settings file at {path}, found none: create it or unset RISKSHIFT_CONFIG"
            ) from None
        return {}
    except OSError as error:
        raise SettingError(f"cannot read the settings file {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"{path}: expected TOML, found: {error}") from None


def _parse(spec: dataclasses.Field[Any], text: str, origin: str) -> object:
    kind = type(spec.default)
    if kind is str:
        return text
    try:
        return int(text) if kind is int else float(text)
    except ValueError:
        expected = "a whole number" if kind is int else "a number"
        raise SettingError(f"{origin}: expected {expected} for {spec.name}, found {text!r}") from None


def _check(spec: dataclasses.Field[Any], value: object, origin: str) -> object:
    kind = type(spec.default)
    if kind is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        value = float(value)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise SettingError(f"{origin}: expected {kind.__name__} for {spec.name}, found {value!r}")
    low, high = spec.metadata["low"], spec.metadata["high"]
    if isinstance(value, (int, float)):
        if value != value or (low is not None and value < low) or (high is not None and value > high):
            bounds = f"{low if low is not None else ''}..{high if high is not None else ''}"
            raise SettingError(f"{origin}: expected {spec.name} in {bounds}, found {value}")
    elif {"\0", "\n"} & set(str(value)):
        raise SettingError(f"{origin}: expected one line for {spec.name}, found control characters")
    return value


def _check_together(settings: Settings) -> None:
    for address in settings.broker.split(","):
        host, _, port = address.strip().rpartition(":")
        if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65_536:
            raise SettingError(f"broker: expected HOST:PORT, found {address.strip()!r}; for example 127.0.0.1:9092")
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", settings.topic_prefix):
        raise SettingError(
            f"topic_prefix: expected letters, digits, dot, underscore or dash, found {settings.topic_prefix!r}"
        )
    if settings.heartbeat_s * 3 > settings.session_timeout_s:
        raise SettingError(
            f"heartbeat_s: expected at most a third of session_timeout_s ({settings.session_timeout_s}), "
            f"found {settings.heartbeat_s}"
        )
    if settings.session_timeout_s > settings.request_timeout_s:
        raise SettingError(
            f"session_timeout_s: expected at most request_timeout_s ({settings.request_timeout_s}), "
            f"found {settings.session_timeout_s}"
        )


def _nearest(name: str, names: Mapping[str, object]) -> str:
    import difflib

    near = difflib.get_close_matches(name, names, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
