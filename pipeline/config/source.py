"""A config as written: YAML, `key=value` overrides and `${NAME}` references, before fields are checked."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relforge.limited_yaml import MAX_CHARACTERS, YamlError, read_yaml
from relforge.nearest import find_nearest
from relforge.pipeline.config.kinds import INSTEAD, find_kind
from relforge.pipeline.run.references import REFERENCE

PACKAGED = Path(__file__).resolve().parents[2] / "configs"
"""Configs that come with relforge: `relforge run coco_sample` finds them by bare name."""
FOLDERS = {"config": PACKAGED, "recipe": PACKAGED / "train"}
"""Kind of file -> where relforge's own are: `relforge train parseda` finds configs/train/parseda.yaml."""


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
    if nearest := find_nearest(key, choices):
        return f"unknown key {key!r}; did you mean {nearest!r}?"
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


def read(
    path: str,
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    what: str = "config",
) -> Source:
    """Read a YAML file, apply overrides, then resolve `${NAME}` and `${NAME:-default}`.

    Overrides come first so that a field given on the command line needs no environment variable.
    A reference whose default is empty (`${NAME:-}`) and is not set becomes null.

    Args:
        what: the file is looked for among relforge's own of this kind, `config` or `recipe`.

    Raises:
        ConfigError: no such file, not YAML, not a mapping, a malformed override, a variable not set.
    """
    environment = os.environ if environment is None else environment
    values = _parse(path, what)
    for override in overrides:
        apply_override(values, override)
    source = Source(path, values, environment=environment)
    _resolve(source, values, (), environment)
    return source


def find(path: str, what: str = "config") -> Path:
    """The file itself, or the packaged config or recipe of that name.

    Raises:
        ConfigError: neither exists; names the packaged ones.
    """
    if Path(path).is_file():
        return Path(path)
    folder = FOLDERS[what]
    packaged = folder / f"{Path(path).name.removesuffix('.yaml')}.yaml"
    if Path(path).name == path and packaged.is_file():
        return packaged
    if (kind := find_kind(path)) is not None:
        raise ConfigError(path, "", f"is {kind}, no YAML file; {INSTEAD.get(kind, 'give a YAML file')}")
    names = sorted(file.stem for file in folder.glob("*.yaml"))
    near = find_nearest(Path(path).stem, names)
    guess = f"did you mean {near!r}? " if near else ""
    own = ", ".join(names)
    raise ConfigError(path, "", f"no such {what} file; {guess}give a path, or one of relforge's own: {own}")


def _parse(path: str, what: str) -> dict[str, Any]:
    try:
        file = find(path, what)
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
    """Set `a.b.c=value`; the value is YAML, so `0.2`, `true`, `null` and `[1, 2]` keep their types. An
    entry of a list is named by its number, the first one 0: `data.0.run=runs/mine`.

    Raises:
        ConfigError: not `key=value`, no YAML, or a key that leads nowhere.
    """
    dotted, equals, text = override.partition("=")
    keys = dotted.split(".")
    if not equals or not all(keys):
        raise ConfigError(override, "", "an override is written key=value, e.g. run.folder=runs/mine")
    try:
        value = read_yaml(text) if text else None
    except YamlError as error:
        raise ConfigError(override[:60], "", f"{error}; quote the value") from error
    here: Any = values
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        if isinstance(here, list):
            index = _index(here, keys, depth, override)
            if last:
                here[index] = value
            here = here[index]
        elif isinstance(here, dict):
            if last:
                here[key] = value
            elif here.get(key) is None:
                here[key] = {}
            here = here[key]
        else:
            parent = ".".join(keys[:depth])
            raise ConfigError(override, "", f"{parent} holds a value, so nothing can be set below it")


def _index(entries: list[Any], keys: list[str], depth: int, override: str) -> int:
    """The entry of a list that a key names; ConfigError where it is no number of one."""
    key = keys[depth]
    if key.isdecimal() and int(key) < len(entries):
        return int(key)
    parent, rest = ".".join(keys[:depth]), ".".join(keys[depth + key.isdecimal() :])
    many = f"a list of {len(entries)} {'entry' if len(entries) == 1 else 'entries'}"
    if not entries:
        raise ConfigError(override, "", f"{parent} is an empty list; give it whole, {parent}=[...]")
    numbers = "0" if len(entries) == 1 else f"0 to {len(entries) - 1}"
    fix = f"{parent}.0.{rest}=..." if rest else f"{parent}.0=..."
    raise ConfigError(
        override, "", f"{parent} is {many}; name one by its number ({numbers}): {fix}, or give {parent}=[...]"
    )


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
