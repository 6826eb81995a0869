"""What ends a training."""

from __future__ import annotations


class Diverged(FloatingPointError):
    """A loss or predicted boxes are not finite; the last snapshot stays."""
