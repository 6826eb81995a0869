"""The one error a person sees when a config cannot be used."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class ConfigError(ValueError):
    """A config that cannot be used: one sentence naming the file, the field and the fix.

    Args:
        source: the config file (or what stands for it).
        field: dotted path of the field, empty where the whole file is meant.
        problem: what was found, what was expected and how to fix it.
    """

    def __init__(self, source: str, field: str, problem: str) -> None:
        super().__init__(": ".join(part for part in (source, field, problem) if part))
        self.source = source
        self.field = field
        self.problem = problem


def unknown_key(key: str, valid: Iterable[str]) -> str:
    """The sentence for a key nobody knows: the nearest valid one, else all of them."""
    choices = sorted(valid)
    nearest = get_close_matches(key, choices, n=1, cutoff=0.6)
    if nearest:
        return f"unknown key {key!r}; did you mean {nearest[0]!r}?"
    return f"unknown key {key!r}; valid keys are {', '.join(choices) or '(none)'}"
