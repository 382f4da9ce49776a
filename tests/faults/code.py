"""Whether the product under test is still the one the oracle was loaded from."""

from __future__ import annotations

from hashlib import blake2b

from tests.streams.harness import HOME

_PACKAGES = ("features", "models", "alerts", "streams", "policies")


def code_digest() -> str:
    """A hash over every file that workers run."""
    digest = blake2b(digest_size=16)
    for package in _PACKAGES:
        for path in sorted((HOME / package).rglob("*")):
            if path.suffix in (".py", ".toml"):
                digest.update(str(path).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


LOADED = code_digest()


def check_code() -> None:
    """AssertionError when a file changed since we were loaded: workers started again ran other code than the oracle."""
    assert code_digest() == LOADED, "files of the product changed while it was under test: run again"
