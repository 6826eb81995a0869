"""Which verbs of a table a caption's predicate says: wordings from a YAML file that users may edit."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from relforge.limited_yaml import YamlError, read_yaml
from relforge.stages.interactions import Interactions
from relforge.stages.parse.inflection import gerund, irregular, third_person

VERB_FORMS = Path(__file__).with_name("verb_forms.yaml")
IMPLIES = Path(__file__).with_name("implies.yaml")


class RulesError(ValueError):
    """A file of verb forms or implications that cannot be used; the message names file and fix."""


class VerbForms:
    """Wordings of the verbs of a table.

    Args:
        path: YAML: `verbs`, verb -> list of wordings in lemmas, and `particles`, words that may follow one.
        verbs: of the table; others are not found.

    Raises:
        RulesError: the file cannot be read, or has another form.
    """

    def __init__(self, path: Path, verbs: Iterable[str]) -> None:
        values = _read(path)
        listed = values.get("verbs", {}) if isinstance(values, dict) else None
        particles = values.get("particles", []) if isinstance(values, dict) else None
        if not isinstance(listed, dict) or not _is_names(particles) or set(values) - {"verbs", "particles"}:
            raise RulesError(f"{path}: expected `verbs` (verb: [wordings]) and `particles` (a list of words)")
        for verb, wordings in listed.items():
            if not _is_names(wordings):
                raise RulesError(f"{path}: verbs.{verb}: expected a list of wordings, found {wordings!r}")
        self._particles = frozenset(particles or ())
        self._verbs: dict[tuple[str, ...], tuple[list[str], list[str]]] = {}
        for verb in dict.fromkeys(verbs):
            own = own_lemmas(verb)
            others = [wording for name in dict.fromkeys([verb, *own]) for wording in listed.get(name, [])]
            for place, wordings in enumerate((own, others)):
                for wording in wordings:
                    entry = self._verbs.setdefault(tuple(wording.split()), ([], []))[place]
                    if verb not in entry:
                        entry.append(verb)
        self._longest = max((len(wording) for wording in self._verbs), default=0)

    def find(self, lemma: str) -> tuple[list[str], list[str]]:
        """The verbs whose own name a predicate is, and those that it words otherwise; by its longest wording.

        Args:
            lemma: of the predicate's words, single spaces between: "sit on top of".
        """
        words = tuple(lemma.casefold().split())
        for length in range(min(len(words), self._longest), 0, -1):
            found = self._verbs.get(words[:length])
            if found and all(word in self._particles for word in words[length:]):
                return found
        return [], []


class Implications:
    """What an interaction implies of the same object.

    Args:
        path: YAML list of `verbs`, `implies` and, where not all objects are meant, `objects`; None: no rule.
        table: interactions that there are.

    Raises:
        RulesError: the file cannot be read, or has another form.
    """

    def __init__(self, path: Path | None, table: Interactions) -> None:
        rules = [] if path is None else _read(path)
        if not isinstance(rules, list) or not all(_is_rule(rule) for rule in rules):
            raise RulesError(
                f"{path}: expected rules such as `- {{verbs: [ride], objects: [horse], implies: [straddle]}}`"
            )
        known = set(table)
        self._implied: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for verb, object_ in table:
            for rule in rules:
                if verb in rule["verbs"] and object_ in rule.get("objects", [object_]):
                    others = [(name, object_) for name in rule["implies"] if (name, object_) in known]
                    self._implied.setdefault((verb, object_), []).extend(others)

    def closure(self, pair: tuple[str, str]) -> set[tuple[str, str]]:
        """All interactions that one implies, itself left out."""
        found: set[tuple[str, str]] = set()
        waiting = [pair]
        while waiting:
            for other in self._implied.get(waiting.pop(), ()):
                if other not in found and other != pair:
                    found.add(other)
                    waiting.append(other)
        return found


def own_lemmas(verb: str) -> list[str]:
    """A verb's own wording in lemmas: `riding` and `rides` are also "ride", `sit_on` "sit on"."""
    first, *rest = verb.replace("_", " ").casefold().split()
    stems = [first]
    if known := irregular()["verb"].get(first):
        stems.append(known)
    if first.endswith("ing"):
        stem = first[:-3]
        candidates = [stem, stem + "e", stem[:-1], stem[:-1] + "ie"]
        stems += [one for one in candidates if len(one) > 1 and gerund(one) == first]
    if first.endswith("s"):
        candidates = [first[:-1], first[:-2], first[:-3] + "y"]
        stems += [one for one in candidates if len(one) > 1 and third_person(one) == first]
    return [" ".join([one, *rest]) for one in dict.fromkeys(stems)]


def _read(path: Path) -> Any:
    try:
        return read_yaml(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, YamlError) as error:
        raise RulesError(f"{path}: {error}") from error


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) and one.strip() for one in value)


def _is_rule(rule: object) -> bool:
    if not isinstance(rule, dict) or not {"verbs", "implies"} <= set(rule) <= {"verbs", "objects", "implies"}:
        return False
    return all(_is_names(names) for names in rule.values())
