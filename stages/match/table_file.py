"""One file of synonyms, read and checked: YAML or JSON, every fault in one sentence that names file and key.

The short form is the published one, `{class: [synonym, ...]}`. The long form has the keys `classes`, `names`
(class -> other names under which data sets have it), `hypernyms` (word -> classes it may mean) and
`exceptions` (phrases that end in a synonym and mean something else).
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from relforge.limited_yaml import YamlError, check_limits

SECTIONS = ("classes", "names", "hypernyms", "exceptions")
_SHOWN = 60


class TableError(ValueError):
    """A synonym table that cannot be used; the message names file, key and fix."""


@dataclass(frozen=True)
class TableFile:
    """What a file holds, as written.

    Args:
        classes: class -> synonyms.
        names: class -> other names of that class.
        hypernyms: word -> classes.
        exceptions: phrases that name no class.
    """

    classes: dict[str, list[str]] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)
    hypernyms: dict[str, list[str]] = field(default_factory=dict)
    exceptions: list[str] = field(default_factory=list)


def read_table_file(path: Path) -> TableFile:
    """Read and check a file.

    Raises:
        TableError: it is not a synonym table.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise TableError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    try:
        return _parse(text, path.suffix == ".json")
    except TableError as error:
        raise TableError(f"{path}: {error}") from error


@lru_cache(maxsize=16)
def _parse(text: str, is_json: bool) -> TableFile:
    try:
        if not is_json:
            check_limits(text)
        data = json.loads(text, object_pairs_hook=_unique) if is_json else yaml.load(text, _Loader)
    except (yaml.YAMLError, json.JSONDecodeError) as error:
        if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
            raise TableError(
                f"not valid YAML: line {error.problem_mark.line + 1}: {error.problem}"
            ) from error
        kind = "JSON" if is_json else "YAML"
        raise TableError(f"not valid {kind}: {' '.join(str(error).split())}") from error
    except YamlError as error:
        raise TableError(str(error)) from error
    except RecursionError as error:
        raise TableError(
            "lists or mappings inside each other beyond any table; use {class: [word]}"
        ) from error
    except ValueError as error:
        # such as a date that no calendar has: YAML makes one of 2024-13-45
        raise (
            error if isinstance(error, TableError) else TableError(f"a value cannot be read: {error}")
        ) from error
    if not isinstance(data, dict):
        raise TableError(f"a synonym table is a mapping of class to list of words, found {_show(data)}")
    if "classes" not in data or isinstance(data["classes"], list):
        if misplaced := [key for key in SECTIONS[1:] if key in data and not isinstance(data[key], list)]:
            raise TableError(f"{misplaced[0]!r} needs the key 'classes' beside it; it may be {{}}")
        data = {"classes": data}
    if unknown := [key for key in data if key not in SECTIONS]:
        raise TableError(f"unknown keys {unknown}; use {', '.join(SECTIONS)}")
    return TableFile(
        _lists(data.get("classes", {}), "classes", "class", "words"),
        _lists(data.get("names", {}), "names", "names: class", "names"),
        _lists(data.get("hypernyms", {}), "hypernyms", "hypernyms: word", "classes"),
        _texts(data.get("exceptions", []), "exceptions", "phrases"),
    )


def _lists(value: Any, section: str, key: str, of: str) -> dict[str, list[str]]:
    if not isinstance(value, dict):
        raise TableError(f"{section!r} needs a mapping to lists of {of}, found {_show(value)}")
    for name in value:
        if not name.strip():
            raise TableError(f"{section!r} has a key without a name; write one")
    return {name: _texts(texts, f"{key} {name!r}", of) for name, texts in value.items()}


def _texts(value: Any, where: str, of: str) -> list[str]:
    if not isinstance(value, list):
        raise TableError(
            f"{where} needs a list of {of}, e.g. [{_show(value).strip(chr(39))}], found {_show(value)}"
        )
    for one in value:
        if not isinstance(one, str):
            raise TableError(f"{where} needs a list of {of}, and {_show(one)} is no text; write it in quotes")
        if not one.strip():
            raise TableError(f"{where} has an entry without a letter; remove it")
    return list(value)


def _show(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys are all different."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise TableError(f"key {key!r} is there twice; join the two")
        found[key] = value
    return found


class _Loader(yaml.SafeLoader):
    """YAML in which a key is text and comes once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise TableError(f"line {line}: a key is a list or a mapping; write a class name")
            if key.tag != "tag:yaml.org,2002:str":
                kind = key.tag.rpartition(":")[2]
                raise TableError(
                    f"line {line}: key {key.value!r} is a YAML {kind}, not text; write it in quotes"
                )
            if key.value in lines:
                raise TableError(
                    f"key {key.value!r} is there twice, on lines {lines[key.value]} and {line}; join the two"
                )
            lines[key.value] = line
        return super().construct_mapping(node, deep)
