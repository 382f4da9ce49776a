"""The key that signs model snapshots: one file, shared by all workers and the learner of a deployment."""

from __future__ import annotations

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from streams.errors import SettingError

KEY_BYTES_MIN = 16


def signing_key(path: Path) -> bytes:
    """Read the key, or make one on first use (mode 0600).

    Raises
    ------
    SettingError
        When it cannot be read or made, is too short, or others may read it.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _make(path)
        if path.stat().st_mode & 0o077:
            raise SettingError(
                f"{path}: expected a key only its owner can read, found wider permissions: chmod 600 {path}"
            )
        key = path.read_bytes().strip()
    except OSError as error:
        raise SettingError(
            f"cannot read or make the signing key {path}: {error.strerror}: "
            "set RISKSHIFT_SIGNING_KEY_FILE or RISKSHIFT_HOME"
        ) from None
    if len(key) < KEY_BYTES_MIN:
        raise SettingError(
            f"{path}: expected a key of at least {KEY_BYTES_MIN} bytes, found {len(key)}: remove the file"
        )
    return key


def _make(path: Path) -> None:
    """Several processes may start at once: the first whole file gets the name, the others read that one."""
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_hex(32).encode())
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        os.unlink(draft)
