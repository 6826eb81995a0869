"""Closed label lists by name: the classes and predicates of a benchmark, and which other spellings mean them.

A list is a YAML file in `label_lists`, or one of the user's own: `classes` and `predicates`, each name -> its
other spellings, or a list of names. A list without `classes` takes every class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from relforge.limited_yaml import YamlError, read_yaml
from relforge.stages.class_names import class_key

BUILT_IN = {name: Path(__file__).parent / "label_lists" / f"{name}.yaml" for name in ("open_images", "vg150")}


@dataclass(frozen=True)
class ClosedLabels:
    """Names in the order of their numbers, with their spellings.

    Args:
        class_spellings, predicate_spellings: name -> other spellings.
    """

    class_spellings: Mapping[str, tuple[str, ...]]
    predicate_spellings: Mapping[str, tuple[str, ...]]

    @property
    def classes(self) -> list[str]:
        """Names of classes; none where any class is allowed."""
        return list(self.class_spellings)

    @property
    def predicates(self) -> list[str]:
        """Names of predicates."""
        return list(self.predicate_spellings)

    def class_name(self, name: str) -> str | None:
        """The listed class that a name means; None where it is none of them."""
        if not self.class_spellings or name in self.class_spellings:
            return name
        return self._class_by_key.get(class_key(name))

    def predicate_name(self, name: str) -> str | None:
        """The listed predicate that a name means; None where it is none of them."""
        if name in self.predicate_spellings:
            return name
        return self._predicate_by_key.get(_plain(name))

    @cached_property
    def _class_by_key(self) -> dict[str, str]:
        return _by_key(self.class_spellings, class_key)

    @cached_property
    def _predicate_by_key(self) -> dict[str, str]:
        return _by_key(self.predicate_spellings, _plain)


def load_labels(name: str) -> ClosedLabels:
    """A list by its name (`BUILT_IN`), or from a file of one's own.

    Raises:
        ValueError: no such list or file, a file of another form, or a spelling of two names.
    """
    path = BUILT_IN.get(name, Path(name))
    try:
        document = read_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"label list {name!r} cannot be read ({error}); give {', '.join(BUILT_IN)} or the path of a file"
        ) from error
    except YamlError as error:
        raise ValueError(f"label list {name}: {error}") from error
    if (
        not isinstance(document, dict)
        or "predicates" not in document
        or set(document) - {"classes", "predicates"}
    ):
        raise ValueError(
            f"label list {name}: expected `predicates` and maybe `classes`, each name -> spellings"
        )
    labels = ClosedLabels(
        *(_spellings(name, key, document.get(key, {})) for key in ("classes", "predicates"))
    )
    if not labels.predicates:
        raise ValueError(f"label list {name}: `predicates` is empty")
    _refuse_ambiguous(name, labels.class_spellings, class_key)
    _refuse_ambiguous(name, labels.predicate_spellings, _plain)
    return labels


def _spellings(file: str, key: str, given: Any) -> dict[str, tuple[str, ...]]:
    if isinstance(given, list):
        given = dict.fromkeys(given, ())
    if not isinstance(given, dict):
        raise ValueError(
            f"label list {file}: {key}: expected name -> spellings or a list, found {given!r:.60}"
        )
    for name, others in given.items():
        others = others or ()
        if (
            not isinstance(name, str)
            or not isinstance(others, list | tuple)
            or not all(isinstance(o, str) for o in others)
        ):
            raise ValueError(
                f"label list {file}: {key}: {name!r}: expected texts; quote yes, no, on and numbers"
            )
    return {name: tuple(others or ()) for name, others in given.items()}


def _refuse_ambiguous(file: str, spellings: Mapping[str, tuple[str, ...]], key: Any) -> None:
    owners: dict[str, str] = {}
    for name, others in spellings.items():
        for other in others:
            if owners.setdefault(key(other), name) != name or (other in spellings and other != name):
                raise ValueError(
                    f"label list {file}: {other!r} is a spelling of {name!r} and of another name"
                )


def _by_key(spellings: Mapping[str, tuple[str, ...]], key: Any) -> dict[str, str]:
    """Key of every name and spelling -> the name; names come before spellings."""
    found: dict[str, str] = {}
    for name in spellings:
        found.setdefault(key(name), name)
    for name, others in spellings.items():
        for other in others:
            found.setdefault(key(other), name)
    return found


def _plain(predicate: str) -> str:
    return " ".join(predicate.casefold().replace("_", " ").replace("-", " ").split())
