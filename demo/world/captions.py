"""Captions as people write them: each states some of the facts, in varying words."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from relforge.demo.world.catalogue import CLASSES
from relforge.demo.world.interactions import SPATIAL
from relforge.demo.world.scene import Fact, Scene, Thing

# progressive, finite (third person singular), finite plural, passive participle or None
VERBS: dict[str, tuple[str, str, str, str | None]] = {
    "riding": ("riding", "rides", "ride", "ridden"),
    "holding": ("holding", "holds", "hold", "held"),
    "carrying": ("carrying", "carries", "carry", "carried"),
    "wearing": ("wearing", "wears", "wear", "worn"),
    "eating": ("eating", "eats", "eat", "eaten"),
    "drinking from": ("drinking from", "drinks from", "drink from", None),
    "reading": ("reading", "reads", "read", "read"),
    "talking on": ("talking on", "talks on", "talk on", None),
    "sitting on": ("sitting on", "sits on", "sit on", None),
    "lying on": ("lying on", "lies on", "lie on", None),
    "standing on": ("standing on", "stands on", "stand on", None),
    "kicking": ("kicking", "kicks", "kick", "kicked"),
    "throwing": ("throwing", "throws", "throw", "thrown"),
    "flying": ("flying", "flies", "fly", "flown"),
    "walking": ("walking", "walks", "walk", "walked"),
    "pushing": ("pushing", "pushes", "push", "pushed"),
    "petting": ("petting", "pets", "pet", "petted"),
    "feeding": ("feeding", "feeds", "feed", "fed"),
    "hugging": ("hugging", "hugs", "hug", "hugged"),
    "leaning against": ("leaning against", "leans against", "lean against", None),
    "climbing": ("climbing", "climbs", "climb", "climbed"),
    "chasing": ("chasing", "chases", "chase", "chased"),
    "jumping over": ("jumping over", "jumps over", "jump over", None),
    "sleeping on": ("sleeping on", "sleeps on", "sleep on", None),
    "perched on": ("perched on", "perches on", "perch on", None),
    "looking at": ("looking at", "looks at", "look at", "watched"),
}
_STATIC = {"on", "under", "in", "next to", "behind", "in front of"}
_PLACES = {
    "park": ("in a park", "on the grass", "in a field", "outdoors"),
    "street": ("on the street", "in the city", "downtown"),
    "beach": ("on the beach", "by the sea", "near the water"),
    "room": ("in a room", "indoors", "inside a house"),
}
_PLURALS = {
    "man": "men",
    "woman": "women",
    "person": "people",
    "child": "children",
    "sheep": "sheep",
    "calf": "calves",
    "bench": "benches",
    "puppy": "puppies",
    "pony": "ponies",
    "lady": "ladies",
}
_SPATIAL_SHARE = 0.25
"""How readily people mention where things are, against what is done."""


Said = tuple[str, list[Fact]]
"""A caption and the facts that it states."""


def write_captions(scene: Scene, facts: list[Fact], rng: np.random.Generator, count: int = 5) -> list[str]:
    """`count` captions of a scene, each from one to three of its facts."""
    return [text for text, _ in write_stated(scene, facts, rng, count)]


def write_stated(scene: Scene, facts: list[Fact], rng: np.random.Generator, count: int = 5) -> list[Said]:
    """The captions of `write_captions`, each with the facts that its words state."""
    if not facts:
        names = [_phrase(thing, rng) for thing in scene.things[:2]] or ["nothing"]
        return [(f"a picture of {' and '.join(names)}", []) for _ in range(count)]
    weights = np.array([_SPATIAL_SHARE if p in SPATIAL else 1.0 for _, p, _ in facts])
    return [_caption(scene, facts, weights / weights.sum(), rng) for _ in range(count)]


def _caption(scene: Scene, facts: list[Fact], weights: np.ndarray, rng: np.random.Generator) -> Said:
    first = facts[rng.choice(len(facts), p=weights)]
    subject, predicate, _ = first
    form = rng.random()
    shared = [f for f in facts if f[1] == predicate and f[0] != subject and _same_classes(scene, f, first)]
    if predicate == "hugging":  # hugging is mutual: no plural words it well
        shared = []
    again = [f for f in facts if f[0] == subject and f != first]
    stated = [first]
    if shared and form < 0.6:
        stated += shared
        text = _plural(scene, stated, rng)
    elif again and form < 0.55:
        second = again[rng.integers(len(again))]
        stated.append(second)
        text = _two_of_one(scene, first, second, rng)
    elif form < 0.7:
        text = _clause(scene, first, rng)
    elif form < 0.82:
        text = f"there is {_noun_phrase(scene, first, rng)}"
    elif form < 0.9 and predicate in VERBS and VERBS[predicate][3]:
        text = _passive(scene, first, rng)
    else:
        other = facts[rng.choice(len(facts), p=weights)]
        text = _clause(scene, first, rng)
        if other[0] != subject and other[2] != subject:
            stated.append(other)
            text += f"{' while ' if rng.random() < 0.5 else ' and '}{_clause(scene, other, rng)}"
    if rng.random() < 0.3:
        places = _PLACES[scene.backdrop.place]
        text += f" {places[rng.integers(len(places))]}"
    return text, stated


def _same_classes(scene: Scene, one: Fact, other: Fact) -> bool:
    things = scene.things
    return things[one[0]].kind == things[other[0]].kind and things[one[2]].kind == things[other[2]].kind


def _clause(scene: Scene, fact: Fact, rng: np.random.Generator) -> str:
    subject, object_ = _phrase(scene.things[fact[0]], rng), _phrase(scene.things[fact[2]], rng)
    if fact[1] in _STATIC:
        return f"{subject} {_spatial_phrase(scene.things[fact[0]], fact[1], rng)} {object_}"
    progressive, finite, _, _ = VERBS[fact[1]]
    middle = (progressive, finite, f"is {progressive}", progressive)[rng.integers(4)]
    return f"{subject} {middle} {object_}"


def _spatial_phrase(thing: Thing, predicate: str, rng: np.random.Generator) -> str:
    """A spatial predicate, with or without the verb that people add."""
    verb = "standing" if CLASSES[thing.kind].group in {"person", "animal"} else "sitting"
    prefix = ("", "is ", f"{verb} ")[rng.integers(3)]
    if predicate == "on" and prefix.startswith("standing"):
        prefix = ""
    return prefix + predicate


def _noun_phrase(scene: Scene, fact: Fact, rng: np.random.Generator) -> str:
    subject, object_ = _phrase(scene.things[fact[0]], rng), _phrase(scene.things[fact[2]], rng)
    if fact[1] in _STATIC:
        return f"{subject} {fact[1]} {object_}"
    return f"{subject} {'that is ' if rng.random() < 0.3 else ''}{VERBS[fact[1]][0]} {object_}"


def _passive(scene: Scene, fact: Fact, rng: np.random.Generator) -> str:
    subject, object_ = _phrase(scene.things[fact[0]], rng), _phrase(scene.things[fact[2]], rng)
    being = ("being ", "is being ", "is ")[rng.integers(3)]
    return f"{object_} {being}{VERBS[fact[1]][3]} by {subject}"


def _two_of_one(scene: Scene, first: Fact, second: Fact, rng: np.random.Generator) -> str:
    """ "a man wearing a hat and riding a horse", "a man in a cap is ..."."""
    object_ = _phrase(scene.things[second[2]], rng)
    words = second[1] if second[1] in _STATIC else VERBS[second[1]][0]
    if first[1] == "wearing" and rng.random() < 0.5:
        wearer = f"{_phrase(scene.things[first[0]], rng)} in {_phrase(scene.things[first[2]], rng)}"
        return f"{wearer} {'is ' if rng.random() < 0.5 else ''}{words} {object_}"
    return f"{_noun_phrase(scene, first, rng)} {'while ' if rng.random() < 0.3 else 'and '}{words} {object_}"


def _plural(scene: Scene, facts: list[Fact], rng: np.random.Generator) -> str:
    subjects = [scene.things[f[0]] for f in dict.fromkeys(facts)]
    count = ("two", "three", "four", "five")[min(len(subjects), 5) - 2]
    objects = defaultdict(list)
    for fact in facts:
        objects[fact[2]].append(fact[0])
    target = scene.things[facts[0][2]]
    shared = len(objects) == 1
    what = _phrase(target, rng) if shared else pluralise(_choose_word(target, rng))
    verb = facts[0][1] if facts[0][1] in _STATIC else VERBS[facts[0][1]][rng.integers(2) * 2]
    nouns = {thing.noun for thing in subjects}
    who = pluralise(_choose_word(subjects[0], rng) if len(nouns) == 1 else _general(subjects[0]))
    lead = (count, "some", "a group of", count)[rng.integers(4)] if len(subjects) > 2 else count
    if len(subjects) == 2 and len(nouns) == 2 and rng.random() < 0.5:
        return f"{_phrase(subjects[0], rng)} and {_phrase(subjects[1], rng)} {verb} {what}"
    return f"{lead} {who} {verb} {what}"


def _phrase(thing: Thing, rng: np.random.Generator) -> str:
    """A noun phrase: article, sometimes a colour or size, the noun or a synonym."""
    noun, adjective = _choose_word(thing, rng), ""
    if rng.random() < 0.35:
        choices = [value[0] for name, value in thing.colours.items() if name in {"colour", "coat"}]
        if thing.kind == "person":
            adjective = ("young", "tall", "")[rng.integers(3)] if thing.noun in {"man", "woman"} else "little"
        elif choices:
            adjective = choices[0]
    if thing.kind == "person" and rng.random() < 0.12:
        return f"{_article(noun, rng)} {noun} in a {thing.colours['top'][0]} shirt"
    words = f"{adjective} {noun}".strip()
    return f"{_article(words, rng)} {words}"


def _article(following: str, rng: np.random.Generator) -> str:
    if rng.random() < 0.12:
        return "the"
    return "an" if following[0] in "aeiou" else "a"


def _choose_word(thing: Thing, rng: np.random.Generator) -> str:
    words = CLASSES[thing.kind].nouns[thing.noun]
    return words[rng.choice(len(words), p=_word_shares(len(words)))]


def _word_shares(count: int) -> list[float]:
    """Probability of each word; the first is the most frequent."""
    return [1.0] if count == 1 else [0.6] + [0.4 / (count - 1)] * (count - 1)


def _general(thing: Thing) -> str:
    return "person" if thing.kind == "person" else thing.kind


def pluralise(noun: str) -> str:
    """Of the world's own nouns."""
    *front, last = noun.split()
    many = _PLURALS.get(last) or (last + "es" if last.endswith(("s", "sh", "ch", "x")) else last + "s")
    return " ".join([*front, many])
