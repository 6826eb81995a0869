"""What a verb raises when the person has to change the command."""

from __future__ import annotations


class BadInput(ValueError):
    """Something typed or pointed at cannot be used; the message says how to fix it."""
