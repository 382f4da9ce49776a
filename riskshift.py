"""The `riskshift` command: puts the application's folder on the path and starts its command line.

In a checkout that folder is the repository; in a wheel it is the installed `riskshift/`.
"""

from __future__ import annotations

import sys
from pathlib import Path

HOME = str(Path(__file__).resolve().parent)


def main() -> int:
    """Run the command line; returns the exit status."""
    if HOME not in sys.path:
        sys.path.insert(0, HOME)
    from streams.cli import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
