"""Exit codes: the same for every verb, so that scripts can rely on them."""

from __future__ import annotations

COMPLETE = 0
INCOMPLETE = 2
FAILED = 3
USAGE = 64
