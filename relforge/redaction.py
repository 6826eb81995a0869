"""Values that nothing may print or store: tokens and passwords that a config takes from the environment."""

from __future__ import annotations

import json

MIN_LENGTH = 4
"""A shorter value is no secret, and taking it out of every text would leave none readable."""
HIDDEN = "(hidden)"

_hidden: set[str] = set()


def hide(value: str) -> None:
    """Keep a value out of everything that this process prints or records from now on."""
    if len(value) >= MIN_LENGTH:
        _hidden.update((value, json.dumps(value)[1:-1]))  # as JSON writes it, too


def redact(text: str) -> str:
    """A text with `(hidden)` in place of every value to hide."""
    for value in sorted(_hidden, key=len, reverse=True):
        text = text.replace(value, HIDDEN)
    return text
