"""The house holds itself up: imports go one way, and the core has no clock, I/O or chance."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parent.parent
CHAIN = ("features", "models", "alerts", "streams")
# The core: these decide, so they must be pure.
CORE = [
    *sorted((HOME / "features").rglob("*.py")),
    *sorted((HOME / "models").rglob("*.py")),
    *sorted((HOME / "alerts").rglob("*.py")),
    HOME / "streams" / "engine.py",
    HOME / "streams" / "rows.py",
]
# Shells inside the core packages, by name: reading a policy or text file, writing schemas.
FILE_SHELLS = {"alerts/policy.py", "alerts/schemas.py", "alerts/texts.py", "features/catalogue_page.py"}
BANNED_MODULES = {
    "aiohttp", "aiokafka", "asyncio", "datetime", "faust", "kafka", "multiprocessing", "os", "random", "requests",
    "secrets", "socket", "subprocess", "tempfile", "threading", "time", "urllib", "uuid",
}  # fmt: skip
BANNED_CALLS = {"open", "input", "print", "eval", "exec", "hash", "id"}


def modules_of(tree: ast.AST) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.append(node.module)
    return names


def sources(package: str) -> list[Path]:
    return sorted((HOME / package).rglob("*.py"))


@pytest.mark.parametrize("package", CHAIN)
def test_imports_go_one_way(package: str) -> None:
    later = set(CHAIN[CHAIN.index(package) + 1 :])
    wrong = [
        f"{path.relative_to(HOME)} imports {name}"
        for path in sources(package)
        for name in modules_of(ast.parse(path.read_text("utf-8")))
        if name.split(".")[0] in later
    ]
    assert sources(package)
    assert wrong == []


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(HOME)))
def test_core_has_no_clock_no_io_no_chance(path: Path) -> None:
    name = str(path.relative_to(HOME))
    tree = ast.parse(path.read_text("utf-8"))
    allowed = {"os"} if name in FILE_SHELLS else set()
    found = {module.split(".")[0] for module in modules_of(tree)} & BANNED_MODULES - allowed
    assert not found, f"{name} imports {found}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name) and name not in FILE_SHELLS:
                assert called.id not in BANNED_CALLS, f"{name}:{node.lineno} calls {called.id}"
            if isinstance(called, ast.Attribute):
                text = ast.unparse(called)
                assert "random" not in text, f"{name}:{node.lineno} calls {text}"
        # Sets have no order that survives a restart: iterating one would change the bytes.
        iterated = node.iter if isinstance(node, (ast.For, ast.comprehension)) else None
        made = iterated.func if isinstance(iterated, ast.Call) else None
        if isinstance(iterated, (ast.Set, ast.SetComp)) or (isinstance(made, ast.Name) and "set" in made.id):
            pytest.fail(f"{name}: iterates over a set")


def test_a_banned_import_would_be_seen() -> None:
    assert modules_of(ast.parse("import time\nfrom random import choice")) == ["time", "random"]


def test_no_file_is_too_long() -> None:
    long = {
        str(path.relative_to(HOME)): lines
        for package in CHAIN
        for path in sources(package)
        if (lines := len(path.read_text("utf-8").splitlines())) > 500
    }
    assert long == {}
