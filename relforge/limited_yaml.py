"""YAML of a bounded depth and size: what would exhaust memory or the stack is refused before it is built."""

from __future__ import annotations

from typing import Any

import yaml

MAX_DEPTH = 100
MAX_VALUES = 1_000_000
"""Values of a document with every alias written out."""
MAX_CHARACTERS = 64 << 20


class YamlError(ValueError):
    """A text that is not YAML, or beyond the limits; one sentence."""


def read_yaml(text: str) -> Any:
    """The value of a YAML text.

    Raises:
        YamlError: not YAML, deeper than `MAX_DEPTH`, or more than `MAX_VALUES` with its aliases written out.
    """
    try:
        check_limits(text)
        return yaml.safe_load(text)
    except YamlError:
        raise
    except yaml.YAMLError as error:
        raise YamlError(f"not valid YAML: {' '.join(str(error).split())}") from error
    except ValueError as error:  # such as a date that no calendar has, or a number of 10,000 digits
        raise YamlError(f"a value cannot be read: {error}") from error


def check_limits(text: str) -> None:
    """Read the events of a YAML text, which builds no value.

    Raises:
        YamlError: beyond the limits.
        yaml.YAMLError: not YAML.
    """
    if len(text) > MAX_CHARACTERS:
        raise YamlError(f"{len(text):,} characters, where at most {MAX_CHARACTERS:,} are read")
    sizes: dict[str, int] = {}  # anchor -> values below it
    opened: list[tuple[str | None, int]] = []  # lists and mappings not ended yet: anchor, values before
    values = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, values))
            if len(opened) > MAX_DEPTH:
                raise YamlError(f"lists or mappings inside each other, more than {MAX_DEPTH} levels deep")
            values += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            if anchor is not None:
                sizes[anchor] = values - before
        elif isinstance(event, yaml.ScalarEvent):
            values += 1
            if event.anchor is not None:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in opened):
                raise YamlError(f"the alias *{event.anchor} stands within what it names")
            values += sizes.get(event.anchor or "", 1)
        if values > MAX_VALUES:
            raise YamlError(f"more than {MAX_VALUES:,} values, its aliases written out")
