"""Which words name which class: synonym tables, merged, and looked up by any spelling of a class's name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

from relforge.stages.class_names import class_key, own_names, qualifiers
from relforge.stages.match.table_file import TableError, read_table_file

BUILT_IN = {name: Path(__file__).parent / "synonyms" / f"{name}.yaml" for name in ("coco", "objects365")}


@dataclass
class Vocabulary:
    """Synonyms of every class, as written (matchers normalise them their own way).

    Args:
        classes: class -> synonyms, the class's own name included.
        names: class -> other names under which data sets have it.
        hypernyms: word -> classes.
        exceptions: phrases that name no class.
        own: class of the data set -> synonyms that its source gives.
    """

    classes: dict[str, list[str]] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)
    hypernyms: dict[str, list[str]] = field(default_factory=dict)
    exceptions: set[str] = field(default_factory=set)
    own: dict[str, list[str]] = field(default_factory=dict)

    def with_own(self, own: Mapping[str, Sequence[str]]) -> Vocabulary:
        """This vocabulary for a data set whose classes bring synonyms along."""
        given = {name: list(words) for name, words in own.items()}
        return Vocabulary(self.classes, self.names, self.hypernyms, self.exceptions, given)

    @cached_property
    def _by_key(self) -> dict[str, str]:
        """Class key -> class of the tables."""
        return {class_key(name): name for name in reversed(self.classes)}

    @cached_property
    def _by_other_name(self) -> dict[str, list[str]]:
        """Key of another name -> classes of the tables."""
        found: dict[str, list[str]] = {}
        for name, others in self.names.items():
            for other in others:
                entry = found.setdefault(class_key(other), [])
                if (known := self._by_key.get(class_key(name))) and known not in entry:
                    entry.append(known)
        return found

    @cached_property
    def _own_by_key(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, words in self.own.items():
            found.setdefault(class_key(name), []).extend(words)
        return found

    @cached_property
    def _members(self) -> dict[str, set[str]]:
        """Key of a hypernym -> its classes of the tables."""
        return {class_key(word): {self._by_key[class_key(c)] for c in classes if class_key(c) in self._by_key}
                for word, classes in self.hypernyms.items()}  # fmt: skip

    def find(self, category: str) -> list[str]:
        """The classes of the tables that a class of the data set is; none where no table has it.

        A name is looked up whole, then by the names it offers and those that the source gives. One in
        brackets must agree: `bat (animal)` is no `bat` of a table whose animals have none.
        """
        key = class_key(category)
        if whole := self._look_up(key):
            return whole
        offered = [
            *own_names(category),
            *(w for one in self._own_by_key.get(key, ()) for w in own_names(one)),
        ]
        found = [known for name in offered for known in self._look_up(class_key(name))]
        limits = [
            self._members[at] for one in qualifiers(category) if (at := class_key(one)) in self._members
        ]
        return [known for known in dict.fromkeys(found) if all(known in members for members in limits)]

    def _look_up(self, key: str) -> list[str]:
        return [self._by_key[key]] if key in self._by_key else self._by_other_name.get(key, [])

    def knows(self, category: str) -> bool:
        """Whether a table or the source itself has words for the class, beside its name."""
        return bool(self.find(category) or self._own_by_key.get(class_key(category)))

    def synonyms(self, category: str) -> list[str]:
        """Every word for a class of the data set: what its name offers, its source's words, the tables'."""
        given = [word for one in self._own_by_key.get(class_key(category), ()) for word in own_names(one)]
        listed = [word for known in self.find(category) for word in self.classes[known]]
        return list(dict.fromkeys([*own_names(category), *given, *listed]))

    def published_synonyms(self, category: str) -> list[str]:
        """The published look-up: by the name in lower case; a class in no list has its name's parts."""
        key = _spelling(category)
        return self.classes.get(key) or _parts(key)


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
        TableError: a file that is not a synonym table, naming the file and the key.
    """
    vocabulary = Vocabulary()
    files = [(path, read_table_file(path)) for path in paths(list(tables))]
    spellings: dict[str, str] = {}
    for _, file in files:
        for category, synonyms in file.classes.items():
            name = _spelling(category)
            if own_name:  # `Persons` of one table is `person` of another; published lists have one spelling
                name = spellings.setdefault(class_key(category), name)
            known = vocabulary.classes.setdefault(name, [])
            start = own_names(category) if own_name else []
            known.extend(s for s in dict.fromkeys([*start, *synonyms]) if s not in known)
        vocabulary.exceptions.update(file.exceptions)
    known_keys = {class_key(name): name for name in vocabulary.classes}
    for path, file in files:
        for section, merged in (("names", vocabulary.names), ("hypernyms", vocabulary.hypernyms)):
            for key, values in getattr(file, section).items():
                for category in [key] if section == "names" else values:
                    if class_key(category) not in known_keys:
                        raise TableError(
                            f"{path}: {section} {key!r}: {_unknown(category, list(vocabulary.classes))}"
                        )
                merged.setdefault(key, []).extend(
                    values if section == "names" else [known_keys[class_key(c)] for c in values]
                )
    return vocabulary


def _unknown(category: str, classes: list[str]) -> str:
    near = get_close_matches(category.casefold(), classes, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "add it under 'classes'; its list may be []"
    return f"no table has the class {category!r}; {hint}"


def _spelling(category: str) -> str:
    """A name in lower case, with single spaces and none around slashes."""
    return "/".join(" ".join(part.split()) for part in category.casefold().split("/")).strip()


def _parts(name: str) -> list[str]:
    parts = [part.strip() for part in name.split("/")]
    if len(parts) == 1:
        return parts
    noun = parts[-1].split()[-1] if parts[-1] else ""
    return list(
        dict.fromkeys(f"{part} {noun}" if " " in parts[-1] and " " not in part else part for part in parts)
    )
