"""What the rest of a triplet says about the class of an end."""

from __future__ import annotations

from relforge.stages.class_names import class_key
from relforge.stages.match.words import singular, words

_DRINKWARE = frozenset(map(class_key, ("wine glass", "drinking glass", "glass", "cup")))
_WORN = frozenset({"wear", "wearing", "wears", "worn", "put", "remove", "adjust"})
_ABOUT_PERSONS = frozenset({"have", "with", "in", "through", "behind"})
_EYEWEAR = frozenset(
    {"eye", "reading", "sun", "safety", "3d", "prescription", "protective", "swimming", "dark"}
)

_CONTAINER_WORDS = """
glass cup mug bottle bowl jar flask vase pot planter can tin box basket bag plate tray pitcher case crate
bucket
"""
CONTAINERS = frozenset(_CONTAINER_WORDS.split())
_CONTAINMENT = frozenset(["of", "in", "inside", "into", "have", "with", "hold", "contain", "fill", "full"])


def is_eyewear(subject_is_person: bool, predicate_lemma: str, phrase: str) -> bool:
    """Whether "glasses" are worn, and not drunk from: "wearing glasses", "a man with glasses"."""
    said = words(phrase)
    if not said or said[-1] not in ("glasses", "glass") or "of" in said:
        return False
    if len(said) > 1 and said[-2] in _EYEWEAR:
        return True
    first = (words(predicate_lemma) or ("",))[0]
    bare = said[-1] == "glasses" and not {"wine", "champagne", "beer", "drinking", "two", "three"} & set(said)
    return first in _WORN or (bare and subject_is_person and first in _ABOUT_PERSONS)


def is_drinkware(category: str) -> bool:
    return class_key(category) in _DRINKWARE


def is_contained(subject_head: str, predicate_lemma: str, object_head: str) -> bool:
    """Whether one end holds the other as its content: "wine in a glass", "a glass of wine"."""
    heads = [singular((words(head) or ("",))[-1]) for head in (subject_head, object_head)]
    if heads[0] == heads[1] or sum(head in CONTAINERS for head in heads) != 1:
        return False
    return bool(_CONTAINMENT & set(words(predicate_lemma)))
