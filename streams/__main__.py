"""`python -m streams` = `riskshift`, for processes that start their own kind."""

import sys

from streams.cli import main

sys.exit(main())
