"""The classes of the world: how they are drawn, how large they are, what captions call them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from relforge.demo.world import animals, objects, people
from relforge.demo.world.palette import CLOTHES, COLOURS, FUR, HAIR, SKIN, WOOD
from relforge.demo.world.pen import Colour, NamedColour, Pen
from relforge.demo.world.scene import Thing


@dataclass(frozen=True)
class Kind:
    """One class.

    Args:
        draw: draws a thing of this class.
        size: its unit height relative to a grown person's.
        nouns: sub-kinds that look different or the class itself; each with the words captions use for it.
        group: person, animal, vehicle, furniture, small or plant.
    """

    draw: Callable[[Pen, Thing], None]
    size: float
    nouns: dict[str, tuple[str, ...]]
    group: str


CLASSES: dict[str, Kind] = {
    "person": Kind(
        people.draw_person,
        1.0,
        {
            "man": ("man", "guy", "person"),
            "woman": ("woman", "lady", "person"),
            "boy": ("boy", "kid", "child"),
            "girl": ("girl", "kid", "child"),
        },
        "person",
    ),
    "dog": Kind(
        animals.draw_animal, 0.36, {"dog": ("dog", "dog", "hound"), "puppy": ("puppy", "pup")}, "animal"
    ),
    "cat": Kind(animals.draw_animal, 0.28, {"cat": ("cat", "cat", "kitty"), "kitten": ("kitten",)}, "animal"),
    "horse": Kind(animals.draw_animal, 0.74, {"horse": ("horse",), "pony": ("pony",)}, "animal"),
    "cow": Kind(animals.draw_animal, 0.64, {"cow": ("cow", "cow", "bull"), "calf": ("calf",)}, "animal"),
    "sheep": Kind(animals.draw_animal, 0.44, {"sheep": ("sheep",), "lamb": ("lamb",)}, "animal"),
    "elephant": Kind(animals.draw_animal, 0.86, {"elephant": ("elephant",)}, "animal"),
    "bird": Kind(animals.draw_bird, 0.2, {"bird": ("bird",), "pigeon": ("pigeon", "dove")}, "animal"),
    "bicycle": Kind(objects.draw_bicycle, 0.52, {"bicycle": ("bicycle", "bike")}, "vehicle"),
    "car": Kind(objects.draw_car, 0.62, {"car": ("car", "automobile")}, "vehicle"),
    "boat": Kind(objects.draw_boat, 0.5, {"boat": ("boat", "canoe")}, "vehicle"),
    "skateboard": Kind(objects.draw_skateboard, 0.13, {"skateboard": ("skateboard", "board")}, "vehicle"),
    "chair": Kind(objects.draw_chair, 0.58, {"chair": ("chair", "seat")}, "furniture"),
    "table": Kind(objects.draw_table, 0.46, {"table": ("table", "desk")}, "furniture"),
    "bench": Kind(objects.draw_bench, 0.44, {"bench": ("bench",)}, "furniture"),
    "bed": Kind(objects.draw_bed, 0.42, {"bed": ("bed",)}, "furniture"),
    "ball": Kind(objects.draw_ball, 0.15, {"ball": ("ball", "football")}, "small"),
    "umbrella": Kind(objects.draw_umbrella, 0.55, {"umbrella": ("umbrella", "parasol")}, "small"),
    "kite": Kind(objects.draw_kite, 0.3, {"kite": ("kite",)}, "small"),
    "hat": Kind(objects.draw_hat, 0.13, {"hat": ("hat",), "cap": ("cap", "baseball cap")}, "small"),
    "bottle": Kind(objects.draw_bottle, 0.24, {"bottle": ("bottle", "water bottle")}, "small"),
    "cup": Kind(objects.draw_cup, 0.14, {"cup": ("cup", "mug")}, "small"),
    "book": Kind(objects.draw_book, 0.2, {"book": ("book", "novel")}, "small"),
    "apple": Kind(objects.draw_apple, 0.12, {"apple": ("apple",)}, "small"),
    "cake": Kind(objects.draw_cake, 0.14, {"cake": ("cake", "dessert")}, "small"),
    "bag": Kind(
        objects.draw_bag,
        0.26,
        {"handbag": ("bag", "handbag", "purse"), "backpack": ("backpack", "bag")},
        "small",
    ),
    "phone": Kind(objects.draw_phone, 0.12, {"phone": ("phone", "cell phone", "mobile phone")}, "small"),
    "tree": Kind(objects.draw_tree, 1.5, {"tree": ("tree",)}, "plant"),
    "lamp": Kind(objects.draw_lamp, 0.9, {"lamp": ("lamp", "floor lamp")}, "furniture"),
}

YOUNG = frozenset({"boy", "girl", "puppy", "kitten", "pony", "calf", "lamb"})
"""Sub-kinds that are drawn smaller."""

ANIMALS = tuple(name for name, kind in CLASSES.items() if kind.group == "animal")


def list_synonyms() -> dict[str, list[str]]:
    """Every word that captions use, per class, in the layout of the match stage's tables."""
    return {
        name: sorted({word for words in kind.nouns.values() for word in words} | set(kind.nouns))
        for name, kind in CLASSES.items()
    }


def make_thing(kind: str, rng: np.random.Generator) -> Thing:
    """A thing of that class with colours of its own, not yet placed."""
    nouns = list(CLASSES[kind].nouns)
    noun = nouns[rng.integers(len(nouns))]
    colours: dict[str, NamedColour]
    if kind == "person":
        colours = {
            "skin": ("", SKIN[rng.integers(len(SKIN))]),
            "hair": ("", HAIR[rng.integers(len(HAIR))]),
            "top": _draw_colour(rng, CLOTHES),
            "bottom": _draw_colour(rng, CLOTHES),
            "shoes": ("", (45, 40, 40)),
        }
    elif CLASSES[kind].group == "animal":
        coats = {"elephant": ["gray"], "sheep": ["white"]}.get(kind, list(FUR))
        name = coats[rng.integers(len(coats))]
        colours = {"coat": (name, _jitter(rng, FUR[name])), "patch": ("", (60, 50, 48))}
    elif kind in {"chair", "table", "bench", "bed"}:
        wood = _jitter(rng, WOOD[rng.integers(len(WOOD))])
        colours = {
            "wood": ("", wood),
            "colour": ("wooden", wood) if kind != "bed" else _draw_colour(rng, CLOTHES),
        }
    elif kind == "tree":
        colours = {"colour": ("green", _jitter(rng, (65, 135, 60)))}
    elif kind == "phone":
        colours = {"colour": ("black", COLOURS["black"])}
    elif kind == "apple":
        colours = {"colour": _draw_colour(rng, ("red", "green", "yellow"))}
    else:
        colours = {"colour": _draw_colour(rng, CLOTHES)}
    return Thing(kind, noun, (0.0, 0.0), 1.0, facing=1 if rng.random() < 0.5 else -1, colours=colours)


def relative_size(thing: Thing) -> float:
    """Unit height relative to a grown person's."""
    return CLASSES[thing.kind].size * (0.68 if thing.noun in YOUNG else 1.0)


def _draw_colour(rng: np.random.Generator, names: tuple[str, ...]) -> NamedColour:
    name = names[rng.integers(len(names))]
    return name, _jitter(rng, COLOURS[name])


def _jitter(rng: np.random.Generator, colour: Colour) -> Colour:
    red, green, blue = (int(np.clip(c + rng.integers(-18, 19), 0, 255)) for c in colour)
    return red, green, blue
