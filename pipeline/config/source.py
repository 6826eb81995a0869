"""A config as written: YAML, `key=value` overrides and `${NAME}` references, before fields are checked."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from relforge.limited_yaml import MAX_CHARACTERS, YamlError, read_yaml
from relforge.pipeline.run.references import REFERENCE

PACKAGED = Path(__file__).resolve().parents[2] / "configs"
"""Configs that come with relforge: `relforge run coco_sample` finds them by bare name."""


class ConfigError(ValueError):
    """A config that cannot be used: one sentence naming the file, the field and the fix.

    Args:
        source: the config file, or the part of the command line at fault.
        field: dotted path of the field, empty where the whole file is meant.
        problem: what was found, what was expected and how to fix it.
    """

    def __init__(self, source: str, field: str, problem: str) -> None:
        super().__init__(": ".join(part for part in (source, field, problem) if part))
        self.source = source
        self.field = field
        self.problem = problem


def unknown_key(key: str, valid: Iterable[str]) -> str:
    """The sentence for an unknown key: the nearest valid one, else all of them."""
    choices = sorted(valid)
    nearest = get_close_matches(key, choices, n=1, cutoff=0.6)
    if nearest:
        return f"unknown key {key!r}; did you mean {nearest[0]!r}?"
    return f"unknown key {key!r}; valid keys are {', '.join(choices) or '(none)'}"


@dataclass(frozen=True)
class Source:
    """The values of a config and where each came from.

    Args:
        name: the file, as the person named it.
        values: nested values with overrides applied and references resolved.
        references: dotted field -> environment variable it was written with, for messages.
        written: dotted field -> its text before references were resolved.
        environment: what references are resolved from.
    """

    name: str
    values: dict[str, Any]
    references: dict[str, str] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def fix(self, dotted: str) -> str:
        """How to set this field, e.g. `set COCO_IMAGES or pass dataset.images=...`."""
        variable = self.references.get(dotted)
        override = f"pass {dotted}=..."
        return f"set {variable} or {override}" if variable else override


def read(path: str, overrides: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> Source:
    """Read a YAML file, apply overrides, then resolve `${NAME}` and `${NAME:-default}`.

    Overrides come first so that a field given on the command line needs no environment variable.
    A reference whose default is empty (`${NAME:-}`) and is not set becomes null.

    Raises:
        ConfigError: no such file, not YAML, not a mapping, a malformed override, a variable not set.
    """
    environment = os.environ if environment is None else environment
    values = _parse(path)
    for override in overrides:
        apply_override(values, override)
    source = Source(path, values, environment=environment)
    _resolve(source, values, (), environment)
    return source


def find(path: str) -> Path:
    """The file itself, or the packaged config of that name.

    Raises:
        ConfigError: neither exists; names the packaged ones.
    """
    if Path(path).is_file():
        return Path(path)
    packaged = PACKAGED / f"{Path(path).name.removesuffix('.yaml')}.yaml"
    if Path(path).name == path and packaged.is_file():
        return packaged
    names = ", ".join(sorted(file.stem for file in PACKAGED.glob("*.yaml")))
    raise ConfigError(path, "", f"no such config file; give a path, or one of relforge's own: {names}")


def _parse(path: str) -> dict[str, Any]:
    try:
        file = find(path)
        if file.stat().st_size > MAX_CHARACTERS:
            raise ConfigError(path, "", f"larger than {MAX_CHARACTERS >> 20} MiB, which is no config")
        values = read_yaml(file.read_text(encoding="utf-8"))
    except YamlError as error:
        raise ConfigError(path, "", str(error)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(path, "", f"cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(path, "", f"expected a mapping of fields, found {type(values).__name__}")
    return values


def apply_override(values: dict[str, Any], override: str) -> None:
    """Set `a.b.c=value`; the value is YAML, so `0.2`, `true`, `null` and `[1, 2]` keep their types."""
    dotted, equals, text = override.partition("=")
    keys = dotted.split(".")
    if not equals or not all(keys):
        raise ConfigError(override, "", "an override is written key=value, e.g. run.folder=runs/mine")
    try:
        value = read_yaml(text) if text else None
    except YamlError as error:
        raise ConfigError(override[:60], "", f"{error}; quote the value") from error
    for depth, key in enumerate(keys[:-1], start=1):
        if values.get(key) is None:
            values[key] = {}
        values = values[key]
        if not isinstance(values, dict):
            parent = ".".join(keys[:depth])
            raise ConfigError(override, "", f"{parent} holds a value, so nothing can be set below it")
    values[keys[-1]] = value


def _resolve(source: Source, node: Any, path: tuple[str, ...], environment: Mapping[str, str]) -> None:
    """Replace references in place, remembering which field named which variable."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in list(items):
        here = (*path, str(key))
        if isinstance(value, str) and (found := REFERENCE.search(value)):
            source.references[".".join(here)] = found.group(1)
            source.written[".".join(here)] = value
            node[key] = _substitute(source, value, here, environment)
        else:
            _resolve(source, value, here, environment)


def _substitute(
    source: Source, text: str, path: tuple[str, ...], environment: Mapping[str, str]
) -> str | None:
    def value_of(found: re.Match[str]) -> str:
        name, default = found.groups()
        value = environment.get(name) or default
        if value is None:
            dotted = ".".join(path)
            raise ConfigError(
                source.name, dotted, f"environment variable {name} is not set; {source.fix(dotted)}"
            )
        return value

    return REFERENCE.sub(value_of, text) or None
