"""Synonym tables: which words name which class.

A table is YAML or JSON. The short form is the published one, `{class: [synonym, ...]}`; the long form has
the keys `classes`, `hypernyms` (word -> classes it may stand for) and `exceptions` (phrases that end in a
synonym and mean something else).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

BUILT_IN = {name: Path(__file__).parent / "synonyms" / f"{name}.yaml" for name in ("coco", "objects365")}


def class_key(category: str) -> str:
    """The key under which a category is looked up: lower case, single spaces, none around slashes."""
    return "/".join(" ".join(part.split()) for part in category.casefold().split("/")).strip()


@dataclass
class Vocabulary:
    """Synonyms of every class, as written (matchers normalise them their own way).

    Args:
        classes: class key -> synonyms, the class's own name included.
        hypernyms: word -> class keys.
        exceptions: phrases that name no class.
    """

    classes: dict[str, list[str]] = field(default_factory=dict)
    hypernyms: dict[str, list[str]] = field(default_factory=dict)
    exceptions: set[str] = field(default_factory=set)

    def synonyms(self, category: str) -> list[str]:
        """Synonyms of a category; of one in no table, its name and the parts around its slashes."""
        key = class_key(category)
        return self.classes.get(key) or own_names(key)


def own_names(key: str) -> list[str]:
    """A class's name without slashes: `cutting/chopping board` -> cutting board, chopping board."""
    parts = [part.strip() for part in key.split("/")]
    if len(parts) == 1:
        return parts
    # `cutting/chopping board`: the first part lacks the noun of the last one. `monitor/tv`: it does not.
    noun = parts[-1].split()[-1]
    return list(
        dict.fromkeys(f"{part} {noun}" if " " in parts[-1] and " " not in part else part for part in parts)
    )


def paths(tables: Sequence[str]) -> list[Path]:
    """Files behind table names: `coco`, `objects365`, or a path.

    Raises:
        FileNotFoundError: neither a built-in table nor a file.
    """
    found = [BUILT_IN.get(name, Path(name)) for name in tables]
    for name, path in zip(tables, found, strict=True):
        if not path.is_file():
            raise FileNotFoundError(
                f"match.synonyms: {name!r} is neither a built-in table ({', '.join(BUILT_IN)}) nor a file"
            )
    return found


def load(tables: Iterable[str], own_name: bool = True) -> Vocabulary:
    """Read and merge tables; later ones add to earlier ones.

    Args:
        tables: built-in names or paths.
        own_name: count a class's own name as a synonym (published lists contain it only where they list it).

    Raises:
        ValueError: a file that is not a synonym table, naming the file and the key.
    """
    vocabulary = Vocabulary()
    for path in paths(list(tables)):
        text = path.read_text(encoding="utf-8")
        data: Any = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        if not isinstance(data, dict):
            raise ValueError(f"{path}: a synonym table is a mapping of class to list of words")
        if "classes" not in data:
            data = {"classes": data}
        unknown = set(data) - {"classes", "hypernyms", "exceptions"}
        if unknown:
            raise ValueError(f"{path}: unknown keys {sorted(unknown)}; use classes, hypernyms, exceptions")
        for category, synonyms in data["classes"].items():
            if not isinstance(synonyms, list) or not all(isinstance(s, str) for s in synonyms):
                raise ValueError(f"{path}: class {category!r} needs a list of words, found {synonyms!r}")
            key = class_key(category)
            start = own_names(key) if own_name else []
            known = vocabulary.classes.setdefault(key, [])
            known.extend(s for s in [*start, *synonyms] if s not in known)
        for word, categories in data.get("hypernyms", {}).items():
            vocabulary.hypernyms.setdefault(word, []).extend(class_key(c) for c in categories)
        vocabulary.exceptions.update(data.get("exceptions", []))
    return vocabulary
