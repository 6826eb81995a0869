"""The one exception for a dataset that cannot be read."""

from __future__ import annotations


class SourceError(ValueError):
    """A dataset that cannot be read at all: the sentence names the file, what is wrong and the fix."""
