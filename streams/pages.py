"""`python -m streams.pages`: write the generated pages of `docs/` anew; with `--check` only say which are old."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from features import catalogue_page, events_page
from streams import commands_page, settings_page
from streams.settings import ENV_PREFIX

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGES: dict[str, Callable[[], str]] = {
    "commands.md": commands_page.to_markdown,
    "events.md": events_page.to_markdown,
    "features.md": catalogue_page.to_markdown,
    "settings.md": settings_page.to_markdown,
}


def main(argv: list[str]) -> int:
    """Write every page that differs; with `--check` write nothing and return 1 when one does."""
    # A page shows defaults, not what this shell happens to set.
    for name in [name for name in os.environ if name.startswith(ENV_PREFIX)]:
        del os.environ[name]
    old = [name for name, page in PAGES.items() if _read(DOCS / name) != page()]
    for name in old:
        if "--check" not in argv:
            (DOCS / name).write_text(PAGES[name](), encoding="utf-8")
        print(f"docs/{name}: {'is old; run: python -m streams.pages' if '--check' in argv else 'written'}")
    return 1 if old and "--check" in argv else 0


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
